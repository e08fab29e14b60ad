//! Flushes, the guard, and the end of an appender.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use flume_appender::{FlushError, Layout, LayoutError, Level, Overflow, Record, flush_all};
use flume_mini_agent::MiniAgent;
use tempfile::TempDir;

use super::{at, idle, lines, log};
use crate::support::{
    Agent, Answer, Greeting, HOUR, PATIENCE, Port, alone, answers, block_on, current_thread,
    effort, greets, run_in,
};

/// Longer than a turn of a thread, on a busy machine.
const SHORT: Duration = Duration::from_millis(50);
/// Longer than any rest or look that a thread might take meanwhile, but for the committer's look for
/// its directory.
const IDLE: Duration = Duration::from_secs(10);

#[test]
fn a_flush_resolves_when_all_that_was_logged_before_it_is_acknowledged() {
    let agent = MiniAgent::builder().start().unwrap();
    let (appender, guard) = at(agent.url()).build().unwrap();
    log(&appender, Level::Info, 0..100);
    guard.flush(PATIENCE).wait().unwrap();
    assert_eq!(appender.client().stats().delivered, 100);
    log(&appender, Level::Info, 100..200);
    block_on(guard.flush(PATIENCE)).unwrap();
    assert_eq!(appender.client().stats().delivered, 200);
    log(&appender, Level::Info, 200..300);
    run_in(&current_thread(), guard.flush(PATIENCE)).unwrap();
    let expected = (0..300).map(|number| format!("event {number}"));
    assert!(lines(&agent, 300).into_iter().eq(expected));
}

#[test]
fn flush_stored_needs_no_agent_and_flush_does() {
    let home = TempDir::new().unwrap();
    let port = Port::reserve();
    let builder = at(port.url()).spool(home.path());
    let builder = builder.client(|client| client.spool_free_bytes(0));
    let (appender, guard) = builder.build().unwrap();
    log(&appender, Level::Info, 0..100);
    guard.flush_stored(PATIENCE).wait().unwrap();
    log(&appender, Level::Info, 100..200);
    block_on(guard.flush_stored(PATIENCE)).unwrap();
    let spool = appender.client().stats().spool.unwrap();
    assert_eq!(spool.stored, 200);
    let error = guard.flush(SHORT).wait().unwrap_err();
    assert!(
        matches!(&error, FlushError::Unacknowledged(error) if error.pending == 200),
        "{error}"
    );
    let error = block_on(guard.flush(SHORT)).unwrap_err();
    assert!(matches!(error, FlushError::Unacknowledged(_)), "{error}");
    flush_all(PATIENCE).wait().unwrap();
    block_on(flush_all(PATIENCE).finished()).unwrap();
}

/// Holds up the renderer until its other half is gone.
#[derive(Debug)]
struct Gate(mpsc::Receiver<()>);

impl Layout for Gate {
    fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
        let _ = self.0.recv();
        out.extend_from_slice(record.target().as_bytes());
        Ok(())
    }
}

#[test]
fn a_layout_that_holds_up_the_renderer_holds_up_no_flush_and_no_end_beyond_its_time() {
    let agent = Agent::good();
    let (hold, gate) = mpsc::channel();
    let (appender, guard) = idle(&agent).layout(Gate(gate)).build().unwrap();
    log(&appender, Level::Error, [0]);
    let error = guard.flush(SHORT).wait().unwrap_err();
    assert!(matches!(error, FlushError::Captured { .. }), "{error}");
    let report = guard.close(SHORT).wait();
    assert_eq!(report.records.total().captured, 1);
    assert!(!report.lost_nothing());
    let error = report.into_result().unwrap_err();
    assert!(
        error.to_string().starts_with("1 records were lost"),
        "{error}"
    );
    drop(hold);
}

#[test]
fn an_agent_that_never_answers_holds_up_no_flush_and_no_end_beyond_its_time() {
    for runtime in [false, true] {
        let agent = Agent::scripted([greets(Greeting::Unanswered)]);
        let (appender, guard) = idle(&agent).build().unwrap();
        log(&appender, Level::Info, 0..10);
        let report = if runtime {
            run_in(&current_thread(), async {
                guard.flush(SHORT).await.unwrap_err();
                guard.close(SHORT).await
            })
        } else {
            guard.flush(SHORT).wait().unwrap_err();
            guard.close(SHORT).wait()
        };
        assert_eq!(report.records.total().handed_on, 10);
        assert_eq!(report.events.lost.total(), 10);
        let error = report.into_result().unwrap_err();
        assert!(error.to_string().contains("10 events"), "{error}");
    }
}

#[test]
fn a_drop_waits_within_a_runtime_and_returns_at_once_if_all_is_stored_and_no_agent_answers() {
    let home = TempDir::new().unwrap();
    let agent = Agent::scripted([greets(Greeting::Unanswered)]);
    // It returns at all: an hour is longer than any test.
    let builder = idle(&agent).spool(home.path()).shutdown_timeout(HOUR);
    let builder = builder.client(|client| client.spool_free_bytes(0));
    let (appender, guard) = builder.build().unwrap();
    log(&appender, Level::Info, 0..1000);
    run_in(&current_thread(), async move { drop(guard) });
    let stats = appender.client().stats();
    assert_eq!((stats.accepted, stats.lost.total()), (1000, 0));
    assert_eq!(stats.spool.unwrap().unstored, 0);
}

#[test]
fn a_drop_delivers_what_agents_take() {
    let agent = Agent::scripted([answers(Answer::Ok)]);
    let home = TempDir::new().unwrap();
    for spool in [false, true] {
        let builder = idle(&agent).shutdown_timeout(PATIENCE);
        let builder = match spool {
            true => builder
                .spool(home.path())
                .client(|client| client.spool_free_bytes(0)),
            false => builder,
        };
        let (appender, guard) = builder.build().unwrap();
        log(&appender, Level::Info, 0..5000);
        drop(guard);
        assert_eq!(appender.client().stats().delivered, 5000);
    }
}

#[test]
fn callers_who_wait_for_room_lose_nothing_to_an_agent_that_is_slow() {
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let builder = idle(&agent).overflow(Overflow::Block(PATIENCE));
    let builder = builder.capture_bytes(1 << 20);
    let builder = builder.client(|client| client.event_bytes(1 << 16).buffer_bytes(1 << 20));
    let (appender, guard) = builder.build().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| log(&appender, Level::Debug, 0..50_000));
        while appender.stats().waits == 0 {
            thread::yield_now();
        }
        agent.release();
    });
    guard.flush(PATIENCE).wait().unwrap();
    let total = appender.stats().total();
    assert_eq!(
        (total.logged, total.handed_on, total.lost()),
        (50_000, 50_000, 0)
    );
    assert_eq!(appender.client().stats().delivered, 50_000);
}

#[test]
fn what_is_logged_during_and_after_the_end_is_delivered_or_counted() {
    let agent = Agent::good();
    let (appender, guard) = idle(&agent).build().unwrap();
    let is_over = AtomicBool::new(false);
    let report = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    log(&appender, Level::Info, 0..100);
                }
            });
        }
        while appender.stats().total().handed_on < 10_000 {
            thread::yield_now();
        }
        let report = guard.close(PATIENCE).wait();
        is_over.store(true, Ordering::SeqCst);
        report
    });
    let (total, reports) = (appender.stats().total(), appender.stats().reports);
    assert_eq!(total.captured, 0, "{total:?}");
    assert!(total.closed > 0, "{total:?}");
    let known = total.handed_on + total.shed_at_call + total.shed_at_client + total.closed;
    assert_eq!(total.logged, known, "{total:?}");
    assert_eq!(report.records.total().handed_on, total.handed_on);
    assert_eq!(report.events.delivered, total.handed_on + reports);
    let requests = agent.requests();
    let arrived: usize = requests.iter().map(|it| it.events.len()).sum();
    assert_eq!(arrived as u64, report.events.delivered);
}

#[test]
#[cfg(target_os = "linux")]
fn idle_for_10_s_after_a_burst_no_thread_wakes_once() {
    let test = "appender::endings::idle_for_10_s_after_a_burst_no_thread_wakes_once";
    alone(test, || {
        let home = TempDir::new().unwrap();
        let agent = MiniAgent::builder().start().unwrap();
        let builder = flume_appender::Appender::builder().agent(agent.url());
        let builder = builder.spool(home.path());
        let builder = builder.client(|client| client.spool_free_bytes(0));
        let (appender, guard) = builder.build().unwrap();
        log(&appender, Level::Info, 0..10_000);
        guard.flush(PATIENCE).wait().unwrap();
        // What is to be tidied up after that is, when this has gone its way.
        let settled = || {
            let before = effort().0;
            // No further event comes in this time.
            agent.wait_for(10_001, IDLE).unwrap_err();
            effort().0 == before
        };
        flume_tests::wait_until("threads that sleep", 6 * IDLE, settled).unwrap();
    });
}
