//! The logger of the crate `log`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flume_log::{Logger, LoggerBuilder, LoggerOptions};
use flume_mini_agent::MiniAgent;
use log::{Level, Log, Metadata, Record};
use serde_json::json;

use crate::{body, only};

/// Counts what it is given.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Log for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() != "unwanted"
    }

    fn log(&self, _: &Record<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn flush(&self) {}
}

#[test]
fn a_record_has_its_level_target_message_and_fields() {
    let captured = flume_log::test::capture().unwrap();
    log::warn!(target: "orders", order = 17; "placed {}", "now");
    let events = captured.take();
    let mut seen = only(&events);
    assert!(seen["ts"].take().is_string());
    let expected = json!({
        "ts": null,
        "level": "WARN",
        "target": "orders",
        "msg": "placed now",
        "fields": {"order": 17},
    });
    assert_eq!(seen, expected);
    assert_eq!(events[0].header_value("level"), Some("WARN"));
    assert_eq!(events[0].header_value("target"), Some("orders"));
}

#[test]
fn enabled_says_what_would_be_taken() {
    let builder = flume_log::logger().filter("info,hyper=warn");
    let captured = flume_log::test::capture_with(builder).unwrap();
    let logger = captured.logger();
    let check = |level: Level, target: &str, expected: bool| {
        let metadata = Metadata::builder().level(level).target(target).build();
        assert_eq!(logger.enabled(&metadata), expected, "{level} {target}");
    };
    check(Level::Info, "orders", true);
    check(Level::Debug, "orders", false);
    check(Level::Info, "hyper::client", false);
    check(Level::Warn, "hyper::client", true);
    captured.guard().set_level(flume_appender::Level::Error);
    check(Level::Warn, "hyper::client", false);
    captured.guard().set_filter("off".parse().unwrap());
    check(Level::Error, "orders", false);
}

#[test]
fn a_record_that_is_not_wanted_is_not_made() {
    let builder = flume_log::logger().filter("warn");
    let captured = flume_log::test::capture_with(builder).unwrap();
    log::info!("not wanted");
    log::warn!("wanted");
    let seen = only(&captured.take());
    assert_eq!(seen["msg"], "wanted");
    assert_eq!(captured.guard().stats().total().logged, 1);
}

#[test]
fn another_logger_gets_every_record_that_it_wants_whatever_our_filter_is() {
    let counter = Counter::default();
    let builder = flume_log::logger().filter("warn");
    let builder = builder.also_up_to(log::LevelFilter::Debug, counter.clone());
    let captured = flume_log::test::capture_with(builder).unwrap();
    log::debug!("for the other");
    log::trace!("for nobody");
    log::error!("for both");
    log::error!(target: "unwanted", "for us");
    assert_eq!(counter.0.load(Ordering::SeqCst), 2);
    assert_eq!(captured.take().len(), 2);
}

#[test]
fn a_logger_of_a_shared_appender_may_have_others_beside_it() {
    let builder = flume_appender::Appender::builder();
    let (appender, captured) = flume_appender::test::capture(builder).unwrap();
    let counter = Counter::default();
    let options = LoggerOptions::default().also_up_to(log::LevelFilter::Warn, counter.clone());
    let loggers = [
        Logger::new(&appender),
        Logger::with_options(&appender, options),
    ];
    for logger in &loggers {
        for level in [Level::Warn, Level::Info] {
            let mut record = Record::builder();
            logger.log(&record.level(level).build());
        }
    }
    assert_eq!(captured.take().len(), 4);
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
}

#[test]
fn no_feedback_loop_records_of_our_own_threads_go_to_other_loggers_only() {
    let counter = Counter::default();
    let builder = flume_log::logger().also(counter.clone());
    let captured = flume_log::test::capture_with(builder).unwrap();
    let logger = captured.logger().clone();
    let body = move || {
        let mut record = Record::builder();
        let record = record.level(Level::Error).target("flume_client").build();
        assert!(logger.enabled(record.metadata()), "the other one wants it");
        logger.log(&record);
    };
    let (sender, done) = std::sync::mpsc::channel::<()>();
    let own = move || {
        body();
        drop(sender);
    };
    flume_client::own_thread::spawn("flume-test", own).unwrap();
    // Its end is that of the other half.
    done.recv().unwrap_err();
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
    assert!(captured.take().is_empty());
    assert_eq!(captured.guard().stats().total().logged, 0);
}

#[test]
fn flush_returns_when_what_was_logged_is_on_the_disk() {
    let mut agent = MiniAgent::builder().start().unwrap();
    agent.stop();
    let spool = tempfile::tempdir().unwrap();
    let (logger, guard) = flume_log::logger()
        .agent(agent.url())
        .spool(spool.path())
        .shutdown_timeout(Duration::from_millis(10))
        .linger(Duration::from_secs(60))
        .build()
        .unwrap();
    let mut record = Record::builder();
    let record = record
        .level(Level::Info)
        .args(format_args!("a line to keep"));
    logger.log(&record.build());
    assert!(
        !holds(spool.path(), b"a line to keep"),
        "not before the flush"
    );
    logger.flush();
    assert!(holds(spool.path(), b"a line to keep"));
    drop(guard);
}

/// Whether any file in a directory has these bytes.
fn holds(directory: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(directory)
        .expect("it can be listed")
        .any(|entry| {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                return holds(&path, wanted);
            }
            let bytes = std::fs::read(path).expect("it can be read");
            bytes.windows(wanted.len()).any(|window| window == wanted)
        })
}

#[test]
fn threads_that_log_at_once_lose_nothing_and_keep_their_order() {
    const THREADS: u64 = 4;
    const RECORDS: u64 = 500;
    let captured = flume_log::test::capture().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let captured = captured.logger();
            scope.spawn(move || {
                for number in 0..RECORDS {
                    let pairs = [("thread", thread), ("number", number)];
                    let mut record = Record::builder();
                    record.level(Level::Info).key_values(&pairs);
                    captured.log(&record.build());
                }
            });
        }
    });
    let mut next = [0; THREADS as usize];
    for event in captured.take() {
        let seen = body(&event);
        let thread = seen["fields"]["thread"].as_u64().unwrap() as usize;
        assert_eq!(seen["fields"]["number"].as_u64(), Some(next[thread]));
        next[thread] += 1;
    }
    assert_eq!(next, [RECORDS; THREADS as usize]);
}
