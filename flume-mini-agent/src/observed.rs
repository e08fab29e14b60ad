//! What the agent counts and keeps for its user, under one lock, with a bell for who waits.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::channel::StoredEvent;

/// Counters of an agent, from its first start on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections accepted.
    pub connections_opened: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Connections closed at once because `max_connections` were open.
    pub connections_refused: u64,
    /// Connections closed because of a frame without buffers or over the limits; of Thrift also
    /// because of a call that cannot be read to its end, or is of the other protocol.
    pub frames_refused: u64,
    /// Whole frames received, whatever was in them.
    pub requests: u64,
    /// Calls answered with an RPC error, and first calls without a readable handshake.
    pub requests_refused: u64,
    /// Batches, single appends and empty batches included, answered OK.
    pub batches_ok: u64,
    /// Batches answered FAILED.
    pub batches_failed: u64,
    /// Batches waiting for room in the channel now.
    pub batches_waiting: u64,
    /// Events committed to the channel by the source.
    pub events_accepted: u64,
    /// Batches, or parts of them, that an optional channel did not take; nobody was told.
    pub optional_failures: u64,
    /// Events taken from the channel by the sink and committed.
    pub events_drained: u64,
    /// Batches the sink could not write; their events went back to the channel.
    pub sink_failures: u64,
    /// Events in the channel now, less those the sink has in its hands.
    pub channel_size: u64,
}

/// The shared state behind an agent's inspection methods.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    state: Mutex<ObservedState>,
    /// For threads that wait, and for tasks.
    changed: Condvar,
    bell: Notify,
}

/// What is under the lock.
#[derive(Debug, Default)]
pub(crate) struct ObservedState {
    pub(crate) stats: Stats,
    pub(crate) collected: Vec<StoredEvent>,
    /// Events once collected and since forgotten.
    pub(crate) forgotten: u64,
    pub(crate) sink_error: Option<String>,
    pub(crate) channel_error: Option<String>,
    waiters: usize,
}

impl Observed {
    /// Changes the counters and wakes who waits for them.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Stats)) {
        let mut state = self.state();
        change(&mut state.stats);
        self.ring(&state);
    }

    /// Adds events for inspection, unless that would make more than `events_max`.
    pub(crate) fn collect(&self, events: &[StoredEvent], events_max: usize) -> bool {
        let collected = &mut self.state().collected;
        let fits = events.len() <= events_max.saturating_sub(collected.len());
        if fits {
            collected.extend_from_slice(events);
        }
        fits
    }

    /// Forgets the collected events.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.forgotten += state.collected.len() as u64;
        state.collected.clear();
    }

    /// Keeps the sink's last error.
    pub(crate) fn sink_failed(&self, error: String) {
        let mut state = self.state();
        state.stats.sink_failures += 1;
        state.sink_error = Some(error);
        self.ring(&state);
    }

    /// Keeps the last reason why a channel did not take a batch.
    pub(crate) fn channel_failed(&self, error: String) {
        self.state().channel_error = Some(error);
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&ObservedState) -> T) -> T {
        look(&self.state())
    }

    /// Waits until `check` finds what it wants in the state, or until `timeout` is over.
    pub(crate) fn wait<T>(
        &self,
        timeout: Duration,
        mut check: impl FnMut(&ObservedState) -> Option<T>,
    ) -> Option<T> {
        let start = Instant::now();
        let mut state = self.state();
        loop {
            if let Some(found) = check(&state) {
                return Some(found);
            }
            let left = timeout.checked_sub(start.elapsed())?;
            state.waiters += 1;
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiters -= 1;
        }
    }

    /// Waits until `check` finds what it wants in the state, without a thread and without end.
    pub(crate) async fn wait_async<T>(
        &self,
        mut check: impl FnMut(&ObservedState) -> Option<T>,
    ) -> T {
        loop {
            // Made before the look, so that no change falls between the two.
            let changed = self.bell.notified();
            if let Some(found) = self.read(&mut check) {
                return found;
            }
            changed.await;
        }
    }

    /// A notification of a thread is a system call, so it is made only if one listens.
    fn ring(&self, state: &ObservedState) {
        self.bell.notify_waiters();
        if state.waiters > 0 {
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, ObservedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thing that is counted in [`Stats`] for as long as it exists.
#[derive(Debug)]
#[must_use]
pub(crate) struct Gauge {
    observed: Arc<Observed>,
    field: fn(&mut Stats) -> &mut u64,
}

impl Gauge {
    pub(crate) fn up(observed: &Arc<Observed>, field: fn(&mut Stats) -> &mut u64) -> Self {
        observed.count(|stats| *field(stats) += 1);
        Self {
            observed: Arc::clone(observed),
            field,
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.observed.count(|stats| *(self.field)(stats) -= 1);
    }
}
