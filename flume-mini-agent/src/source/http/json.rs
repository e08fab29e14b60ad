//! What Flume's `JSONHandler` makes of a request: an array of `{"headers": {...}, "body": "..."}`.
//!
//! Both parts may be missing, values may be numbers or booleans and are then kept as written, as
//! Gson has it. Other members are not looked at. Unlike Gson's, our JSON is strict: quotes around
//! names, no comments. No IO.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::charset::Charset;
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

/// The members of an object in their order, with their values unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

/// The events of a request whose body is `text`. Their bodies are in `charset`.
pub(super) fn events(text: &str, charset: Charset) -> Result<Vec<StoredEvent>, JsonError> {
    if text.trim().is_empty() {
        return Err(JsonError::Handler("the request has no body"));
    }
    let list: Option<Vec<Option<BTreeMap<String, &RawValue>>>> =
        serde_json::from_str(text).map_err(|_| JsonError::Syntax)?;
    let Some(list) = list else {
        return Err(JsonError::Handler("the request is null"));
    };
    let read = list.into_iter().map(|object| match object {
        Some(object) => Ok(Some(event(&object, charset)?)),
        None => Ok(None),
    });
    // Gson reads all of the text before the handler looks at any of it.
    let read = read.collect::<Result<Vec<_>, _>>()?;
    let all: Option<Vec<_>> = read.into_iter().collect();
    all.ok_or(JsonError::Handler("an event is null"))
}

fn event(object: &BTreeMap<String, &RawValue>, charset: Charset) -> Result<StoredEvent, JsonError> {
    let headers = match object.get("headers") {
        Some(raw) => headers(raw)?,
        None => Vec::new(),
    };
    let body = match object.get("body") {
        Some(raw) => scalar(raw)?.unwrap_or_default(),
        None => String::new(),
    };
    let headers: Vec<_> = headers
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    Ok(StoredEvent::from_parts(&headers, &charset.encode(&body)))
}

/// The headers. A null value becomes an empty one; Flume's memory channel keeps it.
fn headers(raw: &RawValue) -> Result<Vec<(String, String)>, JsonError> {
    if raw.get() == "null" {
        return Ok(Vec::new());
    }
    let mut json = serde_json::Deserializer::from_str(raw.get());
    let members = json.deserialize_map(MembersVisitor);
    let Members(members) = members.map_err(|_| JsonError::Syntax)?;
    let mut seen = BTreeSet::new();
    let pair = |(key, value): (String, &RawValue)| {
        if !seen.insert(key.clone()) {
            return Err(JsonError::Syntax);
        }
        Ok((key, scalar(value)?.unwrap_or_default()))
    };
    members.into_iter().map(pair).collect()
}

/// A string, or a number or a boolean as it is written. `None` for null.
fn scalar(raw: &RawValue) -> Result<Option<String>, JsonError> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text)
            .map(Some)
            .map_err(|_| JsonError::Syntax),
        Some(b'n') => Ok(None),
        Some(b'[' | b'{') | None => Err(JsonError::Syntax),
        Some(_) => Ok(Some(text.to_owned())),
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
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
            r#"[null, {"body":{}}]"#,
        ] {
            assert_eq!(read(text), Err(JsonError::Syntax), "{text}");
        }
    }

    #[test]
    fn where_java_meets_a_null_the_handler_fails() {
        for text in ["", " \n", "null", "[null]", r#"[{"body":"a"}, null]"#] {
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
