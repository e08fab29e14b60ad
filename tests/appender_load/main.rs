//! A service that logs as fast as it can, from four threads, while things go wrong.
//!
//! ```text
//! appender-load kill 30            seconds until it is killed, its agent away for a third of them
//! appender-load outage 15          seconds of each: agent dead, hung, slow, and disk full
//! appender-load feedback 60        seconds, with ten restarts of its agent
//! ```

mod failure;
mod feedback;
mod kill;
mod outage;
mod service;

use std::process::ExitCode;
use std::time::Duration;

use failure::Failure;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["service", agent, spool] => service::run(agent, spool),
        ["loaded", agent, spool, seconds] => {
            time(seconds).and_then(|time| outage::loaded(agent, spool, time))
        }
        ["feedback-service", agent, seconds] => {
            time(seconds).and_then(|time| feedback::service(agent, time))
        }
        ["kill", seconds] => time(seconds).and_then(kill::run),
        ["outage", seconds] => time(seconds).and_then(outage::run),
        ["feedback", seconds] => time(seconds).and_then(feedback::run),
        _ => {
            eprintln!("appender-load kill|outage|feedback SECONDS");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn time(seconds: &str) -> Result<Duration, Failure> {
    Ok(Duration::from_secs_f64(seconds.parse()?))
}
