//! [`SharedMemory`]: a memory channel behind a lock. A put waits up to keep-alive for room, and a
//! sink is woken when there is something to take.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::memory::{Lack, MemoryChannel, MemoryLimits, Puts, Takes};
use super::{ChannelError, StoredEvent};

/// A memory channel for many sources and sinks.
#[derive(Debug)]
pub(super) struct SharedMemory {
    memory: Mutex<MemoryChannel<StoredEvent>>,
    transaction_capacity: usize,
    keep_alive: Duration,
    room: Notify,
    arrivals: Notify,
}

/// What came of a transaction at once.
pub(super) enum Attempt {
    Committed,
    Failed(ChannelError),
    /// It must wait for room.
    Stalled(Puts<StoredEvent>),
}

impl SharedMemory {
    pub(super) fn new(limits: MemoryLimits, keep_alive: Duration) -> Self {
        Self {
            memory: Mutex::new(MemoryChannel::new(limits)),
            transaction_capacity: limits.transaction_capacity,
            keep_alive,
            room: Notify::new(),
            arrivals: Notify::new(),
        }
    }

    pub(super) fn transaction_capacity(&self) -> usize {
        self.transaction_capacity
    }

    pub(super) fn capacity(&self) -> usize {
        self.lock().capacity()
    }

    pub(super) fn keep_alive(&self) -> Duration {
        self.keep_alive
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn unsettled(&self) -> usize {
        self.lock().unsettled()
    }

    /// Takes over the events of `former`, while nobody puts or takes there or here.
    pub(super) fn take_over(&self, former: &Self) {
        self.lock().take_over(&mut former.lock());
    }

    pub(super) fn put(&self, events: Vec<StoredEvent>) -> Attempt {
        let count = events.len();
        let mut memory = self.lock();
        let Ok(puts) = memory.put(events) else {
            return Attempt::Failed(ChannelError::OverTransaction {
                events: count,
                capacity: self.transaction_capacity,
            });
        };
        let committed = memory.commit(puts);
        drop(memory);
        match committed {
            Ok(()) => {
                self.arrivals.notify_one();
                Attempt::Committed
            }
            Err(stalled) if self.keep_alive.is_zero() => {
                self.cancel(&stalled.puts);
                Attempt::Failed(self.full(stalled.lack, count))
            }
            Err(stalled) => Attempt::Stalled(stalled.puts),
        }
    }

    /// Commits `pending` as soon as there is room, or leaves it after keep-alive. Like Flume's
    /// semaphores it is not fair: a smaller transaction may go first.
    pub(super) async fn finish(
        &self,
        pending: &mut Option<Puts<StoredEvent>>,
    ) -> Result<(), ChannelError> {
        let mut wait: Option<(Lack, Instant)> = None;
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            let Some(puts) = pending.take() else {
                return Ok(());
            };
            let count = puts.len();
            let Err(stalled) = self.lock().commit(puts) else {
                self.arrivals.notify_one();
                return Ok(());
            };
            let lack = stalled.lack;
            *pending = Some(stalled.puts);
            // Flume waits for bytes, then for slots, each for all of keep-alive.
            let deadline = match wait {
                Some((waited_for, deadline)) if waited_for == lack => deadline,
                _ => Instant::now() + self.keep_alive,
            };
            wait = Some((lack, deadline));
            if timeout_at(deadline, room).await.is_err() {
                return Err(self.full(lack, count));
            }
        }
    }

    pub(super) fn cancel(&self, puts: &Puts<StoredEvent>) {
        if self.lock().cancel(puts) {
            self.room.notify_waiters();
        }
    }

    /// Takes what is there, see [`MemoryChannel::take`].
    pub(super) fn take(&self, takes: &mut Takes<StoredEvent>, events_max: usize) -> usize {
        let mut memory = self.lock();
        let found = memory.take(takes, events_max);
        let leaves_some = memory.len() > 0;
        drop(memory);
        if leaves_some {
            // This sink may be busy with its batch for long; another one need not wait for it.
            self.arrivals.notify_one();
        }
        found
    }

    /// Waits until there may be an event, or for `deadline` or `hurry`, and tells which.
    pub(super) async fn wait_for_event(
        &self,
        deadline: Instant,
        mut hurry: Pin<&mut impl Future<Output = ()>>,
    ) -> bool {
        let mut arrival = pin!(timeout_at(deadline, self.arrival()));
        poll_fn(|context| match arrival.as_mut().poll(context) {
            Poll::Ready(arrived) => Poll::Ready(arrived.is_ok()),
            Poll::Pending => hurry.as_mut().poll(context).map(|()| false),
        })
        .await
    }

    pub(super) fn commit_takes(&self, takes: &Takes<StoredEvent>) {
        if !takes.events().is_empty() {
            self.lock().commit_takes(takes);
            self.room.notify_waiters();
        }
    }

    pub(super) fn rollback(&self, takes: Takes<StoredEvent>) {
        if !takes.events().is_empty() {
            self.lock().rollback(takes);
            // Another sink may have more luck.
            self.arrivals.notify_one();
        }
    }

    pub(super) async fn arrival(&self) {
        self.arrivals.notified().await;
    }

    fn full(&self, lack: Lack, events: usize) -> ChannelError {
        let keep_alive = self.keep_alive;
        match lack {
            Lack::Bytes => ChannelError::BytesFull { events, keep_alive },
            Lack::Slots => ChannelError::Full { events, keep_alive },
        }
    }

    fn lock(&self) -> MutexGuard<'_, MemoryChannel<StoredEvent>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Arc;

    use super::super::{Channel, Put, Taken};
    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(3);

    /// Runs with a clock that jumps to the next deadline when nothing else can happen.
    fn run(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(test);
    }

    /// A channel of two events and `byte_slots` that holds one event.
    fn channel(byte_slots: Option<u32>) -> Arc<Channel> {
        let limits = MemoryLimits {
            capacity: 2,
            transaction_capacity: 2,
            byte_slots,
        };
        let channel = Arc::new(Channel::memory("c1", limits, KEEP_ALIVE));
        assert!(matches!(channel.put(events(1)), Put::Committed));
        channel
    }

    fn events(count: usize) -> Vec<StoredEvent> {
        vec![StoredEvent::from_parts(&[], b"x"); count]
    }

    fn put(channel: &Arc<Channel>, count: usize) -> impl Future<Output = Result<(), ChannelError>> {
        let put = channel.put(events(count));
        async {
            match put {
                Put::Committed => Ok(()),
                Put::Failed(error) => Err(error),
                Put::Waits(pending) => pending.finish().await,
            }
        }
    }

    async fn commit_after(wait: Duration, taken: Taken) {
        tokio::time::sleep(wait).await;
        taken.commit().await.unwrap();
    }

    async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> A {
        let (mut a, mut b) = (pin!(a), pin!(b));
        let mut b_done = false;
        poll_fn(|context| {
            b_done = b_done || b.as_mut().poll(context).is_ready();
            a.as_mut().poll(context)
        })
        .await
    }

    #[test]
    fn a_put_without_room_gives_up_after_keep_alive_and_changes_nothing() {
        run(async {
            let channel = channel(None);
            let start = Instant::now();
            let error = put(&channel, 2).await.unwrap_err();
            assert!(matches!(error, ChannelError::Full { events: 2, .. }));
            assert_eq!(start.elapsed(), KEEP_ALIVE);
            assert_eq!(channel.len(), 1);
        });
    }

    #[test]
    fn a_waiting_put_goes_through_when_takes_are_committed_not_when_they_are_made() {
        run(async {
            let channel = channel(None);
            let start = Instant::now();
            let sink = commit_after(KEEP_ALIVE / 3, channel.take(1).unwrap());
            both(put(&channel, 2), sink).await.unwrap();
            assert_eq!(start.elapsed(), KEEP_ALIVE / 3);
            assert_eq!(channel.len(), 2);
        });
    }

    #[test]
    fn a_smaller_transaction_may_overtake_a_waiting_one() {
        run(async {
            let channel = channel(None);
            let mut large = pin!(put(&channel, 2));
            let small = poll_fn(|context| {
                assert!(large.as_mut().poll(context).is_pending());
                Poll::Ready(matches!(channel.put(events(1)), Put::Committed))
            });
            assert!(small.await);
            assert!(large.await.is_err());
        });
    }

    #[test]
    fn a_put_waits_for_bytes_and_then_for_slots_up_to_twice_keep_alive() {
        run(async {
            let channel = channel(Some(2));
            let other = channel.take(1).unwrap();
            assert!(matches!(channel.put(events(1)), Put::Committed));
            // Bytes come back when the take is committed; the one slot free then is not enough.
            let start = Instant::now();
            let sink = commit_after(KEEP_ALIVE / 3, other);
            let error = both(put(&channel, 2), sink).await.unwrap_err();
            assert!(matches!(error, ChannelError::BytesFull { .. }));
            assert_eq!(start.elapsed(), KEEP_ALIVE);
        });
        run(async {
            let limits = MemoryLimits {
                capacity: 2,
                transaction_capacity: 2,
                byte_slots: Some(30),
            };
            let channel = Arc::new(Channel::memory("c1", limits, KEEP_ALIVE));
            let large = StoredEvent::from_parts(&[], &[0; 2900]);
            assert!(matches!(channel.put(vec![large]), Put::Committed));
            let taken = channel.take(1).unwrap();
            assert!(matches!(channel.put(events(1)), Put::Committed));
            let start = Instant::now();
            let sink = commit_after(KEEP_ALIVE / 3, taken);
            let error = both(put(&channel, 2), sink).await.unwrap_err();
            assert!(matches!(error, ChannelError::Full { .. }));
            assert_eq!(start.elapsed(), KEEP_ALIVE / 3 + KEEP_ALIVE);
        });
    }

    #[test]
    fn a_put_given_up_leaves_its_bytes_to_others() {
        run(async {
            let channel = channel(Some(4));
            let waiting = channel.put(events(2));
            assert!(matches!(waiting, Put::Waits(_)));
            channel.take(1).unwrap().commit().await.unwrap();
            drop(waiting);
            assert!(matches!(channel.put(events(2)), Put::Committed));
        });
    }

    #[test]
    fn a_patient_take_waits_for_each_event_up_to_keep_alive_and_takes_no_more_than_it_may() {
        run(async {
            let limits = MemoryLimits {
                capacity: 9,
                transaction_capacity: 9,
                byte_slots: None,
            };
            let channel = Arc::new(Channel::memory("c1", limits, KEEP_ALIVE));
            let arrivals = async {
                for count in [1, 3] {
                    tokio::time::sleep(KEEP_ALIVE * 2 / 3).await;
                    assert!(matches!(channel.put(events(count)), Put::Committed));
                }
                pending::<()>().await;
            };
            let start = Instant::now();
            let taken = both(channel.take_patiently(3, pending()), arrivals).await;
            assert_eq!(start.elapsed(), KEEP_ALIVE * 4 / 3);
            let taken = taken.unwrap();
            assert_eq!((taken.events().len(), channel.len()), (3, 1));
            assert_eq!(channel.counters().take_attempts.value(), 3);
            // The rest, and a wait in vain.
            let rest = channel.take_patiently(3, pending()).await.unwrap();
            assert_eq!(rest.events().len(), 1);
            assert_eq!(start.elapsed(), KEEP_ALIVE * 7 / 3);
            assert_eq!(channel.counters().take_attempts.value(), 3 + 2);
        });
    }

    #[test]
    fn a_patient_take_in_a_hurry_has_what_is_there() {
        run(async {
            let channel = channel(None);
            let start = Instant::now();
            let taken = channel.take_patiently(2, ready(())).await.unwrap();
            assert_eq!((taken.events().len(), start.elapsed()), (1, Duration::ZERO));
        });
    }

    #[test]
    fn what_one_sink_leaves_another_one_takes_while_the_first_is_busy() {
        run(async {
            let limits = MemoryLimits {
                capacity: 9,
                transaction_capacity: 9,
                byte_slots: None,
            };
            let channel = Arc::new(Channel::memory("c1", limits, KEEP_ALIVE));
            let mut first = pin!(channel.take_patiently(1, pending()));
            let mut second = pin!(channel.take_patiently(1, pending()));
            poll_fn(|context| {
                assert!(first.as_mut().poll(context).is_pending());
                assert!(second.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            assert!(matches!(channel.put(events(2)), Put::Committed));
            let (first, second) = (first.await.unwrap(), second.await.unwrap());
            assert_eq!((first.events().len(), second.events().len()), (1, 1));
        });
    }

    #[test]
    fn taken_events_that_are_dropped_can_be_taken_again() {
        let channel = channel(None);
        let taken = channel.take(2).unwrap();
        assert_eq!((taken.events().len(), channel.len()), (1, 0));
        drop(taken);
        assert_eq!(channel.take(2).unwrap().events().len(), 1);
    }

    #[test]
    fn an_arrival_is_not_missed_by_a_sink_that_looks_later() {
        run(async {
            let channel = channel(None);
            let arrival = tokio::time::timeout(KEEP_ALIVE, channel.arrival());
            assert!(arrival.await.is_ok());
        });
    }

    #[test]
    fn attempts_and_successes_are_counted_as_in_flume() {
        run(async {
            let channel = channel(None);
            assert!(matches!(channel.put(events(5)), Put::Failed(_)));
            channel.take(2).unwrap().commit().await.unwrap();
            drop(channel.take(2).unwrap());
            let counters = channel.counters();
            assert_eq!(counters.put_attempts.value(), 1 + 3);
            assert_eq!(counters.put_successes.value(), 1);
            assert_eq!(counters.take_attempts.value(), 2 + 1);
            assert_eq!(counters.take_successes.value(), 1);
        });
    }
}
