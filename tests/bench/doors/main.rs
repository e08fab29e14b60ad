//! Measures delivery into a real Flume by each way that its sources offer, in one run, and prints ratios.
//!
//! ```text
//! cargo bench -p flume-tests --bench doors               everything; needs Java and Maven
//! cargo bench -p flume-tests --bench doors -- deflate    compressed, beside Java's client
//! cargo bench -p flume-tests --bench doors -- thrift     compact, beside Java's client
//! cargo bench -p flume-tests --bench doors -- tls        beside our plain path and Java's TLS
//! cargo bench -p flume-tests --bench doors -- http       beside the same requests, replayed
//! ```
//!
//! `--events N` (per measurement, default 1,000,000), `--rounds N` (default 5), `--apart` (the agents have
//! one core, the sender another; Linux with two cores). A replay sends the bytes
//! that a client would, made before. What is measured depends on the machine and on what else it does;
//! the ratios are what to read.

mod agents;
mod contender;
#[path = "../contest/mod.rs"]
mod contest;
#[path = "../event.rs"]
mod event;
mod replays;
mod ways;

use std::process::ExitCode;

use ways::WAYS;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if !flume_tests::require_java() {
        return ExitCode::SUCCESS;
    }
    let plan = contest::Plan::of(&args);
    let is_named = |name: &str| args.iter().any(|arg| arg == name);
    let is_any_named = WAYS.iter().any(|way| is_named(way.name));
    let mut wanted = WAYS
        .iter()
        .filter(|way| !is_any_named || is_named(way.name));
    match wanted.try_for_each(|way| ways::run(way, plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
