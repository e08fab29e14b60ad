//! The sink runner: lets one of its sinks work at a time (Flume's `SinkRunner`).
//!
//! After a failure it waits. When the channel is empty it is woken by the next event, where Flume
//! sleeps for 1 s, 2 s and up to 5 s; only a runner whose sinks have several channels needs that
//! sleep as well, since the sink whose turn it is may be at the wrong one.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::task::coop;
use tokio::time::Instant;

use crate::agent::tally::Tally;
use crate::channel::Channel;
use crate::gate::Gate;
use crate::sink::worker::{SinkFailure, SinkWorker};
use crate::sink_group::{Next, Outcome, Processor};

/// A sink, or the sinks of a group, and the worker that serves them.
pub(crate) struct SinkRunner {
    /// Locked for as long as the runner runs.
    group: Mutex<Group>,
    /// The channels of all its sinks, each once.
    channels: Vec<Arc<Channel>>,
    pace: Pace,
    tally: Arc<Tally>,
    gate: Gate,
    /// What the processor counts its time from.
    epoch: Instant,
}

/// How long a runner waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// After an empty turn, times the number of such turns in a row.
    pub(crate) step: Duration,
    /// After a failure, and at most after empty turns.
    pub(crate) max: Duration,
}

struct Group {
    sinks: Vec<SinkWorker>,
    processor: Processor,
}

/// A sink that cannot start.
#[derive(Debug)]
pub(crate) struct SinkStartError {
    pub(crate) label: String,
    pub(crate) source: io::Error,
}

impl SinkRunner {
    pub(crate) fn new(
        sinks: Vec<SinkWorker>,
        processor: Processor,
        pace: Pace,
        tally: Arc<Tally>,
    ) -> Self {
        let mut channels: Vec<Arc<Channel>> = Vec::new();
        for channel in sinks.iter().map(SinkWorker::channel) {
            if channels.iter().all(|known| !Arc::ptr_eq(known, channel)) {
                channels.push(Arc::clone(channel));
            }
        }
        Self {
            group: Mutex::new(Group { sinks, processor }),
            channels,
            pace,
            tally,
            gate: Gate::default(),
            epoch: Instant::now(),
        }
    }

    /// Gets the sinks ready, at every start of the agent. If one cannot, none is left started.
    pub(crate) fn start(&self) -> Result<(), SinkStartError> {
        self.gate.set_hurried(false);
        let sinks = &mut self.idle_group().sinks;
        for at in 0..sinks.len() {
            let (started, rest) = sinks.split_at_mut(at);
            let Some(sink) = rest.first_mut() else {
                break;
            };
            if let Err(source) = sink.start() {
                started.iter_mut().for_each(SinkWorker::stop);
                let label = sink.label().to_owned();
                return Err(SinkStartError { label, source });
            }
        }
        Ok(())
    }

    /// Lets the sinks let go of what they hold, when the runner runs no more.
    pub(crate) fn stop(&self) {
        let sinks = &mut self.idle_group().sinks;
        sinks.iter_mut().for_each(SinkWorker::stop);
    }

    /// Runs until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut group = self.group.lock().await;
        for sink in &mut group.sinks {
            sink.open().await;
        }
        let mut empty_rounds = 0;
        loop {
            let pass = self.gate.pass().await;
            let outcome = self.round(&mut group).await;
            drop(pass);
            if outcome != Outcome::Backoff {
                empty_rounds = 0;
            }
            match outcome {
                Outcome::Ready => coop::consume_budget().await,
                Outcome::Backoff => {
                    empty_rounds += 1;
                    self.rest(empty_rounds).await;
                }
                Outcome::Failed => tokio::time::sleep(self.pace.max).await,
            }
        }
    }

    /// Lets the sinks wait for whole batches no more, until the next start.
    pub(crate) fn hurry(&self) {
        self.gate.set_hurried(true);
    }

    /// Keeps the sinks from taking events. When it returns, no batch is in their hands.
    pub(crate) fn pause(&self) {
        self.gate.pause();
    }

    pub(crate) fn resume(&self) {
        self.gate.resume();
    }

    async fn round(&self, group: &mut Group) -> Outcome {
        let mut next = group.processor.begin(self.epoch.elapsed());
        loop {
            let number = match next {
                Next::Done(outcome) => return outcome,
                Next::Try(number) => number,
            };
            let Some(sink) = group.sinks.get_mut(number) else {
                return Outcome::Failed;
            };
            let outcome = match sink.process(self.gate.hurry_wanted()).await {
                Ok(drained) => {
                    self.count_drained(drained.events);
                    drained.outcome
                }
                Err(failure) => {
                    let message = self.message(sink.label(), &failure);
                    self.tally.sink_failed(message);
                    Outcome::Failed
                }
            };
            next = group.processor.report(outcome, self.epoch.elapsed());
        }
    }

    fn count_drained(&self, events: usize) {
        if events > 0 {
            let events = events as u64;
            self.tally.count(|stats| stats.events_drained += events);
        }
    }

    fn message(&self, sink: &str, failure: &SinkFailure) -> String {
        let SinkFailure { events, reason } = failure;
        let wait = self.pace.max;
        match events {
            0 => format!("{sink} took no events: {reason}; next try in {wait:?}"),
            _ => format!(
                "{sink} could not write {events} events: {reason}; \
                 they are back in the channel, next try in {wait:?}"
            ),
        }
    }

    async fn rest(&self, empty_rounds: u32) {
        if let [only] = self.channels.as_slice() {
            return only.arrival().await;
        }
        let wait = self.pace.step.saturating_mul(empty_rounds);
        let _ = tokio::time::timeout(wait.min(self.pace.max), self.any_arrival()).await;
    }

    async fn any_arrival(&self) {
        type Arrival<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
        let channels = self.channels.iter();
        let mut arrivals: Vec<Arrival<'_>> = channels
            .map(|channel| Box::pin(channel.arrival()) as Arrival<'_>)
            .collect();
        poll_fn(|context| {
            let mut arrivals = arrivals.iter_mut();
            match arrivals.any(|arrival| arrival.as_mut().poll(context).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn idle_group(&self) -> MutexGuard<'_, Group> {
        let group = self.group.try_lock();
        group.expect("the runner is started after it was stopped, and the other way round")
    }
}

impl fmt::Debug for SinkRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkRunner")
            .field("pace", &self.pace)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
