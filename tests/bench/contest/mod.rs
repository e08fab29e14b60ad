//! What the benchmarks of delivery share: the agent, a round of each contender, and the table.

pub(crate) mod cpu;
mod figures;
mod plan;
mod result;
pub(crate) mod table;

use std::time::Duration;

use flume_tests::{JavaSdk, RealFlume, RealFlumeBuilder, SdkRun, Sink, Version};

use crate::event::BODY_BYTES;
pub(crate) use figures::{Figures, Round, timed};
pub(crate) use plan::Plan;
pub(crate) use result::Result;

/// Longer than any wait for room.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Rounds in each Java process; the last one counts, when its compiler has done its work.
const JAVA_ROUNDS: usize = 4;

/// A real agent whose sink never lets its source wait for long.
pub(crate) fn agent(version: Version) -> RealFlumeBuilder {
    RealFlume::builder(version)
        .capacity(100_000)
        .transaction_capacity(10_000)
        .sink(Sink::WakefulNull)
        .sink_batch(1_000)
}

/// The last round of Java's client, which sends the events of all others too; and what it tells.
pub(crate) fn java(version: Version, run: SdkRun) -> Result<(Round, String)> {
    let run = SdkRun {
        body_bytes: BODY_BYTES,
        rounds: JAVA_ROUNDS,
        ..run
    };
    let rounds = JavaSdk::run(version, &run)?;
    let last = rounds.last().ok_or("Java's client ran no round")?;
    let round = Round {
        seconds: last.seconds,
        cpu_seconds: last.cpu_seconds,
    };
    Ok((round, format!("{} retries", last.retries)))
}
