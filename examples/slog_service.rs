//! A service that logs through `slog`: what a logger was made with stands around each of its records.

use std::error::Error;
use std::time::Duration;

use flume_mini_agent::MiniAgent;
use slog::{Drain, Logger, error, info, o};

/// Works on one order, and tells about that with the order's own logger.
fn take(log: &Logger, number: u32, items: &str) {
    let log = log.new(o!("order" => number));
    match items.parse::<u32>() {
        Ok(items) => info!(log, "taken"; "items" => items),
        Err(cause) => error!(log, "refused"; "items" => items, "cause" => #cause),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let agent = MiniAgent::builder().start()?;
    let (drain, guard) = flume_log::slog::drain()
        .agent(agent.url())
        .service("orders")
        .build()?;
    // `slog-async` is not needed: a call costs a copy, and delivers nothing itself.
    let log = Logger::root(drain.fuse(), o!("version" => env!("CARGO_PKG_VERSION")));

    take(&log, 1, "3");
    take(&log, 2, "many");

    drop(guard); // delivers what is left, for two seconds at the most
    for event in agent.wait_for(2, Duration::from_secs(5))? {
        println!("{}", String::from_utf8_lossy(event.body()));
    }
    Ok(())
}
