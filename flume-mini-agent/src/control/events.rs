//! Received events as JSON.

use serde_json::{Map, Value, json};

use crate::channel::StoredEvent;

/// `{"headers": {...}, "body": "..."}`, or `body_hex` where the body is no text.
pub(super) fn show(event: &StoredEvent) -> Value {
    let event = event.view();
    let headers: Map<String, Value> = event
        .headers()
        .flatten()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    match std::str::from_utf8(event.body()) {
        Ok(body) => json!({"headers": headers, "body": body}),
        Err(_) => json!({"headers": headers, "body_hex": hex(event.body())}),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_no_text_are_shown_in_hexadecimal() {
        let event = StoredEvent::from_parts(&[("a", "b")], b"hi");
        assert_eq!(show(&event), json!({"headers": {"a": "b"}, "body": "hi"}));
        let event = StoredEvent::from_parts(&[], b"\x00\xff");
        assert_eq!(show(&event), json!({"headers": {}, "body_hex": "00ff"}));
    }
}
