//! Measures the client beside its peers, in one run, and prints ratios.
//!
//! ```text
//! cargo bench -p flume-tests --bench flume                 everything
//! cargo bench -p flume-tests --bench flume -- encode       encoding against apache-avro; needs only Rust
//! cargo bench -p flume-tests --bench flume -- append       what a call of append costs; likewise
//! cargo bench -p flume-tests --bench flume -- spool        durable writes beside bare system calls; likewise
//! cargo bench -p flume-tests --bench flume -- ingest       the mini-agent beside a real Flume 1.11; needs Java and Maven
//! ```
//!
//! What durable appends cost with SQLite and other peers is measured by `--bench durable`, delivery
//! beside Java's client by `--bench delivery`, and instructions per event by `--bench instructions`.
//!
//! `ingest` takes `--events N` (per measurement, default 1,000,000) and `--rounds N` (default 5).
//! Rates depend on the machine and on what else it does; the ratios are what to read.

mod append;
mod encode;
mod event;
mod ingest;
mod replay;
mod spool;

use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    let wanted = |name: &str| {
        let named = |arg: &String| ["encode", "ingest", "spool", "append"].contains(&arg.as_str());
        args.iter().any(|arg| arg == name) || !args.iter().any(named)
    };
    if wanted("encode") {
        encode::run(ALLOCATOR);
    }
    let number = |name: &str, default| {
        let value = args
            .iter()
            .position(|arg| arg == name)
            .and_then(|at| args.get(at + 1));
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    if wanted("spool")
        && let Err(error) = spool::run(number("--rounds", 5) as usize)
    {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    if wanted("append")
        && let Err(error) = append::run(number("--rounds", 5) as usize)
    {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    if !wanted("ingest") || !flume_tests::require_java() {
        return ExitCode::SUCCESS;
    }
    let (events, rounds) = (number("--events", 1_000_000), number("--rounds", 5));
    if let Err(error) = ingest::run(events, rounds as usize) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
