//! Channels: where events rest between sources and sinks.
//!
//! | file | holds |
//! |---|---|
//! | here | [`Channel`], what sources and sinks see: batches in, batches out, counters |
//! | [`event`] | an event at rest |
//! | [`memory`] | the memory channel's rules; pure |
//! | [`shared`] | the same behind a lock, with waits for room |
//!
//! A source tries [`Channel::put`], which answers at once if it can; if not, the transaction waits
//! in a [`PendingPut`]. A sink takes a [`Taken`], which goes back to the channel when it is dropped.

pub(crate) mod event;
pub(crate) mod file;
pub(crate) mod memory;
pub(crate) mod shared;

use std::sync::Arc;
use std::time::Duration;

use crate::counters::ChannelCounters;
use memory::{MemoryLimits, Puts, Takes};
use shared::{Attempt, SharedMemory};

pub(crate) use event::StoredEvent;

/// A channel: shared by all sources that put and all sinks that take.
#[derive(Debug)]
pub(crate) struct Channel {
    name: String,
    memory: SharedMemory,
    counters: ChannelCounters,
}

/// Why a channel did not take a batch. Nothing of the batch is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChannelError {
    /// However empty the channel is.
    #[error("{events} events are more than the channel's transactionCapacity {capacity}")]
    OverTransaction { events: usize, capacity: usize },
    /// For all of keep-alive.
    #[error("the channel is full: no room for {events} events within {keep_alive:?}")]
    Full { events: usize, keep_alive: Duration },
    /// For all of keep-alive.
    #[error(
        "the channel's byteCapacity is used up: no room for {events} events within {keep_alive:?}"
    )]
    BytesFull { events: usize, keep_alive: Duration },
}

/// What came of a batch at once.
#[derive(Debug)]
pub(crate) enum Put {
    /// All of it is committed.
    Committed,
    /// None of it is.
    Failed(ChannelError),
    /// It takes a wait to know.
    Waits(PendingPut),
}

/// A batch on its way into a channel. Dropped, it is rolled back.
#[derive(Debug)]
pub(crate) struct PendingPut {
    channel: Arc<Channel>,
    events: usize,
    /// `None` once it is decided.
    puts: Option<Puts<StoredEvent>>,
}

/// Events in a sink's hands. Dropped, they are back at the head of the channel.
#[derive(Debug)]
#[must_use]
pub(crate) struct Taken {
    channel: Arc<Channel>,
    /// `None` once it is decided.
    takes: Option<Takes<StoredEvent>>,
}

impl Channel {
    /// A memory channel. The caller has checked `1 <= transaction_capacity <= capacity`.
    pub(crate) fn memory(
        name: impl Into<String>,
        limits: MemoryLimits,
        keep_alive: Duration,
    ) -> Self {
        Self {
            name: name.into(),
            memory: SharedMemory::new(limits, keep_alive),
            counters: ChannelCounters::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Events that can be taken.
    pub(crate) fn len(&self) -> usize {
        self.memory.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.memory.limits().capacity
    }

    /// How long a batch waits for room.
    pub(crate) fn keep_alive(&self) -> Duration {
        self.memory.keep_alive()
    }

    pub(crate) fn counters(&self) -> &ChannelCounters {
        &self.counters
    }

    /// Puts `events` in one transaction, all or none.
    pub(crate) fn put(self: &Arc<Self>, events: Vec<StoredEvent>) -> Put {
        let count = events.len();
        let capacity = self.memory.limits().transaction_capacity;
        // Flume puts them one by one until one fails.
        self.counters.put_attempts.add(count.min(capacity + 1));
        match self.memory.put(events) {
            Attempt::Committed => {
                self.counters.put_successes.add(count);
                Put::Committed
            }
            Attempt::Failed(error) => Put::Failed(error),
            Attempt::Stalled(puts) => Put::Waits(PendingPut {
                channel: Arc::clone(self),
                events: count,
                puts: Some(puts),
            }),
        }
    }

    /// Takes up to `events_max` events into one transaction.
    pub(crate) fn take(self: &Arc<Self>, events_max: usize) -> Taken {
        let takes = self.memory.take(events_max);
        self.counters.take_attempts.add(takes.attempts);
        Taken {
            channel: Arc::clone(self),
            takes: Some(takes),
        }
    }

    /// Waits until there may be something to take that nobody was told of. One waiter is woken per
    /// commit and rollback; it is expected to take until the channel is empty, or to fail.
    pub(crate) async fn arrival(&self) {
        self.memory.arrival().await;
    }
}

impl PendingPut {
    /// Waits for room, for the bodies and then for the events, each up to keep-alive.
    pub(crate) async fn finish(mut self) -> Result<(), ChannelError> {
        let committed = self.channel.memory.finish(&mut self.puts).await;
        if committed.is_ok() {
            self.channel.counters.put_successes.add(self.events);
        }
        committed
    }
}

impl Drop for PendingPut {
    fn drop(&mut self) {
        if let Some(puts) = self.puts.take() {
            self.channel.memory.cancel(&puts);
        }
    }
}

impl Taken {
    /// The events, oldest first.
    pub(crate) fn events(&self) -> &[StoredEvent] {
        self.takes.as_ref().map_or(&[], Takes::events)
    }

    /// Makes the takes final. After an error the events are back in the channel.
    #[expect(
        clippy::unused_async,
        reason = "a channel on disk has to wait for it here"
    )]
    pub(crate) async fn commit(mut self) -> Result<(), ChannelError> {
        if let Some(takes) = self.takes.take() {
            self.channel
                .counters
                .take_successes
                .add(takes.events().len());
            self.channel.memory.commit_takes(&takes);
        }
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(takes) = self.takes.take() {
            self.channel.memory.rollback(takes);
        }
    }
}
