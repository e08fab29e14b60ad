//! A command that logs through the crate `log`: to an agent, and warnings to stderr as well.

use std::error::Error;
use std::time::Duration;

use flume_log::LoggerBuilder;
use flume_mini_agent::MiniAgent;
use log::{LevelFilter, Log, Metadata, Record};

/// The logger that the command had before.
struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("{}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

fn sum(numbers: impl Iterator<Item = String>) -> i64 {
    let mut sum = 0;
    for text in numbers {
        match text.parse::<i64>() {
            Ok(number) => sum += number,
            Err(error) => log::warn!(text, error:err; "not a number, left out"),
        }
    }
    log::info!(sum; "summed up");
    sum
}

fn main() -> Result<(), Box<dyn Error>> {
    let agent = MiniAgent::builder().start()?;
    let guard = flume_log::logger()
        .agent(agent.url())
        .filter("info,hyper=warn")
        .service("sum")
        .also_up_to(LevelFilter::Warn, Stderr)
        .install()?;

    let given: Vec<String> = std::env::args().skip(1).collect();
    let numbers = match given.is_empty() {
        true => ["1", "2", "three"].map(String::from).to_vec(),
        false => given,
    };
    println!("{}", sum(numbers.into_iter()));

    drop(guard); // delivers what is left, for two seconds at the most
    for event in agent.wait_for(1, Duration::from_secs(5))? {
        println!("{}", String::from_utf8_lossy(event.body()));
    }
    Ok(())
}
