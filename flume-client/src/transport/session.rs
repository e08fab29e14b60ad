//! [`Session`]: what is spoken on a connection, as bytes. The only place of the transport that knows
//! a protocol.

use super::network::Verdict;
use crate::agent_url::{AgentUrl, Dialect, Door};
use crate::delivery::{Batch, CallId};
use crate::error::AgentError;
use crate::wire::avro::frame;
use crate::wire::avro::rpc::{self, Reply};
use crate::wire::avro::session::{Session as AvroSession, SessionEvent};
use crate::wire::thrift::Protocol;
use crate::wire::thrift::call::put_append_batch;
use crate::wire::thrift::event::EncodeError;
use crate::wire::thrift::reply::{Exception, ExceptionKind, Reply as ThriftReply};
use crate::wire::thrift::session::{Session as ThriftSession, SessionEvent as ThriftEvent};

/// The client's side of a connection, in one of the protocols that agents speak.
#[derive(Debug)]
pub(super) enum Session {
    Avro(AvroSession),
    Thrift(ThriftSession),
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

/// How a batch is sent as a call.
pub(super) enum Envelope {
    /// Its events travel as they lie in memory, between these.
    Around { head: Vec<u8>, tail: &'static [u8] },
    /// They are put in another form ([`Session::encode`]).
    Encoded,
}

impl Session {
    /// A session and the bytes that open it.
    pub(super) fn start(agent: &AgentUrl, dialect: Option<Dialect>) -> (Self, Vec<u8>) {
        match agent.scheme().door() {
            Door::Avro | Door::Http => {
                let (session, greeting) = AvroSession::start();
                (Self::Avro(session), greeting)
            }
            Door::Thrift => {
                let protocol = match dialect {
                    Some(Dialect::Protocol(protocol)) => protocol,
                    _ => Protocol::default(),
                };
                let (session, greeting) = ThriftSession::start(protocol);
                (Self::Thrift(session), greeting)
            }
        }
    }

    /// Adds received bytes; call [`poll`](Self::poll) until it has nothing more.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Avro(session) => session.push(bytes),
            Self::Thrift(session) => session.push(bytes),
        }
    }

    /// The next thing that follows from the bytes so far.
    pub(super) fn poll(&mut self) -> Result<Option<Heard>, AgentError> {
        Ok(match self {
            Self::Avro(session) => session.poll()?.map(|event| match event {
                SessionEvent::Send(greeting) => Heard::Greeting(greeting),
                SessionEvent::Open => Heard::Open,
                SessionEvent::Reply { serial, reply } => Heard::Answer {
                    call: CallId::new(serial),
                    verdict: avro_verdict(reply),
                },
            }),
            Self::Thrift(session) => session.poll()?.map(|event| match event {
                ThriftEvent::Open => Heard::Open,
                ThriftEvent::Reply { seqid, reply } => Heard::Answer {
                    call: CallId::new(seqid),
                    verdict: thrift_verdict(reply),
                },
            }),
        })
    }

    /// How a batch is sent as a call.
    pub(super) fn envelope(&self, call: CallId, batch: &Batch) -> Envelope {
        let Self::Avro(_) = self else {
            return Envelope::Encoded;
        };
        let events = batch.events as usize;
        let length = rpc::append_batch_len(events, batch.bytes as usize);
        let frame_head = frame::head(call.number(), length);
        let frame_head = frame_head.expect("a batch is far below 2 GiB");
        let mut head = Vec::with_capacity(frame_head.len() + rpc::APPEND_BATCH_START_BYTES_MAX);
        head.extend_from_slice(&frame_head);
        rpc::put_append_batch_start(&mut head, events);
        Envelope::Around {
            head,
            tail: &rpc::APPEND_BATCH_END,
        }
    }

    /// Appends a batch as a call, if its events are put in another form. If that cannot be, `out` is
    /// as it was.
    pub(super) fn encode<'a>(
        &self,
        out: &mut Vec<u8>,
        call: CallId,
        batch: &Batch,
        datums: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Avro(_) => Ok(()),
            Self::Thrift(session) => {
                put_append_batch(out, session.protocol(), call.number(), batch.events, datums)
            }
        }
    }
}

fn avro_verdict(reply: Reply) -> Verdict {
    Verdict::refused(match reply {
        Reply::Ok => return Verdict::Committed,
        Reply::Failed => AgentError::Refused { status: "FAILED" },
        Reply::Unknown => AgentError::Refused { status: "UNKNOWN" },
        Reply::Error(text) => AgentError::Exception(text.as_str().into()),
    })
}

fn thrift_verdict(reply: ThriftReply) -> Verdict {
    let Exception { kind, text } = match reply {
        ThriftReply::Ok => return Verdict::Committed,
        ThriftReply::Failed => return refused("FAILED"),
        ThriftReply::Error => return refused("ERROR"),
        ThriftReply::Unknown => return refused("UNKNOWN"),
        ThriftReply::Exception(exception) => exception,
    };
    let error = AgentError::Exception(text.as_str().into());
    match kind {
        // It cannot read the events.
        ExceptionKind::ProtocolError => Verdict::Unacceptable(error),
        // It has no such method, so it is no Flume source.
        ExceptionKind::UnknownMethod => Verdict::Blocked(error),
        _ => Verdict::refused(error),
    }
}

fn refused(status: &'static str) -> Verdict {
    Verdict::refused(AgentError::Refused { status })
}
