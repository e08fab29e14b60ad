//! Levels of the crate `log` in our words, and ours in its own.

use flume_appender::{Filter, Level};
use log::LevelFilter;

pub(crate) fn level_of(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    }
}

/// The finest level that a filter wants of any target.
pub(crate) fn finest(filter: &Filter) -> LevelFilter {
    finest_of(filter.least())
}

pub(crate) fn finest_of(least: Option<Level>) -> LevelFilter {
    match least {
        None => LevelFilter::Off,
        Some(Level::Error) => LevelFilter::Error,
        Some(Level::Warn) => LevelFilter::Warn,
        Some(Level::Info) => LevelFilter::Info,
        Some(Level::Debug) => LevelFilter::Debug,
        Some(Level::Trace) => LevelFilter::Trace,
    }
}
