//! [`Logfmt`]: a record as `key=value` pairs on one line.
//!
//! ```text
//! ts=2026-11-27T17:04:05.123456789Z level=INFO target=orders msg="order placed" order=17 span.request=a1
//! ```
//!
//! A value with a blank, a quote, `=`, `\` or a control character stands in quotes, these escaped with
//! `\`. In a key they become `_`. The fields of spans have `span.` before their names, and a field of
//! the record that is called as one of ours has `f.`. Of one name the last value counts; the
//! innermost span is the last one.

use super::plain::{is_harmful, put_value};
use super::record::Record;
use super::{Layout, LayoutError};
use crate::capture::Value;
use crate::text::time::TimeWriter;

/// Writes records as logfmt.
#[derive(Debug, Default)]
pub struct Logfmt {
    time: TimeWriter,
}

impl Logfmt {
    /// As described in the [module](self).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layout for Logfmt {
    fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
        out.extend_from_slice(b"ts=");
        self.time.put(out, record.unix_ns);
        out.extend_from_slice(b" level=");
        out.extend_from_slice(record.level().as_str().as_bytes());
        put_pair(out, "", "target", &Value::Text(record.target()));
        if let Some(message) = record.message() {
            put_pair(out, "", "msg", &message);
        }
        for field in record.own() {
            let is_ours = matches!(field.name, "ts" | "level" | "target" | "msg");
            let before = if is_ours { "f." } else { "" };
            put_pair(out, before, field.name, &field.value);
        }
        record.each_context(|field| put_pair(out, "span.", field.name, &field.value));
        Ok(())
    }
}

fn put_pair(out: &mut Vec<u8>, before: &str, key: &str, value: &Value<'_>) {
    out.push(b' ');
    out.extend_from_slice(before.as_bytes());
    for letter in key.chars() {
        let letter = if is_special(letter) { '_' } else { letter };
        out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.push(b'=');
    if needs_quotes(value) {
        out.push(b'"');
        put_value(out, value, &['"', '\\']);
        out.push(b'"');
    } else {
        put_value(out, value, &[]);
    }
}

fn needs_quotes(value: &Value<'_>) -> bool {
    match value {
        Value::Text(text) | Value::Json(text) => text.is_empty() || text.contains(is_special),
        // Several words, or with `=` at the end.
        Value::Broken(_) | Value::Error(_) | Value::Bytes(_) => true,
        _ => false,
    }
}

fn is_special(letter: char) -> bool {
    is_harmful(letter) || letter.is_whitespace() || matches!(letter, '"' | '=' | '\\')
}
