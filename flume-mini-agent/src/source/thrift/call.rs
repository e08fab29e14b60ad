//! One call from its reading to its answer: what is stored, and what is told.

use bytes::Bytes;
use flume_client::wire::thrift::call;
use flume_client::wire::thrift::event::EventRef;
use flume_client::wire::thrift::reply::{Exception, ExceptionKind, Reply};
use flume_client::wire::thrift::session::Request;

use super::shared::ThriftSource;
use crate::channel::StoredEvent;
use crate::fault::Fault;
use crate::log::{Answered, Stored};
use crate::source::intake::{Answer, Connection, Taken};
use crate::source::stream::End;

/// A call, taken out of the bytes that brought it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) seqid: i32,
    pub(super) method: Vec<u8>,
    bytes: usize,
    asked: Asked,
}

/// What a call asks for.
#[derive(Debug)]
enum Asked {
    Append(StoredEvent),
    AppendBatch(Vec<StoredEvent>),
    /// Nothing that can be done; this is the answer.
    Refused(Reply),
}

/// A call that was worked on.
#[derive(Debug)]
pub(super) struct Finished {
    /// The answer, if there is to be one.
    pub(super) reply: Option<Reply>,
    /// How the connection is to end after it, if it is.
    pub(super) end: Option<End>,
    /// What goes wrong with the answer, or went wrong already.
    pub(super) fault: Option<Fault>,
}

/// The two calls, which are counted apart.
#[derive(Clone, Copy)]
enum Kind {
    Append,
    AppendBatch,
}

impl Call {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let asked = match &request.call {
            Ok(call::Call::Append(event)) => {
                let mut datum = Vec::new();
                event.put_datum(&mut datum);
                Asked::Append(StoredEvent::from_checked(datum.into()))
            }
            Ok(call::Call::AppendBatch(events)) => Asked::AppendBatch(stored(events.clone())),
            Ok(call::Call::Unknown) | Err(_) => {
                let refusal = request.refusal();
                Asked::Refused(refusal.expect("a call that cannot be made has its refusal"))
            }
        };
        Self {
            seqid: request.seqid,
            method: request.method.to_vec(),
            bytes: request.bytes,
            asked,
        }
    }

    /// Works on the call, and notes what became of it. Ready at once unless something must wait.
    pub(super) async fn run(self, source: &ThriftSource, connection: &Connection) -> Finished {
        let intake = &source.intake;
        let request = intake.begin(connection, self.bytes);
        let (kind, events) = match self.asked {
            Asked::Append(event) => (Kind::Append, vec![event]),
            Asked::AppendBatch(events) => (Kind::AppendBatch, events),
            Asked::Refused(reply) => {
                intake.turned_away(request, answered(&reply));
                return Finished {
                    reply: Some(reply),
                    end: None,
                    fault: None,
                };
            }
        };
        source.count_received(kind);
        let count = events.len();
        let taken = intake.take(connection, (request, self.bytes), events).await;
        source.count_outcome(kind, count, &taken);
        let finished = Finished::of(taken, &self.method);
        let Some(reply) = &finished.reply else {
            return finished;
        };
        // In the log first, since who waits for a counter looks there next.
        let fault = finished.fault.as_ref();
        if fault.is_some_and(Fault::breaks_answer) {
            intake.recorder.log.answered(request, Answered::Broken);
            return finished;
        }
        intake.recorder.log.answered(request, answered(reply));
        intake.observed.count(|stats| match reply {
            Reply::Ok => stats.batches_ok += 1,
            Reply::Failed | Reply::Error | Reply::Unknown => stats.batches_failed += 1,
            Reply::Exception(_) => stats.requests_refused += 1,
        });
        finished
    }
}

/// The events as they are kept: datums, back to back in one piece of memory.
fn stored<'a>(events: impl Iterator<Item = EventRef<'a>>) -> Vec<StoredEvent> {
    let (mut datums, mut ends) = (Vec::new(), Vec::new());
    for event in events {
        event.put_datum(&mut datums);
        ends.push(datums.len());
    }
    let mut datums = Bytes::from(datums);
    let mut start = 0;
    let cut = |end: usize| {
        let datum = datums.split_to(end - start);
        start = end;
        StoredEvent::from_checked(datum)
    };
    ends.into_iter().map(cut).collect()
}

impl Finished {
    fn of(taken: Taken, method: &[u8]) -> Self {
        let Taken { answer, fault, .. } = taken;
        let (reply, end) = match answer {
            Answer::Ok => (Some(Reply::Ok), None),
            Answer::Failed(_) => (Some(Reply::Failed), None),
            Answer::Unknown => (Some(Reply::Unknown), None),
            Answer::Error(text) => {
                let text = match fault {
                    Some(Fault::RpcError(_)) => text,
                    // libthrift does not say what was thrown.
                    _ => format!(
                        "Internal error processing {}",
                        String::from_utf8_lossy(method)
                    ),
                };
                let kind = ExceptionKind::InternalError;
                (Some(Reply::Exception(Exception { kind, text })), None)
            }
            Answer::End(end) => (None, Some(end.unwrap_or(End::Silence))),
        };
        let broken = fault.as_ref().filter(|fault| fault.breaks_answer());
        Self {
            reply,
            end: end.or(broken.and_then(End::of)),
            fault,
        }
    }
}

impl ThriftSource {
    fn count_received(&self, kind: Kind) {
        let counters = &self.intake.counters;
        match kind {
            Kind::Append => counters.appends_received.increment(),
            Kind::AppendBatch => counters.batches_received.increment(),
        }
    }

    /// What the source counts before its answer goes out: it does not know of lost answers.
    fn count_outcome(&self, kind: Kind, events: usize, taken: &Taken) {
        let counters = &self.intake.counters;
        let lost_answer = matches!(taken.answer, Answer::End(_)) && taken.stored == Stored::Yes;
        match taken.answer {
            Answer::Failed(_) | Answer::Unknown => counters.channel_write_fails.increment(),
            Answer::Error(_) => {}
            Answer::End(_) if !lost_answer => {}
            Answer::Ok | Answer::End(_) => {
                counters.events_accepted.add(events);
                match kind {
                    Kind::Append => counters.appends_accepted.increment(),
                    Kind::AppendBatch => counters.batches_accepted.increment(),
                }
            }
        }
    }
}

/// What a reply tells.
fn answered(reply: &Reply) -> Answered {
    match reply {
        Reply::Ok => Answered::Ok,
        Reply::Failed => Answered::Failed,
        Reply::Error | Reply::Unknown => Answered::Unknown,
        Reply::Exception(exception) => Answered::Error(exception.text.clone()),
    }
}
