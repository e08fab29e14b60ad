//! Records at the client's limits, and times without end.

use std::time::Duration;

use flume_appender::{Level, Overflow};
use flume_mini_agent::MiniAgent;
use tempfile::TempDir;

use super::{at, lines, log, log_text};
use crate::support::PATIENCE;

#[test]
fn a_record_as_large_as_an_event_may_be_takes_no_other_one_with_it() {
    let agent = MiniAgent::builder().start().unwrap();
    let (appender, guard) = at(agent.url()).build().unwrap();
    log(&appender, Level::Info, 0..10);
    // Each letter is six bytes of its body, which has 1 MiB less some bytes: with its headers it would
    // be larger than an event may be.
    log_text(&appender, Level::Info, &"\u{1}".repeat(174_740));
    guard.flush(PATIENCE).wait().unwrap();
    assert_eq!(lines(&agent, 11).len(), 11);
    let total = guard.stats().total();
    assert_eq!((total.handed_on, total.lost()), (11, 0));
}

#[test]
fn records_above_a_smaller_limit_of_the_client_are_cut_and_cost_no_other_one() {
    let agent = MiniAgent::builder().start().unwrap();
    let builder = at(agent.url());
    let builder = builder.client(|client| client.event_bytes(4096).buffer_bytes(64 << 10));
    let (appender, guard) = builder.overflow(Overflow::Block(PATIENCE)).build().unwrap();
    log(&appender, Level::Info, 0..10);
    log_text(&appender, Level::Info, &"x".repeat(10_000));
    log(&appender, Level::Info, 10..2_000);
    guard.flush(PATIENCE).wait().unwrap();
    assert_eq!(lines(&agent, 2_001).len(), 2_001);
    let stats = guard.stats();
    let total = stats.total();
    assert_eq!(
        (total.handed_on, total.lost(), stats.cut_events),
        (2_001, 0, 1)
    );
}

#[test]
fn times_without_end_are_long_times() {
    let home = TempDir::new().unwrap();
    let agent = MiniAgent::builder().start().unwrap();
    let builder = at(agent.url()).spool(home.path());
    let builder = builder.client(|client| client.spool_free_bytes(0));
    let (appender, guard) = builder
        .linger(Duration::MAX)
        .overflow(Overflow::Block(Duration::MAX))
        .store_before_return(Level::Error, Duration::MAX)
        .shutdown_timeout(Duration::MAX)
        .build()
        .unwrap();
    log(&appender, Level::Info, 0..10);
    log(&appender, Level::Error, [10]);
    assert_eq!(appender.client().stats().spool.unwrap().stored, 11);
    assert!(appender.capture().flush_stored(Duration::MAX));
    guard.flush(Duration::MAX).wait().unwrap();
    drop(guard);
    assert_eq!(appender.client().stats().delivered, 11);
}

#[test]
fn a_flush_after_the_end_has_nothing_to_wait_for() {
    let agent = MiniAgent::builder().start().unwrap();
    let (appender, guard) = at(agent.url()).build().unwrap();
    log(&appender, Level::Info, 0..10);
    assert!(guard.close(PATIENCE).wait().lost_nothing());
    assert!(appender.capture().flush_stored(PATIENCE));
    flume_appender::flush_all(PATIENCE).wait().unwrap();
}
