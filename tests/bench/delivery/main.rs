//! Measures delivery into a real Flume beside Flume's own Java client, in one run, and prints ratios.
//!
//! ```text
//! cargo bench -p flume-tests --bench delivery                 everything; needs Java and Maven
//! cargo bench -p flume-tests --bench delivery -- rates        events per second and CPU, Flume 1.11 and 1.9
//! cargo bench -p flume-tests --bench delivery -- connections  the same with 1, 2 and 4 connections
//! cargo bench -p flume-tests --bench delivery -- latency      what awaiting each event takes, Flume 1.11
//! ```
//!
//! `--events N` (per measurement of rates and connections, default 1,000,000), `--rounds N` (default 5),
//! `--apart` (the agent has one core, the sender another; Linux with two cores).
//! What is measured depends on the machine and on what else it does; the ratios are what to read.
//! No allocation is counted here: that would cost our side alone.

#[path = "../contest/mod.rs"]
mod contest;
#[path = "../event.rs"]
mod event;
mod figures;
mod java;
mod latency;
mod rates;
#[path = "../replay.rs"]
mod replay;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| {
        let named = |arg: &String| ["rates", "connections", "latency"].contains(&arg.as_str());
        args.iter().any(|arg| arg == name) || !args.iter().any(named)
    };
    if !flume_tests::require_java() {
        return ExitCode::SUCCESS;
    }
    let plan = contest::Plan::of(&args);
    let run = || -> contest::Result<()> {
        if wanted("rates") {
            rates::run(plan)?;
        }
        if wanted("connections") {
            rates::run_connections(plan)?;
        }
        if wanted("latency") {
            latency::run(plan)?;
        }
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
