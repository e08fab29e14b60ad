//! [`DurableMark`]: up to which event everything is on the disk, and who waits for that.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::wakeup;
use crate::error::{ClientThread, StoreError};
use crate::fork::Generation;
use crate::seq::Seq;
use crate::situations::reached;

/// One mark for all events of a client: a commit wakes whom it concerns in one sweep.
#[derive(Debug)]
pub(crate) struct DurableMark {
    generation: Generation,
    upto: AtomicU64,
    state: Mutex<MarkState>,
}

#[derive(Debug, Default)]
struct MarkState {
    /// What becomes of those that are not stored, once nothing more is.
    ended: Option<StoreError>,
    next_key: u64,
    /// By sequence number; the key tells those of one event apart.
    waiters: BTreeMap<(Seq, u64), Waker>,
}

impl DurableMark {
    /// Every event below `upto` is stored.
    pub(crate) fn new(upto: Seq) -> Self {
        Self {
            generation: Generation::now(),
            upto: AtomicU64::new(upto.number()),
            state: Mutex::default(),
        }
    }

    /// Events below `upto` are stored now.
    pub(crate) fn advance(&self, upto: Seq) {
        self.upto.store(upto.number(), Ordering::Release);
        let mut state = self.lock();
        let left = state.waiters.split_off(&(upto, 0));
        let woken = std::mem::replace(&mut state.waiters, left);
        if !woken.is_empty() {
            reached!("a commit wakes who waits for it");
        }
        if !state.waiters.is_empty() {
            reached!("a commit leaves others waiting");
        }
        drop(state);
        wakeup::wake(woken.into_values());
    }

    /// No further events get stored. Wake the wakers without locks held.
    pub(crate) fn end(&self, failed: Option<ClientThread>, wakers: &mut Vec<Waker>) {
        let mut state = self.lock();
        state.ended =
            Some(failed.map_or(StoreError::Closed, |thread| StoreError::Failed { thread }));
        if !state.waiters.is_empty() {
            reached!("nothing more is stored while somebody waits for it");
        }
        wakers.extend(std::mem::take(&mut state.waiters).into_values());
    }

    /// Blocks the calling thread until the event is stored.
    pub(crate) fn wait(&self, sequence: Seq, timeout: Duration) -> Result<(), StoreError> {
        if self.is_stored(sequence) {
            return Ok(());
        }
        let started = Instant::now();
        let waker = Arc::new(Unpark(thread::current())).into();
        let mut context = Context::from_waker(&waker);
        let mut wait = Stored::new(self, sequence);
        loop {
            if let Poll::Ready(result) = Pin::new(&mut wait).poll(&mut context) {
                return result;
            }
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(StoreError::Pending { waited: timeout });
            }
            thread::park_timeout(left);
        }
    }

    /// The process whose mark this is a copy of, if it is one.
    fn forked_from(&self) -> Option<u32> {
        self.generation.is_past().then(|| self.generation.process())
    }

    pub(super) fn is_stored(&self, sequence: Seq) -> bool {
        sequence.number() < self.upto.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, MarkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The future of [`Receipt::stored`](crate::Receipt::stored).
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Stored<'a> {
    mark: &'a DurableMark,
    sequence: Seq,
    /// Its key among the waiters, once it was polled.
    waiting: Option<u64>,
}

impl<'a> Stored<'a> {
    pub(crate) fn new(mark: &'a DurableMark, sequence: Seq) -> Self {
        Self {
            mark,
            sequence,
            waiting: None,
        }
    }
}

impl Future for Stored<'_> {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (mark, sequence) = (self.mark, self.sequence);
        if mark.is_stored(sequence) {
            return Poll::Ready(Ok(()));
        }
        if let Some(process) = mark.forked_from() {
            return Poll::Ready(Err(StoreError::Forked { process }));
        }
        let mut state = mark.lock();
        // The committer advances the mark before it looks for waiters.
        if mark.is_stored(sequence) {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = &state.ended {
            return Poll::Ready(Err(error.clone()));
        }
        let key = self.waiting.unwrap_or(state.next_key);
        if self.waiting.is_none() {
            state.next_key += 1;
            self.waiting = Some(key);
        }
        let replaced = state
            .waiters
            .insert((sequence, key), context.waker().clone());
        drop(state);
        // Letting go of a waker runs foreign code, so not under the lock.
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Stored<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.waiting
            && self.mark.forked_from().is_none()
        {
            let waiter = self.mark.lock().waiters.remove(&(self.sequence, key));
            drop(waiter);
        }
    }
}

/// Wakes a thread that is parked.
pub(crate) struct Unpark(pub(crate) Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_wakes_those_below_the_mark_and_nobody_else() {
        let mark = Arc::new(DurableMark::new(Seq::new(3)));
        assert_eq!(mark.wait(Seq::new(2), Duration::ZERO), Ok(()));
        let waiting = |sequence| {
            let mark = mark.clone();
            thread::spawn(move || mark.wait(Seq::new(sequence), Duration::from_secs(60)))
        };
        let (third, tenth) = (waiting(3), waiting(10));
        while mark.lock().waiters.len() < 2 {
            thread::yield_now();
        }
        mark.advance(Seq::new(10));
        assert_eq!(third.join().unwrap(), Ok(()));
        assert_eq!(mark.lock().waiters.len(), 1);
        let mut wakers = Vec::new();
        mark.end(None, &mut wakers);
        wakeup::wake(wakers);
        assert_eq!(tenth.join().unwrap(), Err(StoreError::Closed));
        assert_eq!(mark.wait(Seq::new(9), Duration::ZERO), Ok(()));
        let closed = Err(StoreError::Closed);
        assert_eq!(mark.wait(Seq::new(10), Duration::ZERO), closed);
    }

    #[test]
    fn a_wait_that_times_out_leaves_nothing_behind() {
        let mark = DurableMark::new(Seq::ZERO);
        let waited = Duration::from_millis(1);
        let pending = Err(StoreError::Pending { waited });
        assert_eq!(mark.wait(Seq::ZERO, waited), pending);
        assert!(mark.lock().waiters.is_empty());
    }
}
