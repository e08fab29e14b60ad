//! Thrift's framing (`TFramedTransport`): the length of a message, 4 bytes big-endian, and the
//! message.

use crate::wire::avro::frame::Foreign;
use crate::wire::unread::Unread;

/// Bytes before a message.
pub const HEAD_BYTES: usize = 4;

/// Most bytes of a message, its head not counted: libthrift's default, which Flume keeps. A source
/// closes the connection on which more is announced, without an answer.
pub const FRAME_BYTES_MAX: usize = 16_384_000;

/// Most bytes of a reply, which is a status or an exception's text.
pub const REPLY_BYTES_MAX: usize = 64 * 1024;

/// What stands before a message of so many bytes. `None` if a frame cannot hold them.
#[must_use]
pub fn head(message_bytes: usize) -> Option<[u8; HEAD_BYTES]> {
    if message_bytes > FRAME_BYTES_MAX {
        return None;
    }
    Some((message_bytes as u32).to_be_bytes())
}

/// Why a frame was refused. The connection cannot go on after any of them.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is empty. libthrift's servers refuse it, too.
    #[error("the peer sent an empty frame")]
    Empty,
    /// The peer speaks another protocol, as its first bytes tell.
    #[error("{}", .0.instead_of("a Thrift source"))]
    Foreign(Foreign),
    /// The message would pass the limit. A negative length is read as a large one.
    #[error("the peer announced a frame of {announced} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes announced.
        announced: u32,
        /// The limit.
        limit: usize,
    },
}

/// Cuts a stream of bytes into messages, with any split of the stream into reads.
///
/// Keeps at most one unfinished frame plus what was pushed after it; a frame over the limit is
/// refused as soon as its length is known, before its bytes arrive.
#[derive(Debug)]
pub struct FrameDecoder {
    message_bytes_max: usize,
    unread: Unread,
}

impl FrameDecoder {
    /// A decoder for the start of a connection, for messages of so many bytes at the most.
    #[must_use]
    pub fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max,
            unread: Unread::default(),
        }
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer_mut().extend_from_slice(bytes);
    }

    /// The buffer after the last unread byte, for reads straight into it. Only append to it.
    pub fn buffer_mut(&mut self) -> &mut Vec<u8> {
        self.unread.buffer_mut()
    }

    /// Whether bytes of an unfinished frame are held: the stream must not end here.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        !self.unread.bytes().is_empty()
    }

    /// The next whole message, or `None` until more bytes come.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let unread = self.unread.bytes();
        let Some((first, behind)) = unread.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*first);
        let limit = self.message_bytes_max;
        if announced == 0 {
            return Err(FrameError::Empty);
        }
        if announced as usize > limit {
            let foreign = Foreign::of(*first).map(FrameError::Foreign);
            return Err(foreign.unwrap_or(FrameError::TooLarge { announced, limit }));
        }
        let length = announced as usize;
        if behind.len() < length {
            return Ok(None);
        }
        let frame = self.unread.cut(HEAD_BYTES + length);
        Ok(frame.get(HEAD_BYTES..))
    }
}
