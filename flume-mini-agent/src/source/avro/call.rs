//! One call from its reading to its answer: what is stored, what is told, and when.

use std::sync::Arc;

use bytes::Bytes;
use flume_client::wire::avro::DecodeError;
use flume_client::wire::avro::datum::EventRef;
use flume_client::wire::avro::rpc::Reply;

use super::responder::{self, Content};
use super::shared::AvroSource;
use crate::channel::StoredEvent;
use crate::fault::Fault;
use crate::fault::engine::{CallView, Place};
use crate::log::Stored;
use crate::observed::{Gauge, Stats};
use crate::processor::{ProcessError, Progress};

/// A call to be worked on.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) source: Arc<AvroSource>,
    pub(super) place: Place,
    pub(super) serial: i32,
    /// The answer to the handshake that came with the call; empty if none did.
    pub(super) handshake: Vec<u8>,
    /// The request behind its handshake.
    pub(super) payload: Bytes,
}

/// A call that was worked on.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its number in the log.
    pub(super) request: u64,
    pub(super) serial: i32,
    pub(super) handshake: Vec<u8>,
    /// The answer. `None` if there is to be none, or only one to the handshake.
    pub(super) reply: Option<Reply>,
    /// What goes wrong with the answer, or went wrong already.
    pub(super) fault: Option<Fault>,
}

/// The two calls. They differ in what is counted, and in what becomes of unusual errors.
#[derive(Clone, Copy)]
enum Kind {
    Append,
    AppendBatch,
}

/// What became of a call's events, and what to say.
struct Work {
    reply: Option<Reply>,
    events: usize,
    stored: Stored,
}

impl Call {
    /// Works on the call. Ready at once unless something must wait.
    pub(super) async fn run(self) -> Finished {
        let content = responder::read_call(&self.payload);
        let fault = self.struck(&content);
        let work = self.work(content, fault.as_ref()).await;
        let source = &self.source;
        let request = self.place.request;
        source
            .recorder
            .log
            .stored(request, work.events, work.stored);
        let events = match work.stored {
            Stored::No => 0,
            _ => work.events as u64,
        };
        source
            .observed
            .count(|stats| stats.events_accepted += events);
        if let Some(Fault::AnswerLate(late)) = fault {
            tokio::time::sleep(late).await;
        }
        Finished {
            request,
            serial: self.serial,
            handshake: self.handshake,
            reply: work.reply,
            fault,
        }
    }

    /// Asks what is to go wrong.
    fn struck(&self, content: &Content<'_>) -> Option<Fault> {
        if !matches!(content, Content::Append(_) | Content::AppendBatch(_)) {
            return None;
        }
        let has_headers = |wanted: &[(String, String)]| content.has_headers(wanted);
        self.source.recorder.faults.on_call(&CallView {
            at: self.place,
            framed: true,
            payload_bytes: self.payload.len(),
            has_headers: &has_headers,
        })
    }

    async fn work(&self, content: Content<'_>, fault: Option<&Fault>) -> Work {
        let reply = match fault {
            Some(Fault::Hang | Fault::Reset | Fault::DropBeforeCommit) => None,
            Some(Fault::Failed) => Some(Reply::Failed),
            Some(Fault::Unknown) => Some(Reply::Unknown),
            Some(Fault::RpcError(text)) => Some(Reply::Error(text.clone())),
            Some(Fault::ChannelFull) => {
                let _waiting = self.gauge();
                tokio::time::sleep(self.source.processor.keep_alive()).await;
                Some(Reply::Failed)
            }
            _ => return self.store(content, fault).await,
        };
        let events = content.event_count();
        match content {
            Content::AppendBatch(_) => self.count_received(Kind::AppendBatch, events),
            _ => self.count_received(Kind::Append, events),
        }
        if matches!(reply, Some(Reply::Failed | Reply::Unknown)) {
            self.source.counters.channel_write_fails.increment();
        }
        Work {
            reply,
            events,
            stored: Stored::No,
        }
    }

    async fn store(&self, content: Content<'_>, fault: Option<&Fault>) -> Work {
        match content {
            Content::Append(event) => {
                let event = std::iter::once(Ok(event));
                self.put(Kind::Append, event, fault).await
            }
            Content::AppendBatch(events) => self.put(Kind::AppendBatch, events, fault).await,
            Content::Nonsense(reply) => Work::nothing(Some(reply)),
            Content::Nothing => Work::nothing(None),
        }
    }

    /// Gives the events of a call to the channels.
    ///
    /// All are read before any is refused, as Flume does: a call that cannot be read to its end
    /// is an error even if it is too large as well.
    async fn put<'a>(
        &self,
        kind: Kind,
        events: impl Iterator<Item = Result<EventRef<'a>, DecodeError>>,
        fault: Option<&Fault>,
    ) -> Work {
        let stored: Result<Vec<_>, _> = events
            .map(|event| event.map(|event| StoredEvent::new(&self.payload, &event)))
            .collect();
        let Ok(stored) = stored else {
            return Work::nothing(Some(responder::end_of_file()));
        };
        let events = stored.len();
        self.count_received(kind, events);
        let processor = &self.source.processor;
        let progress = match fault {
            Some(Fault::PartialCommit(channels)) => processor.begin_partly(&stored, *channels),
            _ => processor.begin(stored),
        };
        let result = match progress {
            Progress::Done(result) => result,
            Progress::Waits(delivery) => {
                let _waiting = self.gauge();
                delivery.finish().await
            }
        };
        let stored = match (&result, fault) {
            (Err(_), _) | (_, Some(Fault::PartialCommit(0))) => Stored::No,
            (Ok(()), Some(Fault::PartialCommit(_))) => Stored::Partly,
            (Ok(()), _) if events == 0 => Stored::No,
            (Ok(()), _) => Stored::Yes,
        };
        let reply = match (result, kind) {
            (Ok(()), _) if matches!(fault, Some(Fault::PartialCommit(_))) => Reply::Failed,
            (Ok(()), _) => Reply::Ok,
            // Flume's `append` catches its ChannelException only, `appendBatch` everything.
            (Err(ProcessError::Other(error)), Kind::Append) => Reply::Error(thrown(&error)),
            (Err(_), _) => Reply::Failed,
        };
        self.count_outcome(kind, events, &reply);
        let told = match fault {
            Some(fault) if fault.takes_answer() => None,
            _ => Some(reply),
        };
        Work {
            reply: told,
            events,
            stored,
        }
    }

    fn count_received(&self, kind: Kind, events: usize) {
        let counters = &self.source.counters;
        counters.events_received.add(events);
        match kind {
            Kind::Append => counters.appends_received.increment(),
            Kind::AppendBatch => counters.batches_received.increment(),
        }
    }

    /// What the source counts before its answer goes out: it does not know of lost answers.
    fn count_outcome(&self, kind: Kind, events: usize, reply: &Reply) {
        let counters = &self.source.counters;
        match reply {
            Reply::Ok => {
                counters.events_accepted.add(events);
                match kind {
                    Kind::Append => counters.appends_accepted.increment(),
                    Kind::AppendBatch => counters.batches_accepted.increment(),
                }
            }
            Reply::Failed | Reply::Unknown => counters.channel_write_fails.increment(),
            Reply::Error(_) => {}
        }
    }

    fn gauge(&self) -> Gauge {
        Gauge::up(&self.source.observed, |stats| &mut stats.batches_waiting)
    }
}

impl Work {
    fn nothing(reply: Option<Reply>) -> Self {
        Self {
            reply,
            events: 0,
            stored: Stored::No,
        }
    }
}

/// An `IllegalStateException` as Avro's responder tells of it: Flume's protocol declares no errors.
fn thrown(message: &str) -> String {
    format!(
        "org.apache.avro.AvroRuntimeException: Unknown datum type \
         java.lang.IllegalStateException: java.lang.IllegalStateException: {message}"
    )
}

/// Counts a call by its answer.
pub(super) fn count_reply(stats: &mut Stats, reply: &Reply) {
    match reply {
        Reply::Ok => stats.batches_ok += 1,
        Reply::Failed | Reply::Unknown => stats.batches_failed += 1,
        Reply::Error(_) => stats.requests_refused += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Flume 1.11 answers an append to a file channel that could not start.
    #[test]
    fn what_a_channel_throws_is_told_in_avros_words() {
        let text = thrown("Channel closed [channel=c5]. Due to java.lang.IllegalArgumentException");
        let expected = "org.apache.avro.AvroRuntimeException: Unknown datum type java.lang.Illegal\
                        StateException: java.lang.IllegalStateException: Channel closed \
                        [channel=c5]. Due to java.lang.IllegalArgumentException";
        assert_eq!(text, expected);
    }
}
