//! [`Handover`]: what committer and worker tell each other, under one short lock.
//!
//! Stored chunks are handed on in memory as long as the worker keeps up. When it does not, they
//! are let go, and the worker reads those events from the disk later: what is missing shows in the
//! sequence numbers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::chunk::Chunk;
use crate::spool::SegmentList;
use crate::stats::UnreadableEvents;

/// Bytes of stored chunks that wait in memory for the worker.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long an event that is done with waits for the cursor: what a crash makes come again. Each
/// save costs a small write and a flush of the device.
pub(crate) const SAVE_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Handover {
    state: Mutex<HandoverState>,
}

#[derive(Debug, Default)]
pub(crate) struct HandoverState {
    /// To be sent, oldest first: stored, but for the last ones if the disk does not take them.
    chunks: VecDeque<Chunk>,
    chunk_bytes: usize,
    /// Everything below this can be read from the disk or is in `chunks`.
    readable_upto: u64,
    segments: Arc<SegmentList>,
    /// Nothing more gets stored.
    is_drained: bool,
    /// Another place is to be sent from, when nothing but what cannot be read is left in this one.
    others_wait: bool,
    /// What the worker left in this one, for it cannot be read.
    unreadable: Arc<[UnreadableEvents]>,
    /// The committer has let go of the spool.
    has_ended: bool,
    worker: Option<Waker>,
    retired: Retirements,
    finishing: bool,
    committer: Option<(Waker, u64)>,
}

/// What the committer is told of events that are done with.
#[derive(Debug, Default)]
pub(crate) struct Retirements {
    /// From the first one to the one behind the last.
    pub(crate) ranges: Vec<(u64, u64)>,
    pub(crate) events: u64,
    /// Segments that are not what they were.
    pub(crate) damaged: Vec<u64>,
}

/// What is there for the worker.
pub(crate) enum Supply {
    /// These events, which are the next ones.
    Chunk(Chunk),
    /// The next ones are on the disk, up to `limit` at least.
    OnDisk {
        limit: u64,
        segments: Arc<SegmentList>,
    },
    /// Nothing yet; the worker is woken when there is.
    Nothing,
}

impl Handover {
    /// Everything below `readable_upto` is on the disk.
    pub(crate) fn new(readable_upto: u64, segments: SegmentList) -> Self {
        let state = HandoverState {
            readable_upto,
            segments: segments.into(),
            ..HandoverState::default()
        };
        Self {
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HandoverState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Committer: these chunks are stored, as is everything below `upto`. Those that there is no
    /// room for are left in `chunks`.
    pub(crate) fn stored(&self, chunks: &mut Vec<Chunk>, upto: u64, segments: Option<SegmentList>) {
        let mut state = self.lock();
        let mut bytes = state.chunk_bytes;
        let fits = |chunk: &mut Chunk| {
            let fits = bytes + chunk.bytes.len() <= WAITING_BYTES_MAX;
            bytes += if fits { chunk.bytes.len() } else { 0 };
            fits
        };
        state.chunks.extend(chunks.extract_if(.., fits));
        state.chunk_bytes = bytes;
        state.readable_upto = state.readable_upto.max(upto);
        if let Some(segments) = segments {
            state.segments = segments.into();
        }
        wake(state, |state| state.worker.take());
    }

    /// Committer: the next chunk, which is not stored. It comes back if there is no room for it.
    pub(crate) fn unstored(&self, chunk: Chunk) -> Result<(), Chunk> {
        let mut state = self.lock();
        let bytes = state.chunk_bytes + chunk.bytes.len();
        if bytes > WAITING_BYTES_MAX && !state.chunks.is_empty() {
            return Err(chunk);
        }
        state.chunk_bytes = bytes;
        state.chunks.push_back(chunk);
        wake(state, |state| state.worker.take());
        Ok(())
    }

    /// Committer: nothing more gets stored.
    pub(crate) fn drained(&self) {
        let mut state = self.lock();
        if !state.is_drained {
            state.is_drained = true;
            wake(state, |state| state.worker.take());
        }
    }

    /// Committer: another place waits for the end of this one, which is adopted.
    pub(crate) fn others_wait(&self) {
        let mut state = self.lock();
        state.others_wait = true;
        wake(state, |state| state.worker.take());
    }

    /// Committer: the spool is let go.
    pub(crate) fn ended(&self) {
        let mut state = self.lock();
        state.is_drained = true;
        state.has_ended = true;
        wake(state, |state| state.worker.take());
    }

    /// Committer: what the worker has told since the last time, and whether the client ends.
    pub(crate) fn take_retired(&self, retired: &mut Retirements) -> bool {
        let mut state = self.lock();
        std::mem::swap(&mut state.retired, retired);
        state.finishing
    }

    /// Committer: goes to sleep until so many events are done with. `false`: they already are.
    pub(crate) fn sleep(&self, waker: &Waker, events: u64) -> bool {
        let mut state = self.lock();
        if state.finishing || state.retired.events >= events || !state.retired.damaged.is_empty() {
            return false;
        }
        state.committer = Some((waker.clone(), events));
        true
    }

    /// Worker: what is there of the events from `position` on.
    pub(crate) fn supply(&self, position: u64, waker: &Waker) -> Supply {
        let mut state = self.lock();
        let limit = match state.chunks.front() {
            Some(chunk) if chunk.first == position => {
                let chunk = state.chunks.pop_front().expect("it is there");
                state.chunk_bytes -= chunk.bytes.len();
                return Supply::Chunk(chunk);
            }
            Some(chunk) => chunk.first,
            None => state.readable_upto,
        };
        if position < limit {
            let segments = state.segments.clone();
            return Supply::OnDisk { limit, segments };
        }
        state.worker = Some(waker.clone());
        Supply::Nothing
    }

    /// Whether another place waits for the end of this one.
    pub(crate) fn do_others_wait(&self) -> bool {
        self.lock().others_wait
    }

    /// Worker: this is left where it is, for it cannot be read.
    pub(crate) fn leave(&self, unreadable: Arc<[UnreadableEvents]>) {
        self.lock().unreadable = unreadable;
    }

    /// Committer: what the worker has left.
    pub(crate) fn unreadable(&self) -> Arc<[UnreadableEvents]> {
        self.lock().unreadable.clone()
    }

    /// Worker: the segments, as they are known.
    pub(crate) fn segments(&self) -> Arc<SegmentList> {
        self.lock().segments.clone()
    }

    /// Worker: these are done with.
    pub(crate) fn retire(&self, retired: &mut Retirements) {
        if retired.ranges.is_empty() && retired.damaged.is_empty() {
            return;
        }
        let mut state = self.lock();
        for (first, end) in retired.ranges.drain(..) {
            state.retired.add(first, end);
        }
        state.retired.damaged.append(&mut retired.damaged);
        retired.events = 0;
        let events = state.retired.events;
        let is_due = !state.retired.damaged.is_empty()
            || matches!(&state.committer, Some((_, wanted)) if events >= *wanted);
        if is_due {
            wake(state, |state| {
                state.committer.take().map(|(waker, _)| waker)
            });
        }
    }

    /// Worker: whether everything that was taken is stored, and up to where that can be read.
    pub(crate) fn end(&self) -> Option<u64> {
        let state = self.lock();
        state.is_drained.then_some(state.readable_upto)
    }

    /// Worker: tells the committer to let go of the spool. `true`: it has.
    pub(crate) fn finish(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        state.finishing = true;
        state.worker = Some(waker.clone());
        let has_ended = state.has_ended;
        wake(state, |state| {
            state.committer.take().map(|(waker, _)| waker)
        });
        has_ended
    }
}

impl Retirements {
    /// Adds a range, which follows the last one as a rule.
    pub(crate) fn add(&mut self, first: u64, end: u64) {
        self.events += end - first;
        match self.ranges.last_mut() {
            Some((_, last)) if *last == first => *last = end,
            _ => self.ranges.push((first, end)),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
        self.damaged.clear();
        self.events = 0;
    }
}

/// Wakes someone, with the lock released.
fn wake(
    mut state: MutexGuard<'_, HandoverState>,
    who: impl FnOnce(&mut HandoverState) -> Option<Waker>,
) {
    let waker = who(&mut state);
    drop(state);
    waker.into_iter().for_each(Waker::wake);
}
