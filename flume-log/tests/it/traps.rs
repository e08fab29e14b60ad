//! What users of other loggers complain of: each test's name is what must not happen, or what must.

use std::fmt;

use flume_appender::Level;
use slog::{Drain, Logger, o};

use crate::body;

/// A value that logs when it is shown, through `log`.
struct Logs;

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!("from within");
        f.write_str("shown")
    }
}

/// One that logs itself, for ever.
struct Endless;

impl fmt::Debug for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!("{:?}", Self);
        f.write_str("shown")
    }
}

/// One that logs itself through `slog`, for ever.
struct EndlessDrain(Logger);

impl fmt::Debug for EndlessDrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        slog::info!(self.0, "{:?}", self; "again" => ?self);
        f.write_str("shown")
    }
}

#[test]
fn a_debug_that_logs_does_not_deadlock_in_a_message_or_a_pair() {
    let captured = flume_log::test::capture().unwrap();
    log::info!(value:? = Logs; "{:?}", Logs);
    let seen: Vec<_> = captured.take().iter().map(body).collect();
    let texts: Vec<_> = seen.iter().map(|it| it["msg"].as_str().unwrap()).collect();
    // The outer one began first.
    assert_eq!(texts, ["shown", "from within", "from within"]);
    assert_eq!(seen[0]["fields"]["value"], "shown");
}

#[test]
fn a_debug_that_logs_itself_endlessly_ends_and_what_is_too_deep_is_counted() {
    let captured = flume_log::test::capture().unwrap();
    log::info!("{:?}", Endless);
    let most = usize::from(flume_appender::capture::NESTING_MAX);
    assert_eq!(captured.take().len(), most);
    let stats = captured.guard().stats().of_level(Level::Info);
    assert_eq!((stats.logged, stats.nested), (most as u64 + 1, 1));
}

#[test]
fn a_debug_that_logs_does_not_deadlock_in_a_message_or_a_pair_of_slog() {
    struct Logs(Logger);
    impl fmt::Debug for Logs {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            slog::info!(self.0, "from within");
            f.write_str("shown")
        }
    }
    let (drain, captured) = flume_log::slog::test::capture().unwrap();
    let log = Logger::root(drain.fuse(), o!());
    let logs = Logs(log.clone());
    slog::info!(log, "{:?}", logs; "value" => ?Logs(log.clone()));
    let seen: Vec<_> = captured.take().iter().map(body).collect();
    let texts: Vec<_> = seen.iter().map(|it| it["msg"].as_str().unwrap()).collect();
    // The outer one began first.
    assert_eq!(texts, ["shown", "from within", "from within"]);
    assert_eq!(seen[0]["fields"]["value"], "shown");
}

#[test]
fn a_value_of_slog_that_logs_itself_endlessly_ends() {
    let (drain, captured) = flume_log::slog::test::capture().unwrap();
    let log = Logger::root(drain.fuse(), o!());
    slog::info!(log, "begin"; "value" => ?EndlessDrain(log.clone()));
    let stats = captured.guard().stats().of_level(Level::Info);
    assert_eq!(stats.logged, captured.take().len() as u64 + stats.nested);
    assert!(stats.nested > 0);
}

#[test]
fn a_thread_that_logs_to_its_very_end_loses_nothing() {
    struct LogsAtTheEnd(flume_log::Logger);
    impl Drop for LogsAtTheEnd {
        fn drop(&mut self) {
            let mut record = log::Record::builder();
            record.level(log::Level::Info).args(format_args!("the end"));
            log::Log::log(&self.0, &record.build());
        }
    }
    thread_local! {
        static LAST: std::cell::RefCell<Option<LogsAtTheEnd>> = const { std::cell::RefCell::new(None) };
    }
    let captured = flume_log::test::capture().unwrap();
    let logger = captured.logger().clone();
    let body = move || LAST.set(Some(LogsAtTheEnd(logger)));
    std::thread::spawn(body).join().unwrap();
    assert_eq!(captured.take().len(), 1);
}

#[test]
fn records_logged_while_a_panic_unwinds_are_kept() {
    struct LogsWhenDropped;
    impl Drop for LogsWhenDropped {
        fn drop(&mut self) {
            log::error!("unwinding");
        }
    }
    let captured = flume_log::test::capture().unwrap();
    let unwound = std::panic::catch_unwind(|| {
        let _logs = LogsWhenDropped;
        std::panic::resume_unwind(Box::new(()))
    });
    assert!(unwound.is_err());
    assert_eq!(captured.take().len(), 1);
}

#[test]
fn neither_ansi_nor_a_line_break_can_be_injected() {
    let captured = flume_log::test::capture().unwrap();
    let pairs = [("k\ney\u{1b}[31m", "v\r\nalue")];
    let mut record = log::Record::builder();
    record
        .level(log::Level::Info)
        .target("a\nb")
        .key_values(&pairs);
    log::logger().log(&record.build());
    let bodies = captured.take_bodies();
    assert!(
        bodies[0].chars().all(|letter| !letter.is_control()),
        "{bodies:?}"
    );
}
