//! Flume's own Java client, each of whose calls is awaited: `interop/java/LatencyBench.java`.

use std::net::SocketAddr;

use flume_tests::{Version, run_java_program};
use serde_json::Value;

use crate::figures::Latency;

/// Rounds in each process; the last one counts, when its compiler has done its work.
const ROUNDS: usize = 4;

/// `threads` callers of one client append `events` in all, each the next when its last has come back.
pub(crate) fn run(
    agent: SocketAddr,
    threads: usize,
    events: u64,
) -> Result<Latency, Box<dyn std::error::Error>> {
    let numbers = [threads as u64, events, ROUNDS as u64];
    let arguments = std::iter::once(agent.to_string());
    let arguments = arguments.chain(numbers.map(|number| number.to_string()));
    let output = run_java_program(Version::V1_11, "LatencyBench", arguments)?;
    let rounds: Vec<Value> = output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let last = rounds.get(ROUNDS - 1).ok_or("Java's client ended early")?;
    let number = |name: &str| last.get(name).and_then(Value::as_f64);
    let latency = || {
        Some(Latency {
            p50: number("p50_micros")?,
            p99: number("p99_micros")?,
            rate: events as f64 / number("seconds")?,
            cpu: number("cpu_seconds")? * 1e6 / events as f64,
        })
    };
    latency().ok_or_else(|| format!("Java's client printed {last}").into())
}
