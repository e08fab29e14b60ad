//! Calls and replies, without frame and handshake.
//!
//! | request part | bytes |
//! |---|---|
//! | call metadata | map, empty: `00` |
//! | message name | string: `append`, `appendBatch`, or empty for a handshake alone |
//! | parameters | `append`: one event; `appendBatch`: an array of events |
//!
//! | reply part | bytes |
//! |---|---|
//! | metadata | map, empty: `00` |
//! | error flag | `00` or `01` |
//! | result | status `00` OK, `02` FAILED, `04` UNKNOWN; an error: `00` and a string |
//!
//! The array of `n` events is `n`, the events back to back, `00`: stored events are sent as they
//! lie in memory, between [`put_append_batch_start`] and [`APPEND_BATCH_END`].

use super::DecodeError;
use super::datum::{EventRef, Reader, long_len, put_bytes, put_long};
use super::handshake::skip_metadata;

/// What follows the events of an `appendBatch`.
pub const APPEND_BATCH_END: [u8; 1] = [0];

/// Most bytes [`put_append_batch_start`] writes.
pub const APPEND_BATCH_START_BYTES_MAX: usize = 1 + 12 + 10;

const APPEND: &str = "append";
const APPEND_BATCH: &str = "appendBatch";
/// Longest message name read from a peer.
const NAME_BYTES_MAX: usize = 256;
/// Longest error text read from a peer.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Writes everything of an `appendBatch` call that comes before its events.
///
/// The call is whole after `events` event datums and [`APPEND_BATCH_END`]. With no events it is a
/// harmless probe, which Flume answers with OK and no channel is touched.
pub fn put_append_batch_start(out: &mut Vec<u8>, events: usize) {
    out.push(0);
    put_bytes(out, APPEND_BATCH.as_bytes());
    if events > 0 {
        put_long(out, events as i64);
    }
}

/// Bytes of an `appendBatch` call for `events` events that take `event_bytes` together.
#[must_use]
pub fn append_batch_len(events: usize, event_bytes: usize) -> usize {
    let count = if events == 0 {
        0
    } else {
        long_len(events as i64)
    };
    1 + 1 + APPEND_BATCH.len() + count + event_bytes + APPEND_BATCH_END.len()
}

/// Writes a call with an empty name: the server answers the handshake and nothing else.
pub fn put_handshake_only(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0]);
}

/// A call, read by the agent's side.
#[derive(Clone, Debug)]
pub enum Call<'a> {
    /// An empty message name: only the handshake is wanted.
    HandshakeOnly,
    /// One event.
    Append(EventRef<'a>),
    /// An array of events, each checked as it is reached.
    AppendBatch(Events<'a>),
    /// A message this protocol does not have.
    Unknown {
        /// Its name.
        name: &'a str,
    },
}

impl<'a> Call<'a> {
    /// Reads a call after the handshake, or the whole payload when there is none. Fails if bytes
    /// are left over after an `append`; for a batch see [`Events`].
    pub fn read(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        skip_metadata(&mut reader)?;
        match reader.string("message name", NAME_BYTES_MAX)? {
            "" => Ok(Self::HandshakeOnly),
            APPEND => {
                let event = EventRef::read(&mut reader)?;
                reader.end()?;
                Ok(Self::Append(event))
            }
            APPEND_BATCH => Ok(Self::AppendBatch(Events::new(reader))),
            name => Ok(Self::Unknown { name }),
        }
    }
}

/// The events of an `appendBatch`, one by one. Ends after the first error; bytes after the array
/// are an error too.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    reader: Reader<'a>,
    left_in_block: u64,
    done: bool,
}

impl<'a> Events<'a> {
    fn new(reader: Reader<'a>) -> Self {
        Self {
            reader,
            left_in_block: 0,
            done: false,
        }
    }

    fn event(&mut self) -> Result<Option<EventRef<'a>>, DecodeError> {
        if self.left_in_block == 0 {
            // An event takes at least two bytes, so the bytes at hand bound the count.
            let room = self.reader.rest().len() as u64 / 2;
            self.left_in_block = self.reader.block("event count", room)?;
            if self.left_in_block == 0 {
                self.reader.end()?;
                return Ok(None);
            }
        }
        self.left_in_block -= 1;
        EventRef::read(&mut self.reader).map(Some)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<EventRef<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let event = self.event();
        self.done = !matches!(event, Ok(Some(_)));
        event.transpose()
    }
}

/// An agent's answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Committed to every required channel.
    Ok,
    /// Not committed to every required channel, for whatever reason; some may have it.
    Failed,
    /// A status without meaning in Flume's code, treated like a failure.
    Unknown,
    /// The call raised an exception in the agent: its text. Some channels may have the events.
    Error(String),
}

impl Reply {
    /// Reads a reply after the handshake, or the whole payload when there is none.
    pub fn read(mut reader: Reader<'_>) -> Result<Self, DecodeError> {
        skip_metadata(&mut reader)?;
        let what = "error flag";
        let reply = match reader.take_array::<1>(what)? {
            [0] => Self::status(&mut reader)?,
            [1] => Self::error(&mut reader)?,
            [flag] => {
                return Err(DecodeError::UnknownIndex {
                    what,
                    index: i64::from(*flag),
                });
            }
        };
        reader.end()?;
        Ok(reply)
    }

    /// Writes the reply.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ok => out.extend_from_slice(&[0, 0, 0]),
            Self::Failed => out.extend_from_slice(&[0, 0, 2]),
            Self::Unknown => out.extend_from_slice(&[0, 0, 4]),
            Self::Error(text) => {
                out.extend_from_slice(&[0, 1, 0]);
                put_bytes(out, text.as_bytes());
            }
        }
    }

    fn status(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "status";
        match reader.long(what)? {
            0 => Ok(Self::Ok),
            1 => Ok(Self::Failed),
            2 => Ok(Self::Unknown),
            index => Err(DecodeError::UnknownIndex { what, index }),
        }
    }

    fn error(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let what = "error type";
        match reader.long(what)? {
            0 => {
                let text = reader.bytes("error text", ERROR_BYTES_MAX)?;
                Ok(Self::Error(String::from_utf8_lossy(text).into_owned()))
            }
            index => Err(DecodeError::UnknownIndex { what, index }),
        }
    }
}
