//! Calls: `append` and `appendBatch` of Flume's `ThriftSourceProtocol`.
//!
//! | method | its one argument, field 1 |
//! |---|---|
//! | `append` | an event |
//! | `appendBatch` | a list of events |

use super::event::{self, EncodeError, EventRef};
use super::reader::Reader;
use super::types::{Head, Kind, MessageKind};
use super::writer::Writer;
use super::{DecodeError, Protocol};
use crate::wire::avro::datum;

/// The name of the call with one event.
pub(super) const APPEND: &[u8] = b"append";
/// The name of the call with a list of them.
pub(super) const APPEND_BATCH: &[u8] = b"appendBatch";

/// The id of a call's only argument.
const ARGUMENT: i16 = 1;

/// Appends a frame with an `appendBatch` call of `events` events. They are in `datums`, as Avro
/// datums back to back, each whole within its slice.
///
/// With no events it is a harmless probe, which Flume answers with OK and no channel is touched.
/// Allocates nothing if `out` has room.
///
/// # Errors
///
/// If the frame would pass Thrift's limit, and if `datums` are not so many events. `out` is as it
/// was before.
pub fn put_append_batch<'a>(
    out: &mut Vec<u8>,
    protocol: Protocol,
    seqid: i32,
    events: u32,
    datums: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let head = Head {
        kind: MessageKind::Call,
        seqid,
        name: APPEND_BATCH,
    };
    let writer = Writer::begin(out, protocol, &head);
    let result = put_events(writer, events, datums);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn put_events<'a>(
    mut writer: Writer<'_>,
    announced: u32,
    datums: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), EncodeError> {
    writer.field(ARGUMENT, Kind::List, 0);
    writer.structs(announced);
    let mut found = 0;
    for slice in datums {
        let mut datums = datum::Reader::new(slice);
        while !datums.rest().is_empty() {
            found += 1;
            if found > announced {
                return Err(EncodeError::Count { announced, found });
            }
            event::put_event(&mut writer, &mut datums)?;
        }
    }
    if found != announced {
        return Err(EncodeError::Count { announced, found });
    }
    writer.end();
    Ok(writer.finish()?)
}

/// A call, read by the agent's side: whole, so that nothing of it is stored if any cannot be read.
#[derive(Clone, Debug)]
pub enum Call<'a> {
    /// One event.
    Append(EventRef<'a>),
    /// A list of events.
    AppendBatch(Events<'a>),
    /// A method this service does not have; its arguments are not looked at.
    Unknown,
}

impl<'a> Call<'a> {
    /// Reads the arguments of this method.
    pub(super) fn read(name: &[u8], mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let call = match name {
            APPEND => Self::Append(Self::event(&mut reader)?),
            APPEND_BATCH => Self::AppendBatch(Self::events(&mut reader)?),
            _ => return Ok(Self::Unknown),
        };
        reader.end()?;
        Ok(call)
    }

    fn event(reader: &mut Reader<'a>) -> Result<EventRef<'a>, DecodeError> {
        let mut event = None;
        reader.fields(|reader, field| {
            let is_event = field.id == ARGUMENT && field.kind == Kind::Struct;
            if is_event {
                event = Some(EventRef::read(reader)?);
            }
            Ok(is_event)
        })?;
        event.ok_or(DecodeError::Missing { what: "the event" })
    }

    fn events(reader: &mut Reader<'a>) -> Result<Events<'a>, DecodeError> {
        let mut events = None;
        reader.fields(|reader, field| {
            let is_list = field.id == ARGUMENT && field.kind == Kind::List;
            if is_list {
                events = Some(Events::read(reader)?);
            }
            Ok(is_list)
        })?;
        let what = "the list of events";
        events.ok_or(DecodeError::Missing { what })
    }
}

/// The events of an `appendBatch`, one by one.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    /// At the next event. All are read once before they are handed out.
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Events<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let what = "the list of events";
        let (left, kind) = reader.list(what)?;
        if kind.is_some_and(|kind| kind != Kind::Struct) {
            return Err(DecodeError::OtherType { what });
        }
        let events = Self {
            reader: reader.clone(),
            left,
        };
        for _ in 0..left {
            EventRef::read(reader)?;
        }
        Ok(events)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = EventRef<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        EventRef::read(&mut self.reader).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Events<'_> {}
