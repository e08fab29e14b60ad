//! [`Draft`]: an event and the headers that are to be set on it.

use std::borrow::Cow;

use flume_client::wire::avro::datum::{EventRef, put_bytes, put_long};

use crate::channel::StoredEvent;

/// An event while interceptors look at it.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    event: EventRef<'a>,
    /// Headers set so far, by name. No allocation until there is one.
    headers: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(event: &'a StoredEvent) -> Self {
        Self {
            event: event.view(),
            headers: Vec::new(),
        }
    }

    #[cfg(feature = "regex")]
    pub(super) fn body(&self) -> &'a [u8] {
        self.event.body()
    }

    pub(super) fn has(&self, header: &str) -> bool {
        self.sets(header) || self.event.headers().flatten().any(|(key, _)| key == header)
    }

    pub(super) fn set(&mut self, header: &'a str, value: Cow<'a, str>) {
        match self.headers.iter_mut().find(|(key, _)| *key == header) {
            Some((_, old)) => *old = value,
            None => self.headers.push((header, value)),
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Writes the changed event.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let kept = || {
            self.event
                .headers()
                .flatten()
                .filter(|(key, _)| !self.sets(key))
        };
        let set = self
            .headers
            .iter()
            .map(|(key, value)| (*key, value.as_ref()));
        let count = kept().count() + self.headers.len();
        put_long(out, i64::try_from(count).unwrap_or(i64::MAX));
        for (key, value) in kept().chain(set) {
            put_bytes(out, key.as_bytes());
            put_bytes(out, value.as_bytes());
        }
        put_long(out, 0);
        put_bytes(out, self.event.body());
    }

    fn sets(&self, header: &str) -> bool {
        self.headers.iter().any(|(key, _)| *key == header)
    }
}
