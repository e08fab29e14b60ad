//! [`Intake`]: what the sources without frames do with a batch.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::agent::log::{OpenConnection, Stored, Told, Watch};
use crate::agent::tally::{Gauge, Tally};
use crate::channel::StoredEvent;
use crate::counters::SourceCounters;
use crate::fault::Fault;
use crate::fault::engine::{CallView, Place};
use crate::processor::{ChannelProcessor, ProcessError, Progress};
use crate::source::stream::End;

/// The way of a source's batches into the channels, past the faults and into the log.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) name: &'static str,
    pub(crate) processor: Arc<ChannelProcessor>,
    pub(crate) counters: Arc<SourceCounters>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) watch: Arc<Watch>,
}

/// A connection to the source, counted while it is open.
#[derive(Debug)]
pub(crate) struct Visit {
    opened: OpenConnection,
    /// How it is to end before it begins.
    pub(crate) end: Option<End>,
    _open: Gauge,
}

/// What to answer to a batch.
#[derive(Debug)]
pub(crate) enum Answer {
    Ok,
    /// A channel did not take it.
    Failed(String),
    /// Something else went wrong.
    Error(String),
    /// Nothing, and the connection ends. `None`: nothing ever.
    End(Option<End>),
}

impl Intake {
    /// Notes a connection.
    pub(crate) fn open(&self, peer: SocketAddr) -> Visit {
        let opened = self.watch.open(self.name, Some(peer));
        self.tally.count(|stats| stats.connections_opened += 1);
        let fault = self.watch.faults.on_connection(opened.number(), false);
        Visit {
            end: fault.as_ref().and_then(End::of),
            opened,
            _open: Gauge::up(&self.tally, |stats| &mut stats.connections_open),
        }
    }

    /// Notes a request and gives it its number.
    pub(crate) fn begin(&self, visit: &Visit, bytes: usize) -> u64 {
        let log = &self.watch.log;
        let request = log.begin(self.name, visit.opened.number(), bytes);
        self.tally.count(|stats| stats.requests += 1);
        request
    }

    /// Notes that a request could not be read.
    pub(crate) fn refused(&self, request: u64, told: Told) {
        self.counters.read_fails.increment();
        self.turned_away(request, told);
    }

    /// Notes that a request was not even read, which Flume does not count.
    pub(crate) fn turned_away(&self, request: u64, told: Told) {
        self.watch.log.told(request, told);
        self.tally.count(|stats| stats.requests_refused += 1);
    }

    /// Notes what became of a batch of so many events, and what was told about it, if anything
    /// was: in the log first, since who waits for a counter looks there next.
    pub(crate) fn answered(
        &self,
        request: u64,
        answer: &Answer,
        told: Option<Told>,
        events: usize,
    ) {
        if let Some(told) = told {
            self.watch.log.told(request, told);
        }
        self.count(answer, events);
    }

    /// Gives a batch to the channels.
    pub(crate) async fn take(
        &self,
        visit: &Visit,
        (request, bytes): (u64, usize),
        events: Vec<StoredEvent>,
    ) -> Answer {
        let count = events.len();
        self.counters.events_received.add(count);
        let fault = self.struck(visit, (request, bytes), &events);
        let (answer, stored) = self.work(fault.as_ref(), events).await;
        self.watch.log.stored(request, count, stored);
        let accepted = if stored == Stored::No { 0 } else { count };
        self.tally
            .count(|stats| stats.events_accepted += accepted as u64);
        match fault {
            Some(Fault::AnswerLate(late)) => tokio::time::sleep(late).await,
            Some(fault @ (Fault::CommitThenDrop | Fault::CommitThenReset)) => {
                return Answer::End(End::of(&fault));
            }
            _ => {}
        }
        answer
    }

    fn struck(
        &self,
        visit: &Visit,
        (request, payload_bytes): (u64, usize),
        events: &[StoredEvent],
    ) -> Option<Fault> {
        let has = |event: &StoredEvent, (key, value): &(String, String)| {
            let event = event.view();
            let values = event.headers().flatten().filter(|(other, _)| other == key);
            values.last().is_some_and(|(_, found)| found == value)
        };
        let has_all = |event: &StoredEvent, wanted: &[(String, String)]| {
            wanted.iter().all(|pair| has(event, pair))
        };
        let has_headers =
            |wanted: &[(String, String)]| events.iter().any(|event| has_all(event, wanted));
        self.watch.faults.on_call(&CallView {
            at: Place {
                connection: visit.opened.number(),
                connection_bytes: 0,
                request,
            },
            framed: false,
            payload_bytes,
            has_headers: &has_headers,
        })
    }

    /// What is answered and what is stored, before a fault hides the answer.
    async fn work(&self, fault: Option<&Fault>, events: Vec<StoredEvent>) -> (Answer, Stored) {
        let answer = match fault {
            Some(Fault::Hang) => Answer::End(None),
            Some(fault @ (Fault::Reset | Fault::DropBeforeCommit)) => Answer::End(End::of(fault)),
            Some(Fault::Failed) => Answer::Failed("a fault wants it so".to_owned()),
            Some(Fault::Unknown) => Answer::Error("a fault wants it so".to_owned()),
            Some(Fault::RpcError(text)) => Answer::Error(text.clone()),
            Some(Fault::ChannelFull) => {
                let _waiting = self.gauge();
                tokio::time::sleep(self.processor.keep_alive()).await;
                Answer::Failed("the channel is full, a fault wants it so".to_owned())
            }
            Some(Fault::PartialCommit(channels)) => {
                let result = self.put(self.processor.begin_partly(&events, *channels));
                let stored = match result.await {
                    Ok(()) if *channels > 0 => Stored::Partly,
                    _ => Stored::No,
                };
                let answer = Answer::Failed("a channel failed, a fault wants it so".to_owned());
                return (answer, stored);
            }
            _ => {
                let nothing = events.is_empty();
                return match self.put(self.processor.begin(events)).await {
                    Ok(()) if nothing => (Answer::Ok, Stored::No),
                    Ok(()) => (Answer::Ok, Stored::Yes),
                    Err(error @ ProcessError::Channel { .. }) => {
                        (Answer::Failed(error.to_string()), Stored::No)
                    }
                    Err(ProcessError::Other(error)) => (Answer::Error(error), Stored::No),
                };
            }
        };
        (answer, Stored::No)
    }

    async fn put(&self, progress: Progress) -> Result<(), ProcessError> {
        match progress {
            Progress::Done(result) => result,
            Progress::Waits(delivery) => {
                let _waiting = self.gauge();
                delivery.finish().await
            }
        }
    }

    fn count(&self, answer: &Answer, events: usize) {
        match answer {
            Answer::Ok => {
                self.counters.events_accepted.add(events);
                self.tally.count(|stats| stats.batches_ok += 1);
            }
            Answer::Failed(_) => {
                self.counters.channel_write_fails.increment();
                self.tally.count(|stats| stats.batches_failed += 1);
            }
            Answer::Error(_) => {
                self.counters.other_fails.increment();
                self.tally.count(|stats| stats.batches_failed += 1);
            }
            Answer::End(_) => {}
        }
    }

    fn gauge(&self) -> Gauge {
        Gauge::up(&self.tally, |stats| &mut stats.batches_waiting)
    }
}
