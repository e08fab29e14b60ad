//! User code that runs while we write: it may log, for ever, or record its own span.
//!
//! `tracing` passes such calls on only while the whole program has had nothing but one global
//! subscriber, so this is a binary of its own, and its tests take turns.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use flume_appender::Level;
use flume_appender::conformance::{self, Case, Fails, Panics, Runs, Told};
use flume_appender::test::Captured;
use flume_client::Event;
use serde_json::{Value, json};
use tracing::Span;
use tracing::field::{Empty, debug};
use tracing_subscriber::layer::SubscriberExt;

/// The events of the whole program, for one test at a time.
fn captured() -> MutexGuard<'static, Captured> {
    static CAPTURED: OnceLock<Mutex<Captured>> = OnceLock::new();
    let captured = CAPTURED.get_or_init(|| {
        let (layer, captured) =
            flume_tracing::test::layer(flume_tracing::layer()).expect("it can be set up");
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).expect("it is the first one");
        Mutex::new(captured)
    });
    captured.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bodies(events: &[Event]) -> Vec<Value> {
    let body = |event: &Event| serde_json::from_slice(event.body()).expect("each body is JSON");
    events.iter().map(body).collect()
}

fn messages(events: &[Event]) -> Vec<String> {
    let text = |body: &Value| {
        let text = body.get("msg").and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    bodies(events).iter().map(text).collect()
}

/// Does something when it is shown.
struct Does<F>(F);

impl<F: Fn()> fmt::Debug for Does<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)();
        f.write_str("shown")
    }
}

fn logs() -> Does<impl Fn()> {
    Does(|| tracing::info!("from within"))
}

/// Runs it on a thread of its own: a test that hangs is one that fails.
fn within(limit: Duration, run: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    let hangs = is_done.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!hangs, "it hangs");
    // It ended, or panicked, which this tells.
    thread.join().expect("it does not panic");
}

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_debug_that_logs_does_not_deadlock_in_a_field_or_a_message() {
    within(LIMIT, || {
        let captured = captured();
        let _entered = tracing::info_span!("span", id = 7).entered();
        tracing::info!(value = ?logs(), "{:?}", logs());
        let events = captured.take();
        assert_eq!(messages(&events), ["shown", "from within", "from within"]);
        assert!(
            bodies(&events)
                .iter()
                .all(|it| it["span"] == json!({"id": 7}))
        );
    });
}

#[test]
fn a_debug_that_logs_does_not_deadlock_in_a_span_or_a_record_of_the_same_span() {
    within(LIMIT, || {
        let captured = captured();
        let span = tracing::info_span!("span", value = ?logs(), later = Empty);
        let _entered = span.enter();
        span.record("later", debug(logs()));
        tracing::info!("outside");
        let events = captured.take();
        assert_eq!(messages(&events), ["from within", "from within", "outside"]);
        let last = bodies(&events).pop().unwrap();
        assert_eq!(last["span"], json!({"value": "shown", "later": "shown"}));
    });
}

#[test]
fn a_debug_that_records_its_own_span_or_enters_another_does_not_deadlock() {
    within(LIMIT, || {
        let captured = captured();
        let span = tracing::info_span!("span", a = Empty, b = Empty);
        let _entered = span.enter();
        let records = Does(|| {
            Span::current().record("a", 1);
        });
        span.record("b", debug(&records));
        let enters = Does(|| tracing::info_span!("inner", b = 3).in_scope(|| tracing::info!("in")));
        tracing::info!(value = ?enters, "out");
        let seen = bodies(&captured.take());
        assert_eq!(seen[0]["span"], json!({"a": 1, "b": "shown"}));
        assert_eq!(seen[1]["spans"], json!(["span", "inner"]));
    });
}

#[test]
fn a_debug_that_logs_itself_endlessly_ends_and_what_is_too_deep_is_counted() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!(again = ?self, "again");
            f.write_str("shown")
        }
    }
    within(LIMIT, || {
        let captured = captured();
        let before = captured.guard().stats().of_level(Level::Info);
        tracing::info!(value = ?Endless, "begin");
        let most = usize::from(flume_appender::capture::NESTING_MAX);
        assert_eq!(captured.take().len(), most);
        let after = captured.guard().stats().of_level(Level::Info);
        assert_eq!(after.logged - before.logged, most as u64 + 1);
        assert_eq!(after.nested - before.nested, 1);
    });
}

#[test]
fn a_span_made_inside_a_spans_argument_is_no_panic_and_both_are_kept() {
    within(LIMIT, || {
        let captured = captured();
        let inner = RefCell::new(None);
        let makes = Does(|| {
            inner.replace(Some(tracing::info_span!("inner", id = 2)));
        });
        let outer = tracing::info_span!("outer", id = 1, value = ?makes).entered();
        tracing::info!("in outer");
        drop(outer);
        inner
            .take()
            .unwrap()
            .in_scope(|| tracing::info!("in inner"));
        let seen = bodies(&captured.take());
        assert_eq!(seen[0]["span"], json!({"id": 1, "value": "shown"}));
        assert_eq!(seen[1]["span"], json!({"id": 2}));
    });
}

#[test]
fn a_span_whose_argument_makes_that_span_endlessly_ends() {
    struct Endless;
    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info_span!("again", value = ?self).in_scope(|| tracing::info!("in"));
            f.write_str("shown")
        }
    }
    within(LIMIT, || {
        let captured = captured();
        tracing::info_span!("begin", value = ?Endless).in_scope(|| tracing::info!("in"));
        assert!(!captured.take().is_empty());
    });
}

#[test]
fn a_thread_that_logs_to_its_very_end_loses_nothing() {
    within(LIMIT, || {
        struct LogsAtTheEnd;
        impl Drop for LogsAtTheEnd {
            fn drop(&mut self) {
                tracing::info!("the end");
            }
        }
        thread_local! {
            static LAST: LogsAtTheEnd = const { LogsAtTheEnd };
        }
        let captured = captured();
        let body = || {
            // Before the thread has used anything of ours, so that it is dropped after that.
            LAST.with(|_| ());
            tracing::info!("begin");
        };
        std::thread::spawn(body).join().unwrap();
        assert_eq!(messages(&captured.take()), ["begin", "the end"]);
    });
}

#[test]
fn records_logged_while_a_panic_unwinds_are_kept() {
    within(LIMIT, || {
        struct LogsWhenDropped;
        impl Drop for LogsWhenDropped {
            fn drop(&mut self) {
                tracing::error!("unwinding");
            }
        }
        let captured = captured();
        let unwound = std::panic::catch_unwind(|| {
            let _span = tracing::info_span!("span", id = 7).entered();
            let _logs = LogsWhenDropped;
            std::panic::resume_unwind(Box::new(()))
        });
        assert!(unwound.is_err());
        assert_eq!(bodies(&captured.take())[0]["span"], json!({"id": 7}));
    });
}

/// Logs what a case says, through `tracing`.
fn log(case: Case) -> Told {
    match case {
        Case::Plain => tracing::info!(target: "conformance", "plain"),
        Case::Levels => {
            tracing::error!("error");
            tracing::warn!("warn");
            tracing::info!("info");
            tracing::debug!("debug");
            tracing::trace!("trace");
        }
        Case::Numbers => {
            tracing::info!(
                least = i64::MIN,
                greatest = u64::MAX,
                half = 0.5,
                yes = true
            );
        }
        Case::WideNumbers => tracing::info!(least = i128::MIN, greatest = u128::MAX),
        Case::NoNumbers => tracing::info!(nan = f64::NAN, infinite = f64::INFINITY),
        Case::EvilText => tracing::info!(evil = conformance::EVIL, "{}", conformance::EVIL),
        Case::EmptyText => tracing::info!(empty = "", ""),
        Case::NoValue => tracing::info!(none = None::<i32>, some = 1),
        Case::ErrorWithCauses => {
            let failed = conformance::failed();
            let cause: &(dyn std::error::Error + 'static) = &failed;
            tracing::info!(cause);
        }
        Case::Twice => tracing::info!(a = 1, b = 2, a = 3),
        Case::Shadows => tracing::info!(
            target: "conformance",
            { message = "message", level = "level", ts = "ts", target = "target" },
            "the text"
        ),
        Case::Redacted => tracing::info!(user_password = conformance::SECRET),
        Case::PanickingValue => tracing::info!(bad = ?Panics, good = 1),
        Case::FailingValue => tracing::info!(bad = %Fails, good = 1),
        Case::LoggingValue => {
            tracing::info!(value = ?Runs(|| tracing::info!("inner")), "outer");
        }
        Case::EndlessValue => endless(),
        Case::LongValue => tracing::info!(long = conformance::long_text(), after = 1),
        Case::Context => {
            let _span = tracing::info_span!("span", request = "a1", user = 7).entered();
            tracing::info!("within");
        }
        Case::ThreadEnd => conformance::at_thread_end(|| tracing::info!("the end")),
        Case::Unwinding => conformance::while_unwinding(|| tracing::info!("unwinding")),
        Case::OwnThread => conformance::on_own_thread(|| tracing::info!("own")),
        Case::Order => (0..conformance::MANY).for_each(|number| tracing::info!(number)),
        other => return log_in_spans(other),
    }
    Told::Done
}

fn log_in_spans(case: Case) -> Told {
    match case {
        Case::NestedContext => {
            let _outer = tracing::info_span!("outer", id = 1).entered();
            let _inner = tracing::info_span!("inner", id = 2).entered();
            tracing::info!("within");
        }
        Case::LateContext => {
            let span = tracing::info_span!("span", path = Empty).entered();
            tracing::info!("before");
            span.record("path", "/index");
            tracing::info!("after");
        }
        Case::ExplicitContext => {
            let other = tracing::info_span!("other", id = 2);
            let _span = tracing::info_span!("span", id = 1).entered();
            tracing::info!(parent: &other, "elsewhere");
        }
        _ => return Told::CannotSay,
    }
    Told::Done
}

fn endless() {
    tracing::info!(value = ?Runs(endless));
}

#[test]
fn the_layer_does_what_every_front_end_has_to_do() {
    within(LIMIT, || {
        let captured = captured();
        let outcome = conformance::run(&captured, log);
        assert!(outcome.failed.is_empty(), "{outcome}");
        assert_eq!(outcome.left_out, []);
    });
}
