//! Channels: where events rest between sources and sinks.
//!
//! | file | holds |
//! |---|---|
//! | here | [`Channel`], what sources and sinks see: batches in, batches out, counters |
//! | [`event`] | an event at rest |
//! | [`error`] | why a batch was not taken or given |
//! | [`memory`] | the memory channel's rules; pure |
//! | [`shared`] | the same behind a lock, with waits for room |
//! | `file`, `no_file` | the file channel; what stands for it without the feature `file-channel` |
//!
//! A source tries [`Channel::put`], which answers at once if it can; if not, the transaction waits
//! in a [`PendingPut`], as it always does for a disk. A sink takes a [`Taken`], which goes back to
//! the channel when it is dropped.

mod error;
pub(crate) mod event;
#[cfg(feature = "file-channel")]
pub(crate) mod file;
pub(crate) mod memory;
#[cfg(not(feature = "file-channel"))]
mod no_file;
pub(crate) mod shared;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::counters::ChannelCounters;
#[cfg(feature = "file-channel")]
use file::{FileChannel, Transaction, TransactionError};
use memory::{MemoryLimits, Puts, Takes};
#[cfg(not(feature = "file-channel"))]
use no_file::{FileChannel, Transaction, TransactionError};
use shared::{Attempt, SharedMemory};

pub(crate) use error::ChannelError;
pub(crate) use event::StoredEvent;

/// A channel: shared by all sources that put and all sinks that take.
#[derive(Debug)]
pub(crate) struct Channel {
    name: String,
    store: Store,
    counters: ChannelCounters,
}

/// Where the events are.
#[derive(Debug)]
enum Store {
    Memory(SharedMemory),
    #[cfg_attr(
        not(feature = "file-channel"),
        expect(dead_code, reason = "it has no value")
    )]
    File(FileChannel),
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
    state: Pending,
}

#[derive(Debug)]
enum Pending {
    /// `None` once it is decided.
    Memory(Option<Puts<StoredEvent>>),
    File(Vec<StoredEvent>),
}

/// Events in a sink's hands. Dropped, they are back at the head of the channel.
#[derive(Debug)]
#[must_use]
pub(crate) struct Taken {
    channel: Arc<Channel>,
    state: Takings,
}

#[derive(Debug)]
enum Takings {
    Memory(Takes<StoredEvent>),
    /// Rolls itself back.
    File(Transaction),
    Decided,
}

impl Channel {
    /// A memory channel. The caller has checked `1 <= transaction_capacity <= capacity`.
    pub(crate) fn memory(
        name: impl Into<String>,
        limits: MemoryLimits,
        keep_alive: Duration,
    ) -> Self {
        Self::of(name, Store::Memory(SharedMemory::new(limits, keep_alive)))
    }

    /// An opened file channel.
    #[cfg(feature = "file-channel")]
    pub(crate) fn file(name: impl Into<String>, channel: FileChannel) -> Self {
        Self::of(name, Store::File(channel))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How long a put waits for room.
    pub(crate) fn keep_alive(&self) -> Duration {
        match &self.store {
            Store::Memory(memory) => memory.keep_alive(),
            Store::File(file) => file.keep_alive(),
        }
    }

    /// Events that can be taken.
    pub(crate) fn len(&self) -> usize {
        match &self.store {
            Store::Memory(memory) => memory.len(),
            Store::File(file) => file.len(),
        }
    }

    /// Events that are not done with: those in the hands of sinks, too.
    pub(crate) fn unsettled(&self) -> usize {
        match &self.store {
            Store::Memory(memory) => memory.unsettled(),
            Store::File(file) => file.unsettled(),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        match &self.store {
            Store::Memory(memory) => memory.capacity(),
            Store::File(file) => file.capacity(),
        }
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.store, Store::File(_))
    }

    pub(crate) fn counters(&self) -> &ChannelCounters {
        &self.counters
    }

    /// Puts `events` in one transaction, all or none.
    pub(crate) fn put(self: &Arc<Self>, events: Vec<StoredEvent>) -> Put {
        let memory = match &self.store {
            Store::Memory(memory) => memory,
            Store::File(_) => return self.wait(Pending::File(events)),
        };
        let count = events.len();
        let capacity = memory.transaction_capacity();
        // Flume puts them one by one until one fails.
        self.counters.put_attempts.add(count.min(capacity + 1));
        let put = match memory.put(events) {
            Attempt::Committed => {
                self.counters.put_successes.add(count);
                Put::Committed
            }
            Attempt::Failed(error) => Put::Failed(error),
            Attempt::Stalled(puts) => return self.wait(Pending::Memory(Some(puts))),
        };
        self.note_size();
        put
    }

    /// Takes up to `events_max` events into one transaction. A memory channel waits for each event
    /// up to keep-alive; when that or `hurry` ends the wait, it returns what it has.
    pub(crate) async fn take_patiently(
        self: &Arc<Self>,
        events_max: usize,
        hurry: impl Future<Output = ()>,
    ) -> Result<Taken, ChannelError> {
        let Store::Memory(memory) = &self.store else {
            return self.take(events_max);
        };
        let events_max = events_max.min(memory.transaction_capacity());
        let attempts = &self.counters.take_attempts;
        let mut hurry = pin!(hurry);
        let mut taken = self.taken(Takings::Memory(Takes::default()));
        let mut waiting: Option<Instant> = None;
        while let Takings::Memory(takes) = &mut taken.state {
            let found = memory.take(takes, events_max);
            // An attempt that waited is counted already.
            attempts.add(found.saturating_sub(usize::from(waiting.is_some())));
            if takes.events().len() == events_max {
                break;
            }
            let deadline = match waiting {
                Some(deadline) if found == 0 => deadline,
                _ => {
                    attempts.increment();
                    Instant::now() + memory.keep_alive()
                }
            };
            waiting = Some(deadline);
            if !memory.wait_for_event(deadline, hurry.as_mut()).await {
                break;
            }
        }
        Ok(taken)
    }

    /// Takes up to `events_max` of the events that are there into one transaction.
    pub(crate) fn take(self: &Arc<Self>, events_max: usize) -> Result<Taken, ChannelError> {
        let (attempts, state) = match &self.store {
            Store::Memory(memory) => {
                let mut takes = Takes::default();
                let found = memory.take(&mut takes, events_max);
                let wanted = events_max.min(memory.transaction_capacity());
                (found + usize::from(found < wanted), Takings::Memory(takes))
            }
            Store::File(file) => {
                let mut transaction = file.begin();
                let attempts = file.take(&mut transaction, events_max);
                (self.count_take_error(attempts)?, Takings::File(transaction))
            }
        };
        self.counters.take_attempts.add(attempts);
        Ok(self.taken(state))
    }

    /// Waits until there may be something to take that nobody was told of. One waiter is woken per
    /// commit and rollback; it is expected to take until the channel is empty, or to fail.
    pub(crate) async fn arrival(&self) {
        match &self.store {
            Store::Memory(memory) => memory.arrival().await,
            Store::File(file) => file.arrival().await,
        }
    }

    /// Takes over the events of `former` if both are memory channels, while nobody puts or takes
    /// there or here.
    pub(crate) fn take_over(&self, former: &Self) {
        if let (Store::Memory(memory), Store::Memory(former)) = (&self.store, &former.store) {
            memory.take_over(former);
            self.note_size();
        }
    }

    /// Lets go of a file channel's directory; the channel works no more. A memory channel has
    /// nothing to let go of.
    pub(crate) fn close(&self) {
        if let Store::File(file) = &self.store {
            file.close();
        }
    }

    fn of(name: impl Into<String>, store: Store) -> Self {
        let channel = Self {
            name: name.into(),
            store,
            counters: ChannelCounters::default(),
        };
        // A file channel may be opened with events in it.
        channel.note_size();
        channel
    }

    fn taken(self: &Arc<Self>, state: Takings) -> Taken {
        Taken {
            channel: Arc::clone(self),
            state,
        }
    }

    /// Flume's `ChannelSize` is the size at the end of the latest transaction.
    fn note_size(&self) {
        self.counters.size.set(self.len() as u64);
    }

    fn wait(self: &Arc<Self>, state: Pending) -> Put {
        Put::Waits(PendingPut {
            channel: Arc::clone(self),
            state,
        })
    }

    async fn put_to_file(
        &self,
        file: &FileChannel,
        events: &mut Vec<StoredEvent>,
    ) -> Result<(), TransactionError> {
        let count = events.len();
        let mut transaction = file.begin();
        for event in events.drain(..) {
            self.counters.put_attempts.increment();
            file.put(&mut transaction, event).await?;
        }
        file.commit(transaction).await?;
        self.counters.put_successes.add(count);
        Ok(())
    }

    fn count_take_error<T>(&self, result: Result<T, TransactionError>) -> Result<T, ChannelError> {
        result.map_err(|error| {
            self.counters.take_errors.increment();
            error.told(1)
        })
    }
}

impl PendingPut {
    /// Waits for room and for the disk. A memory channel waits for room for the bodies and then
    /// for the events, each up to keep-alive; a file channel waits so for each event.
    pub(crate) async fn finish(mut self) -> Result<(), ChannelError> {
        let channel = Arc::clone(&self.channel);
        let result = self.wait().await;
        channel.note_size();
        result
    }

    async fn wait(&mut self) -> Result<(), ChannelError> {
        let channel = &self.channel;
        match (&channel.store, &mut self.state) {
            (Store::Memory(memory), Pending::Memory(puts)) => {
                let count = puts.as_ref().map_or(0, Puts::len);
                memory.finish(puts).await?;
                channel.counters.put_successes.add(count);
                Ok(())
            }
            (Store::File(file), Pending::File(events)) => {
                let count = events.len();
                let put = channel.put_to_file(file, events).await;
                put.map_err(|error| {
                    if error.is_write() {
                        channel.counters.put_errors.increment();
                    }
                    error.told(count)
                })
            }
            _ => unreachable!("a channel keeps its store"),
        }
    }
}

impl Drop for PendingPut {
    fn drop(&mut self) {
        if let (Store::Memory(memory), Pending::Memory(Some(puts))) =
            (&self.channel.store, &self.state)
        {
            memory.cancel(puts);
        }
    }
}

impl Taken {
    /// The events, oldest first.
    pub(crate) fn events(&self) -> &[StoredEvent] {
        match &self.state {
            Takings::Memory(takes) => takes.events(),
            Takings::File(transaction) => transaction.taken(),
            Takings::Decided => &[],
        }
    }

    /// Makes the takes final. After an error the events are back in the channel.
    pub(crate) async fn commit(mut self) -> Result<(), ChannelError> {
        let count = self.events().len();
        let state = std::mem::replace(&mut self.state, Takings::Decided);
        match (&self.channel.store, state) {
            (Store::Memory(memory), Takings::Memory(takes)) => memory.commit_takes(&takes),
            (Store::File(file), Takings::File(transaction)) => {
                let committed = file.commit(transaction).await;
                self.channel.count_take_error(committed)?;
            }
            _ => {}
        }
        self.channel.counters.take_successes.add(count);
        self.channel.note_size();
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        match (
            &self.channel.store,
            std::mem::replace(&mut self.state, Takings::Decided),
        ) {
            (Store::Memory(memory), Takings::Memory(takes)) => memory.rollback(takes),
            // It gives back what it took when it is dropped.
            (Store::File(_), Takings::File(_transaction)) => {}
            _ => return,
        }
        self.channel.note_size();
    }
}
