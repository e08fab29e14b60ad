//! [`Disk`]: what the intake knows of the spool, to admit events by its room.

use std::collections::BTreeMap;
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
    /// Events that became stored.
    pub(crate) stored_events: u64,
    /// Bytes of the events that `stored_upto` has passed.
    pub(crate) settled_bytes: usize,
    pub(crate) commits: u64,
    pub(crate) disk_bytes: u64,
    /// As in [`Disk`].
    pub(crate) gone: (u64, u64),
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
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// Bytes it takes at the most.
    pub(crate) capacity: u64,
    /// Bytes of frames that it has room for.
    pub(crate) room: u64,
    /// Those of events that `room` does not count.
    pub(crate) uncounted: u64,
    /// All events below are stored, or were done with before they could be.
    pub(crate) stored_upto: u64,
    /// Events from there on that are done with, delivered from memory: the first one of each range,
    /// and the one after its last.
    retired: BTreeMap<u64, u64>,
    /// Events below this were sent once.
    pub(crate) sent_upto: u64,
    /// Stored in a directory that was removed, and delivered as far as that is open: all events
    /// below the first number, and how many of them are not done with.
    pub(crate) gone: (u64, u64),
}

/// Events that are taken, and neither stored nor done with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unstored {
    /// That were sent and not acknowledged.
    pub(crate) sent: u64,
    pub(crate) unsent: u64,
}

impl Disk {
    /// Of so many bytes, with room for frames of so many. The next event is number `next`.
    pub(crate) fn new(capacity: u64, room: u64, next: u64) -> Self {
        Self {
            capacity,
            room,
            uncounted: 0,
            stored_upto: next,
            retired: BTreeMap::new(),
            sent_upto: next,
            gone: (0, 0),
        }
    }

    /// An agent has acknowledged these events. Says how many of them are not stored.
    pub(crate) fn retire(&mut self, first: u64, end: u64) -> u64 {
        let first = first.max(self.stored_upto);
        if first >= end {
            return 0;
        }
        self.retired.insert(first, end);
        end - first
    }

    /// Of the events below `next`.
    pub(crate) fn unstored(&self, next: u64) -> Unstored {
        let mut unstored = Unstored::default();
        let mut from = self.stored_upto;
        let ranges = self.retired.iter().map(|(first, end)| (*first, *end));
        for (first, end) in ranges.chain([(next, next)]) {
            let sent = first.min(self.sent_upto).saturating_sub(from);
            unstored.sent += sent;
            unstored.unsent += first - from - sent;
            from = end;
        }
        unstored
    }

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
            spool.stored += news.stored_events;
            spool.commits += news.commits;
            spool.disk_bytes = news.disk_bytes;
            spool.trouble = news.trouble.cloned();
        }
        stats.pending_bytes -= news.settled_bytes;
        self.advance(stored_upto);
        self.gone = news.gone;
        self.room = news.room;
        self.uncounted -= news.counted;
    }

    /// Everything below is stored or done with.
    fn advance(&mut self, stored_upto: u64) {
        self.stored_upto = stored_upto;
        while let Some(range) = self.retired.first_entry()
            && *range.key() < stored_upto
        {
            let end = range.remove();
            if end > stored_upto {
                self.retired.insert(stored_upto, end);
            }
        }
    }
}

impl Unstored {
    pub(crate) fn total(self) -> u64 {
        self.sent + self.unsent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_were_delivered_before_they_were_stored_are_counted_once() {
        let mut disk = Disk::new(1000, 1000, 100);
        assert_eq!(disk.retire(90, 100), 0, "stored");
        assert_eq!(disk.retire(95, 110), 10);
        assert_eq!(disk.retire(130, 140), 10);
        disk.sent_upto = 135;
        let unstored = disk.unstored(150);
        assert_eq!((unstored.sent, unstored.unsent), (20, 10));
        disk.advance(135);
        assert_eq!(disk.unstored(150).total(), 10, "140 to 149");
        assert_eq!(disk.retire(120, 145), 10);
        disk.advance(150);
        assert_eq!(disk.unstored(150), Unstored::default());
        assert!(disk.retired.is_empty());
    }
}
