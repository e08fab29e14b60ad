//! What Flume's `JSONHandler` makes of a request: an array of `{"headers": {...}, "body": "..."}`.
//!
//! Both parts may be missing, values may be numbers or booleans and are then kept as written.
//! Other members are not looked at. Headers may also be an empty array, as Gson reads maps; one of
//! pairs is not known here. No IO.

use std::collections::BTreeSet;

use super::charset::Charset;
use super::gson::{self, Malformed, Value};
use crate::channel::StoredEvent;

/// Why a request gives no events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JsonError {
    /// Answered 400.
    #[error("Request has invalid JSON Syntax.")]
    Syntax,
    /// Answered 500: Flume's handler stumbles.
    #[error("{0}")]
    Handler(&'static str),
}

impl From<Malformed> for JsonError {
    fn from(_: Malformed) -> Self {
        Self::Syntax
    }
}

/// The events of a request whose body is `text`. Their bodies are in `charset`.
pub(super) fn events(text: &str, charset: Charset) -> Result<Vec<StoredEvent>, JsonError> {
    let list = match gson::read(text)? {
        Value::Array(list) => list,
        Value::Null => return Err(JsonError::Handler("the request is empty or null")),
        Value::Text(_) | Value::Object(_) => return Err(JsonError::Syntax),
    };
    let read = list.into_iter().map(|value| match value {
        Value::Object(members) => Ok(Some(event(members, charset)?)),
        Value::Null => Ok(None),
        Value::Text(_) | Value::Array(_) => Err(JsonError::Syntax),
    });
    // Gson reads all of the text before the handler looks at any of it.
    let read = read.collect::<Result<Vec<_>, _>>()?;
    let all: Option<Vec<_>> = read.into_iter().collect();
    all.ok_or(JsonError::Handler("an event is null"))
}

/// Of a member that comes twice the last one counts.
fn event(members: Vec<(String, Value)>, charset: Charset) -> Result<StoredEvent, JsonError> {
    let (mut headers, mut body) = (Vec::new(), String::new());
    for (name, value) in members {
        match name.as_str() {
            "headers" => headers = self::headers(value)?,
            "body" => body = text(value)?,
            _ => {}
        }
    }
    let headers: Vec<_> = headers
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    Ok(StoredEvent::from_parts(&headers, &charset.encode(&body)))
}

fn headers(value: Value) -> Result<Vec<(String, String)>, JsonError> {
    let pairs = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(pairs) if pairs.is_empty() => return Ok(Vec::new()),
        Value::Object(members) => members,
        Value::Array(_) | Value::Text(_) => return Err(JsonError::Syntax),
    };
    let mut seen = BTreeSet::new();
    let header = |(name, value): (String, Value)| {
        if !seen.insert(name.clone()) {
            return Err(JsonError::Syntax);
        }
        Ok((name, text(value)?))
    };
    pairs.into_iter().map(header).collect()
}

/// Null becomes an empty text; Flume's memory channel keeps it.
fn text(value: Value) -> Result<String, JsonError> {
    match value {
        Value::Null => Ok(String::new()),
        Value::Text(text) => Ok(text),
        Value::Array(_) | Value::Object(_) => Err(JsonError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, JsonError> {
        let show = |event: &StoredEvent| {
            let event = event.view();
            let headers: Vec<_> = event.headers().flatten().collect();
            format!("{headers:?} {}", String::from_utf8_lossy(event.body()))
        };
        Ok(events(text, Charset::Utf8)?.iter().map(show).collect())
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(read(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn events_are_read_with_headers_and_body_either_of_which_may_be_missing() {
        check("[]", &[]);
        check(
            r#" [ {"headers" : {"a":"b","c":"d"}, "body":"hi\n"}, {"body":"x"} ] "#,
            &[
                r#"[("a", "b"), ("c", "d")] hi"#.to_owned() + "\n",
                "[] x".to_owned(),
            ]
            .each_ref()
            .map(String::as_str),
        );
        check(
            r#"[{}, {"headers":null,"body":null,"other":[1]}]"#,
            &["[] ", "[] "],
        );
        check(
            r#"[{"headers":[]}, {"headers":{"a":"b","c":1},"body":"x","body":"y"}]"#,
            &["[] ", r#"[("a", "b"), ("c", "1")] y"#],
        );
    }

    #[test]
    fn numbers_and_booleans_are_kept_as_they_are_written() {
        check(
            r#"[{"headers":{"a":1.50,"b":true,"c":1e99,"d":null},"body":7}]"#,
            &[r#"[("a", "1.50"), ("b", "true"), ("c", "1e99"), ("d", "")] 7"#],
        );
    }

    #[test]
    fn what_is_no_list_of_events_is_bad_syntax() {
        for text in [
            "[",
            "{}",
            "3",
            "[3]",
            "[] x",
            r#"[{"body":{}}]"#,
            r#"[{"body":["a"]}]"#,
            r#"[{"headers":"a"}]"#,
            r#"[{"headers":{"a":{}}}]"#,
            r#"[{"headers":{"a":"1","a":"2"}}]"#,
            r#"[{"headers":{"a":1]}]"#,
            r#"[{"headers":[["a","b"]]}]"#,
            r#"[{"headers":["a"]}]"#,
            r#"[null, {"body":{}}]"#,
        ] {
            assert_eq!(read(text), Err(JsonError::Syntax), "{text}");
        }
    }

    #[test]
    fn where_java_meets_a_null_the_handler_fails() {
        for text in [
            "",
            " \n",
            "null",
            "[null]",
            r#"[{"body":"a"}, null]"#,
            "[{},]",
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, JsonError::Handler(_)), "{text}");
        }
    }

    #[test]
    fn bodies_are_in_the_charset_of_the_request_and_headers_are_text() {
        let stored = events(r#"[{"headers":{"ä":"é"},"body":"é"}]"#, Charset::Utf16).unwrap();
        let event = stored[0].view();
        assert_eq!(event.body(), b"\xfe\xff\x00\xe9");
        assert_eq!(event.headers().flatten().collect::<Vec<_>>(), [("ä", "é")]);
    }
}
