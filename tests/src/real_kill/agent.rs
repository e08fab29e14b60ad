//! The agent's lives: a real Flume that is killed in the middle of its work and started again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::plan::PATIENCE;
use crate::{Channel, HarnessError, RealFlume, Result, Sink, Version, wait_until};

const CHANNEL_EVENTS: usize = 100_000;
const TRANSACTION_EVENTS: usize = 10_000;
const SINK_BATCH: usize = 1_000;

/// What is known of one process of the agent.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AgentLife {
    /// From its start to its first answer, with the replay of its channel.
    pub start_seconds: f64,
    /// Its last counters: of a killed one, as of just before the kill.
    pub counters: AgentCounters,
}

/// Events that went through an agent since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentCounters {
    /// Acknowledged by its source.
    pub accepted: u64,
    /// Taken by its sink.
    pub taken: u64,
    /// Written by its sink, and gone from its channel.
    pub written: u64,
    /// In its channel.
    pub waiting: u64,
}

/// The agent, alive, and its lives but for the last one.
pub(super) struct Agent {
    pub(super) flume: RealFlume,
    start_seconds: f64,
    lives: Vec<AgentLife>,
}

impl Agent {
    pub(super) fn start() -> Result<Self> {
        let begin = Instant::now();
        let flume = RealFlume::builder(Version::V1_11)
            .channel(Channel::File)
            .capacity(CHANNEL_EVENTS)
            .transaction_capacity(TRANSACTION_EVENTS)
            .sink(Sink::FileRoll)
            .sink_batch(SINK_BATCH)
            .property("a1.sinks.k1.sink.serializer", "header_and_text")
            .start()?;
        Ok(Self {
            flume,
            start_seconds: begin.elapsed().as_secs_f64(),
            lives: Vec::new(),
        })
    }

    /// Kills the agent when it has accepted so many events, starts it again, and so on.
    pub(super) fn live(&mut self, lengths: &[u64], stop: &AtomicBool) -> Result<()> {
        for length in lengths {
            let mut counters = AgentCounters::default();
            let what = format!("{length} events accepted by the agent");
            let waited = wait_until(&what, PATIENCE, || {
                counters = self.counters().unwrap_or(counters);
                counters.accepted >= *length || stop.load(Ordering::Relaxed)
            });
            waited.map_err(|e| self.error(&e, counters))?;
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.flume.kill();
            self.end_life(counters);
            let begin = Instant::now();
            self.flume.restart()?;
            self.start_seconds = begin.elapsed().as_secs_f64();
        }
        Ok(())
    }

    /// Waits until the sink has written everything, and stops the agent. Nobody may send to it.
    pub(super) fn finish(&mut self) -> Result<Vec<AgentLife>> {
        let mut counters = AgentCounters::default();
        // Counters are read one by one: only those that stay the same belong together.
        let waited = wait_until("an empty channel behind the sink", PATIENCE, || {
            let before = counters;
            counters = self.counters().unwrap_or_default();
            counters == before && counters.waiting == 0 && counters.taken == counters.written
        });
        waited.map_err(|e| self.error(&e, counters))?;
        self.flume.stop()?;
        self.end_life(counters);
        Ok(std::mem::take(&mut self.lives))
    }

    fn end_life(&mut self, counters: AgentCounters) {
        self.lives.push(AgentLife {
            start_seconds: self.start_seconds,
            counters,
        });
    }

    /// `None` when the agent does not answer, or a part of it is not there yet.
    fn counters(&self) -> Option<AgentCounters> {
        let metrics = self.flume.metrics().ok()?;
        Some(AgentCounters {
            accepted: metrics.counter("SOURCE.r1", "EventAcceptedCount")?,
            taken: metrics.counter("SINK.k1", "EventDrainAttemptCount")?,
            written: metrics.counter("SINK.k1", "EventDrainSuccessCount")?,
            waiting: metrics.counter("CHANNEL.c1", "ChannelSize")?,
        })
    }

    fn error(&self, error: &HarnessError, counters: AgentCounters) -> HarnessError {
        let lives = self.lives.len();
        let log = self.flume.log_tail();
        HarnessError::new(format!(
            "{error}, after {lives} kills saw {counters:?}\n{log}"
        ))
    }
}
