//! What the front ends for `log` and `slog` make of calls, seen through the events that they would
//! send.

mod conformance;
mod double;
mod kv;
mod logger;
mod shapes;
mod slog_pairs;
mod traps;

use flume_client::Event;
use serde_json::Value;

fn body(event: &Event) -> Value {
    serde_json::from_slice(event.body()).expect("each body is JSON")
}

fn bodies(events: &[Event]) -> Vec<Value> {
    events.iter().map(body).collect()
}

/// The only event, as JSON.
fn only(events: &[Event]) -> Value {
    assert_eq!(events.len(), 1, "{events:?}");
    body(events.first().expect("there is one"))
}
