//! The client's side of one connection, from its first byte on.
//!
//! A session begins with a handshake that carries no call (an empty message name) and opens when
//! that is answered. So nothing is ever sent before the first reply, which Flume 1.10 and later
//! answer with broken calls, and a peer that is no Flume agent is found out before it gets data.

use super::DecodeError;
use super::datum::Reader;
use super::frame::{self, FrameDecoder, FrameError, FrameLimits};
use super::handshake::{HandshakeRequest, HandshakeResponse, Match};
use super::rpc::{self, Reply};

/// What came of received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// Send these bytes: the second handshake, to a server that did not know our protocol's MD5.
    Send(Vec<u8>),
    /// The handshake is through; calls may be sent, their frames without a handshake.
    Open,
    /// A call was answered.
    Reply {
        /// The serial number of the call, as the peer gives it: check it against those in flight.
        serial: i32,
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
    Reply(#[from] DecodeError),
    /// The first reply is no Avro handshake.
    #[error("the reply to the handshake cannot be read: {0}")]
    Handshake(DecodeError),
    /// The server does not accept our protocol even with its text.
    #[error("the server does not speak Flume's Avro protocol: it answered the handshake with NONE")]
    ProtocolRefused,
    /// The reply to the handshake carries another serial number.
    #[error("the reply to the handshake has the serial number {serial}, not {expected}")]
    HandshakeSerial {
        /// The number found.
        serial: i32,
        /// The number sent.
        expected: i32,
    },
}

/// The client's state of one connection.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    decoder: FrameDecoder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeted,
    GreetedWithText,
    Open,
}

/// Serial numbers of the two handshakes. Calls count from 1.
const GREETING_SERIAL: i32 = 0;
const GREETING_WITH_TEXT_SERIAL: i32 = -1;

impl Session {
    /// A session and the bytes that open it.
    #[must_use]
    pub fn start() -> (Self, Vec<u8>) {
        let session = Self {
            phase: Phase::Greeted,
            decoder: FrameDecoder::new(FrameLimits::REPLY),
        };
        (session, greeting(GREETING_SERIAL, &HandshakeRequest::FIRST))
    }

    /// Adds received bytes; call [`poll`](Self::poll) until it has nothing more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// The next thing that follows from the bytes so far.
    pub fn poll(&mut self) -> Result<Option<SessionEvent>, SessionError> {
        let Some(frame) = self.decoder.next_frame()? else {
            return Ok(None);
        };
        let serial = frame.serial;
        if self.phase == Phase::Open {
            let reply = Reply::read(Reader::new(frame.payload))?;
            return Ok(Some(SessionEvent::Reply { serial, reply }));
        }
        let mut reader = Reader::new(frame.payload);
        let response = HandshakeResponse::read(&mut reader).map_err(SessionError::Handshake)?;
        reader.end().map_err(SessionError::Handshake)?;
        let (matched, server_hash) = (response.matched, response.server_hash);
        let expected = match self.phase {
            Phase::GreetedWithText => GREETING_WITH_TEXT_SERIAL,
            _ => GREETING_SERIAL,
        };
        if serial != expected {
            return Err(SessionError::HandshakeSerial { serial, expected });
        }
        match (matched, self.phase, server_hash) {
            (Match::Both | Match::Client, ..) => {
                self.phase = Phase::Open;
                Ok(Some(SessionEvent::Open))
            }
            (Match::None, Phase::Greeted, Some(hash)) => {
                self.phase = Phase::GreetedWithText;
                let request = HandshakeRequest::with_text(hash);
                Ok(Some(SessionEvent::Send(greeting(
                    GREETING_WITH_TEXT_SERIAL,
                    &request,
                ))))
            }
            (Match::None, ..) => Err(SessionError::ProtocolRefused),
        }
    }
}

fn greeting(serial: i32, request: &HandshakeRequest<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    request.put(&mut payload);
    rpc::put_handshake_only(&mut payload);
    let head = frame::head(serial, payload.len()).expect("a greeting is far below 2 GiB");
    [head.as_slice(), &payload].concat()
}
