//! A service that logs and ends, in one of the ways in which services do:
//! `way-out FRONT_END WAY EVENTS AGENT [SPOOL]`.
//!
//! It logs `EVENTS` lines of the level INFO, `line 0` and so on. Its linger is far longer than it
//! lives, so what is delivered was brought on its way by the end, and not by chance.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here is to be seen, and a panic is one of the ways"
)]

use std::error::Error;
use std::process::exit;
use std::time::Duration;

use flume_appender::{Builder, FrontEnd, Guard, Level, flush_all};
use flume_log::LoggerBuilder;
use tracing_subscriber::prelude::*;

/// The last line is an ERROR, whose call returns when it is stored.
const KILL_AFTER_ERROR: &str = "kill after an error";

struct Plan {
    way: String,
    agent: String,
    spool: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || {
        args.next()
            .ok_or("way-out FRONT_END WAY EVENTS AGENT [SPOOL]")
    };
    let (front_end, way, events, agent) = (next()?, next()?, next()?, next()?);
    let spool = next().ok();
    let events: u64 = events.parse()?;
    let plan = Plan { way, agent, spool };
    let (guard, log): (Guard, Box<dyn Fn(u64, bool)>) = match front_end.as_str() {
        "tracing" => {
            let (layer, guard) = plan.configure(flume_tracing::layer()).build()?;
            tracing_subscriber::registry().with(layer).init();
            (
                guard,
                Box::new(|n, is_error| match is_error {
                    true => tracing::error!("line {n}"),
                    false => tracing::info!("line {n}"),
                }),
            )
        }
        "log" => {
            let guard = plan.configure(flume_log::logger()).install()?;
            (
                guard,
                Box::new(|n, is_error| match is_error {
                    true => log::error!("line {n}"),
                    false => log::info!("line {n}"),
                }),
            )
        }
        "slog" => {
            let (drain, guard) = plan.configure(flume_log::slog::drain()).build()?;
            let logger = slog::Logger::root(drain, slog::o!());
            (
                guard,
                Box::new(move |n, is_error| match is_error {
                    true => slog::error!(logger, "line {n}"),
                    false => slog::info!(logger, "line {n}"),
                }),
            )
        }
        other => return Err(format!("no front end is called {other}").into()),
    };
    let ends_by_error = plan.way == KILL_AFTER_ERROR;
    leave(&plan.way, guard, || {
        (0..events).for_each(|n| log(n, ends_by_error && n == events - 1));
    });
    Ok(())
}

impl Plan {
    fn configure<F: FrontEnd>(&self, builder: Builder<F>) -> Builder<F> {
        let mut builder = builder.agent(&self.agent).linger(Duration::from_secs(3600));
        if let Some(spool) = &self.spool {
            // A small disk of a test machine is no reason to hold back.
            builder = builder
                .spool(spool)
                .client(|client| client.spool_free_bytes(0));
        }
        if self.way == KILL_AFTER_ERROR {
            builder = builder.store_before_return(Level::Error, Duration::from_secs(60));
        }
        if self.way.ends_with("at exit") {
            builder = builder.at_exit();
        }
        builder
    }
}

/// Logs, and leaves.
fn leave(way: &str, guard: Guard, log: impl FnOnce()) {
    match way {
        "return" => log(),
        "forgotten guard" | "forgotten guard, at exit" => {
            log();
            std::mem::forget(guard);
            return;
        }
        "exit" | "exit, at exit" => {
            log();
            exit(0);
        }
        "exit after flush_all" => {
            log();
            flush_all(Duration::from_secs(10)).wait().unwrap();
            exit(0);
        }
        "panic" => {
            log();
            panic!("on purpose");
        }
        "abort" => {
            log();
            std::process::abort();
        }
        "abort in a panic, with the hook" => {
            std::panic::set_hook(Box::new(|_| std::process::abort()));
            guard.install_panic_hook();
            log();
            panic!("on purpose");
        }
        "kill" | KILL_AFTER_ERROR => {
            log();
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
        }
        "block_on" => {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(async {
                log();
                drop(guard);
            });
            return;
        }
        "dropped runtime" => {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async { log() });
            drop(runtime);
        }
        "close" => {
            log();
            let report = guard.close(Duration::from_millis(500)).wait();
            report.into_result().unwrap();
            return;
        }
        other => panic!("no way is called {other}"),
    }
    drop(guard);
}
