//! Values on one line of plain text: what logfmt, RFC 5424 and the bare message have in common.
//!
//! A value may hold line breaks, and escape sequences that a terminal obeys. Here they are written as
//! JSON writes them, so one record is one line, and harmless.

use crate::capture::Value;
use crate::text::{base64, number};

/// Stands after what a value wrote before its formatting panicked or failed.
pub(super) const BROKEN: &str = "<its formatting failed>";

/// Writes a value with every control character escaped, and the letters in `also` behind a `\`.
pub(super) fn put_value(out: &mut Vec<u8>, value: &Value<'_>, also: &[char]) {
    put_with(out, value, |out, text| put_escaping(out, text, also));
}

/// Writes a value as it is.
pub(crate) fn put_bare(out: &mut Vec<u8>, value: &Value<'_>) {
    put_with(out, value, |out, text| {
        out.extend_from_slice(text.as_bytes());
    });
}

fn put_with(out: &mut Vec<u8>, value: &Value<'_>, put_text: impl Fn(&mut Vec<u8>, &str)) {
    match value {
        Value::Text(text) | Value::Json(text) => put_text(out, text),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::I64(value) => number::put_i64(out, *value),
        Value::U64(value) => number::put_u64(out, *value),
        Value::I128(value) => number::put_display(out, value),
        Value::U128(value) => number::put_display(out, value),
        Value::F64(value) if value.is_finite() => number::put_f64(out, *value),
        Value::F64(value) => number::put_display(out, value),
        Value::Broken(text) => {
            put_text(out, text);
            put_text(out, BROKEN);
        }
        Value::Bytes(bytes) => base64::put(out, bytes),
        Value::Error(chain) => {
            for (index, text) in chain.texts().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b": ");
                }
                put_text(out, text);
            }
        }
    }
}

/// Writes a text with every control character escaped, and the letters in `also` behind a `\`.
pub(super) fn put_escaping(out: &mut Vec<u8>, text: &str, also: &[char]) {
    let mut rest = text;
    while let Some(at) = rest.find(|letter| is_harmful(letter) || also.contains(&letter)) {
        let (before, from) = rest.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let mut letters = from.chars();
        match letters.next() {
            Some('\n') => out.extend_from_slice(b"\\n"),
            Some('\r') => out.extend_from_slice(b"\\r"),
            Some('\t') => out.extend_from_slice(b"\\t"),
            Some(letter) if also.contains(&letter) => {
                out.push(b'\\');
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(letter) => number::put_display(out, format_args!("\\u{:04x}", u32::from(letter))),
            None => return,
        }
        rest = letters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Control characters, what some readers take for the end of a line beside them, and what turns the
/// direction of a text, by which it can be made to look like another one.
pub(super) fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        put_escaping(&mut out, text, &['"', '\\']);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_text_cannot_begin_a_line_or_speak_to_a_terminal() {
        check("plain ü", "plain ü");
        check("a\nINFO forged", "a\\nINFO forged");
        check(
            "\u{1b}[2J\r\t\u{85}\u{2028}\u{9b}1m",
            "\\u001b[2J\\r\\t\\u0085\\u2028\\u009b1m",
        );
        check("\"\\", "\\\"\\\\");
        check("user\u{202e}nimda", "user\\u202enimda");
    }
}
