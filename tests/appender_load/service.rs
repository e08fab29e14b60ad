//! The service: four threads log lines of the level INFO, and now and then an ERROR that they flush.
//!
//! It tells of each ERROR that is stored, and its counters when it is asked.

use std::io::{BufRead, Write, stdin, stdout};
use std::thread;
use std::time::Duration;

use flume_appender::capture::Value;
use flume_appender::{Appender, Layout, LayoutError, Level, LevelStats, Record};
use flume_tracing::FlumeLayer;
use tracing_subscriber::prelude::*;

use crate::failure::Failure;

const THREADS: u64 = 4;
/// So many lines for each that is flushed.
const LINES: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of what the appender tells of itself.
pub(crate) const REPORT: u64 = u64::MAX;

/// The message alone, as agents that follow a script read it.
#[derive(Debug)]
struct Numbered;

impl Layout for Numbered {
    fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
        match record.message() {
            Some(Value::Text(text)) if text.starts_with("event ") => {
                out.extend_from_slice(text.as_bytes());
            }
            _ => out.extend_from_slice(format!("event {REPORT}").as_bytes()),
        }
        Ok(())
    }
}

/// The number of a thread's line. Its lowest bit says that it is an ERROR.
fn number(thread: u64, line: u64, is_error: bool) -> u64 {
    (line * THREADS + thread) * 2 + u64::from(is_error)
}

/// Whether a line of this number was an ERROR.
pub(crate) fn is_error(number: u64) -> bool {
    number % 2 == 1
}

pub(crate) fn run(agent: &str, spool: &str) -> Result<(), Failure> {
    let (appender, guard) = Appender::builder()
        .agent(agent)
        .spool(spool)
        .client(|client| client.spool_free_bytes(0).event_ids(false))
        .layout(Numbered)
        .build()?;
    let layer = FlumeLayer::new(&appender);
    tracing_subscriber::registry().with(layer).init();
    let guard = &guard;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for line in 0.. {
                    if line % LINES == LINES - 1 {
                        let number = number(thread, line, true);
                        tracing::error!("event {number}");
                        if guard.flush_stored(PATIENCE).wait().is_ok() {
                            tell(&format!("stored {number}"));
                        }
                    } else {
                        tracing::info!("event {}", number(thread, line, false));
                    }
                }
            });
        }
        for line in stdin().lock().lines() {
            if line.is_err() {
                break;
            }
            let stats = guard.stats();
            tell(&told("info", stats.of_level(Level::Info)));
            let spool = appender.client().stats().spool;
            tell(&format!("unstored {}", spool.map_or(0, |it| it.unstored)));
            tell(&told("error", stats.of_level(Level::Error)));
        }
    });
    Ok(())
}

fn told(level: &str, stats: LevelStats) -> String {
    let LevelStats {
        logged,
        captured,
        handed_on,
        shed_at_call,
        shed_at_client,
        ..
    } = stats;
    format!("{level} {logged} {captured} {handed_on} {shed_at_call} {shed_at_client}")
}

fn tell(line: &str) {
    let mut out = stdout().lock();
    // A parent that is gone wants to know nothing.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
