//! What the benchmarks of delivery share: the agent, a round of each contender, and the table.

pub(crate) mod cpu;
mod figures;
pub(crate) mod table;

use std::time::Duration;

use flume_tests::{JavaSdk, RealFlume, RealFlumeBuilder, SdkRun, Sink, Version};

use crate::event::BODY_BYTES;
pub(crate) use figures::{Figures, Round, timed};

/// Whatever goes wrong ends the benchmark.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

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

/// The number after this word of the command line.
pub(crate) fn number(args: &[String], name: &str, default: u64) -> u64 {
    let place = args.iter().position(|arg| arg == name);
    let value = place.and_then(|place| args.get(place + 1));
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}
