//! Channels: where events rest between a source and a sink.
//!
//! [`memory`] holds the semantics, [`Channel`] here adds what needs a clock and a lock: a commit
//! waits up to keep-alive for room, and a sink is woken when there is something to take.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the agent offers memory channels only as yet")
)]
pub(crate) mod file;
pub(crate) mod memory;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flume_client::wire::avro::datum::EventRef;
use tokio::sync::Notify;

use memory::{MemoryChannel, Transaction};

/// An event in the channel: its datum, a slice of the request that brought it.
#[derive(Clone, Debug)]
pub(crate) struct StoredEvent(Bytes);

impl StoredEvent {
    /// Keeps `event`, a part of `request`, without a copy.
    pub(crate) fn new(request: &Bytes, event: &EventRef<'_>) -> Self {
        Self(request.slice_ref(event.datum()))
    }

    pub(crate) fn datum(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn view(&self) -> EventRef<'_> {
        EventRef::parse(&self.0).expect("an event is stored only after it was read")
    }
}

/// A memory channel shared by a source and a sink.
#[derive(Debug)]
pub(crate) struct Channel {
    memory: Mutex<MemoryChannel<StoredEvent>>,
    keep_alive: Duration,
    room: Notify,
    arrivals: Notify,
}

impl Channel {
    pub(crate) fn new(capacity: usize, transaction_capacity: usize, keep_alive: Duration) -> Self {
        Self {
            memory: Mutex::new(MemoryChannel::new(capacity, transaction_capacity)),
            keep_alive,
            room: Notify::new(),
            arrivals: Notify::new(),
        }
    }

    pub(crate) fn begin(&self) -> Transaction<StoredEvent> {
        self.memory().begin()
    }

    pub(crate) fn len(&self) -> usize {
        self.memory().len()
    }

    /// Takes up to `events` events into one transaction.
    pub(crate) fn take_batch(&self, events: usize) -> Transaction<StoredEvent> {
        let mut memory = self.memory();
        let mut transaction = memory.begin();
        for _ in 0..events {
            if memory.take(&mut transaction) != Ok(true) {
                break;
            }
        }
        transaction
    }

    /// Commits now, or gives the transaction back for want of room.
    pub(crate) fn try_commit(
        &self,
        transaction: Transaction<StoredEvent>,
    ) -> Result<(), Transaction<StoredEvent>> {
        let (puts, takes) = (transaction.put_count(), transaction.taken().len());
        self.memory().commit(transaction)?;
        if puts > 0 {
            self.arrivals.notify_one();
        }
        if takes > 0 {
            self.room.notify_waiters();
        }
        Ok(())
    }

    /// Commits as soon as there is room. `false` if there was none for keep-alive; the puts are
    /// then undone. Like Flume's semaphores it is not fair: a smaller transaction may go first.
    pub(crate) async fn commit(&self, transaction: Transaction<StoredEvent>) -> bool {
        let committed = async {
            let mut waiting = transaction;
            loop {
                let mut room = std::pin::pin!(self.room.notified());
                room.as_mut().enable();
                match self.try_commit(waiting) {
                    Ok(()) => return,
                    Err(back) => waiting = back,
                }
                room.await;
            }
        };
        tokio::time::timeout(self.keep_alive, committed)
            .await
            .is_ok()
    }

    /// Whether a commit that finds no room is worth a wait.
    pub(crate) fn waits_for_room(&self) -> bool {
        !self.keep_alive.is_zero()
    }

    pub(crate) fn rollback(&self, transaction: Transaction<StoredEvent>) {
        self.memory().rollback(transaction);
    }

    /// Waits until something was committed since the last call, or [`wake_sink`](Self::wake_sink).
    pub(crate) async fn arrival(&self) {
        self.arrivals.notified().await;
    }

    /// Makes the sink look at the channel again.
    pub(crate) fn wake_sink(&self) {
        self.arrivals.notify_one();
    }

    fn memory(&self) -> MutexGuard<'_, MemoryChannel<StoredEvent>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use tokio::time::Instant;

    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(3);

    /// Runs with a clock that jumps to the next deadline when nothing else can happen.
    fn run(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(test);
    }

    /// A channel of two events that holds one.
    fn channel() -> Channel {
        let channel = Channel::new(2, 2, KEEP_ALIVE);
        channel.try_commit(puts(&channel, 1)).unwrap();
        channel
    }

    fn puts(channel: &Channel, events: usize) -> Transaction<StoredEvent> {
        let mut transaction = channel.begin();
        for _ in 0..events {
            let event = StoredEvent(Bytes::from_static(b"\x00\x02x"));
            transaction.put(event).unwrap();
        }
        transaction
    }

    #[test]
    fn a_commit_without_room_gives_up_after_keep_alive_and_changes_nothing() {
        run(async {
            let channel = channel();
            let start = Instant::now();
            assert!(!channel.commit(puts(&channel, 2)).await);
            assert_eq!(start.elapsed(), KEEP_ALIVE);
            assert_eq!(channel.len(), 1);
        });
    }

    #[test]
    fn a_waiting_commit_goes_through_when_takes_are_committed_not_when_they_are_made() {
        run(async {
            let channel = channel();
            let start = Instant::now();
            let taken = channel.take_batch(1);
            let sink = async {
                tokio::time::sleep(KEEP_ALIVE / 3).await;
                channel.try_commit(taken).unwrap();
            };
            let mut sink = std::pin::pin!(sink);
            let mut commit = std::pin::pin!(channel.commit(puts(&channel, 2)));
            let committed = std::future::poll_fn(|context| {
                let _ = sink.as_mut().poll(context).is_ready();
                commit.as_mut().poll(context)
            });
            assert!(committed.await);
            assert_eq!(start.elapsed(), KEEP_ALIVE / 3);
            assert_eq!(channel.len(), 2);
        });
    }

    #[test]
    fn a_smaller_transaction_may_overtake_a_waiting_one() {
        run(async {
            let channel = channel();
            let mut large = std::pin::pin!(channel.commit(puts(&channel, 2)));
            let small = std::future::poll_fn(|context| {
                assert!(large.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(channel.try_commit(puts(&channel, 1)).is_ok())
            });
            assert!(small.await);
            assert!(!large.await);
        });
    }

    #[test]
    fn a_batch_ends_at_an_empty_channel_and_a_rolled_back_one_can_be_taken_again() {
        let channel = channel();
        let taken = channel.take_batch(2);
        assert_eq!((taken.taken().len(), channel.len()), (1, 0));
        channel.rollback(taken);
        assert_eq!(channel.take_batch(2).taken().len(), 1);
    }

    #[test]
    fn an_arrival_is_not_missed_by_a_sink_that_looks_later() {
        run(async {
            let channel = channel();
            let arrival = tokio::time::timeout(KEEP_ALIVE, channel.arrival());
            assert!(arrival.await.is_ok());
        });
    }
}
