//! [`StoredEvent`]: an event at rest in a channel.

use bytes::Bytes;
use flume_client::wire::avro::datum::{EventRef, event_len, put_event};

use super::memory::Weigh;

/// An event in a channel: its datum, most often a slice of the request that brought it. Clones
/// share the bytes.
#[derive(Clone, Debug)]
pub(crate) struct StoredEvent(Bytes);

impl StoredEvent {
    /// Keeps `event`, a part of `request`, without a copy.
    pub(crate) fn new(request: &Bytes, event: &EventRef<'_>) -> Self {
        Self(request.slice_ref(event.datum()))
    }

    /// Keeps a datum that this process wrote or has checked.
    pub(crate) fn from_checked(datum: Bytes) -> Self {
        debug_assert!(EventRef::parse(&datum).is_ok());
        Self(datum)
    }

    /// Makes an event from its parts; of a key that comes twice the later value counts.
    pub(crate) fn from_parts(headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut datum = Vec::with_capacity(event_len(headers.iter().copied(), body));
        put_event(&mut datum, headers.iter().copied(), body);
        Self(datum.into())
    }

    pub(crate) fn datum(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn view(&self) -> EventRef<'_> {
        EventRef::parse(&self.0).expect("an event is stored only after it was read")
    }
}

impl Weigh for StoredEvent {
    fn body_bytes(&self) -> usize {
        self.view().body().len()
    }
}
