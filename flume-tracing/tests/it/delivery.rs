//! What a program of a few lines delivers.

use std::time::Duration;

use flume_mini_agent::MiniAgent;
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt;

#[test]
fn a_line_arrives_with_its_fields_and_spans() {
    let agent = MiniAgent::builder().start().unwrap();
    let (layer, guard) = flume_tracing::layer().agent(agent.url()).build().unwrap();
    let registry = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(registry, || {
        let span = tracing::info_span!("request", id = "a1", path = tracing::field::Empty);
        let _entered = span.enter();
        span.record("path", "/index");
        tracing::info!(
            order = 17,
            price = 1.5,
            user_password = "x",
            "placed {}",
            "now"
        );
    });
    guard.flush(Duration::from_secs(5)).wait().unwrap();
    let events = agent.wait_for(1, Duration::from_secs(5)).unwrap();
    let mut body: Value = serde_json::from_slice(events[0].body()).unwrap();
    assert!(body["ts"].take().is_string());
    let expected = json!({
        "ts": null,
        "level": "INFO",
        "target": "it::delivery",
        "msg": "placed now",
        "fields": {"order": 17, "price": 1.5, "user_password": "[redacted]"},
        "span": {"id": "a1", "path": "/index"},
        "spans": ["request"],
    });
    assert_eq!(body, expected);
    let report = guard.close(Duration::from_secs(5)).wait();
    assert_eq!(report.records.total().handed_on, 1);
}
