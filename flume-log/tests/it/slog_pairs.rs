//! Records of `slog`.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use flume_appender::test::Captured;
use serde_json::json;
use slog::{Drain, Logger, crit, debug, error, info, o, warn};

use crate::{bodies, only};

fn root<T: slog::SendSyncRefUnwindSafeKV + 'static>(pairs: slog::OwnedKV<T>) -> (Logger, Captured) {
    let (drain, captured) = flume_log::slog::test::capture().expect("it can be set up");
    (Logger::root(drain.fuse(), pairs), captured)
}

#[test]
fn pairs_of_the_call_are_fields_and_those_of_the_logger_are_around_it() {
    let (log, captured) = root(o!("service" => "orders"));
    let log = log.new(o!("request" => 7));
    info!(log, "placed {}", "now"; "order" => 17_u8, "price" => 1.5);
    let events = captured.take();
    let mut seen = only(&events);
    assert!(seen["ts"].take().is_string());
    let expected = json!({
        "ts": null,
        "level": "INFO",
        "target": "it::slog_pairs",
        "msg": "placed now",
        "fields": {"order": 17, "price": 1.5},
        "span": {"service": "orders", "request": 7},
    });
    assert_eq!(seen, expected);
}

#[test]
fn of_a_duplicate_key_the_innermost_and_last_pair_stands() {
    let (log, captured) = root(o!("a" => "root", "b" => "root", "c" => "root"));
    let log = log.new(o!("b" => "child", "a" => "child", "a" => "child, later"));
    info!(log, "twice"; "a" => "call", "x" => 1, "x" => 2);
    let events = captured.take();
    let text = std::str::from_utf8(events[0].body()).unwrap();
    assert_eq!(text.matches("\"x\"").count(), 1, "{text}");
    assert_eq!(text.matches("\"b\"").count(), 1, "{text}");
    let seen = only(&events);
    assert_eq!(seen["fields"], json!({"a": "call", "x": 2}));
    assert_eq!(seen["span"], json!({"b": "child", "c": "root"}));
}

#[test]
fn more_pairs_than_are_remembered_in_place_are_told_apart_as_well() {
    let (mut log, captured) = root(o!("key" => 0));
    for round in 0..40 {
        let key: &'static str = Box::leak(format!("key {round}").into_boxed_str());
        log = log.new(o!(slog::SingleKV(key, round)));
    }
    info!(log, "many"; "key 3" => "call", "key" => "call");
    let seen = only(&captured.take());
    assert_eq!(seen["span"].as_object().unwrap().len(), 39);
    assert_eq!(seen["fields"], json!({"key": "call", "key 3": "call"}));
}

#[test]
fn levels_tags_and_numbers_are_told_as_they_are() {
    let (log, captured) = root(o!());
    crit!(log, "critical");
    error!(log, "error");
    warn!(log, # "a tag", "warning");
    info!(log, "info"; "wide" => u128::MAX, "small" => i8::MIN, "letter" => 'ß', "no" => ());
    debug!(log, "debug"; "none" => None::<i32>, "some" => Some(3));
    debug!(log, "not a number"; "nan" => f64::NAN);
    let events = captured.take();
    let seen = bodies(&events);
    let levels: Vec<_> = seen
        .iter()
        .map(|it| it["level"].as_str().unwrap())
        .collect();
    assert_eq!(levels, ["ERROR", "ERROR", "WARN", "INFO", "DEBUG", "DEBUG"]);
    assert_eq!(seen[2]["target"], "a tag");
    let info = std::str::from_utf8(events[3].body()).unwrap();
    assert!(info.contains(&format!("\"wide\":{}", u128::MAX)), "{info}");
    assert_eq!(
        (&seen[3]["fields"]["small"], &seen[3]["fields"]["letter"]),
        (&json!(-128), &json!("ß"))
    );
    assert_eq!(seen[3]["fields"].as_object().unwrap().len(), 3);
    assert_eq!(seen[4]["fields"], json!({"some": 3}));
    assert_eq!(seen[5]["fields"], json!({"nan": null}));
}

#[test]
fn numbers_stay_exact_no_u64_is_a_text_and_no_float_is_rounded() {
    let (log, captured) = root(o!());
    info!(log, "numbers"; "least" => i64::MIN, "greatest" => u64::MAX, "tenth" => 0.1_f64);
    let text = captured.take_bodies().remove(0);
    for number in [
        r#""least":-9223372036854775808"#,
        r#""greatest":18446744073709551615"#,
        r#""tenth":0.1"#,
    ] {
        assert!(text.contains(number), "{number} is not in {text}");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the order failed")]
struct Failed(#[source] fmt::Error);

#[test]
fn an_error_has_its_sources_beside_it_under_the_keys_own_name() {
    let (log, captured) = root(o!());
    let cause = Failed(fmt::Error);
    error!(log, "bad"; "cause" => #cause);
    let seen = only(&captured.take());
    let chain = json!([fmt::Error.to_string()]);
    let expected = json!({"cause": "the order failed", "cause.chain": chain});
    assert_eq!(seen["fields"], expected);
}

#[test]
fn a_value_that_is_made_late_and_panics_costs_only_the_pairs_behind_it() {
    let (log, captured) = root(o!("request" => 7));
    let panics = slog::FnValue(|_| -> i32 { std::panic::resume_unwind(Box::new(())) });
    // slog hands out the last pair first.
    info!(log, "made late"; "bad" => panics, "good" => 1);
    let seen = only(&captured.take());
    assert_eq!(seen["fields"]["good"], 1);
    assert_eq!(seen["span"], json!({"request": 7}));
    assert_eq!(captured.guard().stats().broken_values, 1);
}

#[test]
fn the_drain_takes_only_what_its_filter_wants_and_says_so() {
    let builder = flume_log::slog::drain().filter("warn");
    let (drain, captured) = flume_appender::test::capture(builder).unwrap();
    assert!(drain.is_enabled(slog::Level::Critical));
    assert!(!drain.is_enabled(slog::Level::Info));
    let log = Logger::root(drain.fuse(), o!());
    info!(log, "not wanted");
    warn!(log, "wanted");
    assert_eq!(only(&captured.take())["msg"], "wanted");
}

#[test]
fn a_drain_can_be_used_across_a_panic() {
    fn check<T: UnwindSafe + RefUnwindSafe + Send + Sync + Clone>() {}
    check::<flume_log::slog::Drain>();
}

#[test]
fn flush_tells_that_everything_is_stored() {
    let (log, captured) = root(o!());
    info!(log, "one");
    log.flush().unwrap();
    assert_eq!(captured.guard().stats().total().handed_on, 1);
}
