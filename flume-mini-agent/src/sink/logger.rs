//! The logger sink.

use std::io::{self, Write};

use flume_client::wire::avro::datum::EventRef;

use super::SinkWriter;
use crate::channel::StoredEvent;

/// Writes `Event: { headers:{k=v} body: 68 69 hi }` per event. Unlike Flume's it does not pad the
/// hexadecimal part of a short body to the width of 16 bytes.
pub(crate) struct Logger {
    output: Box<dyn Write + Send>,
    /// Bytes of a body that are shown.
    bytes_max: usize,
    lines: Vec<u8>,
}

impl Logger {
    pub(crate) fn new(output: Box<dyn Write + Send>, bytes_max: usize) -> Self {
        Self {
            output,
            bytes_max,
            lines: Vec::new(),
        }
    }
}

impl SinkWriter for Logger {
    fn write(&mut self, events: &[StoredEvent]) -> io::Result<()> {
        self.lines.clear();
        for event in events {
            put_line(&mut self.lines, &event.view(), self.bytes_max)?;
        }
        self.output.write_all(&self.lines)?;
        self.output.flush()
    }
}

fn put_line(line: &mut Vec<u8>, event: &EventRef<'_>, bytes_max: usize) -> io::Result<()> {
    line.extend_from_slice(b"Event: { headers:{");
    let mut separator = "";
    for (key, value) in event.headers().filter_map(Result::ok) {
        line.extend_from_slice(separator.as_bytes());
        put_text(line, key)?;
        line.push(b'=');
        put_text(line, value)?;
        separator = ", ";
    }
    line.extend_from_slice(b"} body:");
    let shown = event.body().iter().take(bytes_max);
    for byte in shown.clone() {
        write!(line, " {byte:02X}")?;
    }
    if !event.body().is_empty() {
        line.push(b' ');
        line.extend(shown.map(|byte| {
            if (32..127).contains(byte) {
                *byte
            } else {
                b'.'
            }
        }));
    }
    line.extend_from_slice(b" }\n");
    Ok(())
}

/// What a peer wrote, which is not to speak to the terminal that it may be shown on.
fn put_text(line: &mut Vec<u8>, text: &str) -> io::Result<()> {
    for letter in text.chars() {
        match letter.is_control() {
            true => write!(line, "{}", letter.escape_default())?,
            false => write!(line, "{letter}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(datum: &[u8], expected: &str) {
        let mut line = Vec::new();
        put_line(&mut line, &EventRef::parse(datum).unwrap(), 16).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn control_characters_of_headers_are_escaped() {
        check(
            b"\x02\x08k\x1b[m\x06v\n\r\x00\x00",
            "Event: { headers:{k\\u{1b}[m=v\\n\\r} body: }\n",
        );
    }

    #[test]
    fn a_line_shows_headers_and_the_body_in_hexadecimal_and_text() {
        check(
            b"\x02\x02k\x02v\x00\x04hi",
            "Event: { headers:{k=v} body: 68 69 hi }\n",
        );
        check(
            b"\x04\x02a\x021\x02b\x022\x00\x06\n\xc3~",
            "Event: { headers:{a=1, b=2} body: 0A C3 7E ..~ }\n",
        );
    }

    #[test]
    fn an_empty_body_is_shown_as_nothing() {
        check(b"\x00\x00", "Event: { headers:{} body: }\n");
    }

    #[test]
    fn a_long_body_is_cut_after_sixteen_bytes() {
        check(
            b"\x00\x220123456789abcdefg",
            "Event: { headers:{} body: 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66 0123456789abcdef }\n",
        );
    }
}
