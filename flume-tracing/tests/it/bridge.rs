//! Records of the crate `log` that `tracing-log` bridges.

use log::Log;
use serde_json::json;

use crate::{captured, only};

#[test]
fn a_bridged_record_has_its_own_target_and_not_log_and_no_log_fields() {
    let builder = flume_tracing::layer().filter("it::orders=info");
    let captured = flume_tracing::test::capture_with(builder).unwrap();
    let _span = tracing::info_span!("span", id = 7).entered();
    let bridge = tracing_log::LogTracer::new();
    let log = |target: &str| {
        let mut record = log::Record::builder();
        record
            .level(log::Level::Warn)
            .target(target)
            .file(Some("orders.rs"))
            .line(Some(17));
        bridge.log(&record.args(format_args!("bridged")).build());
    };
    log("it::orders::new");
    log("it::others");
    let events = captured.take();
    let mut seen = only(&events);
    seen["ts"].take();
    let expected = json!({
        "ts": null,
        "level": "WARN",
        "target": "it::orders::new",
        "msg": "bridged",
        "span": {"id": 7},
        "spans": ["span"],
    });
    assert_eq!(seen, expected);
    assert_eq!(events[0].header_value("target"), Some("it::orders::new"));
}

#[test]
fn an_event_of_ones_own_with_the_target_log_is_an_event_like_others() {
    let captured = captured();
    tracing::info!(target: "log", { log.line = 3 }, "mine");
    let seen = only(&captured.take());
    assert_eq!(
        (&seen["target"], &seen["fields"]),
        (&json!("log"), &json!({"log.line": 3}))
    );
}
