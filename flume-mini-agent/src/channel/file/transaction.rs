//! [`Queue`] and [`Transaction`]: what is open, visible and taken between commits, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flume_client::seq::{Seq, SeqRange};
use tokio::sync::{Notify, Semaphore};

use super::error::TransactionError;
use crate::channel::StoredEvent;

/// Bytes of a transaction, so that its record has a length of 32 bits with room to spare.
pub(super) const TRANSACTION_BYTES_MAX: usize = 1 << 30;

/// The events that can be taken, and the slots.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// One permit for each slot that holds no event: stored, taken or put.
    slots: Semaphore,
    arrivals: Notify,
    transaction_capacity: usize,
}

#[derive(Debug)]
struct State {
    /// By sequence number, which is the order of the commits.
    events: BTreeMap<Seq, StoredEvent>,
    poison: Option<Arc<str>>,
}

/// An open transaction. Dropped without a commit it is rolled back: its puts are gone, its takes
/// back in their places.
#[derive(Debug)]
#[must_use]
pub(crate) struct Transaction {
    queue: Arc<Queue>,
    puts: Vec<StoredEvent>,
    takes: Vec<StoredEvent>,
    /// Sequence numbers of `takes`.
    taken: Vec<Seq>,
    put_bytes: usize,
    /// Free bytes of the disk at the first put.
    usable_bytes: Option<u64>,
}

impl Queue {
    /// A queue of committed `events`, which are not more than `capacity`.
    pub(super) fn new(
        events: BTreeMap<Seq, StoredEvent>,
        capacity: usize,
        transaction_capacity: usize,
    ) -> Self {
        Self {
            slots: Semaphore::new(capacity - events.len()),
            state: Mutex::new(State {
                events,
                poison: None,
            }),
            arrivals: Notify::new(),
            transaction_capacity,
        }
    }

    pub(super) fn begin(self: &Arc<Self>) -> Transaction {
        Transaction {
            queue: Arc::clone(self),
            puts: Vec::new(),
            takes: Vec::new(),
            taken: Vec::new(),
            put_bytes: 0,
            usable_bytes: None,
        }
    }

    /// Takes the oldest events, up to so many. All at once: what two sinks take in turns would be
    /// as many ranges for the cursor, which keeps few. Says how many attempts that were, the one
    /// that found nothing among them.
    pub(super) fn take(
        &self,
        transaction: &mut Transaction,
        events_max: usize,
    ) -> Result<usize, TransactionError> {
        self.check()?;
        if !transaction.puts.is_empty() {
            return Err(TransactionError::PutsAndTakes);
        }
        let mut state = self.state();
        for attempts in 1..=events_max {
            transaction.check_count(transaction.takes.len())?;
            let Some((sequence, event)) = state.events.pop_first() else {
                return Ok(attempts);
            };
            transaction.taken.push(sequence);
            transaction.takes.push(event);
        }
        Ok(events_max)
    }

    /// A committed transaction takes effect; its first put has the sequence number `first`.
    pub(super) fn publish(&self, mut transaction: Transaction, first: Seq) {
        let puts = std::mem::take(&mut transaction.puts);
        transaction.taken.clear();
        let takes = std::mem::take(&mut transaction.takes);
        if !puts.is_empty() {
            let numbers = SeqRange::of(first, puts.len() as u64);
            self.state().events.extend(numbers.iter().zip(puts));
            self.arrivals.notify_one();
        }
        self.slots.add_permits(takes.len());
    }

    /// From here on everything fails with `reason`.
    pub(super) fn poison(&self, reason: Arc<str>) {
        self.state().poison.get_or_insert(reason);
    }

    pub(super) fn check(&self) -> Result<(), TransactionError> {
        match &self.state().poison {
            Some(reason) => Err(TransactionError::Poisoned(Arc::clone(reason))),
            None => Ok(()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.state().events.len()
    }

    pub(super) fn slots(&self) -> &Semaphore {
        &self.slots
    }

    pub(super) fn arrivals(&self) -> &Notify {
        &self.arrivals
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transaction {
    /// Events put so far, oldest first.
    pub(super) fn puts(&self) -> &[StoredEvent] {
        &self.puts
    }

    /// The events taken so far, oldest first.
    pub(crate) fn taken(&self) -> &[StoredEvent] {
        &self.takes
    }

    /// Sequence numbers of the events taken so far.
    pub(super) fn taken_sequences(&self) -> &[Seq] {
        &self.taken
    }

    /// Number of events put so far.
    pub(crate) fn put_count(&self) -> usize {
        self.puts.len()
    }

    /// Bytes of the events put so far.
    pub(super) fn put_bytes(&self) -> usize {
        self.put_bytes
    }

    pub(super) fn usable_bytes(&mut self) -> &mut Option<u64> {
        &mut self.usable_bytes
    }

    /// Whether `event` may be put, were there a slot for it.
    pub(super) fn check_put(&self, event: &StoredEvent) -> Result<(), TransactionError> {
        if !self.takes.is_empty() {
            return Err(TransactionError::PutsAndTakes);
        }
        self.check_count(self.puts.len())?;
        if event.datum().len() > TRANSACTION_BYTES_MAX - self.put_bytes {
            return Err(TransactionError::TransactionBytes {
                bytes: self.put_bytes,
                bytes_max: TRANSACTION_BYTES_MAX,
            });
        }
        Ok(())
    }

    /// Adds an event that was checked; a slot was taken for it.
    pub(super) fn put(&mut self, event: StoredEvent) {
        self.put_bytes += event.datum().len();
        self.puts.push(event);
    }

    fn check_count(&self, events: usize) -> Result<(), TransactionError> {
        let capacity = self.queue.transaction_capacity;
        if events < capacity {
            Ok(())
        } else {
            Err(TransactionError::TransactionFull { capacity })
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.queue.slots.add_permits(self.puts.len());
        if !self.takes.is_empty() {
            let takes = self.taken.drain(..).zip(self.takes.drain(..));
            self.queue.state().events.extend(takes);
            self.queue.arrivals.notify_one();
        }
    }
}
