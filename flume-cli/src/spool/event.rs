//! [`EventLine`]: an event as it is shown and as a line of JSON.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flume_client::seq::Seq;
use flume_client::wire::avro::DecodeError;
use flume_client::wire::avro::datum::{EventRef, Headers};
use serde::{Serialize, Serializer};

/// An event for scripts. The body is under `body` if it is UTF-8, else under `body_base64`.
#[derive(Debug, Serialize)]
pub(super) struct EventLine<'a> {
    number: u64,
    pub(super) stored_ms: u64,
    #[serde(serialize_with = "headers")]
    headers: Headers<'a>,
    body_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// Whether bodies are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    Hidden,
    Shown,
}

impl<'a> EventLine<'a> {
    pub(super) fn new(
        number: Seq,
        stored_ms: u64,
        datum: &'a [u8],
        bodies: Bodies,
    ) -> Result<Self, DecodeError> {
        let event = EventRef::parse(datum)?;
        let bytes = event.body();
        let body = std::str::from_utf8(bytes).ok();
        let shown = bodies == Bodies::Shown;
        Ok(Self {
            number: number.number(),
            stored_ms,
            headers: event.headers(),
            body_bytes: bytes.len(),
            body: body.filter(|_| shown),
            body_base64: (shown && body.is_none()).then(|| BASE64_STANDARD.encode(bytes)),
        })
    }

    /// For people. Quoted and escaped, so that nothing in it speaks to the terminal.
    pub(super) fn text(&self, age: &str) -> String {
        let mut text = format!(
            "event {}, stored {age} ago, body of {}",
            self.number,
            crate::text::bytes(self.body_bytes as u64)
        );
        for (key, value) in self.headers.clone().filter_map(Result::ok) {
            text.push_str(&format!("\n    {}: {value:?}", key.escape_debug()));
        }
        if let Some(body) = self.body {
            text.push_str(&format!("\n  {body:?}"));
        }
        if let Some(body) = &self.body_base64 {
            text.push_str(&format!("\n  base64 {body}"));
        }
        text
    }
}

fn headers<S: Serializer>(headers: &Headers<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    // The last value of a key counts.
    for (key, value) in headers.clone().filter_map(Result::ok) {
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some(pair) => pair.1 = value,
            None => pairs.push((key, value)),
        }
    }
    serializer.collect_map(pairs)
}
