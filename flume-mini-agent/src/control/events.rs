//! Received events as JSON.

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
        Err(_) => json!({"headers": headers, "body_base64": base64(event.body())}),
    }
}

/// As in RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * place)) as usize & 63);
            let digit = digit.filter(|_| place <= group.len());
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
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
