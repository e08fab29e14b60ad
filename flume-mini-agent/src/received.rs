//! [`Received`]: an event as the collect sink got it, to be compared and looked at by tests.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::ops::Deref;

use flume_client::Event;
use flume_client::event_id::EVENT_ID_HEADER;

/// An event that the agent has received.
///
/// It is equal to an [`Event`] of the same body and headers, in whatever order these are. A client
/// may add a header `guid`, which names the event; that one counts only if the `Event` has one,
/// too. Its `Debug` shows headers and body, as tests need it: an [`Event`] never shows them.
///
/// ```
/// use std::time::Duration;
///
/// use flume_client::Event;
/// use flume_mini_agent::MiniAgent;
///
/// let agent = MiniAgent::builder().start()?;
/// let client = agent.client().build()?;
/// client.append(Event::new("hi").header("k", "v"))?.wait(Duration::from_secs(5))?;
///
/// let events = agent.wait_for(1, Duration::from_secs(5))?;
/// assert_eq!(events, [Event::new("hi").header("k", "v")]);
/// assert_eq!(events[0].body(), b"hi");
/// assert!(format!("{:?}", events[0]).contains(r#"body: "hi""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Received(Event);

/// Bytes of a body that `Debug` shows.
const BODY_BYTES_SHOWN: usize = 1024;

impl Received {
    /// The event itself, `guid` included.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.0
    }

    /// The same, for keeps.
    #[must_use]
    pub fn into_event(self) -> Event {
        self.0
    }
}

impl Deref for Received {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.0
    }
}

impl From<Event> for Received {
    fn from(event: Event) -> Self {
        Self(event)
    }
}

impl From<Received> for Event {
    fn from(received: Received) -> Self {
        received.0
    }
}

impl PartialEq<Event> for Received {
    fn eq(&self, expected: &Event) -> bool {
        let wanted: HashMap<_, _> = expected.headers().collect();
        let is_named = wanted.contains_key(EVENT_ID_HEADER);
        let found = self.0.headers();
        let found: HashMap<_, _> = found
            .filter(|(key, _)| is_named || *key != EVENT_ID_HEADER)
            .collect();
        found == wanted && self.0.body() == expected.body()
    }
}

impl PartialEq<Received> for Event {
    fn eq(&self, received: &Received) -> bool {
        received == self
    }
}

impl Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = self.0.body();
        let shown = body.get(..BODY_BYTES_SHOWN).unwrap_or(body);
        let mut event = f.debug_struct("Received");
        event.field("headers", &Headers(&self.0));
        match String::from_utf8_lossy(shown) {
            Cow::Borrowed(text) => event.field("body", &text),
            Cow::Owned(_) => event.field("body", &Bytes(shown)),
        };
        if shown.len() < body.len() {
            event.field("body_bytes", &body.len());
        }
        event.finish()
    }
}

struct Headers<'a>(&'a Event);

impl Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.headers()).finish()
    }
}

/// Bytes that are no text, as they are written in Rust.
struct Bytes<'a>(&'a [u8]);

impl Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(body: impl AsRef<[u8]>) -> Received {
        let event = Event::new(body).header("a", "1").header("b", "2");
        event.header(EVENT_ID_HEADER, "7-1").into()
    }

    #[test]
    fn headers_count_in_any_order_and_the_name_only_if_it_is_asked_for() {
        let found = received("x");
        let same = Event::new("x").header("b", "2").header("a", "1");
        assert_eq!(found, same);
        assert_eq!(same, found);
        assert_eq!(found, same.clone().header(EVENT_ID_HEADER, "7-1"));
        assert_eq!(vec![found.clone()], std::slice::from_ref(&same));
        for other in [
            same.clone().header(EVENT_ID_HEADER, "7-2"),
            same.clone().header("c", "3"),
            same.clone().header("a", "2"),
            Event::new("x").header("a", "1"),
            Event::new("y").header("a", "1").header("b", "2"),
        ] {
            assert_ne!(found, other);
        }
        let unnamed = Received::from(same.clone());
        assert_ne!(unnamed, same.header(EVENT_ID_HEADER, "7-1"));
    }

    #[test]
    fn what_was_received_is_shown_with_headers_and_body() {
        let shown = format!("{:?}", received("h\ni"));
        let expected = r#"Received { headers: {"a": "1", "b": "2", "guid": "7-1"}, body: "h\ni" }"#;
        assert_eq!(shown, expected);
        let shown = format!("{:?}", received(b"\xff\x00a"));
        assert!(shown.ends_with(r#"body: b"\xff\x00a" }"#), "{shown}");
        let shown = format!("{:?}", received("x".repeat(5_000)));
        assert!(
            shown.ends_with("x\", body_bytes: 5000 }") && shown.len() < 1_200,
            "{shown}"
        );
    }
}
