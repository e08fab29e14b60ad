//! The event: struct `ThriftFlumeEvent` of Flume's `flume.thrift`, and the same as an Avro datum.
//!
//! | field | type | must come |
//! |---|---|---|
//! | 1 `headers` | map of text to text | yes |
//! | 2 `body` | bytes | yes |
//!
//! A client encodes its events once, as Avro datums; they become Thrift as they are copied into a
//! call. An agent's events are datums again.

use std::borrow::Cow;

use super::DecodeError;
use super::reader::Reader;
use super::types::Kind;
use super::writer::{TooLarge, Writer};
use crate::wire::avro::{self, datum};

/// Most headers accepted from a peer in one event: as many as a datum may have.
const HEADERS_MAX: u32 = datum::PEER_HEADERS_MAX as u32;

const HEADERS: i16 = 1;
const BODY: i16 = 2;

/// One event inside a received message: offsets, no copies.
#[derive(Clone, Debug)]
pub struct EventRef<'a> {
    headers: Headers<'a>,
    body: &'a [u8],
}

impl<'a> EventRef<'a> {
    /// The body.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The headers in the order in which they came. A key can come twice; the last one counts.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.headers.clone()
    }

    /// Appends the event as an Avro datum.
    pub fn put_datum(&self, out: &mut Vec<u8>) {
        if self.headers.left > 0 {
            datum::put_long(out, self.headers.left.into());
        }
        for (key, value) in self.headers() {
            datum::put_bytes(out, key.as_bytes());
            datum::put_bytes(out, value.as_bytes());
        }
        out.push(0);
        datum::put_bytes(out, self.body);
    }

    /// Reads one event and leaves `reader` after it. Of a field that comes twice the last counts.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (mut headers, mut body) = (None, None);
        reader.fields(|reader, field| {
            match (field.id, field.kind) {
                (HEADERS, Kind::Map) => headers = Some(Headers::read(reader)?),
                (BODY, Kind::Binary) => body = Some(reader.binary("an event's body")?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let missing = |what| DecodeError::Missing { what };
        Ok(Self {
            headers: headers.ok_or(missing("an event's field headers"))?,
            body: body.ok_or(missing("an event's field body"))?,
        })
    }
}

/// The headers of an [`EventRef`], as text. What is not UTF-8 is replaced as Java does: a source
/// accepts it, and its channel has the replacement.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    /// At the next pair. All are read once before they are handed out.
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Headers<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let what = "an event's headers";
        let (left, kinds) = reader.map(what)?;
        if kinds.is_some_and(|kinds| kinds != (Kind::Binary, Kind::Binary)) {
            return Err(DecodeError::OtherType { what });
        }
        if left > HEADERS_MAX {
            return Err(DecodeError::OverLimit {
                what,
                announced: left.into(),
                limit: HEADERS_MAX.into(),
            });
        }
        let headers = Self {
            reader: reader.clone(),
            left,
        };
        for _ in 0..left {
            reader.binary("a header's key")?;
            reader.binary("a header's value")?;
        }
        Ok(headers)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let key = self.reader.binary("a header's key").ok()?;
        let value = self.reader.binary("a header's value").ok()?;
        Some((String::from_utf8_lossy(key), String::from_utf8_lossy(value)))
    }
}

/// Why stored events could not be put into a call.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The call would pass the limit of a frame.
    #[error(
        "the call takes more than the {} bytes that a Thrift source accepts: send fewer events in \
         it, or smaller ones",
        super::frame::FRAME_BYTES_MAX
    )]
    TooLarge,
    /// A stored event cannot be read.
    #[error("a stored event cannot be read: {0}")]
    Datum(avro::DecodeError),
    /// There are more or fewer events than the call says.
    #[error("the call is for {announced} events, and there are {found}")]
    Count {
        /// As many as the call says.
        announced: u32,
        /// As many as there are, or one more than the call says.
        found: u32,
    },
}

impl From<TooLarge> for EncodeError {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl From<avro::DecodeError> for EncodeError {
    fn from(error: avro::DecodeError) -> Self {
        Self::Datum(error)
    }
}

/// Writes the event at the front of `datums`, without a look at whether its texts are UTF-8: they
/// were checked when it was stored.
pub(super) fn put_event(
    writer: &mut Writer<'_>,
    datums: &mut datum::Reader<'_>,
) -> Result<(), EncodeError> {
    let what = "a stored header";
    // Thrift tells how many there are before the first one, a datum in blocks as they come.
    let mut ahead = datums.clone();
    let mut headers = 0;
    while let count @ 1.. = ahead.block(what, datum::PEER_HEADERS_MAX)? {
        headers += count as u32;
        for _ in 0..count * 2 {
            ahead.bytes(what, usize::MAX)?;
        }
    }
    writer.field(HEADERS, Kind::Map, 0);
    writer.texts(headers);
    while let count @ 1.. = datums.block(what, datum::PEER_HEADERS_MAX)? {
        for _ in 0..count * 2 {
            writer.binary(datums.bytes(what, usize::MAX)?)?;
        }
    }
    writer.field(BODY, Kind::Binary, HEADERS);
    writer.binary(datums.bytes("a stored body", usize::MAX)?)?;
    writer.end();
    Ok(())
}
