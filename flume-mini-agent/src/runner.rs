//! The sink runner: lets one of its sinks work at a time (Flume's `SinkRunner`).
//!
//! After a failure it waits. When the channel is empty it is woken by the next event, where Flume
//! sleeps for 1 s, 2 s and up to 5 s; only a runner whose sinks have several channels needs that
//! sleep as well, since the sink whose turn it is may be at the wrong one.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::coop;
use tokio::time::Instant;

use crate::channel::Channel;
use crate::gate::Gate;
use crate::observed::Observed;
use crate::sink::worker::{SinkFailure, SinkWorker};
use crate::sink_group::{Next, Outcome, Processor};

/// A sink, or the sinks of a group, from one start of the agent to its stop.
pub(crate) struct SinkRunner {
    sinks: Vec<SinkWorker>,
    processor: Processor,
    /// The channels of all its sinks, each once.
    channels: Vec<Arc<Channel>>,
    pace: Pace,
    observed: Arc<Observed>,
    gate: Arc<Gate>,
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

impl SinkRunner {
    pub(crate) fn new(
        sinks: Vec<SinkWorker>,
        processor: Processor,
        pace: Pace,
        (observed, gate): (Arc<Observed>, Arc<Gate>),
    ) -> Self {
        let mut channels: Vec<Arc<Channel>> = Vec::new();
        for channel in sinks.iter().map(SinkWorker::channel) {
            if channels.iter().all(|known| !Arc::ptr_eq(known, channel)) {
                channels.push(Arc::clone(channel));
            }
        }
        Self {
            sinks,
            processor,
            channels,
            pace,
            observed,
            gate,
            epoch: Instant::now(),
        }
    }

    /// Runs until dropped.
    pub(crate) async fn run(mut self) {
        for sink in &mut self.sinks {
            sink.open().await;
        }
        let gate = Arc::clone(&self.gate);
        let mut empty_rounds = 0;
        loop {
            let pass = gate.pass().await;
            let outcome = self.round().await;
            drop(pass);
            if outcome != Outcome::Backoff {
                empty_rounds = 0;
            }
            match outcome {
                Outcome::Ready => coop::consume_budget().await,
                Outcome::Backoff => {
                    empty_rounds += 1;
                    rest(&self.channels, self.pace, empty_rounds).await;
                }
                Outcome::Failed => tokio::time::sleep(self.pace.max).await,
            }
        }
    }

    async fn round(&mut self) -> Outcome {
        let mut next = self.processor.begin(self.epoch.elapsed());
        loop {
            let number = match next {
                Next::Done(outcome) => return outcome,
                Next::Try(number) => number,
            };
            let Some(sink) = self.sinks.get_mut(number) else {
                return Outcome::Failed;
            };
            let outcome = match sink.process(self.gate.hurry_wanted()).await {
                Ok(drained) => {
                    self.count_drained(drained.events);
                    drained.outcome
                }
                Err(failure) => {
                    let message = failure_message(sink.label(), &failure, self.pace.max);
                    self.observed.sink_failed(message);
                    Outcome::Failed
                }
            };
            next = self.processor.report(outcome, self.epoch.elapsed());
        }
    }

    fn count_drained(&self, events: usize) {
        if events > 0 {
            let events = events as u64;
            self.observed.count(|stats| stats.events_drained += events);
        }
    }
}

/// Waits after an empty turn, until there may be something to take.
async fn rest(channels: &[Arc<Channel>], pace: Pace, empty_rounds: u32) {
    if let [only] = channels {
        return only.arrival().await;
    }
    let wait = pace.step.saturating_mul(empty_rounds);
    let _ = tokio::time::timeout(wait.min(pace.max), any_arrival(channels)).await;
}

async fn any_arrival(channels: &[Arc<Channel>]) {
    type Arrival<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
    let mut arrivals: Vec<Arrival<'_>> = channels
        .iter()
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

fn failure_message(sink: &str, failure: &SinkFailure, wait: Duration) -> String {
    let SinkFailure { events, reason } = failure;
    match events {
        0 => format!("{sink} took no events: {reason}; next try in {wait:?}"),
        _ => format!(
            "{sink} could not write {events} events: {reason}; \
             they are back in the channel, next try in {wait:?}"
        ),
    }
}
