//! What is not read: files that cannot be, and [`Gap`]s, and how many events they can be at most.
//!
//! Only bytes that were read and fail their check are damage. An error of the system says nothing
//! about what the file holds, so its events are neither there nor lost until somebody can read it,
//! or removes it.
//!
//! | error | for how long | then |
//! |---|---|---|
//! | of the machine or the process: no descriptors, no memory, interrupted | it passes | the same read again |
//! | of a file: no permission, not there any more, a link in its place, a stale mount | until a person mends it | its other events first |
//! | of a block: the disk fails | perhaps for ever | the events around it first |

use std::fmt;
use std::io;

use super::folder::NotAFile;
use super::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::storage::{FileName, Storage};
use super::system::is_short_of_descriptors;
use crate::seq::{Seq, SeqRange};

/// A segment that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable {
    /// In the name of its file. Another one than in its header if somebody has renamed it.
    pub id: u64,
    /// What it says of itself.
    pub header: SegmentHeader,
    /// Bytes of its file.
    pub bytes: u64,
}

/// A segment that cannot be read. Its file is left alone until it can, or somebody removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// In the name of its file.
    pub id: u64,
    /// Bytes of its file; 0 if what has its name is no file.
    pub bytes: u64,
    /// Bytes that it can be at most: those of its file, or if that is elsewhere, those of the
    /// largest segment that can be.
    pub bytes_max: u64,
    /// Why not.
    pub why: Unreadable,
}

/// Why something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// The system's reason.
    System(String),
    /// It is of another version of the format.
    OtherVersion(u16),
}

/// The segments of a spool, as a [`Reader`](super::Reader) takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentList {
    /// In the order of their numbers.
    pub readable: Vec<Readable>,
    /// By id.
    pub unread: Vec<Unread>,
    /// Those of `unread` that somebody has removed since the spool was opened.
    pub removed: Vec<Unread>,
}

/// Sequence numbers without their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which are missing.
    pub range: SeqRange,
    /// How many of them can have been events at most, beside those of the gaps before: what a file
    /// can hold is counted once, for the first gap that its events can be missing in. The others
    /// were given to none, which nothing tells that is left.
    pub events_max: u64,
    /// Why they are missing.
    pub missing: Missing,
    /// Where they should be, by the id in the file's name; `None` if that file is not there.
    pub segment: Option<u64>,
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// They were durable, and are damaged or not there any more.
    Lost,
    /// Nobody was told that they are durable: a write that never came to its end.
    Unfinished,
    /// Where they are cannot be read now. Nothing is known about them.
    Unreadable,
}

/// What an error of a read is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFailure {
    /// The machine or the process as a whole, for a while.
    Passing,
    /// This file.
    File,
    /// This part of the file.
    Block,
}

/// An event takes at least its end, and a datum of two counts.
const EVENT_BYTES_MIN: u64 = 4 + 2;

/// Events that `bytes` of a segment can hold.
pub(super) fn events_in(bytes: u64) -> u64 {
    bytes / EVENT_BYTES_MIN
}

/// Events that a segment's file of `bytes` can hold.
pub(super) fn events_in_file(bytes: u64) -> u64 {
    events_in(bytes.saturating_sub(SEGMENT_HEADER_BYTES as u64))
}

/// How many of these numbers can have been events, if there was room for so many: where the numbers
/// of earlier runs than the one of the end ended is not known. Of that run's all were.
pub(super) fn events_at_most(range: SeqRange, room: u64) -> u64 {
    let of_the_run = range.not_below(range.end.run_first()).len();
    let can_be = range.len().min(room);
    can_be.max(of_the_run)
}

/// How many events were told to be in files that cannot be read, by file. None of them can hold more
/// than its bytes, wherever its events may be missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Vec<(u64, u64)>);

impl Told {
    /// How many events can be in a file beside those that were told.
    pub(super) fn rest(&self, file: &Unread) -> u64 {
        let mut told = self.0.iter().filter(|(id, _)| *id == file.id);
        let told = told.next().map_or(0, |(_, told)| *told);
        file.events_max().saturating_sub(told)
    }

    /// Tells that `events` are in these files, as far as they can be. Returns how many can.
    pub(crate) fn tell<'a>(
        &mut self,
        files: impl IntoIterator<Item = &'a Unread>,
        events: u64,
    ) -> u64 {
        let mut more = 0;
        for file in files {
            more += self.tell_one(file.id, file.events_max(), events - more);
        }
        more
    }

    /// The same of one file, or of a part of it, that can hold `most`.
    pub(super) fn tell_one(&mut self, id: u64, most: u64, events: u64) -> u64 {
        let place = self.0.iter().position(|(known, _)| *known == id);
        let place = place.unwrap_or_else(|| {
            self.0.push((id, 0));
            self.0.len() - 1
        });
        let Some((_, told)) = self.0.get_mut(place) else {
            return 0;
        };
        let here = most.saturating_sub(*told).min(events);
        *told += here;
        here
    }
}

impl ReadFailure {
    /// What this error is about.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::Interrupted | Kind::WouldBlock | Kind::OutOfMemory => Self::Passing,
            _ if is_short_of_descriptors(error) => Self::Passing,
            _ if NotAFile::is_why(error) => Self::File,
            Kind::NotFound
            | Kind::PermissionDenied
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::StaleNetworkFileHandle => Self::File,
            _ => Self::Block,
        }
    }
}

/// Whether a read failed because somebody has removed the segment, and not because the whole
/// directory cannot be reached: what else is in it can be listed.
pub(super) fn is_removed(storage: &dyn Storage, id: u64, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        && storage.list().is_ok_and(|files| {
            let is_there = |wanted: FileName| files.iter().any(|(file, _)| *file == wanted);
            is_there(FileName::Cursor) && !is_there(FileName::Segment(id))
        })
}

/// The place of a segment among others in the order of their numbers, if it has one.
pub(super) fn place_among(
    headers: impl Iterator<Item = SegmentHeader>,
    header: &SegmentHeader,
) -> Option<usize> {
    let (mut place, mut first_before) = (0, Seq::ZERO);
    for other in headers {
        if other.id >= header.id {
            let fits = other.id > header.id && header.first <= other.first;
            return (fits && first_before <= header.first).then_some(place);
        }
        first_before = other.first;
        place += 1;
    }
    (first_before <= header.first).then_some(place)
}

impl Readable {
    pub(super) fn file(&self) -> FileName {
        FileName::Segment(self.id)
    }
}

impl SegmentList {
    /// Takes in a segment. `false`: its numbers are not where those of the others leave room for
    /// them.
    pub(super) fn add(&mut self, readable: Readable) -> bool {
        let headers = self.readable.iter().map(|it| it.header);
        let place = place_among(headers, &readable.header);
        if let Some(place) = place {
            self.readable.insert(place, readable);
        }
        place.is_some()
    }

    /// What may hold the events between two segments that follow each other, by the ids in their
    /// headers, and was not read.
    pub(super) fn unread_between(
        &self,
        after: Option<u64>,
        before: Option<u64>,
    ) -> impl Iterator<Item = &Unread> {
        // Where names were changed by hand, the file with a segment's id is another one.
        let is_misnamed = |id| self.readable.iter().any(|it| it.header.id == id);
        let unread = self.unread.iter();
        unread.filter(move |it| it.is_between(after, before) || is_misnamed(it.id))
    }

    /// How many such events can have been in what was removed; `None` if nothing was.
    pub(super) fn removed_between(&self, after: Option<u64>, before: Option<u64>) -> Option<u64> {
        let removed = self.removed.iter();
        let removed = removed.filter(|it| it.is_between(after, before));
        removed.map(Unread::events_max).reduce(|sum, it| sum + it)
    }
}

impl Unread {
    fn is_between(&self, after: Option<u64>, before: Option<u64>) -> bool {
        after.is_none_or(|after| after < self.id) && before.is_none_or(|before| self.id < before)
    }

    /// Events that can be in it at most.
    #[must_use]
    pub fn events_max(&self) -> u64 {
        events_in_file(self.bytes_max)
    }
}

impl Unreadable {
    pub(super) fn system(error: &io::Error) -> Self {
        Self::System(error.to_string())
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(text) => f.write_str(text),
            Self::OtherVersion(version) => write!(
                f,
                "it is of format version {version}, which this release does not know: read it \
                 with the release that wrote it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_missing_is_never_the_distance_to_the_next_run() {
        let run = 1 << 32;
        let at_most = |first, end, room| events_at_most((first..end).into(), room);
        assert_eq!(at_most(5, 9, 0), 4, "all of one run");
        assert_eq!(at_most(5, run, 10), 10, "a run's end is not known");
        assert_eq!(at_most(5, run + 3, 10), 10, "three of them for sure");
        assert_eq!(at_most(5, run + 30, 10), 30, "more were given");
        assert_eq!(at_most(5, 3 * run + 3, 10), 10);
        assert_eq!(at_most(run - 2, run + 3, 1_000), 3 + 2);
        assert_eq!(at_most(9, 9, 1_000), 0);
        assert_eq!(at_most(9, 5, 1_000), 0);
    }

    #[test]
    fn what_a_file_can_hold_is_told_once_however_often_it_is_asked_for() {
        let file = |id, events| Unread {
            id,
            bytes: SEGMENT_HEADER_BYTES as u64 + events * EVENT_BYTES_MIN,
            bytes_max: SEGMENT_HEADER_BYTES as u64 + events * EVENT_BYTES_MIN,
            why: Unreadable::OtherVersion(2),
        };
        let (one, other) = (file(1, 100), file(7, 50));
        let mut told = Told::default();
        assert_eq!(told.tell([&one], 30), 30);
        assert_eq!(told.tell([&one, &other], 80), 80);
        assert_eq!(told.rest(&other), 40);
        assert_eq!(told.tell([&one, &other], 1_000), 40);
        assert_eq!(told.tell([&one, &other], 1_000), 0);
    }

    #[test]
    #[cfg(unix)]
    fn a_lack_of_descriptors_passes_and_a_lack_of_permission_does_not() {
        let of = |code: rustix::io::Errno| ReadFailure::of(&code.into());
        assert_eq!(of(rustix::io::Errno::MFILE), ReadFailure::Passing);
        assert_eq!(of(rustix::io::Errno::NFILE), ReadFailure::Passing);
        assert_eq!(of(rustix::io::Errno::NOMEM), ReadFailure::Passing);
        assert_eq!(of(rustix::io::Errno::INTR), ReadFailure::Passing);
        assert_eq!(of(rustix::io::Errno::ACCESS), ReadFailure::File);
        assert_eq!(of(rustix::io::Errno::IO), ReadFailure::Block);
    }
}
