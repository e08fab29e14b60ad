//! Both sides of one connection, from its first byte on.
//!
//! A client's session begins with an `appendBatch` of no events and opens when that is answered. So
//! no event goes to a peer that is no Flume agent or speaks the other protocol, which closes the
//! connection without an answer.

use super::call::{Call, put_append_batch};
use super::frame::{FRAME_BYTES_MAX, FrameDecoder, FrameError, REPLY_BYTES_MAX};
use super::reader::Reader;
use super::reply::{Exception, ExceptionKind, Reply};
use super::types::MessageKind;
use super::{DecodeError, Protocol};

/// What came of received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The greeting was answered; calls may be sent.
    Open,
    /// A call was answered.
    Reply {
        /// The sequence id of the call, as the peer gives it: check it against those in flight.
        seqid: i32,
        /// The answer.
        reply: Reply,
    },
}

/// Why a session cannot go on. The connection must be closed.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A frame broke the framing or its limits.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A reply could not be read.
    #[error("the reply cannot be read: {0}")]
    Reply(DecodeError),
    /// The first reply is none of Flume's.
    #[error("the reply to the greeting cannot be read: {0}")]
    Greeting(DecodeError),
    /// The peer speaks Thrift, but does not take an empty batch as Flume does.
    #[error("the peer speaks Thrift and is no Flume source: it answered an empty batch with {0}")]
    Refused(Exception),
    /// The reply to the greeting carries another sequence id.
    #[error("the reply to the greeting has the sequence id {seqid}, not {expected}")]
    GreetingSeqid {
        /// The id found.
        seqid: i32,
        /// The id sent.
        expected: i32,
    },
    /// A call could not be read, and Flume would not answer it.
    #[error("the call cannot be read: {0}")]
    Call(DecodeError),
}

/// The client's state of one connection.
#[derive(Debug)]
pub struct Session {
    protocol: Protocol,
    is_open: bool,
    decoder: FrameDecoder,
}

/// The sequence id of the greeting. Calls count from 1.
const GREETING_SEQID: i32 = 0;

impl Session {
    /// A session and the bytes that open it.
    #[must_use]
    pub fn start(protocol: Protocol) -> (Self, Vec<u8>) {
        let session = Self {
            protocol,
            is_open: false,
            decoder: FrameDecoder::new(REPLY_BYTES_MAX),
        };
        let mut greeting = Vec::new();
        let put = put_append_batch(&mut greeting, protocol, GREETING_SEQID, 0, []);
        put.expect("there are no events that could be wrong");
        (session, greeting)
    }

    /// What is spoken.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Adds received bytes; call [`poll`](Self::poll) until it has nothing more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// The next thing that follows from the bytes so far.
    pub fn poll(&mut self) -> Result<Option<SessionEvent>, SessionError> {
        let Some(message) = self.decoder.next_message()? else {
            return Ok(None);
        };
        let read = Reply::read(self.protocol, message);
        if self.is_open {
            let (seqid, reply) = read.map_err(SessionError::Reply)?;
            return Ok(Some(SessionEvent::Reply { seqid, reply }));
        }
        let (seqid, reply) = read.map_err(SessionError::Greeting)?;
        let expected = GREETING_SEQID;
        if seqid != expected {
            return Err(SessionError::GreetingSeqid { seqid, expected });
        }
        match reply {
            // A source whose channel is closed is a source: its answers to events will tell.
            Reply::Exception(exception) if exception.kind != ExceptionKind::InternalError => {
                Err(SessionError::Refused(exception))
            }
            _ => {
                self.is_open = true;
                Ok(Some(SessionEvent::Open))
            }
        }
    }
}

/// The agent's state of one connection.
#[derive(Debug)]
pub struct ServerSession {
    protocol: Protocol,
    decoder: FrameDecoder,
}

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Bytes of the message, its frame's head not counted.
    pub bytes: usize,
    /// Chosen by the client, echoed in the reply.
    pub seqid: i32,
    /// The method's name, likewise.
    pub method: &'a [u8],
    /// What is asked for. What Flume answers with a protocol error is one here.
    pub call: Result<Call<'a>, DecodeError>,
}

impl ServerSession {
    /// The start of a connection.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            decoder: FrameDecoder::new(FRAME_BYTES_MAX),
        }
    }

    /// The same for messages of so many bytes at the most; of more than Thrift's own limit, that
    /// one counts.
    #[must_use]
    pub fn with_message_bytes_max(protocol: Protocol, bytes: usize) -> Self {
        Self {
            protocol,
            decoder: FrameDecoder::new(bytes.min(FRAME_BYTES_MAX)),
        }
    }

    /// Adds received bytes; call [`poll`](Self::poll) until it has nothing more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// The buffer after the last unread byte, for reads straight into it. Only append to it.
    pub fn buffer_mut(&mut self) -> &mut Vec<u8> {
        self.decoder.buffer_mut()
    }

    /// Whether bytes of an unfinished call are held: the stream must not end here.
    #[must_use]
    pub fn is_mid_call(&self) -> bool {
        self.decoder.is_mid_frame()
    }

    /// The next call, or `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// Where Flume closes the connection without an answer: the message's head cannot be read, or
    /// its arguments end in the middle.
    pub fn poll(&mut self) -> Result<Option<Request<'_>>, SessionError> {
        let Some(message) = self.decoder.next_message()? else {
            return Ok(None);
        };
        let mut reader = Reader::new(self.protocol, message);
        let head = reader.head().map_err(SessionError::Call)?;
        if let kind @ (MessageKind::Reply | MessageKind::Exception) = head.kind {
            return Err(SessionError::Call(DecodeError::OtherMessage {
                kind: kind as u8,
                expected: "call",
            }));
        }
        let call = Call::read(head.name, reader);
        if let Err(error @ DecodeError::Truncated { .. }) = call {
            return Err(SessionError::Call(error));
        }
        Ok(Some(Request {
            bytes: message.len(),
            seqid: head.seqid,
            method: head.name,
            call,
        }))
    }
}

impl Request<'_> {
    /// The answer of Flume to a call that cannot be made, if this is one.
    #[must_use]
    pub fn refusal(&self) -> Option<Reply> {
        let (kind, text) = match &self.call {
            Ok(Call::Unknown) => {
                let method = String::from_utf8_lossy(self.method);
                let text = format!("Invalid method name: '{method}'");
                (ExceptionKind::UnknownMethod, text)
            }
            Ok(_) => return None,
            Err(error) => (ExceptionKind::ProtocolError, error.to_string()),
        };
        Some(Reply::Exception(Exception { kind, text }))
    }
}
