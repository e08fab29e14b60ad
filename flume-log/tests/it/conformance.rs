//! What every front end has to do.

use flume_appender::conformance::{self, Case, Fails, Panics, Runs, Told};
use flume_log::Logger;
use log::Log;
use slog::{Drain, o};

/// Logs what a case says, through `log`.
fn log_case(logger: &Logger, case: Case) -> Told {
    match case {
        Case::Plain => log::info!(target: "conformance", "plain"),
        Case::Levels => {
            log::error!("error");
            log::warn!("warn");
            log::info!("info");
            log::debug!("debug");
            log::trace!("trace");
        }
        Case::Numbers => {
            log::info!(least = i64::MIN, greatest = u64::MAX, half = 0.5, yes = true; "");
        }
        Case::WideNumbers => log::info!(least = i128::MIN, greatest = u128::MAX; ""),
        Case::NoNumbers => log::info!(nan = f64::NAN, infinite = f64::INFINITY; ""),
        Case::EvilText => log::info!(evil = conformance::EVIL; "{}", conformance::EVIL),
        Case::EmptyText => log::info!(empty = ""; ""),
        Case::NoValue => log::info!(none = None::<i32>, some = 1; ""),
        Case::ErrorWithCauses => {
            let failed = conformance::failed();
            log::info!(cause:err = failed; "");
        }
        Case::Twice => log::info!(a = 1, b = 2, a = 3; ""),
        Case::Shadows => log::info!(
            target: "conformance",
            message = "message", level = "level", ts = "ts", target = "target"; "the text"
        ),
        Case::Redacted => log::info!(user_password = conformance::SECRET; ""),
        Case::PanickingValue => log::info!(bad:? = Panics, good = 1; ""),
        Case::FailingValue => log::info!(bad:% = Fails, good = 1; ""),
        Case::LoggingValue => log::info!(value:? = Runs(|| log::info!("inner")); "outer"),
        Case::EndlessValue => endless(),
        Case::LongValue => log::info!(long = conformance::long_text(), after = 1; ""),
        Case::ThreadEnd => {
            let logger = logger.clone();
            conformance::at_thread_end(move || log_to(&logger, "the end"));
        }
        Case::Unwinding => conformance::while_unwinding(|| log::info!("unwinding")),
        Case::OwnThread => {
            let logger = logger.clone();
            conformance::on_own_thread(move || log_to(&logger, "own"));
        }
        Case::Order => (0..conformance::MANY).for_each(|number| log::info!(number; "")),
        _ => return Told::CannotSay,
    }
    Told::Done
}

fn log_to(logger: &Logger, text: &str) {
    let mut record = log::Record::builder();
    record.level(log::Level::Info);
    logger.log(&record.args(format_args!("{text}")).build());
}

fn endless() {
    log::info!(value:? = Runs(endless); "");
}

#[test]
fn the_logger_does_what_every_front_end_has_to_do() {
    let captured = flume_log::test::capture().unwrap();
    let logger = captured.logger();
    let outcome = conformance::run(&captured, |case| log_case(logger, case));
    assert!(outcome.failed.is_empty(), "{outcome}");
    // `log` has nothing that a record stands in.
    let left_out = [
        Case::Context,
        Case::NestedContext,
        Case::LateContext,
        Case::ExplicitContext,
    ];
    assert_eq!(outcome.left_out, left_out);
}

/// Logs what a case says, through `slog`.
fn slog_case(log: &slog::Logger, case: Case) -> Told {
    match case {
        Case::Plain => slog::info!(log, # "conformance", "plain"),
        Case::Numbers => slog::info!(
            log, ""; "least" => i64::MIN, "greatest" => u64::MAX, "half" => 0.5, "yes" => true
        ),
        Case::WideNumbers => {
            slog::info!(log, ""; "least" => i128::MIN, "greatest" => u128::MAX);
        }
        Case::NoNumbers => slog::info!(log, ""; "nan" => f64::NAN, "infinite" => f64::INFINITY),
        Case::EvilText => slog::info!(log, "{}", conformance::EVIL; "evil" => conformance::EVIL),
        Case::EmptyText => slog::info!(log, ""; "empty" => ""),
        Case::NoValue => slog::info!(log, ""; "none" => None::<i32>, "some" => 1),
        Case::ErrorWithCauses => {
            let failed = conformance::failed();
            slog::info!(log, ""; "cause" => #failed);
        }
        Case::Twice => slog::info!(log, ""; "a" => 1, "b" => 2, "a" => 3),
        Case::Shadows => slog::info!(
            log, # "conformance", "the text";
            "message" => "message", "level" => "level", "ts" => "ts", "target" => "target"
        ),
        Case::Redacted => slog::info!(log, ""; "user_password" => conformance::SECRET),
        Case::PanickingValue => slog::info!(log, ""; "bad" => ?Panics, "good" => 1),
        Case::FailingValue => slog::info!(log, ""; "bad" => %Fails, "good" => 1),
        Case::LoggingValue => {
            slog::info!(log, "outer"; "value" => ?Runs(|| slog::info!(log, "inner")));
        }
        Case::EndlessValue => endless_slog(log),
        // The last pair is written first.
        Case::LongValue => slog::info!(log, ""; "after" => 1, "long" => conformance::long_text()),
        Case::Context => {
            slog::info!(log.new(o!("request" => "a1", "user" => 7)), "within");
        }
        Case::NestedContext => {
            slog::info!(log.new(o!("id" => 1)).new(o!("id" => 2)), "within");
        }
        Case::ExplicitContext => {
            let _entered = log.new(o!("id" => 1));
            slog::info!(log.new(o!("id" => 2)), "elsewhere");
        }
        Case::ThreadEnd => {
            let log = log.clone();
            conformance::at_thread_end(move || slog::info!(log, "the end"));
        }
        Case::Unwinding => conformance::while_unwinding(|| slog::info!(log, "unwinding")),
        Case::OwnThread => {
            let log = log.clone();
            conformance::on_own_thread(move || slog::info!(log, "own"));
        }
        Case::Order => {
            (0..conformance::MANY).for_each(|number| slog::info!(log, ""; "number" => number));
        }
        _ => return Told::CannotSay,
    }
    Told::Done
}

fn endless_slog(log: &slog::Logger) {
    slog::info!(log, ""; "value" => ?Runs(|| endless_slog(log)));
}

#[test]
fn the_drain_does_what_every_front_end_has_to_do() {
    let (drain, captured) = flume_log::slog::test::capture().unwrap();
    let log = slog::Logger::root(drain.fuse(), o!());
    let outcome = conformance::run(&captured, |case| slog_case(&log, case));
    assert!(outcome.failed.is_empty(), "{outcome}");
    // slog takes calls of the level `TRACE` out of programs by default, and adds nothing to a logger.
    assert_eq!(outcome.left_out, [Case::Levels, Case::LateContext]);
}
