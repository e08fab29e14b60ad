//! An appender's front ends, to be called alike.

use flume_appender::{Appender, Level};
use flume_tracing::FlumeLayer;
use log::Log;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

/// Logs `event N` at a level. None of them logs at the level `TRACE`, which slog takes out of programs.
pub(super) type Call = Box<dyn Fn(Level, u64) + Send + Sync>;

/// Its name, and how its calls are made.
type FrontEnd = (&'static str, fn(&Appender) -> Call);

pub(super) const FRONT_ENDS: [FrontEnd; 3] = [("tracing", tracing), ("log", log), ("slog", slog)];

fn tracing(appender: &Appender) -> Call {
    let layer = FlumeLayer::new(appender);
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    Box::new(move |level, number| {
        tracing::dispatcher::with_default(&dispatch, || match level {
            Level::Error => tracing::error!("event {number}"),
            Level::Warn => tracing::warn!("event {number}"),
            Level::Info => tracing::info!("event {number}"),
            _ => tracing::debug!("event {number}"),
        });
    })
}

fn log(appender: &Appender) -> Call {
    let logger = flume_log::Logger::new(appender);
    Box::new(move |level, number| {
        let level = match level {
            Level::Error => log::Level::Error,
            Level::Warn => log::Level::Warn,
            Level::Info => log::Level::Info,
            _ => log::Level::Debug,
        };
        let mut record = log::Record::builder();
        record.level(level).target("service");
        logger.log(&record.args(format_args!("event {number}")).build());
    })
}

fn slog(appender: &Appender) -> Call {
    let drain = flume_log::slog::Drain::new(appender);
    let logger = slog::Logger::root(drain, slog::o!());
    Box::new(move |level, number| match level {
        Level::Error => slog::error!(logger, "event {number}"),
        Level::Warn => slog::warn!(logger, "event {number}"),
        Level::Info => slog::info!(logger, "event {number}"),
        _ => slog::debug!(logger, "event {number}"),
    })
}
