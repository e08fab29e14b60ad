//! `flume demo`.

use std::fs;

use crate::support::command::{Running, command, flume};

#[test]
fn the_story_tells_of_the_failover_and_ends_with_the_proof() {
    let run = flume(&["demo"]);
    run.check(0, &[]);
    assert_eq!(run.stderr, "");
    let mut rest = run.stdout.as_str();
    for word in [
        "agent A  avro://127.0.0.1:",
        "agent B  avro://127.0.0.1:",
        "sending begins",
        "agent A is stopped",
        "the client has failed over",
        "agent A is started again, on the same port",
        "the client is back at A",
        "the last line is acknowledged",
        "agent A holds",
        "sent          3,024",
        "arrived       3,024",
        "duplicates",
        "missing           0",
        "Nothing was lost",
    ] {
        let at = rest
            .find(word)
            .unwrap_or_else(|| panic!("{word:?} is not next: {run:#?}"));
        rest = &rest[at + word.len()..];
    }
    assert!(!run.stdout.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn any_file_will_do_and_the_result_is_one_line_of_json() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("odd.log");
    // Equal lines, empty lines, bytes that are no text, and no line feed at the end.
    fs::write(
        &path,
        [
            b"same\n".repeat(500),
            b"\n\n\xff\xfe\r\n".to_vec(),
            b"end".to_vec(),
        ]
        .concat(),
    )
    .unwrap();
    let run = flume(&["demo", "--file", path.to_str().unwrap(), "--json"]);
    run.check(0, &["odd.log", "Nothing was lost"]);
    let json = run.json();
    let counts = ["schema", "sent", "distinct", "missing", "altered"].map(|key| json[key].as_u64());
    assert_eq!(counts, [2, 504, 504, 0, 0].map(Some));
    let held = |agent: usize| json["held"][agent]["events"].as_u64().unwrap();
    assert_eq!(
        held(0) + held(1),
        504 + json["duplicates"].as_u64().unwrap()
    );
    assert!(held(0) > 0 && held(1) > 0, "{json}");
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    flume(&["demo", "--file", "/nowhere/x.log"]).check(1, &["cannot read /nowhere/x.log"]);
    flume(&["demo", "--file", "/dev/null"]).check(1, &["/dev/null has no lines to send"]);
}

#[test]
fn an_interrupt_ends_the_story() {
    let mut running = Running::start(command(["demo"]));
    running.wait_for_stdout("sending begins");
    running.signal("INT");
    running.finish().check(130, &["interrupted"]);
}
