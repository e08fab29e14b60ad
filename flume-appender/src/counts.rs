//! [`Counts`]: what the renderer did with records, by level.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::capture::ByLevel;

/// What became of records that were taken from the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// They are with the client.
    pub(crate) handed: ByLevel,
    /// The client had no room for their level.
    pub(crate) no_room: ByLevel,
    /// The layout panicked, or wrote nothing that an event can hold.
    pub(crate) unwritten: ByLevel,
    /// The user's own look at them said so.
    pub(crate) dropped: ByLevel,
    /// The client had ended, or the time for the end was over.
    pub(crate) closed: ByLevel,
    /// Events of which something was cut off.
    pub(crate) cut: u64,
    /// Promoted fields that got another key than the wanted one.
    pub(crate) renamed: u64,
    /// Records of the appender itself.
    pub(crate) reports: u64,
}

impl Outcomes {
    pub(crate) fn add_all(&mut self, other: &Self) {
        self.handed.add_all(&other.handed);
        self.no_room.add_all(&other.no_room);
        self.unwritten.add_all(&other.unwritten);
        self.dropped.add_all(&other.dropped);
        self.closed.add_all(&other.closed);
        self.cut += other.cut;
        self.renamed += other.renamed;
        self.reports += other.reports;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    outcomes: Mutex<Outcomes>,
}

impl Counts {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Outcomes> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
