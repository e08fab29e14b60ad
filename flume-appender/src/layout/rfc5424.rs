//! [`Rfc5424`]: a record as a syslog message, as Log4j 2's Flume appender writes it by default.
//!
//! ```text
//! <134>1 2026-11-27T17:04:05.123Z web-1 orders 4711 - [fields@32473 order="17"][mdc@32473 request="a1"] order placed
//! ```
//!
//! | part | as in Log4j 2's `Rfc5424Layout` |
//! |---|---|
//! | priority | facility 16 (`local0`); severity 3 for ERROR, 4 for WARN, 6 for INFO, 7 for the others |
//! | time | three digits of a second; in UTC, where Log4j takes the zone of the host |
//! | message id | `-` |
//! | `mdc@32473` | what a record stands in: the fields of spans, where Log4j has its thread context |
//! | `fields@32473` | the record's own fields, for which Log4j has the id of a structured message |
//! | names | sorted; at most 32 letters of printable ASCII, others become `?` |
//! | values | `"`, `]` and `\` after a `\`; of one name the last one, that of the innermost span |
//! | message | on the same line; control characters in it and in values are escaped, which Log4j does on demand |
//!
//! The number after `@` is the one that RFC 5612 keeps for examples, and Log4j's default.

use super::merged::Merged;
use super::plain::put_value;
use super::record::{Record, Written};
use super::{Layout, LayoutError};
use crate::level::Level;
use crate::prepared::origin;
use crate::text::number;
use crate::text::time::TimeWriter;

const FACILITY: u64 = 16;

/// A buffer that grew beyond this is let go of after use.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

/// Writes records as RFC 5424.
#[derive(Debug)]
pub struct Rfc5424 {
    time: TimeWriter,
    /// ` HOST APP PROCESS - `.
    origin: Vec<u8>,
    merged: Merged,
}

impl Rfc5424 {
    /// From this host, application and process.
    #[must_use]
    pub fn new(host: &str, app: &str, process: u32) -> Self {
        let mut origin = vec![b' '];
        put_name(&mut origin, host, 255, '-');
        origin.push(b' ');
        put_name(&mut origin, app, 48, '-');
        origin.push(b' ');
        number::put_u64(&mut origin, process.into());
        origin.extend_from_slice(b" - ");
        Self {
            time: TimeWriter::default(),
            origin,
            merged: Merged::default(),
        }
    }

    /// From this process, with the name of its host and that of its program.
    #[must_use]
    pub fn of_process() -> Self {
        let (host, app) = (origin::host(), origin::program());
        Self::new(&host, &app, std::process::id())
    }
}

impl Layout for Rfc5424 {
    fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
        out.push(b'<');
        number::put_u64(out, FACILITY * 8 + severity(record.level()));
        out.extend_from_slice(b">1 ");
        self.time.put_millis(out, record.unix_ns);
        out.extend_from_slice(&self.origin);
        let start = out.len();
        self.merged.clear();
        for field in record.own() {
            add(&mut self.merged, &field);
        }
        self.put_element(out, "fields");
        self.merged.clear();
        record.each_context(|field| add(&mut self.merged, field));
        self.put_element(out, "mdc");
        if out.len() == start {
            out.push(b'-');
        }
        if let Some(message) = record.message() {
            out.push(b' ');
            put_value(out, &message, &[]);
        }
        self.merged.trim(BUFFER_BYTES_KEPT);
        Ok(())
    }
}

impl Rfc5424 {
    /// Writes `[NAME@32473 field="value" ...]`, if there are fields.
    fn put_element(&mut self, out: &mut Vec<u8>, name: &str) {
        if self.merged.is_empty() {
            return;
        }
        out.push(b'[');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"@32473");
        self.merged.sort();
        self.merged.put(out, b"");
        out.push(b']');
    }
}

fn add(merged: &mut Merged, field: &Written<'_>) {
    merged.add(["", field.name, ""], |out| {
        out.push(b' ');
        put_name(out, field.name, 32, '?');
        out.extend_from_slice(b"=\"");
        put_value(out, &field.value, &['"', '\\', ']']);
        out.push(b'"');
    });
}

/// Writes a name of printable ASCII letters, as RFC 5424 wants them; others become `?`.
fn put_name(out: &mut Vec<u8>, name: &str, most: usize, if_empty: char) {
    let letters = name.chars().take(most);
    let is_plain = |letter: &char| letter.is_ascii_graphic() && !matches!(letter, '=' | ']' | '"');
    let start = out.len();
    out.extend(letters.map(|letter| {
        if is_plain(&letter) {
            letter as u8
        } else {
            b'?'
        }
    }));
    if out.len() == start {
        out.push(if_empty as u8);
    }
}

fn severity(level: Level) -> u64 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}
