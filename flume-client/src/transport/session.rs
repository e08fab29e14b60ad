//! [`Session`]: what is spoken on a connection, as bytes. The only place of the transport that knows
//! a protocol.

use super::network::Verdict;
use crate::delivery::{Batch, CallId};
use crate::error::AgentError;
use crate::wire::avro::frame;
use crate::wire::avro::rpc::{self, Reply};
use crate::wire::avro::session::{Session as AvroSession, SessionEvent};

/// The client's side of a connection, in one of the protocols that agents speak.
#[derive(Debug)]
pub(super) enum Session {
    Avro(AvroSession),
}

/// What came of received bytes.
pub(super) enum Heard {
    /// Send this: the handshake goes on.
    Greeting(Vec<u8>),
    /// The handshake is through; calls may be sent.
    Open,
    /// A call was answered, or one that there never was.
    Answer { call: CallId, verdict: Verdict },
}

/// What travels before and after the datums of a call's events.
pub(super) struct Envelope {
    pub(super) head: Vec<u8>,
    pub(super) tail: &'static [u8],
}

impl Session {
    /// A session and the bytes that open it.
    pub(super) fn start() -> (Self, Vec<u8>) {
        let (session, greeting) = AvroSession::start();
        (Self::Avro(session), greeting)
    }

    /// Adds received bytes; call [`poll`](Self::poll) until it has nothing more.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Self::Avro(session) = self;
        session.push(bytes);
    }

    /// The next thing that follows from the bytes so far.
    pub(super) fn poll(&mut self) -> Result<Option<Heard>, AgentError> {
        let Self::Avro(session) = self;
        let event = session.poll()?;
        Ok(event.map(|event| match event {
            SessionEvent::Send(greeting) => Heard::Greeting(greeting),
            SessionEvent::Open => Heard::Open,
            SessionEvent::Reply { serial, reply } => Heard::Answer {
                call: CallId::new(serial),
                verdict: verdict(reply),
            },
        }))
    }

    /// How a batch is sent as a call.
    pub(super) fn envelope(&self, call: CallId, batch: &Batch) -> Envelope {
        let Self::Avro(_) = self;
        let events = batch.events as usize;
        let length = rpc::append_batch_len(events, batch.bytes as usize);
        let frame_head = frame::head(call.number(), length);
        let frame_head = frame_head.expect("a batch is far below 2 GiB");
        let mut head = Vec::with_capacity(frame_head.len() + rpc::APPEND_BATCH_START_BYTES_MAX);
        head.extend_from_slice(&frame_head);
        rpc::put_append_batch_start(&mut head, events);
        Envelope {
            head,
            tail: &rpc::APPEND_BATCH_END,
        }
    }
}

fn verdict(reply: Reply) -> Verdict {
    Verdict::Refused(match reply {
        Reply::Ok => return Verdict::Committed,
        Reply::Failed => AgentError::Refused { status: "FAILED" },
        Reply::Unknown => AgentError::Refused { status: "UNKNOWN" },
        Reply::Error(text) => AgentError::Exception(text.as_str().into()),
    })
}
