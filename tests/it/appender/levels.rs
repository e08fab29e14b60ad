//! Records of some levels are kept harder than those of others.

use std::time::Duration;

use flume_appender::{Appender, BuildError, Guard, Level, Stats};
use flume_client::Reliability;
use flume_log::Logger;
use flume_mini_agent::MiniAgent;
use flume_tracing::FlumeLayer;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{at, idle, lines, log};
use crate::support::{Agent, PATIENCE, Port};

/// Errors end to end, what is between in memory, details as best effort.
fn mixed(url: String, spool: &std::path::Path) -> (Appender, Guard) {
    let builder = at(url).spool(spool);
    let builder = builder.level_reliability(Level::Info, Reliability::InMemory);
    let builder = builder.level_reliability(Level::Debug, Reliability::BestEffort);
    builder.build().unwrap()
}

#[track_caller]
fn assert_all_known(stats: &Stats) {
    for level in Level::ALL {
        let of = stats.of_level(level);
        let known = of.captured + of.handed_on + of.dropped + of.lost();
        assert_eq!(of.logged, known, "{level}: {of:?}");
    }
}

#[test]
fn errors_outlast_the_process_and_details_do_not_and_every_level_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (appender, guard) = mixed(Port::reserve().url(), directory.path());
    let numbers = |level: Level| {
        let first = level.index() as u64 * 1_000;
        first..first + 100
    };
    for level in Level::ALL {
        log(&appender, level, numbers(level));
    }
    guard.flush_stored(PATIENCE).wait().unwrap();
    let stats = appender.stats();
    assert_all_known(&stats);
    assert_eq!(stats.total().handed_on, 500);
    let client = appender.client().stats();
    let of = |level| client.level(level).accepted;
    assert_eq!(of(Reliability::BestEffort), 200, "TRACE and DEBUG");
    assert_eq!(of(Reliability::InMemory), 100, "INFO");
    assert_eq!(of(Reliability::EndToEnd), 200, "WARN and ERROR");
    let report = guard.close(Duration::ZERO).wait();
    assert_eq!(report.events.on_disk, 200);
    drop(appender);
    let agent = MiniAgent::builder().start().unwrap();
    let (next, _guard) = mixed(agent.url(), directory.path());
    let mut got = lines(&agent, 200);
    got.sort();
    let kept = [Level::Warn, Level::Error].into_iter().flat_map(numbers);
    let mut kept: Vec<_> = kept.map(|number| format!("event {number}")).collect();
    kept.sort();
    assert_eq!(got, kept);
    drop(next);
}

#[test]
fn a_level_that_is_to_go_to_the_disk_without_a_spool_is_an_error_of_build() {
    let builder = idle(&Agent::good());
    let builder = builder.level_reliability(Level::Error, Reliability::EndToEnd);
    let error = builder.build().err().unwrap();
    assert!(matches!(error, BuildError::Client(_)));
    assert!(
        error.to_string().contains("spool(\"DIRECTORY\")"),
        "{error}"
    );
}

#[test]
fn each_front_end_s_records_go_by_the_level_that_they_were_logged_at() {
    let directory = tempfile::tempdir().unwrap();
    let agent = MiniAgent::builder().start().unwrap();
    let (appender, guard) = mixed(agent.url(), directory.path());
    let layer = FlumeLayer::new(&appender);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::error!("event 1");
        tracing::debug!("event 2");
    });
    let logger = Logger::new(&appender);
    for (level, text) in [
        (log::Level::Error, "event 3"),
        (log::Level::Debug, "event 4"),
    ] {
        let record = log::Record::builder();
        log::Log::log(
            &logger,
            &{ record }
                .level(level)
                .target("service")
                .args(format_args!("{text}"))
                .build(),
        );
    }
    let drain = flume_log::slog::Drain::new(&appender);
    let slog = slog::Logger::root(drain, slog::o!());
    slog::error!(slog, "event 5");
    slog::debug!(slog, "event 6");
    guard.flush(PATIENCE).wait().unwrap();
    let mut got = lines(&agent, 6);
    got.sort();
    let all: Vec<_> = (1..7).map(|number| format!("event {number}")).collect();
    assert_eq!(got, all);
    let client = appender.client().stats();
    let of = |level| client.level(level).delivered;
    assert_eq!(of(Reliability::BestEffort), 3);
    assert_eq!(of(Reliability::EndToEnd), 3);
}
