//! [`Booked`]: a log, and which of its events have which number.

use std::collections::BTreeMap;

use flume_client::seq::{Seq, SeqRange};

use super::*;
use crate::channel::file::log::Change;

/// A log and what it holds.
pub(super) struct Booked {
    pub(super) log: Log,
    /// The numbers of the events, by sequence number.
    live: BTreeMap<Seq, u64>,
}

/// A transaction, by the numbers of its events.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Put(Vec<u64>),
    Take(Vec<u64>),
}

impl Booked {
    /// A log of the smallest segments.
    pub(super) fn open(disk: &SimDisk) -> Result<Self, OpenError> {
        let limits = Limits {
            capacity: usize::MAX,
            segment_bytes: 0,
            free_bytes: 0,
        };
        let disk = Arc::new(Guarded::new(disk.storage(), None));
        let (log, events) = Log::open(disk, limits)?;
        let live = events.iter().map(|(at, event)| (*at, number(event)));
        let live = live.collect();
        Ok(Self { log, live })
    }

    /// What is in it, in order.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.live.values().copied().collect()
    }

    pub(super) fn put(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let step = Step::Put(numbers.into_iter().collect());
        self.commit(&[step]).unwrap();
    }

    /// Takes so many of those that are left when the oldest `kept` are.
    pub(super) fn take(&mut self, kept: usize, count: usize) {
        let taken = self.live.values().skip(kept).take(count);
        let step = Step::Take(taken.copied().collect());
        self.commit(&[step]).unwrap();
    }

    /// Commits a round of transactions on different events.
    pub(super) fn commit(&mut self, round: &[Step]) -> Result<(), TransactionError> {
        let sequence = |taken: &u64| {
            let found = self.live.iter().find(|(_, number)| *number == taken);
            *found.unwrap().0
        };
        let puts: Vec<Vec<StoredEvent>> = round.iter().map(Step::events).collect();
        let takes: Vec<Vec<Seq>> = round
            .iter()
            .map(|step| match step {
                Step::Put(_) => Vec::new(),
                Step::Take(numbers) => numbers.iter().map(sequence).collect(),
            })
            .collect();
        let changes = round.iter().zip(puts.iter().zip(&takes));
        let changes: Vec<_> = changes
            .map(|(step, (puts, takes))| match step {
                Step::Put(_) => Change::Put(puts),
                Step::Take(_) => Change::Take(takes),
            })
            .collect();
        let mut next = self.log.commit(&changes)?;
        for (step, takes) in round.iter().zip(&takes) {
            self.live.retain(|sequence, _| !takes.contains(sequence));
            if let Step::Put(numbers) = step {
                let range = SeqRange::of(next, numbers.len() as u64);
                self.live.extend(range.iter().zip(numbers.iter().copied()));
                next = range.end;
            }
        }
        Ok(())
    }
}

impl Step {
    /// Of different lengths.
    fn events(&self) -> Vec<StoredEvent> {
        match self {
            Self::Put(numbers) => numbers
                .iter()
                .map(|number| padded_event(*number, usize::try_from(number * 7 % 40).unwrap()))
                .collect(),
            Self::Take(_) => Vec::new(),
        }
    }
}
