//! [`StoreWhen`]: when events go to the disk, and [`Room`]: the room that a spool has for events that
//! come in, and what a commit changes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::receipt::LastWord;
use super::stored::DurableMark;
use crate::error::{ClientThread, Refusal};
use crate::random;
use crate::seq::{Seq, SeqRange};
use crate::situations::reached;
use crate::spool::{SpoolError, frame_bytes};
use crate::stats::SpoolStats;

/// Events, and the bytes of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Amount {
    /// The least that there can be.
    pub(crate) const SOME: Self = Self {
        events: 1,
        bytes: 1,
    };
    /// More than there can be.
    pub(crate) const NEVER: Self = Self {
        events: usize::MAX,
        bytes: usize::MAX,
    };
}

/// Where a client's events begin.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// What they are named by.
    pub(crate) run_id: u64,
    /// The first one's sequence number.
    pub(crate) first: Seq,
    /// Found in the spool.
    pub(crate) recovered: u64,
    pub(crate) stored: Arc<DurableMark>,
    /// What is known of the spool, and its room.
    pub(crate) spool: Option<(SpoolStats, Room)>,
}

/// What a commit changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommitReport<'a> {
    /// As in [`Room`].
    pub(crate) left: u64,
    /// Bytes of frames that `left` knows of now.
    pub(crate) counted: u64,
    /// As in [`Room`].
    pub(crate) stored_upto: Seq,
    /// Events that became stored.
    pub(crate) stored_events: u64,
    /// Events that need not be stored any more: agents took them while the disk did not.
    pub(crate) forgotten_events: u64,
    /// Bytes of the events that `stored_upto` has passed.
    pub(crate) settled_bytes: usize,
    pub(crate) commits: u64,
    pub(crate) disk_bytes: u64,
    /// As in [`Room`].
    pub(crate) gone: (Seq, u64),
    pub(crate) trouble: Option<&'a Arc<SpoolError>>,
}

impl Beginning {
    /// That of a client without a spool: its buffer is all the storage there is.
    pub(crate) fn in_memory() -> Self {
        Self {
            run_id: random::draw(),
            first: Seq::ZERO,
            recovered: 0,
            stored: Arc::new(DurableMark::new(Seq::MAX)),
            spool: None,
        }
    }
}

/// When events go to the disk. When they are stored, counted and let go of differs with a spool and
/// without one only here; what is told of a spool is in `Stats::spool`.
#[derive(Clone, Debug)]
pub(crate) enum StoreWhen {
    /// Before they are sent, as far as the disk takes them: end to end.
    Always(Room),
    /// When no agent takes them, as far as the disk takes them: store on failure.
    OnFailure(Room),
    /// They are in the buffer until they are retired: in memory, best effort.
    Never,
}

/// What the intake knows of the spool, so that `append` need not ask the disk.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// Bytes it takes at the most.
    capacity: u64,
    /// Half of those of a chunk.
    half: usize,
    /// Bytes of frames that it has room for, as of the last commit.
    left: u64,
    /// Those of events that `left` does not count.
    uncounted: u64,
    /// All events below are stored, or were retired before they could be.
    stored_upto: Seq,
    /// Events from there on that are retired, delivered from memory: the first one of each range,
    /// and the one after its last.
    retired: BTreeMap<Seq, Seq>,
    /// Events below this were sent once.
    sent_upto: Seq,
    /// For a spool directory that was removed: events below this number were in it, and so many of
    /// them are not retired.
    gone: (Seq, u64),
    /// Bytes of all files.
    disk_bytes: u64,
    /// What keeps events from being stored.
    trouble: Option<Arc<SpoolError>>,
}

/// Events that are taken, and neither stored nor retired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unstored {
    /// That were sent and not acknowledged.
    pub(crate) sent: u64,
    pub(crate) unsent: u64,
}

impl StoreWhen {
    fn room(&self) -> Option<&Room> {
        match self {
            Self::Always(room) | Self::OnFailure(room) => Some(room),
            Self::Never => None,
        }
    }

    fn room_mut(&mut self) -> Option<&mut Room> {
        match self {
            Self::Always(room) | Self::OnFailure(room) => Some(room),
            Self::Never => None,
        }
    }

    /// Whether this can be taken in; `trouble` is what may be why not. What goes to the disk only on
    /// failure needs no room there: without it, it waits in the buffer. Inlined for `append`, which
    /// pays for each instruction of it.
    #[inline]
    pub(crate) fn check(
        &self,
        amount: Amount,
        trouble: Option<&Arc<SpoolError>>,
    ) -> Result<(), Refusal> {
        match self {
            Self::Always(room) => room.check(amount, trouble),
            Self::OnFailure(_) | Self::Never => Ok(()),
        }
    }

    /// Events came in that will take so many bytes of frames.
    #[inline]
    pub(crate) fn on_taken(&mut self, frame_bytes: u64) {
        if let Some(room) = self.room_mut() {
            room.uncounted += frame_bytes;
        }
    }

    /// Events below this were sent once.
    pub(crate) fn on_sent(&mut self, upto: Seq) {
        if let Some(room) = self.room_mut() {
            room.sent_upto = room.sent_upto.max(upto);
        }
    }

    /// A commit was made.
    pub(crate) fn on_stored(&mut self, report: &CommitReport<'_>) {
        if let Some(room) = self.room_mut() {
            room.on_stored(report);
        }
    }

    /// Events of `bytes` are retired. Says how many bytes leave the buffer with that.
    pub(crate) fn on_retired(&mut self, range: SeqRange, bytes: usize) -> usize {
        let Some(room) = self.room_mut() else {
            return bytes;
        };
        room.retire(range);
        0
    }

    /// Events that an agent took, and that the disk has not taken.
    pub(crate) fn retired_unstored(&self) -> u64 {
        let retired = self.room().map(|room| &room.retired);
        let ranges = retired.into_iter().flatten();
        ranges.map(|(first, end)| end.since(*first)).sum()
    }

    /// Of the events below `next`, those that are to be stored and are not.
    pub(crate) fn unstored(&self, next: Seq) -> Unstored {
        let room = self.room();
        room.map(|room| room.unstored(next)).unwrap_or_default()
    }

    /// What is given up when the client has ended, of `pending` events below `next`. Without a spool
    /// some are left over only if a thread has panicked.
    pub(crate) fn lost_at_end(&self, next: Seq, pending: u64, has_failed: bool) -> Unstored {
        let unstored = self.unstored(next);
        let sent = match self {
            Self::Always(_) | Self::OnFailure(_) if !has_failed => return unstored,
            // A panic may have come between two counters.
            Self::Always(_) | Self::OnFailure(_) => unstored.total().min(pending),
            Self::Never => pending,
        };
        Unstored { sent, unsent: 0 }
    }

    /// Bytes of the spool that are taken, and how many there may be.
    pub(crate) fn fill(&self) -> Option<(u64, u64)> {
        let Self::Always(room) = self else {
            return None;
        };
        Some((room.capacity.saturating_sub(room.free()), room.capacity))
    }

    /// Bytes of its files, and what keeps events from being stored.
    pub(crate) fn disk(&self) -> (u64, Option<&Arc<SpoolError>>) {
        let room = self.room();
        room.map_or((0, None), |room| (room.disk_bytes, room.trouble.as_ref()))
    }

    /// How many events were in a spool's directory that was removed.
    pub(crate) fn gone(&self) -> u64 {
        self.room().map_or(0, |room| room.gone.1)
    }

    /// What receipts without an outcome say when the client has ended.
    pub(crate) fn last_word(&self, failed: Option<ClientThread>) -> LastWord {
        let room = self.room();
        let from = |number: fn(&Room) -> Seq| room.map_or(Seq::ZERO, number);
        LastWord {
            gone_below: from(|room| room.gone.0),
            in_spool_below: from(|room| room.stored_upto),
            sent_below: from(|room| room.sent_upto),
            failed,
        }
    }
}

impl Room {
    /// Of `capacity` bytes, with room for frames of `left` of them, for events in chunks of `chunk`
    /// bytes. The next event is number `next`.
    pub(crate) fn new(capacity: u64, left: u64, next: Seq, chunk: usize) -> Self {
        Self {
            capacity,
            half: chunk / 2,
            left,
            uncounted: 0,
            stored_upto: next,
            retired: BTreeMap::new(),
            sent_upto: next,
            gone: (Seq::ZERO, 0),
            disk_bytes: 0,
            trouble: None,
        }
    }

    /// An agent has acknowledged these events. The bytes of those that are stored left the buffer when
    /// they were.
    fn retire(&mut self, range: SeqRange) {
        let unstored = range.not_below(self.stored_upto);
        if !unstored.is_empty() {
            reached!("events are acknowledged before they are stored");
            self.retired.insert(unstored.first, unstored.end);
        }
    }

    /// Of the events below `next`.
    fn unstored(&self, next: Seq) -> Unstored {
        let mut unstored = Unstored::default();
        let mut from = self.stored_upto;
        let ranges = self.retired.iter().map(|(first, end)| (*first, *end));
        for (first, end) in ranges.chain([(next, next)]) {
            let open = SeqRange::new(from, first);
            let sent = open.below(self.sent_upto).len();
            unstored.sent += sent;
            unstored.unsent += open.len() - sent;
            from = end;
        }
        unstored
    }

    /// Bytes of frames that can still be taken in.
    fn free(&self) -> u64 {
        self.left.saturating_sub(self.uncounted)
    }

    /// Whether this can be taken in; `trouble` is what may be why not.
    fn check(&self, amount: Amount, trouble: Option<&Arc<SpoolError>>) -> Result<(), Refusal> {
        let Amount { events, bytes } = amount;
        // Each half of a chunk can be a frame.
        let more = if bytes < self.half {
            0
        } else {
            bytes / self.half
        };
        let frames = 1 + more;
        let needed = (frame_bytes(events, bytes) + frames * frame_bytes(1, 0)) as u64;
        if needed <= self.free() {
            return Ok(());
        }
        reached!("the spool is full");
        Err(self.full(needed, trouble))
    }

    /// Apart, so that `append` takes in the check without a call.
    #[cold]
    fn full(&self, needed: u64, trouble: Option<&Arc<SpoolError>>) -> Refusal {
        let capacity = self.capacity;
        Refusal::SpoolFull {
            capacity,
            needed,
            trouble: trouble.cloned(),
        }
    }

    /// Takes in what a commit changed.
    fn on_stored(&mut self, report: &CommitReport<'_>) {
        self.disk_bytes = report.disk_bytes;
        self.trouble = report.trouble.cloned();
        self.advance(report.stored_upto.max(self.stored_upto));
        self.gone = report.gone;
        self.left = report.left;
        self.uncounted -= report.counted;
    }

    /// Everything below is stored or retired.
    fn advance(&mut self, stored_upto: Seq) {
        self.stored_upto = stored_upto;
        while let Some(range) = self.retired.first_entry()
            && *range.key() < stored_upto
        {
            let end = range.remove();
            if end > stored_upto {
                reached!("what was acknowledged unstored becomes stored in part");
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
        let mut room = Room::new(1000, 1000, Seq::new(100), 1000);
        let end = Seq::new(150);
        room.retire((90..100).into());
        assert!(room.retired.is_empty(), "stored");
        room.retire((95..110).into());
        room.retire((130..140).into());
        room.sent_upto = Seq::new(135);
        let unstored = room.unstored(end);
        assert_eq!((unstored.sent, unstored.unsent), (20, 10));
        room.advance(Seq::new(135));
        assert_eq!(room.unstored(end).total(), 10, "140 to 149");
        room.retire((120..145).into());
        room.advance(end);
        assert_eq!(room.unstored(end), Unstored::default());
        assert!(room.retired.is_empty());
    }
}
