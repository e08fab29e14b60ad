//! The text itself: characters, encodings and escapes that are read otherwise than they look.

use flume_mini_agent::config::AgentConfig;

use crate::support::{AGENT, agent, finds, problems, strict};

#[test]
fn characters_that_flume_reads_as_others_are_an_error() {
    finds(
        &agent(
            &[],
            "sources.r1.interceptors = i1\nsources.r1.interceptors.i1.type = static\nsources.r1.interceptors.i1.value = Zürich",
        ),
        &[
            "a1.sources.r1.interceptors.i1.value: Flume reads property files as ISO-8859-1: write \\u00FC for 'ü'",
        ],
    );
    let escaped = "sources.r1.interceptors = i1\nsources.r1.interceptors.i1.type = static\nsources.r1.interceptors.i1.value = Z\\u00fcrich";
    strict(&agent(&[], &format!("{escaped}\n"))).unwrap();
    strict(&format!("{AGENT}# Zürich\n")).unwrap();
}

#[test]
fn an_escape_that_java_refuses_is_an_error_beside_all_others() {
    let error = strict(&agent(&[], "sinks.k1.x = \\u12\nsinks.k1.y = 1")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration has 2 problems:
  f:11: a1.sinks.k1.x: \\u needs four hexadecimal digits after it; write \\\\u for a backslash and a u, or / in a path
  f:12: a1.sinks.k1.y: is unknown for logger sinks"
    );
}

#[test]
fn a_byte_order_mark_is_named_and_nothing_that_follows_from_it() {
    let mark = ": the text begins with a byte order mark (BOM), which Flume takes for a part of the first \
                key: save it without one";
    for text in [
        format!("\u{feff}{AGENT}"),
        format!("\u{feff}# names\n{AGENT}"),
        // As it is read in ISO-8859-1.
        format!("\u{ef}\u{bb}\u{bf}{AGENT}"),
    ] {
        finds(&text, &[mark]);
    }
    // What is wrong besides is told as well.
    let text = format!("\u{feff}{}", agent(&["sources.r1.port"], ""));
    finds(
        &text,
        &[mark, "a1.sources.r1.port: is not set, and must be"],
    );
}

#[test]
fn a_text_in_utf_16_is_named_and_nothing_that_follows_from_it() {
    let utf16 = ": the text is in UTF-16, or has zero bytes, of which Flume makes characters of their \
                 own: save it as ASCII or UTF-8";
    // Each byte as a character, as ISO-8859-1 has it.
    let bytes = |unit: u16| unit.to_le_bytes().map(char::from);
    let text: String = AGENT.encode_utf16().flat_map(bytes).collect();
    finds(&text, &[utf16]);
    finds(&format!("\u{ff}\u{fe}{text}"), &[utf16]);
}

#[test]
fn a_backslash_that_was_meant_as_one_is_named_with_what_it_makes_of_the_value() {
    let roll = |value: &str| {
        let more = format!("sinks.k1.type = file_roll\nsinks.k1.sink.directory = {value}");
        agent(&["sinks.k1.type"], &more)
    };
    let told = |read: &str| {
        format!(
            "a1.sinks.k1.sink.directory: has a backslash, which begins an escape in property files: \
             it is read as {read}; write / or \\\\ for each backslash"
        )
    };
    finds(
        &roll(r"D:\flume\new\test"),
        &[&told(r#""D:\u{c}lume\new\test""#)],
    );
    finds(&roll(r"\\host\share"), &[&told(r#""\\hostshare""#)]);
    finds(&roll(r"logs\app"), &[&told(r#""logsapp""#)]);
    for fine in [r"D:\\flume\\new", "D:/flume", r"a\ b", r"a\:b", r"\u0041"] {
        strict(&roll(fine)).unwrap();
    }
}

#[test]
fn an_escape_that_cannot_be_read_is_all_that_is_told_of_its_key() {
    let more = "sinks.k1.type = file_roll\nsinks.k1.sink.directory = C:\\users\\me";
    let text = agent(&["sinks.k1.type"], more);
    finds(
        &text,
        &[
            "a1.sinks.k1.sink.directory: \\u needs four hexadecimal digits after it; write \\\\u for a \
           backslash and a u, or / in a path",
        ],
    );
    let error = AgentConfig::reader("a1").lenient().read(&text);
    let error = error.unwrap_err().to_string();
    assert!(!error.contains("is not set"), "{error}");
    // A key that cannot be read is missed.
    let text = agent(&["sources.r1.port"], "sources.r1.por\\ut = 4141");
    assert_eq!(problems(&text).len(), 2, "{:?}", problems(&text));
}
