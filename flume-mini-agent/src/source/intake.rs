//! [`Intake`]: what the HTTP, netcat and Thrift sources do with a batch (the client's `Intake` is
//! another).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::carrier::Stream;
use crate::channel::StoredEvent;
use crate::counters::SourceCounters;
use crate::fault::Fault;
use crate::fault::engine::{CallView, Place};
use crate::log::{Answered, OpenConnection, Recorder, Stored};
use crate::observed::{Gauge, Observed};
use crate::processor::{ChannelProcessor, ProcessError, Progress};
use crate::source::stream::{End, Pace};

/// The way of a source's batches into the channels, past the faults and into the log.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) name: &'static str,
    pub(crate) answers: Answers,
    pub(crate) processor: Arc<ChannelProcessor>,
    pub(crate) counters: Arc<SourceCounters>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) recorder: Arc<Recorder>,
}

/// In what a source's answers travel, which says what can go wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// In frames that a fault can break, on a stream that one can slow down.
    Framed,
    /// In another way, which faults leave alone.
    Plain,
}

/// A connection to the source, counted while it is open.
#[derive(Debug)]
pub(crate) struct Connection {
    opened: OpenConnection,
    /// How fast its bytes go; of [`Answers::Plain`] as they come.
    pub(crate) pace: Pace,
    /// Bytes that came so far, as far as its source counts them.
    pub(crate) received: u64,
    /// How it is to end before it begins.
    pub(crate) end: Option<End>,
    _open: Gauge,
}

impl Connection {
    /// Notes the certificate that its peer showed, once.
    pub(crate) fn identify(&mut self, stream: &Stream) {
        self.opened.identify(stream);
    }
}

/// What to answer to a batch.
#[derive(Debug)]
pub(crate) enum Answer {
    Ok,
    /// A channel did not take it.
    Failed(String),
    /// Flume's status UNKNOWN, which only a fault gives.
    Unknown,
    /// Something else went wrong.
    Error(String),
    /// Nothing, and the connection ends. `None`: nothing ever.
    End(Option<End>),
}

/// A batch that was worked on.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) answer: Answer,
    pub(crate) stored: Stored,
    /// What goes wrong with the answer, or went wrong already.
    pub(crate) fault: Option<Fault>,
}

impl Intake {
    /// Notes a connection.
    pub(crate) fn open(&self, peer: SocketAddr) -> Connection {
        let opened = self.recorder.open(self.name, Some(peer));
        self.observed.count(|stats| stats.connections_opened += 1);
        let paced = self.answers == Answers::Framed;
        let fault = self.recorder.faults.on_connection(opened.number(), paced);
        let mut pace = Pace::default();
        if let Some(fault) = &fault {
            pace.slow_down(fault);
        }
        Connection {
            end: fault.as_ref().and_then(End::of),
            opened,
            pace,
            received: 0,
            _open: Gauge::up(&self.observed, |stats| &mut stats.connections_open),
        }
    }

    /// Notes a request and gives it its number.
    pub(crate) fn begin(&self, connection: &Connection, bytes: usize) -> u64 {
        let log = &self.recorder.log;
        let request = log.begin(self.name, connection.opened.number(), bytes);
        self.observed.count(|stats| stats.requests += 1);
        request
    }

    /// Notes bytes just read. If a fault strikes among them: how many come before it, and it.
    pub(crate) fn meet_bytes(
        &self,
        connection: &mut Connection,
        bytes: usize,
    ) -> Option<(usize, Fault)> {
        let before = connection.received;
        connection.received += bytes as u64;
        let faults = &self.recorder.faults;
        let (kept, fault) = faults.on_bytes(connection.opened.number(), (before, bytes))?;
        connection.pace.slow_down(&fault);
        Some((kept, fault))
    }

    /// Notes that a request could not be read.
    #[cfg(feature = "http")]
    pub(crate) fn refused(&self, request: u64, answered: Answered) {
        self.counters.read_fails.increment();
        self.turned_away(request, answered);
    }

    /// Notes that a request was not even read, or is none, which Flume does not count.
    pub(crate) fn turned_away(&self, request: u64, answered: Answered) {
        self.recorder.log.answered(request, answered);
        self.observed.count(|stats| stats.requests_refused += 1);
    }

    /// Notes what became of a batch of so many events, and what was answered to it, if anything
    /// was: in the log first, since who waits for a counter looks there next.
    pub(crate) fn answered(
        &self,
        request: u64,
        answer: &Answer,
        answered: Option<Answered>,
        events: usize,
    ) {
        if let Some(answered) = answered {
            self.recorder.log.answered(request, answered);
        }
        self.count(answer, events);
    }

    /// Gives a batch to the channels.
    pub(crate) async fn take(
        &self,
        connection: &Connection,
        (request, bytes): (u64, usize),
        events: Vec<StoredEvent>,
    ) -> Taken {
        let count = events.len();
        self.counters.events_received.add(count);
        let fault = self.struck(connection, (request, bytes), &events);
        let (answer, stored) = self.work(fault.as_ref(), events).await;
        self.recorder.log.stored(request, count, stored);
        let accepted = if stored == Stored::No { 0 } else { count };
        self.observed
            .count(|stats| stats.events_accepted += accepted as u64);
        let answer = match &fault {
            Some(Fault::AnswerLate(late)) => {
                tokio::time::sleep(*late).await;
                answer
            }
            Some(fault) if fault.takes_answer() => Answer::End(End::of(fault)),
            _ => answer,
        };
        Taken {
            answer,
            stored,
            fault,
        }
    }

    fn struck(
        &self,
        connection: &Connection,
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
        self.recorder.faults.on_call(&CallView {
            at: Place {
                connection: connection.opened.number(),
                connection_bytes: connection.received,
                request,
            },
            framed: self.answers == Answers::Framed,
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
            Some(Fault::Unknown) => Answer::Unknown,
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
                self.observed.count(|stats| stats.batches_ok += 1);
            }
            Answer::Failed(_) => {
                self.counters.channel_write_fails.increment();
                self.observed.count(|stats| stats.batches_failed += 1);
            }
            Answer::Unknown | Answer::Error(_) => {
                self.counters.other_fails.increment();
                self.observed.count(|stats| stats.batches_failed += 1);
            }
            Answer::End(_) => {}
        }
    }

    fn gauge(&self) -> Gauge {
        Gauge::up(&self.observed, |stats| &mut stats.batches_waiting)
    }
}
