//! [`MemoryChannel`]: Flume's memory channel as a plain structure, without a clock and without locks.
//!
//! | step of a transaction | what happens |
//! |---|---|
//! | put | goes to the transaction's own list; beyond `transactionCapacity` it fails at once |
//! | take | moves the oldest event to the transaction's list; its slot stays occupied |
//! | commit of puts | needs room for the bodies, then slots; may hold the first while it waits for the second |
//! | commit of takes | frees the events' slots and the room of their bodies |
//! | rollback | puts are dropped, takes return to the head in their order |
//!
//! Bodies count in units of [`BYTES_PER_SLOT`], rounded up, an empty one as one; headers do not
//! count. Two facts of Flume follow that surprise users: a batch larger than
//! `transactionCapacity` fails however empty the channel is, and a channel is full while a sink
//! still holds what it took. Source: Flume's `MemoryChannel` and its inner `MemoryTransaction`.
//! Not here: transactions that put and take, which no component of Flume makes.

use std::collections::VecDeque;

/// Flume's `byteCapacitySlotSize`: what one unit of `byteCapacity` stands for.
const BYTES_PER_SLOT: usize = 100;

/// What has a size in a channel.
pub(crate) trait Weigh {
    fn body_bytes(&self) -> usize;
}

/// How much a channel holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryLimits {
    /// Events in the channel.
    pub(crate) capacity: usize,
    /// Events in a transaction.
    pub(crate) transaction_capacity: usize,
    /// Units of 100 bytes for bodies; `None`: no bound.
    pub(crate) byte_slots: Option<u32>,
}

/// A queue of events with bounds on its length, on its bytes and on the size of a transaction.
#[derive(Debug)]
pub(crate) struct MemoryChannel<E> {
    queue: VecDeque<E>,
    limits: MemoryLimits,
    /// Slots of events that open transactions have taken.
    held: usize,
    /// Units of bytes not taken; of no meaning without a bound.
    free_byte_slots: u64,
}

/// An open transaction of puts. [`MemoryChannel::commit`] or [`MemoryChannel::cancel`] close it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Puts<E> {
    events: Vec<E>,
    byte_slots: u64,
    has_bytes: bool,
}

/// An open transaction of takes. [`MemoryChannel::commit_takes`] or [`MemoryChannel::rollback`]
/// close it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Takes<E> {
    events: Vec<E>,
}

/// What a commit lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Bytes,
    Slots,
}

/// A commit that must wait, and for what. What it has already it keeps meanwhile.
#[derive(Debug)]
pub(crate) struct Stalled<E> {
    pub(crate) puts: Puts<E>,
    pub(crate) lack: Lack,
}

/// More puts than the channel's `transactionCapacity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverTransaction;

impl<E: Weigh> MemoryChannel<E> {
    /// An empty channel. The caller has checked `1 <= transaction_capacity <= capacity`.
    pub(crate) fn new(limits: MemoryLimits) -> Self {
        debug_assert!((1..=limits.capacity).contains(&limits.transaction_capacity));
        Self {
            queue: VecDeque::new(),
            limits,
            held: 0,
            free_byte_slots: u64::from(limits.byte_slots.unwrap_or_default()),
        }
    }

    /// Opens a transaction of `events`.
    pub(crate) fn put(&self, events: Vec<E>) -> Result<Puts<E>, OverTransaction> {
        if events.len() > self.limits.transaction_capacity {
            return Err(OverTransaction);
        }
        Ok(Puts {
            byte_slots: self.byte_slots_of(&events),
            events,
            has_bytes: false,
        })
    }

    /// Makes the puts final, or gives the transaction back for want of room.
    pub(crate) fn commit(&mut self, mut puts: Puts<E>) -> Result<(), Stalled<E>> {
        if !puts.has_bytes {
            if self.limits.byte_slots.is_some() {
                let Some(free) = self.free_byte_slots.checked_sub(puts.byte_slots) else {
                    let lack = Lack::Bytes;
                    return Err(Stalled { puts, lack });
                };
                self.free_byte_slots = free;
            }
            puts.has_bytes = true;
        }
        if puts.events.len() > self.free() {
            let lack = Lack::Slots;
            return Err(Stalled { puts, lack });
        }
        self.queue.extend(puts.events);
        debug_assert!(self.queue.len() + self.held <= self.limits.capacity);
        Ok(())
    }

    /// Drops the puts. Tells whether that made room for others.
    pub(crate) fn cancel(&mut self, puts: &Puts<E>) -> bool {
        let frees = puts.has_bytes && self.limits.byte_slots.is_some();
        if frees {
            self.free_byte_slots += puts.byte_slots;
        }
        frees
    }

    /// Takes the oldest events until `takes` has `events_max` of them, or the channel none. Tells
    /// how many it has taken.
    pub(crate) fn take(&mut self, takes: &mut Takes<E>, events_max: usize) -> usize {
        let wanted = events_max.min(self.limits.transaction_capacity);
        let missing = wanted.saturating_sub(takes.events.len());
        let found = missing.min(self.queue.len());
        takes.events.extend(self.queue.drain(..found));
        self.held += found;
        found
    }

    /// Makes the takes final.
    pub(crate) fn commit_takes(&mut self, takes: &Takes<E>) {
        self.held -= takes.events.len();
        self.free_byte_slots += self.byte_slots_of(&takes.events);
    }

    /// Undoes the takes.
    pub(crate) fn rollback(&mut self, takes: Takes<E>) {
        self.held -= takes.events.len();
        for event in takes.events.into_iter().rev() {
            self.queue.push_front(event);
        }
    }

    /// Takes over the events of `former`, in which no transaction is open. A bound that they do
    /// not keep stays as it was there, where Flume calls it a resize that was aborted.
    pub(crate) fn take_over(&mut self, former: &mut Self) {
        debug_assert!(self.queue.is_empty() && self.held == 0 && former.held == 0);
        let events = std::mem::take(&mut former.queue);
        former.free_byte_slots = u64::from(former.limits.byte_slots.unwrap_or_default());
        if events.len() > self.limits.capacity {
            self.limits.capacity = former.limits.capacity;
        }
        let slots: u64 = events.iter().map(Self::byte_slots_of_one).sum();
        if self
            .limits
            .byte_slots
            .is_some_and(|bound| slots > u64::from(bound))
        {
            self.limits.byte_slots = former.limits.byte_slots;
        }
        let bound = u64::from(self.limits.byte_slots.unwrap_or_default());
        self.free_byte_slots = bound.saturating_sub(slots);
        self.queue = events;
    }

    /// Events that can be taken.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Events that are not done with: those that open transactions have taken, too.
    pub(crate) fn unsettled(&self) -> usize {
        self.queue.len() + self.held
    }

    /// Events it holds.
    pub(crate) fn capacity(&self) -> usize {
        self.limits.capacity
    }

    /// Slots without an event, in the queue or held by an open transaction.
    fn free(&self) -> usize {
        self.limits.capacity - self.queue.len() - self.held
    }

    /// 0 without a bound: sizes are looked up only where they count.
    fn byte_slots_of(&self, events: &[E]) -> u64 {
        if self.limits.byte_slots.is_none() {
            return 0;
        }
        events.iter().map(Self::byte_slots_of_one).sum()
    }

    fn byte_slots_of_one(event: &E) -> u64 {
        event.body_bytes().div_ceil(BYTES_PER_SLOT).max(1) as u64
    }
}

impl<E> Puts<E> {
    /// Number of events put.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }
}

impl<E> Default for Takes<E> {
    /// Nothing taken yet.
    fn default() -> Self {
        Self { events: Vec::new() }
    }
}

impl<E> Takes<E> {
    /// The events taken, oldest first.
    pub(crate) fn events(&self) -> &[E] {
        &self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MemoryChannelConfig;

    /// An event of this many bytes.
    impl Weigh for usize {
        fn body_bytes(&self) -> usize {
            *self
        }
    }

    type TestChannel = MemoryChannel<usize>;

    fn channel(capacity: usize, transaction_capacity: usize) -> TestChannel {
        MemoryChannel::new(MemoryLimits {
            capacity,
            transaction_capacity,
            byte_slots: None,
        })
    }

    /// With `byteCapacityBufferPercentage` at its default of 20.
    fn weighing(byte_capacity: u64) -> TestChannel {
        let settings = MemoryChannelConfig {
            byte_capacity: Some(byte_capacity),
            ..MemoryChannelConfig::default()
        };
        MemoryChannel::new(MemoryLimits {
            capacity: 100,
            transaction_capacity: 100,
            byte_slots: settings.byte_slots(),
        })
    }

    fn puts(channel: &TestChannel, events: &[usize]) -> Puts<usize> {
        channel.put(events.to_vec()).unwrap()
    }

    fn commit(channel: &mut TestChannel, events: &[usize]) -> Result<(), Lack> {
        let committed = channel.commit(puts(channel, events));
        committed.map_err(|stalled| {
            channel.cancel(&stalled.puts);
            stalled.lack
        })
    }

    fn filled(capacity: usize, events: &[usize]) -> TestChannel {
        let mut channel = channel(capacity, capacity);
        commit(&mut channel, events).unwrap();
        channel
    }

    fn take(channel: &mut TestChannel, events_max: usize) -> Takes<usize> {
        let mut takes = Takes::default();
        let found = channel.take(&mut takes, events_max);
        assert_eq!(takes.events().len(), found);
        takes
    }

    fn check(mut channel: TestChannel, expected: &[usize]) {
        assert_eq!(take(&mut channel, usize::MAX).events(), expected);
    }

    #[test]
    fn m1_a_put_beyond_transaction_capacity_fails_at_once() {
        let channel = channel(100, 2);
        assert_eq!(channel.put(vec![1, 2, 3]).unwrap_err(), OverTransaction);
        assert!(channel.put(vec![1, 2]).is_ok());
    }

    #[test]
    fn m2_a_commit_without_room_fails_whole_and_leaves_the_channel_as_it_was() {
        let mut channel = filled(5, &[1, 2, 3]);
        assert_eq!(commit(&mut channel, &[4, 5, 6]), Err(Lack::Slots));
        commit(&mut channel, &[7, 8]).unwrap();
        check(channel, &[1, 2, 3, 7, 8]);
    }

    #[test]
    fn m3_room_comes_back_with_takes_and_with_cancelled_puts() {
        let mut channel = filled(3, &[1, 2, 3]);
        let taken = take(&mut channel, 2);
        channel.commit_takes(&taken);
        let cancelled = puts(&channel, &[4, 5]);
        channel.cancel(&cancelled);
        commit(&mut channel, &[6, 7]).unwrap();
        check(channel, &[3, 6, 7]);
    }

    #[test]
    fn m4_bodies_fill_the_bytes_left_beside_the_buffer_percentage() {
        let mut channel = weighing(2000);
        commit(&mut channel, &[405, 405, 405]).unwrap();
        assert_eq!(commit(&mut channel, &[405, 405]), Err(Lack::Bytes));
        commit(&mut channel, &[100]).unwrap();
        assert_eq!(commit(&mut channel, &[0]), Err(Lack::Bytes));
    }

    #[test]
    fn m5_the_bytes_are_as_before_after_a_rollback_even_of_an_empty_event() {
        let mut channel = weighing(1000);
        assert_eq!(channel.free_byte_slots, 8);
        let cancelled = puts(&channel, &[0]);
        channel.cancel(&cancelled);
        assert_eq!(channel.free_byte_slots, 8);
        commit(&mut channel, &[0, 101]).unwrap();
        let taken = take(&mut channel, 2);
        assert_eq!(channel.free_byte_slots, 5);
        channel.rollback(taken);
        assert_eq!(channel.free_byte_slots, 5);
        let taken = take(&mut channel, 2);
        channel.commit_takes(&taken);
        assert_eq!(channel.free_byte_slots, 8);
    }

    #[test]
    fn a_commit_that_has_its_bytes_and_waits_for_slots_keeps_the_bytes() {
        let mut channel = MemoryChannel::new(MemoryLimits {
            capacity: 1,
            transaction_capacity: 1,
            byte_slots: Some(10),
        });
        commit(&mut channel, &[100]).unwrap();
        let stalled = channel.commit(puts(&channel, &[200])).unwrap_err();
        assert_eq!((stalled.lack, channel.free_byte_slots), (Lack::Slots, 7));
        let stalled = channel.commit(stalled.puts).unwrap_err();
        assert_eq!(channel.free_byte_slots, 7);
        assert!(channel.cancel(&stalled.puts));
        assert_eq!(channel.free_byte_slots, 9);
    }

    #[test]
    fn m8_a_rollback_returns_taken_events_to_the_head_in_order() {
        let mut channel = filled(5, &[1, 2, 3]);
        let taken = take(&mut channel, 2);
        commit(&mut channel, &[4]).unwrap();
        channel.rollback(taken);
        check(channel, &[1, 2, 3, 4]);
    }

    #[test]
    fn puts_are_invisible_until_the_commit() {
        let mut channel = channel(10, 10);
        let transaction = puts(&channel, &[1, 2]);
        assert_eq!(channel.len(), 0);
        channel.commit(transaction).unwrap();
        check(channel, &[1, 2]);
    }

    #[test]
    fn a_transaction_given_back_commits_once_there_is_room() {
        let mut channel = filled(3, &[1, 2, 3]);
        let waiting = channel.commit(puts(&channel, &[4, 5])).unwrap_err();
        let taken = take(&mut channel, 2);
        let waiting = channel.commit(waiting.puts).unwrap_err();
        channel.commit_takes(&taken);
        channel.commit(waiting.puts).unwrap();
        check(channel, &[3, 4, 5]);
    }

    #[test]
    fn taken_events_occupy_their_slots_until_the_take_is_committed() {
        let mut channel = filled(3, &[1, 2, 3]);
        let taken = take(&mut channel, 2);
        assert_eq!(channel.len(), 1);
        assert_eq!(commit(&mut channel, &[4]), Err(Lack::Slots));
        channel.commit_takes(&taken);
        commit(&mut channel, &[4]).unwrap();
        check(channel, &[3, 4]);
    }

    #[test]
    fn a_batch_ends_at_an_empty_channel_and_at_transaction_capacity() {
        let mut channel = channel(10, 2);
        commit(&mut channel, &[1, 2]).unwrap();
        commit(&mut channel, &[3]).unwrap();
        assert_eq!(take(&mut channel, 5).events(), [1, 2]);
        assert_eq!(take(&mut channel, 5).events(), [3]);
    }

    #[test]
    fn a_transaction_takes_on_where_it_stopped_up_to_its_limit() {
        let mut channel = filled(4, &[1]);
        let mut takes = take(&mut channel, 3);
        commit(&mut channel, &[2, 3, 4, 5]).unwrap_err();
        commit(&mut channel, &[2, 3]).unwrap();
        assert_eq!(channel.take(&mut takes, 3), 2);
        assert_eq!(takes.events(), [1, 2, 3]);
        assert_eq!(channel.take(&mut takes, 3), 0);
    }
}
