//! One value from one thread to one waiter, who may be a future or a plain thread.
//!
//! Waits with std primitives only: they work on any thread, inside any runtime or none. In a process
//! that was forked after they were made, no value comes, and the lock is left alone.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::wakeup;
use crate::fork::Generation;

/// The waiter's half.
#[derive(Debug)]
pub(crate) struct Ticket<T> {
    cell: Arc<Cell<T>>,
}

/// The giver's half. Dropped without a value, it tells the waiter that none will come.
#[derive(Debug)]
pub(crate) struct Promise<T> {
    cell: Arc<Cell<T>>,
}

/// What a waiter got.
#[derive(Debug)]
pub(crate) enum Waited<T> {
    Done(T),
    /// The promise was dropped, or was another process's.
    Gone,
    TimedOut,
}

impl<T> Waited<T> {
    /// The value, if it came.
    pub(crate) fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Gone | Self::TimedOut => None,
        }
    }
}

#[derive(Debug)]
struct Cell<T> {
    generation: Generation,
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    gone: bool,
    waker: Option<Waker>,
}

pub(crate) fn oneshot<T>() -> (Promise<T>, Ticket<T>) {
    let state = Mutex::new(State {
        value: None,
        gone: false,
        waker: None,
    });
    let cell = Arc::new(Cell {
        generation: Generation::now(),
        state,
        changed: Condvar::new(),
    });
    (Promise { cell: cell.clone() }, Ticket { cell })
}

impl<T> Ticket<T> {
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Waited<T>> {
        if self.cell.is_inherited() {
            return Poll::Ready(Waited::Gone);
        }
        let mut state = self.cell.lock();
        if let Some(value) = state.value.take() {
            return Poll::Ready(Waited::Done(value));
        }
        if state.gone {
            return Poll::Ready(Waited::Gone);
        }
        let replaced = state.waker.replace(context.waker().clone());
        drop(state);
        // Letting go of a waker runs foreign code, so not under the lock.
        drop(replaced);
        Poll::Pending
    }

    pub(crate) fn wait(&self, timeout: Duration) -> Waited<T> {
        if self.cell.is_inherited() {
            return Waited::Gone;
        }
        let started = Instant::now();
        let mut state = self.cell.lock();
        loop {
            if let Some(value) = state.value.take() {
                return Waited::Done(value);
            }
            if state.gone {
                return Waited::Gone;
            }
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Waited::TimedOut;
            }
            let waited = self.cell.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Promise<T> {
    /// Whether nobody waits any more.
    pub(crate) fn is_given_up(&self) -> bool {
        Arc::strong_count(&self.cell) == 1
    }

    /// Hands over the value. Wake the waker, if there is one, after releasing every lock.
    pub(crate) fn fulfil(self, value: T) -> Option<Waker> {
        if self.cell.is_inherited() {
            return None;
        }
        let mut state = self.cell.lock();
        state.value = Some(value);
        self.cell.changed.notify_all();
        // `self` is dropped now and sets `gone`; waiters look at the value first.
        state.waker.take()
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if self.cell.is_inherited() {
            return;
        }
        let waker = {
            let mut state = self.cell.lock();
            state.gone = true;
            self.cell.changed.notify_all();
            state.waker.take()
        };
        wakeup::wake(waker);
    }
}

impl<T> Cell<T> {
    /// Whether this is a forked process's copy.
    fn is_inherited(&self) -> bool {
        self.generation.is_past()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
