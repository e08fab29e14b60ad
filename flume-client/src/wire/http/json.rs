//! A batch as JSON: the array of events that Flume's `JSONHandler` reads, as RFC 8259 has it.
//!
//! ```text
//! [{"headers":{"host":"web-1"},"body":"GET /"},{"headers":{},"body":""}]
//! ```
//!
//! The text is UTF-8, which the handler assumes where a request names no other charset. A source makes
//! the body's bytes of that text again, so a body that is not UTF-8 cannot be carried. Only what JSON
//! does not allow in a text is escaped: `"`, `\` and the control characters below U+0020.

use crate::wire::avro::DecodeError;
use crate::wire::avro::datum::{EventRef, Reader};

/// Why stored events could not be put into a request.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// An event's body is not UTF-8.
    #[error(
        "the body of event {event} of the batch, counted from 0, is not UTF-8, which JSON cannot \
         carry: send it to an Avro or a Thrift source, or encode it as text, in base64 for example"
    )]
    NotText {
        /// Its place in the batch; that of the first is 0.
        event: usize,
    },
    /// A stored event cannot be read.
    #[error("a stored event cannot be read: {0}")]
    Datum(DecodeError),
}

impl From<DecodeError> for EncodeError {
    fn from(error: DecodeError) -> Self {
        Self::Datum(error)
    }
}

/// Appends the events in `datums`, Avro datums back to back, each whole within its slice and with
/// each key once.
///
/// With no events it is `[]`, a harmless probe, which Flume answers with 200 and no channel is
/// touched. Allocates nothing if `out` has room.
///
/// # Errors
///
/// If a body is not UTF-8, and if `datums` cannot be read. `out` is as it was before.
pub fn put_batch<'a>(
    out: &mut Vec<u8>,
    datums: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let put = put_events(out, datums);
    if put.is_err() {
        out.truncate(start);
    }
    put
}

/// Whether JSON can carry a stored event: its body is UTF-8.
#[must_use]
pub fn is_text(datum: &[u8]) -> bool {
    EventRef::parse(datum).is_ok_and(|event| str::from_utf8(event.body()).is_ok())
}

fn put_events<'a>(
    out: &mut Vec<u8>,
    datums: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), EncodeError> {
    let mut events = 0;
    out.push(b'[');
    for slice in datums {
        let mut datums = Reader::new(slice);
        while !datums.rest().is_empty() {
            if events > 0 {
                out.push(b',');
            }
            let event = EventRef::read(&mut datums)?;
            let not_text = |_| EncodeError::NotText { event: events };
            let body = str::from_utf8(event.body()).map_err(not_text)?;
            put_event(out, &event, body)?;
            events += 1;
        }
    }
    out.push(b']');
    Ok(())
}

fn put_event(out: &mut Vec<u8>, event: &EventRef<'_>, body: &str) -> Result<(), DecodeError> {
    out.extend_from_slice(b"{\"headers\":{");
    for (index, header) in event.headers().enumerate() {
        let (key, value) = header?;
        if index > 0 {
            out.push(b',');
        }
        put_text(out, key);
        out.push(b':');
        put_text(out, value);
    }
    out.extend_from_slice(b"},\"body\":");
    put_text(out, body);
    out.push(b'}');
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_escaped(rest)
        && let (plain, [byte, after @ ..]) = rest.split_at(at)
    {
        out.extend_from_slice(plain);
        put_escape(out, *byte);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte is that JSON does not allow: `"`, `\` or one below U+0020.
fn first_escaped(text: &[u8]) -> Option<usize> {
    // Most texts have none, so whole words are looked at before single bytes.
    let (words, _) = text.as_chunks();
    let has_none = |word: &&[u8; 8]| !has_escaped(u64::from_ne_bytes(**word));
    let plain = 8 * words.iter().take_while(has_none).count();
    let mut rest = text.get(plain..)?.iter();
    let at = rest.position(|byte| matches!(byte, ..0x20 | b'"' | b'\\'));
    at.map(|at| plain + at)
}

/// Whether a byte of the word is to be escaped. Subtracting a number from each byte sets the highest bit
/// of those that are less, if it was not set before. A borrow into the next byte comes only from one that
/// is less, so "any" is exact.
fn has_escaped(word: u64) -> bool {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let less = |word: u64, than| word.wrapping_sub(each(than)) & !word;
    let is = |byte| less(word ^ each(byte), 1);
    (less(word, 0x20) | is(b'"') | is(b'\\')) & each(0x80) != 0
}

fn put_escape(out: &mut Vec<u8>, byte: u8) {
    let digit = |number: u8| char::from_digit(number.into(), 16).map_or(b'0', |it| it as u8);
    let short = match byte {
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
