//! The syntax of `java.util.Properties`; `tests/interop` compares with Java itself.

use flume_mini_agent::config::{EscapeError, Properties};

fn check(text: &str, expected: &[(u32, &str, &str)]) {
    let properties = Properties::parse(text).unwrap();
    let entries = properties.entries().iter();
    let found: Vec<_> = entries
        .map(|entry| (entry.line, entry.key.as_str(), entry.value.as_str()))
        .collect();
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn a_key_ends_at_the_first_equals_sign_colon_or_blank() {
    check("a=b", &[(1, "a", "b")]);
    check("a:b", &[(1, "a", "b")]);
    check("a b", &[(1, "a", "b")]);
    check("a\t\x0c = \t b", &[(1, "a", "b")]);
    check("a = = b", &[(1, "a", "= b")]);
    check("a==b", &[(1, "a", "=b")]);
    check("a:=b", &[(1, "a", "=b")]);
    check("a  :b", &[(1, "a", "b")]);
    check("= b", &[(1, "", "b")]);
    check("a", &[(1, "a", "")]);
    check("a=", &[(1, "a", "")]);
}

#[test]
fn trailing_blanks_belong_to_the_value_and_leading_ones_to_nothing() {
    check("  a =  b \t", &[(1, "a", "b \t")]);
    check("\x0c\ta\x0c", &[(1, "a", "")]);
}

#[test]
fn comments_and_blank_lines_say_nothing() {
    check("# a=b\n! c=d\n  # e=f\n\n \t\na=#1", &[(6, "a", "#1")]);
    check("# goes not on \\\na=b", &[(2, "a", "b")]);
}

#[test]
fn every_line_end_ends_a_line() {
    check(
        "a=1\r\nb=2\rc=3\nd=4",
        &[(1, "a", "1"), (2, "b", "2"), (3, "c", "3"), (4, "d", "4")],
    );
}

#[test]
fn a_backslash_at_the_end_of_a_line_continues_it_without_the_blanks_that_follow() {
    check("a = b \\\n    c\nd=e", &[(1, "a", "b c"), (3, "d", "e")]);
    check("a=b\\\r\n  #c", &[(1, "a", "b#c")]);
    check("a\\\n=b", &[(1, "a", "b")]);
    check("a=b\\\\\nc=d", &[(1, "a", "b\\"), (2, "c", "d")]);
    check("a=b\\\\\\\nc", &[(1, "a", "b\\c")]);
    check("a=b\\\n\nc=d", &[(1, "a", "b"), (3, "c", "d")]);
    check("a=b\\", &[(1, "a", "b")]);
}

#[test]
fn a_line_of_one_backslash_is_as_odd_as_in_java() {
    // What follows is still the begin of a line, so it may be a comment.
    check("\\\n# a=b\nc=d", &[(3, "c", "d")]);
    check("\\", &[(1, "", "")]);
    check("\\\n", &[(1, "", "")]);
    check("\\\r\n", &[]);
    check("\\\n\n", &[]);
}

#[test]
fn escapes_stand_for_characters_in_keys_and_values() {
    check("a\\ b\\=c\\:d = e", &[(1, "a b=c:d", "e")]);
    check(
        "a = \\t\\n\\r\\f\\\\\\x\\\"",
        &[(1, "a", "\t\n\r\x0c\\x\"")],
    );
    check("a = \\u00e9\\u20AC", &[(1, "a", "é€")]);
    check("a = \\ud83d\\uDE00", &[(1, "a", "😀")]);
    check("a = \\ b", &[(1, "a", " b")]);
    check("\\#a=b", &[(1, "#a", "b")]);
    check("a=C:\\temp\\new", &[(1, "a", "C:\temp\new")]);
}

#[test]
fn an_escape_that_means_nothing_is_an_error_with_its_line() {
    let error = |text: &str| {
        let error = Properties::parse(text).unwrap_err();
        (error.line(), error.kind())
    };
    assert_eq!(error("a=b\nc=\\u12"), (2, EscapeError::Malformed));
    assert_eq!(error("c=\\u12g4"), (1, EscapeError::Malformed));
    assert_eq!(error("c=\\u+123"), (1, EscapeError::Malformed));
    assert_eq!(error("c=\\users"), (1, EscapeError::Malformed));
    assert_eq!(error("c=\\ud83d"), (1, EscapeError::HalfCharacter(0xd83d)));
    assert_eq!(
        error("c=\\ude00\\ud83d"),
        (1, EscapeError::HalfCharacter(0xde00))
    );
    let message = Properties::parse("a=b\n\\uxyz").unwrap_err().to_string();
    assert_eq!(
        message,
        "line 2: \\u needs four hexadecimal digits after it; \
         write \\\\u for a backslash and a u, or / in a path"
    );
}

#[test]
fn of_a_key_that_comes_twice_the_later_value_counts_and_both_are_kept() {
    let properties = Properties::parse("a=1\na=2").unwrap();
    assert_eq!(properties.value("a"), Some("2"));
    assert_eq!(properties.entries().len(), 2);
    assert_eq!(properties.value("b"), None);
}
