//! [`Obstacle`] and [`ToldUnread`]: what cannot be read for a while, and how much of it was told.

use std::collections::BTreeMap;

use flume_client::spool::{FileName, Log};

/// What keeps a file from being read, until it is lifted.
#[derive(Clone, Debug)]
pub(super) enum Obstacle {
    /// Nobody has the permission.
    Denied(FileName),
    /// A block of it.
    BadBlock(FileName),
    /// Its header is of another version. What it held before, and holds now.
    OtherVersion(FileName, Vec<u8>, Vec<u8>),
}

/// Gaps of what cannot be read, since the last start.
#[derive(Debug, Default)]
pub(super) struct ToldUnread {
    /// Of the reader, and of the one that tries again.
    first: Sums,
    pub(super) late: Sums,
    /// Bytes of the files that could not be read.
    files: BTreeMap<FileName, u64>,
}

/// Events of gaps: so many were told at most, so many numbers were given to events, and so many
/// events are stored and not done with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) told: u64,
    pub(super) given: u64,
    pub(super) open: u64,
}

/// An event takes at least so many bytes of a segment.
pub(super) const EVENT_BYTES_MIN: u64 = 6;

impl ToldUnread {
    /// One more gap. What a file can hold is told with the first one, so only sums can be checked.
    pub(super) fn add(&mut self, gap: Sums, log: &Log, late: bool) -> Sums {
        for unread in log.segments().unread {
            self.note(FileName::Segment(unread.id), unread.bytes);
        }
        let sums = if late {
            &mut self.late
        } else {
            &mut self.first
        };
        sums.told += gap.told;
        sums.given += gap.given;
        sums.open += gap.open;
        *sums
    }

    pub(super) fn note(&mut self, file: FileName, bytes: u64) {
        let known = self.files.entry(file).or_default();
        *known = bytes.max(*known);
    }

    /// Events that all these files can hold.
    pub(super) fn room(&self) -> u64 {
        self.files.values().sum::<u64>() / EVENT_BYTES_MIN
    }
}
