//! Places in the code that log with other keys each time, and too many of either.

use log::{Level, Log, Record};
use serde_json::{Map, Value, json};

use crate::bodies;

/// Logs from one place, with these keys in this order, each with its number as the value.
fn log_at(logger: &dyn Log, line: u32, target: &str, keys: &[&str]) {
    let pairs: Vec<(&str, usize)> = keys.iter().copied().zip(0..).collect();
    let mut record = Record::builder();
    record
        .level(Level::Info)
        .target(target)
        .file(Some("orders.rs"))
        .line(Some(line));
    logger.log(&record.args(format_args!("here")).key_values(&pairs).build());
}

/// The same as JSON: of one key the last one stands.
fn expected(keys: &[&str]) -> Value {
    let pairs = keys
        .iter()
        .zip(0..)
        .map(|(key, value): (_, usize)| ((*key).to_owned(), json!(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

#[track_caller]
fn check(line: u32, lists: &[Vec<&str>]) {
    let captured = flume_log::test::capture().expect("no other logger is installed");
    for keys in lists {
        log_at(captured.logger(), line, "orders", keys);
    }
    let seen = bodies(&captured.take());
    assert_eq!(seen.len(), lists.len());
    for (body, keys) in seen.iter().zip(lists) {
        let fields = body.get("fields").cloned().unwrap_or_else(|| json!({}));
        assert_eq!(fields, expected(keys), "{keys:?}");
        assert_eq!(body.get("msg"), Some(&json!("here")));
    }
}

#[test]
fn a_place_that_logs_with_other_keys_each_time_tells_each_record_its_own() {
    let lists = [
        vec!["a", "b"],
        vec!["a", "b"],
        vec!["a"],
        vec![],
        vec!["b", "a"],
        vec!["a", "c", "b"],
        vec!["a", "b", "a"],
        vec!["message", "a", "message"],
        vec!["a", "b"],
        vec!["r#type"],
    ];
    let captured = flume_log::test::capture().unwrap();
    log_at(captured.logger(), 1, "orders", &["r#type"]);
    assert_eq!(bodies(&captured.take())[0]["fields"], json!({"type": 0}));
    check(1, &lists[..9]);
}

#[test]
fn a_place_that_makes_up_its_keys_loses_none_of_them() {
    let names: Vec<String> = (0..300).map(|number| format!("key {number}")).collect();
    let lists: Vec<Vec<&str>> = names
        .iter()
        .map(|name| vec!["same", name, "same"])
        .collect();
    check(2, &lists);
}

#[test]
fn more_keys_than_are_kept_and_keys_that_come_again_beyond_them_are_all_told() {
    let names: Vec<String> = (0..150).map(|number| format!("key {number}")).collect();
    let mut keys: Vec<&str> = names.iter().map(String::as_str).collect();
    keys.extend(["key 3", "key 149", "key 3"]);
    check(3, &[keys.clone(), keys]);
}

#[test]
fn a_long_key_or_target_is_told_as_it_is_up_to_the_limit_of_both() {
    let long = "k".repeat(1000);
    let captured = flume_log::test::capture().unwrap();
    for _ in 0..2 {
        log_at(captured.logger(), 4, &"t".repeat(1000), &["a", &long, "b"]);
    }
    for body in bodies(&captured.take()) {
        assert_eq!(body["target"], "t".repeat(1000));
        let fields = body["fields"].as_object().unwrap();
        assert_eq!((&fields["a"], &fields["b"]), (&json!(0), &json!(2)));
        assert!(
            fields
                .keys()
                .any(|key| key.len() > 100 && long.starts_with(key))
        );
    }
}

#[test]
fn a_key_that_is_to_be_hidden_is_hidden_however_it_is_told() {
    let captured = flume_log::test::capture().unwrap();
    let names: Vec<String> = (0..100)
        .map(|number| format!("password {number}"))
        .collect();
    for name in &names {
        log_at(captured.logger(), 6, "orders", &[name.as_str()]);
    }
    for (body, name) in bodies(&captured.take()).iter().zip(&names) {
        assert_eq!(body["fields"][name.as_str()], "[redacted]");
    }
}

#[test]
fn threads_that_meet_at_a_new_place_all_tell_their_keys() {
    let captured = flume_log::test::capture().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for line in 1000..1200 {
                    log_at(captured.logger(), line, "orders", &["a", "b", "c"]);
                }
            });
        }
    });
    let seen = bodies(&captured.take());
    assert_eq!(seen.len(), 1600);
    assert!(
        seen.iter()
            .all(|body| body["fields"] == expected(&["a", "b", "c"]))
    );
}
