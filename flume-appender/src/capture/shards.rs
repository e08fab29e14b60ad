//! [`Shards`]: where the threads of a service leave their records, and the renderer takes them.
//!
//! A few buffers, each under a lock of its own that is held for one copy. A thread tries the lock of
//! its own shard, then those of the others, and sleeps only if all are held. User code never runs
//! under one of them.

use super::field_writer::RECORD_BYTES_MAX;
use super::records::{Draft, Records};
use super::sync::{AtomicUsize, Mutex, MutexGuard, Ordering, PoisonError, TryLockError};
use crate::level::Level;

/// Least bytes of a shard.
const SHARD_BYTES_MIN: usize = 512 * 1024;

/// How full a buffer may be for a record of a level to be taken, in percent: the lesser ones give way
/// first. The client's buffer and its spool have the same rule.
#[must_use]
pub const fn limit_percent(level: Level) -> u64 {
    match level {
        Level::Trace | Level::Debug => 50,
        Level::Info => 75,
        Level::Warn => 90,
        Level::Error => 100,
    }
}

/// What became of a record that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It lies in a shard.
    Taken {
        /// Whether the shard just became half full, so that the renderer should not wait any longer.
        is_half: bool,
    },
    /// There is no room for a record of its level. Nothing is counted yet.
    NoRoom,
    /// The appender was closed. Nothing is counted yet.
    Closed,
}

/// Why a record was refused at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There was no room for one of its level.
    NoRoom,
    /// It was logged by the value of a record, which was logged by that of another, and so on.
    Nested,
    /// The appender was closed.
    Closed,
}

/// Records by level that came in, and by reason those that were refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) logged: ByLevel,
    pub(crate) no_room: ByLevel,
    pub(crate) nested: ByLevel,
    pub(crate) closed: ByLevel,
}

/// Numbers of records, by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByLevel([u64; 5]);

impl ByLevel {
    #[inline]
    pub(crate) fn add(&mut self, level: Level, records: u64) {
        if let Some(count) = self.0.get_mut(level.index()) {
            *count += records;
        }
    }

    pub(crate) fn of(&self, level: Level) -> u64 {
        self.0.get(level.index()).copied().unwrap_or_default()
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        let pairs = self.0.iter_mut().zip(other.0);
        pairs.for_each(|(count, more)| *count += more);
    }
}

#[derive(Debug)]
pub(crate) struct Shards {
    shards: Box<[Shard]>,
    /// Bytes of one, full.
    bytes_max: usize,
}

/// On cache lines of its own: threads on other processors write to the next one.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    /// A hint, to refuse without a lock being held for long.
    used: AtomicUsize,
    state: Mutex<ShardState>,
}

#[derive(Debug)]
struct ShardState {
    records: Records,
    tally: Tally,
    /// Nothing comes in any more.
    is_closed: bool,
}

impl Shards {
    /// Shards of `bytes` in all: twice as many as there are processors, but none too small for a
    /// large record.
    pub(crate) fn new(bytes: usize, processors: usize) -> Self {
        let wanted = (2 * processors).next_power_of_two();
        let most = (bytes / SHARD_BYTES_MIN).max(1);
        let count = wanted.min(1 << most.ilog2());
        let bytes_max = bytes / count;
        let shard = |_| Shard {
            used: AtomicUsize::new(0),
            state: Mutex::new(ShardState {
                records: Records::with_room(bytes_max, RECORD_BYTES_MAX),
                tally: Tally::default(),
                is_closed: false,
            }),
        };
        Self {
            shards: (0..count).map(shard).collect(),
            bytes_max,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.shards.len()
    }

    /// An empty buffer, as large as those of the shards.
    pub(crate) fn spare(&self) -> Records {
        Records::with_room(self.bytes_max, RECORD_BYTES_MAX)
    }

    /// Whether the shard of a thread has no room for a record of this level, as far as can be seen
    /// without its lock.
    #[inline]
    pub(crate) fn looks_full(&self, thread: u32, level: Level) -> bool {
        let shard = self.shards.get(self.own(thread));
        shard.is_some_and(|shard| shard.used.load(Ordering::Relaxed) >= self.limit(level))
    }

    /// Takes a record, or says why not.
    #[inline]
    pub(crate) fn offer(&self, thread: u32, draft: &Draft<'_>) -> Offered {
        let (own, limit) = (self.own(thread), self.limit(draft.level));
        for (distance, shard) in self.from(own).enumerate() {
            let mut state = match shard.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            if state.records.used() < limit {
                return self.take(shard, &mut state, draft);
            }
            // That there is no room only the thread's own shard says.
            if distance == 0 {
                drop(state);
                return self.offer_anywhere(draft);
            }
        }
        self.wait_to_offer(own, draft)
    }

    /// Counts a record that came and was refused.
    pub(crate) fn refuse(&self, thread: u32, level: Level, why: Refused) {
        if let Some(shard) = self.shards.get(self.own(thread)) {
            let tally = &mut lock(shard).tally;
            tally.logged.add(level, 1);
            match why {
                Refused::NoRoom => tally.no_room.add(level, 1),
                Refused::Nested => tally.nested.add(level, 1),
                Refused::Closed => tally.closed.add(level, 1),
            }
        }
    }

    #[cold]
    fn wait_to_offer(&self, own: usize, draft: &Draft<'_>) -> Offered {
        let Some(shard) = self.shards.get(own) else {
            return Offered::NoRoom;
        };
        let mut state = lock(shard);
        if state.records.used() < self.limit(draft.level) {
            return self.take(shard, &mut state, draft);
        }
        drop(state);
        self.offer_anywhere(draft)
    }

    /// The last records to be let go of go wherever there is room.
    #[cold]
    fn offer_anywhere(&self, draft: &Draft<'_>) -> Offered {
        if draft.level == Level::Error {
            for other in &self.shards {
                let mut state = lock(other);
                if state.records.used() < self.limit(draft.level) {
                    return self.take(other, &mut state, draft);
                }
            }
        }
        Offered::NoRoom
    }

    #[inline]
    fn take(&self, shard: &Shard, state: &mut ShardState, draft: &Draft<'_>) -> Offered {
        if state.is_closed {
            return Offered::Closed;
        }
        let before = state.records.used();
        state.records.push(draft);
        state.tally.logged.add(draft.level, 1);
        let used = state.records.used();
        shard.used.store(used, Ordering::Relaxed);
        let half = self.bytes_max / 2;
        Offered::Taken {
            is_half: before < half && used >= half,
        }
    }

    /// Takes nothing more. A call that is under way lays its record down before this returns, or is
    /// told.
    pub(crate) fn close(&self) {
        let shards = self.shards.iter();
        shards.for_each(|shard| lock(shard).is_closed = true);
    }

    /// Puts an empty buffer in the place of a shard's, and takes that.
    pub(crate) fn swap(&self, index: usize, records: &mut Records) {
        if let Some(shard) = self.shards.get(index) {
            let mut state = lock(shard);
            std::mem::swap(&mut state.records, records);
            shard.used.store(0, Ordering::Relaxed);
        }
    }

    /// Whether nothing lies here.
    pub(crate) fn is_empty(&self) -> bool {
        let is_empty = |shard: &Shard| lock(shard).records.heads.is_empty();
        self.shards.iter().all(is_empty)
    }

    /// All that was counted.
    pub(crate) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        for shard in &self.shards {
            let tally = lock(shard).tally;
            all.logged.add_all(&tally.logged);
            all.no_room.add_all(&tally.no_room);
            all.nested.add_all(&tally.nested);
            all.closed.add_all(&tally.closed);
        }
        all
    }

    fn limit(&self, level: Level) -> usize {
        self.bytes_max / 100 * limit_percent(level) as usize
    }

    fn own(&self, thread: u32) -> usize {
        thread as usize & (self.shards.len() - 1)
    }

    /// All of them, one first and then those after it.
    fn from(&self, first: usize) -> impl Iterator<Item = &Shard> {
        let (before, after) = self.shards.split_at(first.min(self.shards.len()));
        after.iter().chain(before)
    }
}

fn lock(shard: &Shard) -> MutexGuard<'_, ShardState> {
    shard.state.lock().unwrap_or_else(PoisonError::into_inner)
}
