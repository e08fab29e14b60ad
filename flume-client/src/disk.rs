//! [`Disk`]: what the intake knows of the spool, to admit events by its room.

use std::sync::Arc;

use crate::chunk::CHUNK_BYTES;
use crate::error::Refusal;
use crate::random;
use crate::spool::{Trouble, frame_bytes};
use crate::stats::{SpoolStats, Stats};
use crate::stored::StoredMark;

/// Where a client's events begin.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// What they are named by.
    pub(crate) run_id: u64,
    /// The first one's sequence number.
    pub(crate) first: u64,
    /// Found in the spool.
    pub(crate) recovered: u64,
    pub(crate) stored: Arc<StoredMark>,
    /// What is known of the spool, and its room.
    pub(crate) disk: Option<(SpoolStats, Disk)>,
}

/// What a commit changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredNews<'a> {
    /// As in [`Disk`].
    pub(crate) room: u64,
    /// Bytes of frames that `room` knows of now.
    pub(crate) counted: u64,
    /// As in [`Disk`].
    pub(crate) stored_upto: u64,
    /// Bytes of the events that became stored.
    pub(crate) stored_bytes: usize,
    pub(crate) commits: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) trouble: Option<&'a Arc<Trouble>>,
}

impl Beginning {
    /// That of a client without a spool: its buffer is all the storage there is.
    pub(crate) fn in_memory() -> Self {
        Self {
            run_id: random::draw(),
            first: 0,
            recovered: 0,
            stored: Arc::new(StoredMark::new(u64::MAX)),
            disk: None,
        }
    }
}

/// What the intake knows of the spool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    /// Bytes it takes at the most.
    pub(crate) capacity: u64,
    /// Bytes of frames that it has room for.
    pub(crate) room: u64,
    /// Those of events that `room` does not count.
    pub(crate) uncounted: u64,
    /// All events below are stored.
    pub(crate) stored_upto: u64,
}

impl Disk {
    /// Bytes of frames that can still be taken in.
    pub(crate) fn free(&self) -> u64 {
        self.room.saturating_sub(self.uncounted)
    }

    /// Whether events of so many bytes in all can be taken in, and what may be why not.
    pub(crate) fn check_room(
        &self,
        bytes: usize,
        events: usize,
        trouble: Option<&Arc<Trouble>>,
    ) -> Result<(), Refusal> {
        // Each half of a chunk can be a frame.
        let frames = 1 + bytes / (CHUNK_BYTES / 2);
        let needed = (frame_bytes(events, bytes) + frames * frame_bytes(1, 0)) as u64;
        if needed <= self.free() {
            return Ok(());
        }
        let capacity = self.capacity;
        Err(Refusal::SpoolFull {
            capacity,
            needed,
            trouble: trouble.cloned(),
        })
    }

    /// Takes in what a commit changed.
    pub(crate) fn on_stored(&mut self, news: &StoredNews<'_>, stats: &mut Stats) {
        let stored_upto = news.stored_upto.max(self.stored_upto);
        if let Some(spool) = &mut stats.spool {
            spool.stored += stored_upto - self.stored_upto;
            spool.commits += news.commits;
            spool.disk_bytes = news.disk_bytes;
            spool.trouble = news.trouble.cloned();
        }
        stats.pending_bytes -= news.stored_bytes;
        self.stored_upto = stored_upto;
        self.room = news.room;
        self.uncounted -= news.counted;
    }
}
