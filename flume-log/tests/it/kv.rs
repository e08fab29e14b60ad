//! Key-values of `log`.

use std::fmt;

use log::kv::{self, Source, VisitSource};
use serde_json::json;

use crate::only;

fn captured() -> flume_log::test::LogCapture {
    flume_log::test::capture().expect("no other logger is installed")
}

#[test]
fn numbers_stay_exact_no_u64_is_a_text_and_no_float_is_rounded() {
    let captured = captured();
    log::info!(
        least = i64::MIN, greatest = u64::MAX, wide = u128::MAX, deep = i128::MIN, half = 0.5,
        yes = true, letter = 'ß', nan = f64::NAN;
        "numbers"
    );
    let expected = concat!(
        r#""fields":{"least":-9223372036854775808,"greatest":18446744073709551615,"#,
        r#""wide":340282366920938463463374607431768211455,"#,
        r#""deep":-170141183460469231731687303715884105728,"half":0.5,"yes":true,"#,
        r#""letter":"ß","nan":null}}"#
    );
    let text = captured.take_bodies().remove(0);
    assert!(text.ends_with(expected), "{text}");
}

#[derive(Debug, thiserror::Error)]
#[error("the order failed")]
struct Failed(#[source] std::num::ParseIntError);

#[test]
fn an_error_has_its_sources_beside_it_under_the_keys_own_name() {
    let captured = captured();
    let error = Failed("x".parse::<i32>().unwrap_err());
    log::error!(cause:err = error; "bad");
    let seen = only(&captured.take());
    let expected = json!({
        "cause": "the order failed",
        "cause.chain": ["invalid digit found in string"],
    });
    assert_eq!(seen["fields"], expected);
}

#[test]
fn key_values_are_not_lost_and_lists_and_structures_are_json_and_not_text() {
    let captured = captured();
    let list = vec![1, 2];
    log::info!(list:sval = list, text:sval = "[1]"; "nested");
    let seen = only(&captured.take());
    assert_eq!(seen["fields"], json!({"list": [1, 2], "text": "[1]"}));
    log::info!(order:sval = Order, pair:sval = (1, "a"); "nested");
    let seen = only(&captured.take());
    let expected = json!({"order": {"id": 17}, "pair": [1, "a"]});
    assert_eq!(seen["fields"], expected);
}

/// A structure.
struct Order;

impl sval::Value for Order {
    fn stream<'sval, S: sval::Stream<'sval> + ?Sized>(&'sval self, stream: &mut S) -> sval::Result {
        let id = sval::Label::new("id");
        stream.record_begin(None, None, None, Some(1))?;
        stream.record_value_begin(None, &id)?;
        stream.i64(17)?;
        stream.record_value_end(None, &id)?;
        stream.record_end(None, None, None)
    }
}

#[test]
fn of_a_duplicate_key_the_last_value_stands_and_one_without_a_value_is_left_out() {
    let captured = captured();
    let pairs: &[(&str, Option<i32>)] = &[("a", Some(1)), ("none", None), ("a", Some(2))];
    let mut record = log::Record::builder();
    record.level(log::Level::Info).args(format_args!("twice"));
    record.key_values(&pairs);
    log::logger().log(&record.build());
    let event = &captured.take()[0];
    let text = std::str::from_utf8(event.body()).unwrap();
    assert!(
        text.ends_with(r#""msg":"twice","fields":{"a":2}}"#),
        "{text}"
    );
}

#[test]
fn keys_that_do_not_last_are_copied() {
    let captured = captured();
    {
        let key = format!("key {}", 1);
        let pairs = [(key.as_str(), 1)];
        let mut record = log::Record::builder();
        record.level(log::Level::Info).key_values(&pairs);
        log::logger().log(&record.build());
    }
    let seen = only(&captured.take());
    assert_eq!(seen["fields"], json!({"key 1": 1}));
}

#[test]
fn no_key_shadows_the_message_or_other_members_of_ours() {
    let captured = captured();
    log::info!(message = "a field", level = "low", msg = 3; "the text");
    let seen = only(&captured.take());
    assert_eq!(seen["msg"], "the text");
    assert_eq!(seen["level"], "INFO");
    let expected = json!({"message": "a field", "level": "low", "msg": 3});
    assert_eq!(seen["fields"], expected);
}

/// A source that gives a pair and then panics.
struct Breaks;

impl Source for Breaks {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        visitor.visit_pair(kv::Key::from_str("kept"), kv::Value::from(1))?;
        std::panic::resume_unwind(Box::new(()))
    }
}

#[test]
fn what_a_source_gave_before_it_panicked_is_kept_and_counted() {
    let captured = captured();
    let mut record = log::Record::builder();
    record.level(log::Level::Info).key_values(&Breaks);
    log::logger().log(&record.build());
    let seen = only(&captured.take());
    assert_eq!(seen["fields"]["kept"], 1);
    assert_eq!(captured.guard().stats().broken_values, 1);
}

/// A value that panics when it is shown.
struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::panic::resume_unwind(Box::new(()))
    }
}

#[test]
fn a_panicking_debug_poisons_neither_its_caller_nor_the_fields_behind_it_nor_later_records() {
    let captured = captured();
    log::info!(bad:? = Panics, good = 1; "{:?}", Panics);
    log::info!("later");
    let seen = crate::bodies(&captured.take());
    assert_eq!(seen[0]["fields"]["good"], 1);
    assert_eq!((seen.len(), &seen[1]["msg"]), (2, &json!("later")));
    assert_eq!(captured.guard().stats().broken_values, 2);
}

#[test]
fn a_value_is_shown_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    struct Counts<'a>(&'a AtomicUsize);
    impl fmt::Debug for Counts<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fetch_add(1, Ordering::SeqCst);
            f.write_str("shown")
        }
    }
    let shown = AtomicUsize::new(0);
    let captured = captured();
    log::info!(value:? = Counts(&shown); "{:?}", Counts(&shown));
    let seen = only(&captured.take());
    assert_eq!(
        (&seen["msg"], &seen["fields"]["value"]),
        (&json!("shown"), &json!("shown"))
    );
    assert_eq!(shown.load(Ordering::SeqCst), 2);
}
