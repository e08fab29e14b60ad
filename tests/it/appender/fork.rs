//! A service that forks.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flume_appender::{Appender, FlushError, Guard, Level, flush_all};
use flume_mini_agent::MiniAgent;

use super::{at, lines, log};
use crate::support::{HOUR, PATIENCE, alone, in_child};

/// All that a child can ask of its parent's appender returns at once.
fn check_in_child(appender: &Appender, guard: Guard) {
    log(appender, Level::Error, 0..3);
    let forked = |result: Result<(), FlushError>| matches!(result, Err(FlushError::Forked));
    assert!(forked(guard.flush(HOUR).wait()));
    assert!(forked(guard.flush_stored(HOUR).wait()));
    flush_all(HOUR).wait().unwrap();
    let stats = guard.stats();
    assert_eq!((stats.forked, stats.total().logged), (3, 0));
    guard.install_panic_hook();
    let panics = || assert_eq!(std::process::id(), 0, "on purpose");
    assert!(std::panic::catch_unwind(panics).is_err());
    guard.set_level(Level::Warn);
    let report = guard.close(HOUR).wait();
    assert!(report.lost_nothing());
}

#[test]
fn a_forked_child_never_hangs_and_its_records_are_counted_and_the_parents_stay_the_parents() {
    let test = "appender::fork::a_forked_child_never_hangs_and_its_records_are_counted_and_the_parents_stay_the_parents";
    alone(test, || {
        let agent = MiniAgent::builder().start().unwrap();
        let (appender, guard) = at(agent.url()).build().unwrap();
        // Locks are held by others at the moment of the fork as often as not.
        let (busy, stop) = (appender.clone(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    log(&busy, Level::Debug, 0..10);
                    let _ = busy.stats();
                }
            });
            for _ in 0..20 {
                in_child(|| {
                    log(&appender, Level::Error, 0..3);
                    assert_eq!(appender.stats().forked, 3);
                })
                .wait();
            }
            stop.store(true, Ordering::SeqCst);
        });
        log(&appender, Level::Info, 0..10);
        let (held, lent) = (Cell::new(Some(guard)), appender.clone());
        in_child(|| check_in_child(&lent, held.take().unwrap())).wait();
        let guard = held.take().unwrap();
        guard.flush(PATIENCE).wait().unwrap();
        let stats = guard.stats();
        let (info, total) = (stats.of_level(Level::Info), stats.total());
        assert_eq!((stats.forked, info.logged, info.handed_on), (0, 10, 10));
        assert_eq!(total.logged, total.handed_on + total.lost(), "{total:?}");
        assert_eq!(stats.of_level(Level::Error).logged, 0);
        let events = (total.handed_on + stats.reports) as usize;
        let lines = lines(&agent, events);
        // Beside them the appender tells that others were shed.
        let logged = lines.iter().filter(|line| line.starts_with("event "));
        assert_eq!(logged.count() as u64, total.handed_on);
    });
}

#[test]
fn a_child_that_builds_an_appender_of_its_own_delivers_each_event_once() {
    let test =
        "appender::fork::a_child_that_builds_an_appender_of_its_own_delivers_each_event_once";
    alone(test, || {
        let agent = MiniAgent::builder().start().unwrap();
        let (appender, guard) = at(agent.url()).build().unwrap();
        log(&appender, Level::Info, 0..100);
        let url = agent.url();
        in_child(move || {
            let builder = at(url).linger(Duration::ZERO);
            let (own, guard) = builder.build().unwrap();
            log(&own, Level::Info, 100..200);
            flush_all(PATIENCE).wait().unwrap();
            let report = guard.close(PATIENCE).wait();
            assert_eq!(report.events.delivered, 100);
        })
        .wait();
        guard.flush(PATIENCE).wait().unwrap();
        let mut lines = lines(&agent, 200);
        lines.sort_unstable();
        let mut expected: Vec<_> = (0..200).map(|number| format!("event {number}")).collect();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    });
}
