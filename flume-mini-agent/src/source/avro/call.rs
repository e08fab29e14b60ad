//! One call from its reading to its answer: what is stored, what is told, and when.

use std::sync::Arc;

use bytes::Bytes;
use flume_client::wire::avro::DecodeError;
use flume_client::wire::avro::datum::EventRef;
use flume_client::wire::avro::rpc::Reply;

use super::AvroSource;
use super::responder::{self, Content};
use crate::agent::log::Stored;
use crate::agent::tally::{Gauge, Stats};
use crate::channel::StoredEvent;
use crate::fault::Fault;
use crate::fault::engine::{CallView, Place};

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
        source.watch.log.stored(request, work.events, work.stored);
        let events = match work.stored {
            Stored::No => 0,
            _ => work.events as u64,
        };
        let readable = !fault.as_ref().is_some_and(Fault::breaks_answer);
        let told = work.reply.as_ref().filter(|_| readable);
        if let Some(Fault::AnswerLate(late)) = fault {
            source.tally.count(|stats| stats.events_accepted += events);
            tokio::time::sleep(late).await;
            source.tally.count(|stats| count_reply(stats, told));
        } else {
            source.tally.count(|stats| {
                stats.events_accepted += events;
                count_reply(stats, told);
            });
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
        self.source.watch.faults.on_call(&CallView {
            at: self.place,
            payload_bytes: self.payload.len(),
            has_headers: &has_headers,
        })
    }

    async fn work(&self, content: Content<'_>, fault: Option<&Fault>) -> Work {
        let reply = match fault {
            Some(Fault::Hang | Fault::Reset | Fault::DropBeforeCommit) => None,
            Some(Fault::Failed | Fault::PartialCommit(0)) => Some(Reply::Failed),
            Some(Fault::Unknown) => Some(Reply::Unknown),
            Some(Fault::RpcError(text)) => Some(Reply::Error(text.clone())),
            Some(Fault::ChannelFull) => {
                let _waiting = self.gauge();
                tokio::time::sleep(self.source.channel.keep_alive()).await;
                Some(Reply::Failed)
            }
            _ => {
                let mut work = self.store(content).await;
                match fault {
                    Some(Fault::CommitThenDrop | Fault::CommitThenReset) => work.reply = None,
                    Some(Fault::PartialCommit(_)) if work.stored == Stored::Yes => {
                        work.reply = Some(Reply::Failed);
                        work.stored = Stored::Partly;
                    }
                    _ => {}
                }
                return work;
            }
        };
        Work {
            reply,
            events: content.event_count(),
            stored: Stored::No,
        }
    }

    async fn store(&self, content: Content<'_>) -> Work {
        match content {
            Content::Append(event) => self.put(std::iter::once(Ok(event))).await,
            Content::AppendBatch(events) => self.put(events).await,
            Content::Nonsense(reply) => Work::nothing(Some(reply), 0),
            Content::Nothing => Work::nothing(None, 0),
        }
    }

    /// Puts the events of a call into the channel, all or none.
    ///
    /// All are read before any is refused, as Flume does: a call that cannot be read to its end
    /// is an error even if it is too large as well. An empty batch touches no channel.
    async fn put<'a>(
        &self,
        events: impl Iterator<Item = Result<EventRef<'a>, DecodeError>>,
    ) -> Work {
        let channel = &self.source.channel;
        let mut transaction = channel.begin();
        let (mut count, mut refused) = (0, false);
        for event in events {
            let Ok(event) = event else {
                return Work::nothing(Some(responder::end_of_file()), 0);
            };
            count += 1;
            refused = refused
                || transaction
                    .put(StoredEvent::new(&self.payload, &event))
                    .is_err();
        }
        if refused {
            return Work::nothing(Some(Reply::Failed), count);
        }
        if count == 0 {
            return Work::nothing(Some(Reply::Ok), 0);
        }
        let committed = match channel.try_commit(transaction) {
            Ok(()) => true,
            Err(back) if channel.waits_for_room() => {
                let _waiting = self.gauge();
                channel.commit(back).await
            }
            Err(_) => false,
        };
        if !committed {
            return Work::nothing(Some(Reply::Failed), count);
        }
        Work {
            reply: Some(Reply::Ok),
            events: count,
            stored: Stored::Yes,
        }
    }

    fn gauge(&self) -> Gauge {
        Gauge::up(&self.source.tally, |stats| &mut stats.batches_waiting)
    }
}

impl Work {
    fn nothing(reply: Option<Reply>, events: usize) -> Self {
        Self {
            reply,
            events,
            stored: Stored::No,
        }
    }
}

/// Counts a call by its answer.
pub(super) fn count_reply(stats: &mut Stats, reply: Option<&Reply>) {
    match reply {
        Some(Reply::Ok) => stats.batches_ok += 1,
        Some(Reply::Failed | Reply::Unknown) => stats.batches_failed += 1,
        Some(Reply::Error(_)) => stats.requests_refused += 1,
        None => {}
    }
}
