//! [`Kept`]: events in memory, in the place of a client, for tests.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use flume_client::test::{Captured, capture_with};
use flume_client::{BuildError, Client, ClientBuilder, Event, EventBatch};

/// Most bytes of events that are kept until they are taken.
pub const KEPT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where the renderer puts events, and where those are that the client was given directly.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Places>);

#[derive(Debug, Default)]
struct Places {
    of_renderer: Mutex<KeptEvents>,
    of_client: OnceLock<Captured>,
}

#[derive(Debug, Default)]
pub(crate) struct KeptEvents {
    pub(crate) events: Vec<Event>,
    /// Events for which there was no room.
    pub(crate) left_out: u64,
    /// No event is kept, and none is told as left out.
    pub(crate) discards: bool,
}

impl Kept {
    /// A client that speaks to no agent.
    pub(crate) fn client(&self, builder: ClientBuilder) -> Result<Client, BuildError> {
        let (client, captured) = capture_with(builder)?;
        let _ = self.0.of_client.set(captured);
        Ok(client)
    }

    /// What the client was given directly, since the last time.
    pub(crate) fn take_from_client(&self) -> Vec<Event> {
        let captured = self.0.of_client.get();
        captured.map(Captured::take).unwrap_or_default()
    }

    /// Takes all events out of a batch.
    pub(crate) fn take(&self, batch: &mut EventBatch) {
        let mut kept = self.lock();
        if kept.discards {
            drop(kept);
            batch.clear();
            return;
        }
        let mut bytes: usize = kept.events.iter().map(|it| it.as_datum().len()).sum();
        for datum in batch.datums() {
            bytes += datum.len();
            match Event::from_datum(datum.to_vec()) {
                Ok(event) if bytes <= KEPT_BYTES_MAX => kept.events.push(event),
                _ => kept.left_out += 1,
            }
        }
        drop(kept);
        batch.clear();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, KeptEvents> {
        self.0
            .of_renderer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
