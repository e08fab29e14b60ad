//! [`Handover`]: what committer and sender tell each other, under one short lock.
//!
//! Stored chunks are handed on in memory as long as the sender keeps up. When it does not, they
//! are let go, and the sender reads those events from the disk later: what is missing shows in the
//! sequence numbers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::chunk::Chunk;
use crate::seq::{Seq, SeqRange};
use crate::situations::reached;
use crate::spool::SegmentList;
use crate::stats::UnreadableEvents;

#[derive(Debug)]
pub(crate) struct Handover {
    /// Bytes of chunks that may wait in memory.
    waiting_max: usize,
    state: Mutex<HandoverState>,
}

#[derive(Debug, Default)]
pub(crate) struct HandoverState {
    /// To be sent, oldest first: stored, except the last ones if the disk does not take them, or while
    /// it does.
    chunks: VecDeque<Chunk>,
    chunk_bytes: usize,
    /// Everything below this can be read from the disk or is in `chunks`.
    readable_upto: Seq,
    segments: Arc<SegmentList>,
    /// Nothing more gets stored.
    is_drained: bool,
    /// Another place is to be sent from, when nothing but what cannot be read is left in this one.
    others_wait: bool,
    /// What the sender left in this one, because it cannot be read.
    unreadable: Arc<[UnreadableEvents]>,
    /// The committer has let go of the spool.
    has_ended: bool,
    /// The sender reads from the disk, or has to.
    is_behind: bool,
    /// Every agent has failed, and none is tried again yet.
    do_agents_rest: bool,
    sender: Option<Waker>,
    retired: Retirements,
    finishing: bool,
    committer: Option<(Waker, u64)>,
}

/// What the committer is told of events that are retired.
#[derive(Debug, Default)]
pub(crate) struct Retirements {
    pub(crate) ranges: Vec<SeqRange>,
    pub(crate) events: u64,
    /// Segments that are not what they were.
    pub(crate) damaged: Vec<u64>,
}

/// What is there for the sender.
pub(crate) enum Next {
    /// These events, which are the next ones.
    Chunk(Chunk),
    /// The next ones are on the disk, up to `limit` at least.
    OnDisk {
        limit: Seq,
        segments: Arc<SegmentList>,
    },
    /// Nothing yet; the sender is woken when there is.
    Nothing,
}

impl Handover {
    /// Everything below `readable_upto` is on the disk.
    pub(crate) fn new(readable_upto: Seq, segments: SegmentList, waiting_max: usize) -> Self {
        let state = HandoverState {
            readable_upto,
            segments: segments.into(),
            ..HandoverState::default()
        };
        Self {
            waiting_max,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HandoverState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Committer: these chunks are stored, as is everything below `upto`. Those that there is no
    /// room for are left in `chunks`.
    pub(crate) fn stored(&self, chunks: &mut Vec<Chunk>, upto: Seq, segments: Option<SegmentList>) {
        let mut state = self.lock();
        let mut bytes = state.chunk_bytes;
        let fits = |chunk: &mut Chunk| {
            let fits = bytes + chunk.bytes.len() <= self.waiting_max;
            bytes += if fits { chunk.bytes.len() } else { 0 };
            fits
        };
        state.chunks.extend(chunks.extract_if(.., fits));
        if !chunks.is_empty() {
            reached!("stored chunks find no room with the sender");
            state.is_behind = true;
        }
        state.chunk_bytes = bytes;
        state.readable_upto = state.readable_upto.max(upto);
        if let Some(segments) = segments {
            state.segments = segments.into();
        }
        wake(state, |state| state.sender.take());
    }

    /// Committer: the next chunk, which is not stored. It comes back if there is no room for it.
    pub(crate) fn unstored(&self, chunk: Chunk) -> Result<(), Chunk> {
        let mut state = self.lock();
        let bytes = state.chunk_bytes + chunk.bytes.len();
        if bytes > self.waiting_max && !state.chunks.is_empty() {
            reached!("an unstored chunk finds no room with the sender");
            return Err(chunk);
        }
        reached!("a chunk goes to the sender unstored");
        state.chunk_bytes = bytes;
        state.chunks.push_back(chunk);
        wake(state, |state| state.sender.take());
        Ok(())
    }

    /// Committer: nothing more gets stored.
    pub(crate) fn drained(&self) {
        let mut state = self.lock();
        if !state.is_drained {
            state.is_drained = true;
            wake(state, |state| state.sender.take());
        }
    }

    /// Committer: another place waits for the end of this one, which is adopted.
    pub(crate) fn others_wait(&self) {
        let mut state = self.lock();
        reached!("another place waits for the end of one");
        state.others_wait = true;
        wake(state, |state| state.sender.take());
    }

    /// Committer: the spool is let go.
    pub(crate) fn ended(&self) {
        let mut state = self.lock();
        state.is_drained = true;
        state.has_ended = true;
        wake(state, |state| state.sender.take());
    }

    /// Committer: what the sender has told since the last time, and whether the client ends.
    pub(crate) fn take_retired(&self, retired: &mut Retirements) -> bool {
        let mut state = self.lock();
        std::mem::swap(&mut state.retired, retired);
        state.finishing
    }

    /// Committer: whether the sender has read what is on the disk, as far as it has looked.
    pub(crate) fn is_read(&self) -> bool {
        !self.lock().is_behind
    }

    /// Committer: whether no agent takes events.
    pub(crate) fn do_agents_rest(&self) -> bool {
        self.lock().do_agents_rest
    }

    /// Sender: whether every agent has failed and none is tried again yet.
    pub(crate) fn agents_rest(&self, rest: bool) {
        let mut state = self.lock();
        state.do_agents_rest = rest;
        wake(state, |state| {
            let committer = state.committer.take_if(|_| rest);
            committer.map(|(waker, _)| waker)
        });
    }

    /// Committer: goes to sleep until `events` events are retired. `false`: they already are.
    pub(crate) fn sleep(&self, waker: &Waker, events: u64) -> bool {
        let mut state = self.lock();
        if state.finishing || state.retired.events >= events || !state.retired.damaged.is_empty() {
            reached!("events are retired before the committer sleeps");
            return false;
        }
        state.committer = Some((waker.clone(), events));
        true
    }

    /// Sender: what is there of the events from `position` on.
    pub(crate) fn next(&self, position: Seq, waker: &Waker) -> Next {
        let mut state = self.lock();
        state.is_behind = false;
        let limit = match state.chunks.front() {
            Some(chunk) if chunk.first == position => {
                reached!("a chunk reaches the sender in memory");
                let chunk = state.chunks.pop_front().expect("it is there");
                state.chunk_bytes -= chunk.bytes.len();
                return Next::Chunk(chunk);
            }
            Some(chunk) => {
                reached!("events on the disk come before those in memory");
                chunk.first
            }
            None => state.readable_upto,
        };
        if position < limit {
            reached!("the next events are on the disk");
            state.is_behind = true;
            let segments = state.segments.clone();
            return Next::OnDisk { limit, segments };
        }
        state.sender = Some(waker.clone());
        Next::Nothing
    }

    /// Whether another place waits for the end of this one.
    pub(crate) fn do_others_wait(&self) -> bool {
        self.lock().others_wait
    }

    /// Sender: this is left where it is, because it cannot be read.
    pub(crate) fn leave(&self, unreadable: Arc<[UnreadableEvents]>) {
        self.lock().unreadable = unreadable;
    }

    /// Committer: what the sender has left.
    pub(crate) fn unreadable(&self) -> Arc<[UnreadableEvents]> {
        self.lock().unreadable.clone()
    }

    /// Sender: the segments, as they are known.
    pub(crate) fn segments(&self) -> Arc<SegmentList> {
        self.lock().segments.clone()
    }

    /// Sender: these are retired.
    pub(crate) fn retire(&self, retired: &mut Retirements) {
        if retired.ranges.is_empty() && retired.damaged.is_empty() {
            return;
        }
        let mut state = self.lock();
        for range in retired.ranges.drain(..) {
            state.retired.add(range);
        }
        state.retired.damaged.append(&mut retired.damaged);
        retired.events = 0;
        let events = state.retired.events;
        let is_due = !state.retired.damaged.is_empty()
            || matches!(&state.committer, Some((_, wanted)) if events >= *wanted);
        if is_due {
            reached!("what is retired wakes the committer");
            wake(state, |state| {
                state.committer.take().map(|(waker, _)| waker)
            });
        }
    }

    /// Sender: whether everything that was taken is stored, and up to where that can be read.
    pub(crate) fn end(&self) -> Option<Seq> {
        let state = self.lock();
        state.is_drained.then_some(state.readable_upto)
    }

    /// Sender: tells the committer to let go of the spool. `true`: it has.
    pub(crate) fn finish(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        state.finishing = true;
        state.sender = Some(waker.clone());
        let has_ended = state.has_ended;
        if has_ended {
            reached!("the committer has ended when the sender does");
        }
        wake(state, |state| {
            state.committer.take().map(|(waker, _)| waker)
        });
        has_ended
    }
}

impl Retirements {
    /// Adds a range, which follows the last one as a rule.
    pub(crate) fn add(&mut self, range: SeqRange) {
        self.events += range.len();
        match self.ranges.last_mut() {
            Some(last) if last.end == range.first => last.end = range.end,
            _ => {
                if !self.ranges.is_empty() {
                    reached!("events are retired out of order");
                }
                self.ranges.push(range);
            }
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
    // A waker of the client's own thread: it does not panic.
    waker.into_iter().for_each(Waker::wake);
}
