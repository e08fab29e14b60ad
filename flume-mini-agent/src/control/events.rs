//! Received events as JSON.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::channel::StoredEvent;

/// `{"headers": {...}, "body": "..."}`, or `body_base64` where the body is no text.
pub(super) fn show(event: &StoredEvent) -> Value {
    let event = event.view();
    let headers: Map<String, Value> = event
        .headers()
        .flatten()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    match std::str::from_utf8(event.body()) {
        Ok(body) => json!({"headers": headers, "body": body}),
        Err(_) => json!({"headers": headers, "body_base64": BASE64_STANDARD.encode(event.body())}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_no_text_are_shown_in_base64() {
        let event = StoredEvent::from_parts(&[("a", "b")], b"hi");
        assert_eq!(show(&event), json!({"headers": {"a": "b"}, "body": "hi"}));
        for (body, shown) in [
            (&b"\xff"[..], "/w=="),
            (b"\0\xff", "AP8="),
            (b"\xfb\xff\xfe", "+//+"),
        ] {
            let event = StoredEvent::from_parts(&[], body);
            assert_eq!(show(&event), json!({"headers": {}, "body_base64": shown}));
        }
    }
}
