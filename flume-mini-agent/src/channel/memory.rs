//! [`MemoryChannel`]: Flume's memory channel as a plain structure, without a clock and without locks.
//!
//! | step of a transaction | what happens |
//! |---|---|
//! | put | goes to the transaction's own list; beyond `transactionCapacity` it fails at once |
//! | take | moves the oldest event to the transaction's list; its slot stays occupied |
//! | commit | puts need free slots, less those the takes give back; takes free theirs |
//! | rollback | puts are dropped, takes return to the head in their order |
//!
//! Two facts of Flume follow that surprise users: a batch larger than `transactionCapacity` fails
//! however empty the channel is, and a channel is full while a sink still holds what it took.
//! Source: Flume's `MemoryChannel` and its inner `MemoryTransaction`. Not here: `byteCapacity`.

use std::collections::VecDeque;

/// A queue of events with a bound on its length and on the size of a transaction.
#[derive(Debug)]
pub(crate) struct MemoryChannel<E> {
    queue: VecDeque<E>,
    capacity: usize,
    transaction_capacity: usize,
    /// Slots of events that open transactions have taken.
    held: usize,
}

/// An open transaction. [`MemoryChannel::commit`] and [`MemoryChannel::rollback`] close it; one
/// that has only puts may also be dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Transaction<E> {
    puts: Vec<E>,
    takes: Vec<E>,
    capacity: usize,
}

/// A put or take beyond the channel's `transactionCapacity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the transaction holds {capacity} events, all its channel's transactionCapacity allows")]
pub(crate) struct TransactionFull {
    capacity: usize,
}

impl<E> MemoryChannel<E> {
    /// An empty channel. The caller has checked `1 <= transaction_capacity <= capacity`.
    pub(crate) fn new(capacity: usize, transaction_capacity: usize) -> Self {
        debug_assert!((1..=capacity).contains(&transaction_capacity));
        Self {
            queue: VecDeque::new(),
            capacity,
            transaction_capacity,
            held: 0,
        }
    }

    /// Opens a transaction.
    pub(crate) fn begin(&self) -> Transaction<E> {
        Transaction {
            puts: Vec::new(),
            takes: Vec::new(),
            capacity: self.transaction_capacity,
        }
    }

    /// Takes the oldest event into `transaction`. `false` when the channel is empty.
    pub(crate) fn take(
        &mut self,
        transaction: &mut Transaction<E>,
    ) -> Result<bool, TransactionFull> {
        transaction.check_room(transaction.takes.len())?;
        let Some(event) = self.queue.pop_front() else {
            return Ok(false);
        };
        transaction.takes.push(event);
        self.held += 1;
        Ok(true)
    }

    /// Makes the transaction's puts and takes final, or gives it back for want of room.
    pub(crate) fn commit(&mut self, transaction: Transaction<E>) -> Result<(), Transaction<E>> {
        let (puts, takes) = (transaction.puts.len(), transaction.takes.len());
        if puts > takes && puts - takes > self.free() {
            return Err(transaction);
        }
        self.held -= takes;
        self.queue.extend(transaction.puts);
        debug_assert!(self.queue.len() + self.held <= self.capacity);
        Ok(())
    }

    /// Undoes the transaction.
    pub(crate) fn rollback(&mut self, transaction: Transaction<E>) {
        self.held -= transaction.takes.len();
        for event in transaction.takes.into_iter().rev() {
            self.queue.push_front(event);
        }
    }

    /// Events that can be taken.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Slots without an event, in the queue or held by an open transaction.
    fn free(&self) -> usize {
        self.capacity - self.queue.len() - self.held
    }
}

impl<E> Transaction<E> {
    /// Adds an event for the commit.
    pub(crate) fn put(&mut self, event: E) -> Result<(), TransactionFull> {
        self.check_room(self.puts.len())?;
        self.puts.push(event);
        Ok(())
    }

    /// The events taken so far, oldest first.
    pub(crate) fn taken(&self) -> &[E] {
        &self.takes
    }

    /// Number of events put so far.
    pub(crate) fn put_count(&self) -> usize {
        self.puts.len()
    }

    fn check_room(&self, events: usize) -> Result<(), TransactionFull> {
        if events < self.capacity {
            Ok(())
        } else {
            Err(TransactionFull {
                capacity: self.capacity,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(capacity: usize, transaction_capacity: usize) -> MemoryChannel<u32> {
        MemoryChannel::new(capacity, transaction_capacity)
    }

    fn puts(channel: &MemoryChannel<u32>, events: &[u32]) -> Transaction<u32> {
        let mut transaction = channel.begin();
        for event in events {
            transaction.put(*event).unwrap();
        }
        transaction
    }

    fn filled(capacity: usize, events: &[u32]) -> MemoryChannel<u32> {
        let mut channel = channel(capacity, capacity);
        channel.commit(puts(&channel, events)).unwrap();
        channel
    }

    fn takes(channel: &mut MemoryChannel<u32>, count: usize) -> Transaction<u32> {
        let mut transaction = channel.begin();
        for _ in 0..count {
            assert_eq!(channel.take(&mut transaction), Ok(true));
        }
        transaction
    }

    fn check(mut channel: MemoryChannel<u32>, expected: &[u32]) {
        let count = channel.len();
        assert_eq!(takes(&mut channel, count).taken(), expected);
    }

    #[test]
    fn a_put_beyond_transaction_capacity_fails_at_once() {
        let channel = channel(100, 2);
        let mut transaction = puts(&channel, &[1, 2]);
        assert_eq!(transaction.put(3), Err(TransactionFull { capacity: 2 }));
    }

    #[test]
    fn a_take_beyond_transaction_capacity_fails_and_takes_nothing() {
        let mut channel = channel(100, 2);
        channel.commit(puts(&channel, &[1, 2])).unwrap();
        channel.commit(puts(&channel, &[3])).unwrap();
        let mut transaction = takes(&mut channel, 2);
        assert!(channel.take(&mut transaction).is_err());
        assert_eq!(channel.len(), 1);
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
    fn a_commit_without_room_fails_whole_and_leaves_the_channel_as_it_was() {
        let mut channel = filled(5, &[1, 2, 3]);
        let back = channel.commit(puts(&channel, &[4, 5, 6])).unwrap_err();
        assert_eq!(back.put_count(), 3);
        channel.commit(puts(&channel, &[7, 8])).unwrap();
        check(channel, &[1, 2, 3, 7, 8]);
    }

    #[test]
    fn a_transaction_given_back_commits_once_there_is_room() {
        let mut channel = filled(3, &[1, 2, 3]);
        let waiting = channel.commit(puts(&channel, &[4, 5])).unwrap_err();
        let taken = takes(&mut channel, 2);
        let waiting = channel.commit(waiting).unwrap_err();
        channel.commit(taken).unwrap();
        channel.commit(waiting).unwrap();
        check(channel, &[3, 4, 5]);
    }

    #[test]
    fn taken_events_occupy_their_slots_until_the_take_is_committed() {
        let mut channel = filled(3, &[1, 2, 3]);
        let taken = takes(&mut channel, 2);
        assert_eq!(channel.len(), 1);
        let waiting = channel.commit(puts(&channel, &[4])).unwrap_err();
        channel.commit(taken).unwrap();
        channel.commit(waiting).unwrap();
        check(channel, &[3, 4]);
    }

    #[test]
    fn a_transaction_that_takes_and_puts_needs_room_for_the_difference_only() {
        let mut channel = filled(3, &[1, 2, 3]);
        let mut transaction = takes(&mut channel, 2);
        transaction.put(4).unwrap();
        transaction.put(5).unwrap();
        channel.commit(transaction).unwrap();
        check(channel, &[3, 4, 5]);
    }

    #[test]
    fn a_rollback_returns_taken_events_to_the_head_in_order() {
        let mut channel = filled(5, &[1, 2, 3]);
        let taken = takes(&mut channel, 2);
        channel.commit(puts(&channel, &[4])).unwrap();
        channel.rollback(taken);
        check(channel, &[1, 2, 3, 4]);
    }

    #[test]
    fn rolled_back_puts_leave_their_room_to_others() {
        let mut channel = filled(3, &[1]);
        channel.rollback(puts(&channel, &[2, 3]));
        channel.commit(puts(&channel, &[4, 5])).unwrap();
        check(channel, &[1, 4, 5]);
    }

    #[test]
    fn a_take_from_an_empty_channel_ends_the_batch() {
        let mut channel = filled(3, &[1]);
        let mut transaction = takes(&mut channel, 1);
        assert_eq!(channel.take(&mut transaction), Ok(false));
        assert_eq!(transaction.taken(), [1]);
    }
}
