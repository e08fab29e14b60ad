//! [`Log`]: transactions to segments, one write and one sync per round. Blocking; no threads.

use std::io;
use std::sync::Arc;

use super::error::TransactionError;
use super::ledger::Ledger;
use super::record::{Round, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::storage::{SpaceProbe, Storage};
use crate::channel::StoredEvent;

/// The log of a channel, open for writing.
///
/// After an error of a sync it is poisoned: the kernel may have dropped what it could not write
/// and would call the next sync a success, so nothing that follows could be trusted.
#[derive(Debug)]
pub(super) struct Log<S> {
    storage: S,
    segment_bytes_max: u64,
    ledger: Ledger,
    round: Round,
    /// Whether a close record is the last one.
    closed: bool,
    /// With less free bytes than this on the disk, a spent segment is not filled up first.
    scarce_bytes: u64,
    /// Moving events to save space was not possible; not again before the log has this many bytes.
    sparse_bytes_min: u64,
    poison: Option<Arc<str>>,
}

/// A transaction for the log.
#[derive(Debug)]
pub(super) enum Change<'a> {
    Put(&'a [StoredEvent]),
    /// By sequence number.
    Take(&'a [u64]),
}

impl<S: Storage> Log<S> {
    /// A log that was replayed. `closed` tells that its last record says so.
    pub(super) fn new(storage: S, segment_bytes_max: u64, ledger: Ledger, closed: bool) -> Self {
        Self {
            storage,
            segment_bytes_max,
            ledger,
            round: Round::default(),
            closed,
            scarce_bytes: 0,
            sparse_bytes_min: 0,
            poison: None,
        }
    }

    /// Commits all of `changes` together and gives the sequence number of the first event put;
    /// the others follow in order. After [`TransactionError::Write`] none of them is in the log;
    /// after [`TransactionError::Poisoned`] any of them may be.
    pub(super) fn commit(&mut self, changes: &[Change<'_>]) -> Result<u64, TransactionError> {
        self.begin_round()?;
        let first = self.ledger.next_sequence();
        let mut next = first;
        for change in changes {
            match change {
                Change::Put(events) => {
                    self.round.put(next, events);
                    next += events.len() as u64;
                }
                Change::Take(sequences) => self.round.take(sequences),
            }
        }
        self.end_round()?;
        for change in changes {
            match change {
                Change::Put(events) => events.iter().for_each(|it| self.ledger.put(it.clone())),
                Change::Take(sequences) => sequences.iter().for_each(|it| self.ledger.take(*it)),
            }
        }
        debug_assert_eq!(self.ledger.next_sequence(), next);
        Ok(first)
    }

    /// Bytes that puts leave free. A disk with less than twice as many is taken for scarce.
    pub(super) fn leave_free(&mut self, bytes: u64) {
        self.scarce_bytes = bytes.saturating_mul(2);
    }

    /// Removes segments that nobody needs. What cannot be done now is tried again the next time.
    pub(super) fn tidy(&mut self) {
        if self.ledger.active_is_spent() && self.space_is_scarce() {
            // What cannot be done now is tried after the next round.
            let _ = self.rotate();
        }
        // Bounded: each segment that is here now is looked at once.
        for _ in 0..self.ledger.segment_count() {
            let dead = self.ledger.dead_segment();
            let done = match dead.or_else(|| self.sparse_segment()) {
                Some(segment) => self.retire(segment),
                None => return,
            };
            if done.is_err() {
                if dead.is_none() {
                    self.sparse_bytes_min = self.ledger.bytes() + self.segment_bytes_max;
                }
                return;
            }
        }
    }

    /// Ends the log with a record that vouches for all before it.
    pub(super) fn close(&mut self) -> Result<(), TransactionError> {
        if self.closed {
            return Ok(());
        }
        self.begin_round()?;
        self.round.close();
        self.end_round()?;
        self.closed = true;
        Ok(())
    }

    /// Begins the segment after the last.
    fn rotate(&mut self) -> Result<(), TransactionError> {
        let number = self.ledger.active() + 1;
        let header = SegmentHeader {
            number,
            oldest: self.ledger.oldest(),
            next_sequence: self.ledger.next_sequence(),
            bytes_before: self.ledger.active_bytes(),
        };
        match create_segment(&mut self.storage, header) {
            Ok(()) => {
                self.ledger
                    .begin_segment(number, SEGMENT_HEADER_BYTES as u64);
                Ok(())
            }
            Err(CreateError::Write(error)) => Err(undone(error)),
            Err(CreateError::Sync(error)) => Err(self.poison("sync", number, &error)),
        }
    }

    /// Moves what is live in the oldest segment to the last, and deletes it.
    ///
    /// A record says first that it is not needed, so a removal that a crash undoes does not bring
    /// its events back, and one that nobody asked for is found out.
    fn retire(&mut self, segment: u64) -> Result<(), TransactionError> {
        self.begin_round()?;
        let events = self.ledger.events_of(segment);
        for (sequence, event) in &events {
            self.round.moved(*sequence, event);
        }
        self.round.retire(segment + 1);
        self.end_round()?;
        for (sequence, event) in events {
            self.ledger.moved(sequence, event);
        }
        for retired in self.ledger.retire(segment + 1) {
            // If it stays, the next open tries again.
            let _ = self.storage.remove(retired);
        }
        Ok(())
    }

    fn space_is_scarce(&self) -> bool {
        let free = (self.storage.space_probe())();
        free.is_ok_and(|free| free < self.scarce_bytes)
    }

    fn sparse_segment(&self) -> Option<u64> {
        let due = self.ledger.bytes() >= self.sparse_bytes_min;
        due.then(|| self.ledger.sparse_segment(self.segment_bytes_max))?
    }

    fn begin_round(&mut self) -> Result<(), TransactionError> {
        if let Some(reason) = &self.poison {
            return Err(TransactionError::Poisoned(Arc::clone(reason)));
        }
        if self.ledger.active_bytes() >= self.segment_bytes_max {
            self.rotate()?;
        }
        self.round
            .restart(self.ledger.active(), self.ledger.active_bytes());
        Ok(())
    }

    fn end_round(&mut self) -> Result<(), TransactionError> {
        let (segment, offset) = (self.ledger.active(), self.ledger.active_bytes());
        self.closed = false;
        let written = self.storage.write(segment, offset, self.round.bytes());
        if let Err(error) = written {
            return Err(self.cut_back(segment, offset, error));
        }
        if let Err(error) = self.storage.sync(segment) {
            return Err(self.poison("sync", segment, &error));
        }
        self.ledger.grow(self.round.bytes().len());
        Ok(())
    }

    /// Removes what a failed write has left, durably: a later segment must not follow a torn one.
    fn cut_back(&mut self, segment: u64, offset: u64, error: io::Error) -> TransactionError {
        if let Err(error) = self.storage.truncate(segment, offset) {
            return self.poison("cut a torn write from", segment, &error);
        }
        if let Err(error) = self.storage.sync(segment) {
            return self.poison("sync", segment, &error);
        }
        undone(error)
    }

    fn poison(&mut self, action: &str, segment: u64, error: &io::Error) -> TransactionError {
        let file = self.storage.name(segment);
        let reason: Arc<str> = format!("could not {action} {file}: {error}").into();
        self.poison = Some(Arc::clone(&reason));
        TransactionError::Poisoned(reason)
    }
}

impl<S> Log<S> {
    pub(super) fn poisoned(&self) -> Option<&Arc<str>> {
        self.poison.as_ref()
    }

    /// What it is written to.
    pub(super) fn into_storage(self) -> S {
        self.storage
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl<S: Storage> Log<S> {
    pub(super) fn space_probe(&self) -> SpaceProbe {
        self.storage.space_probe()
    }
}

/// What a new segment failed at.
#[derive(Debug)]
pub(super) enum CreateError {
    /// It is not there and may be tried again.
    Write(io::Error),
    Sync(io::Error),
}

/// Makes a segment that has its whole header, or none at all.
pub(super) fn create_segment(
    storage: &mut impl Storage,
    header: SegmentHeader,
) -> Result<(), CreateError> {
    let number = header.number;
    storage.create(number).map_err(CreateError::Write)?;
    let written = storage.write(number, 0, &header.encode());
    written.map_err(CreateError::Write)?;
    storage.sync(number).map_err(CreateError::Sync)?;
    storage.publish(number).map_err(CreateError::Write)?;
    storage.sync_directory().map_err(CreateError::Sync)
}

fn undone(error: io::Error) -> TransactionError {
    TransactionError::Write(Arc::new(error))
}
