//! What the layer makes of calls, seen through the events that it would send.

mod bridge;
mod delivery;
mod double;
mod filters;
mod panics;
mod spans;
mod values;
mod writer;

use flume_client::Event;
use serde_json::Value;

fn body(event: &Event) -> Value {
    serde_json::from_slice(event.body()).expect("each body is JSON")
}

fn bodies(events: &[Event]) -> Vec<Value> {
    events.iter().map(body).collect()
}

/// The messages, in the order in which they were logged.
fn messages(events: &[Event]) -> Vec<String> {
    let text = |event| {
        let body = body(event);
        let text = body.get("msg").and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    events.iter().map(text).collect()
}

/// The only event, as JSON.
fn only(events: &[Event]) -> Value {
    assert_eq!(events.len(), 1, "{events:?}");
    body(events.first().expect("there is one"))
}

fn captured() -> flume_tracing::test::TracingCapture {
    flume_tracing::test::capture().expect("it can be set up")
}
