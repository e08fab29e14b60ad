//! [`Candidate`]: what the first block of a segment's file says that it is.

use std::io;

use super::cursor::Cursor;
use super::folder::NotAFile;
use super::header::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::missing::{ReadFailure, Readable, Unread, Unreadable, is_removed};
use super::opened::Opened;
use super::segment_end::{segment_end, segment_end_within};
use super::storage::{FileName, Storage};

/// Whether an error is believed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// No: whole segments may depend on it.
    Several,
    /// Yes: there is another look, and few errors are waited for.
    Once,
}

/// Errors of the disk that a look ends with. A failing disk may take half a minute for each, and
/// what else is read waits meanwhile. What the look has not come to is first in the next one.
pub(super) const LOOK_ERRORS_MAX: u32 = 4;

/// How often a file is read until an error is believed.
const READ_TRIES: u32 = 3;

/// Whose events these are, if any file tells.
pub(super) fn client(cursor: Option<&Cursor>, candidates: &[Candidate]) -> Option<u64> {
    let newest = || candidates.iter().rev().find_map(Candidate::header);
    let known = cursor.map(|cursor| cursor.client);
    known.or_else(|| newest().map(|header| header.client))
}

/// A segment's file, and what its first block says.
pub(super) struct Candidate {
    pub(super) id: u64,
    pub(super) bytes: u64,
    /// As in [`Unread`].
    bytes_max: u64,
    pub(super) block: io::Result<HeaderBlock>,
    /// If the header has another id: whether there are events after it.
    holds_events: io::Result<bool>,
}

/// What a segment's file is.
pub(super) enum Kind {
    Readable(Readable),
    /// Its new header is on the disk, its new name is not.
    Spare,
    Unread(Unread),
    Damaged,
    OtherClient,
}

/// An id that is not believed of a file that has another one in its name.
const MISNAMED_ID_MAX: u64 = 1 << 62;

impl Candidate {
    /// `elsewhere` is how many bytes the segment can have if what has its name is no file.
    pub(super) fn read(
        storage: &dyn Storage,
        id: u64,
        bytes: u64,
        elsewhere: u64,
        patience: Patience,
    ) -> Self {
        let file = FileName::Segment(id);
        let mut block = vec![0; SEGMENT_HEADER_BYTES];
        let read = match patience {
            Patience::Several => patiently(|| storage.read(file, 0, &mut block)),
            Patience::Once => storage.read(file, 0, &mut block),
        };
        let block = read.map(|read| HeaderBlock::read(block.get(..read).unwrap_or_default()));
        let holds_events = match block {
            Ok(HeaderBlock::Whole(header, _)) if header.id != id => {
                let segment = Readable { id, header, bytes };
                let end = match patience {
                    Patience::Several => patiently(|| segment_end(storage, &segment)),
                    Patience::Once => segment_end_within(storage, &segment, LOOK_ERRORS_MAX),
                };
                end.map(|end| end.any || !end.is_read)
            }
            _ => Ok(true),
        };
        let bytes_max = match &block {
            Err(error) if NotAFile::is_why(error) => elsewhere,
            _ => bytes,
        };
        Self {
            id,
            bytes,
            bytes_max,
            block,
            holds_events,
        }
    }

    fn header(&self) -> Option<&SegmentHeader> {
        match (&self.block, &self.holds_events) {
            (Ok(HeaderBlock::Whole(header, _)), Ok(true)) => Some(header),
            _ => None,
        }
    }

    /// The id of the segment that it holds, as far as that is known.
    pub(super) fn own_id(&self) -> u64 {
        let header = self.header().filter(|it| it.id < MISNAMED_ID_MAX);
        header.map_or(self.id, |header| header.id)
    }

    pub(super) fn error(&self) -> Option<io::Error> {
        let error = self.block.as_ref().err()?;
        if NotAFile::is_why(error) {
            return None;
        }
        let file = FileName::Segment(self.id);
        Some(io::Error::new(
            error.kind(),
            format!("no file tells whose events these are, for {file} cannot be read: {error}"),
        ))
    }

    /// Whether there is no file, where it can be looked for.
    pub(super) fn is_missing(&self) -> bool {
        let error = self.block.as_ref().err();
        error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether a part of it could not be read for an error of the disk.
    pub(super) fn is_block_unread(&self) -> bool {
        let errors = self.block.as_ref().err().into_iter();
        let mut errors = errors.chain(self.holds_events.as_ref().err());
        errors.any(|error| ReadFailure::of(error) == ReadFailure::Block)
    }

    fn unread(&self, why: Unreadable) -> Kind {
        Kind::Unread(Unread {
            id: self.id,
            bytes: self.bytes,
            bytes_max: self.bytes_max,
            why,
        })
    }

    /// What it is in the spool of this client.
    pub(super) fn kind(&self, client: Option<u64>) -> Kind {
        let header = match &self.block {
            Err(error) => return self.unread(Unreadable::system(error)),
            Ok(HeaderBlock::OtherVersion { major, .. }) => {
                return self.unread(Unreadable::OtherVersion(*major));
            }
            Ok(HeaderBlock::Damaged) => return Kind::Damaged,
            Ok(HeaderBlock::Whole(header, _)) => *header,
        };
        if Some(header.client) != client {
            return Kind::OtherClient;
        }
        match &self.holds_events {
            Err(error) => self.unread(Unreadable::system(error)),
            Ok(false) => Kind::Spare,
            Ok(true) if self.own_id() != header.id => Kind::Damaged,
            Ok(true) => Kind::Readable(Readable {
                id: self.id,
                header,
                bytes: self.bytes,
            }),
        }
    }
}

/// In the order of their numbers, as far as that is known. A segment whose file is elsewhere can be
/// as large as any other, or have `segment_bytes`.
pub(super) fn read_headers(
    storage: &dyn Storage,
    files: &[(FileName, u64)],
    segment_bytes: u64,
    opened: &mut Opened,
) -> Vec<Candidate> {
    let of_segments = files.iter().filter(|(file, _)| *file != FileName::Cursor);
    let largest = of_segments.map(|(_, bytes)| *bytes).max();
    let elsewhere = largest.unwrap_or(0).max(segment_bytes);
    let mut candidates = Vec::new();
    for (file, bytes) in files {
        let FileName::Segment(id) = *file else {
            continue;
        };
        let candidate = Candidate::read(storage, id, *bytes, elsewhere, Patience::Several);
        match &candidate.block {
            Ok(HeaderBlock::Whole(_, true)) => opened.repaired.push(*file),
            Err(error) if is_removed(storage, id, error) => continue,
            _ => {}
        }
        candidates.push(candidate);
    }
    // Of two with one id, the one of that name is the first.
    candidates.sort_by_key(|it| (it.own_id(), it.own_id() != it.id));
    candidates
}

/// An error here costs whole segments, so it is not believed at once.
pub(super) fn patiently<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tries = 1;
    loop {
        match read() {
            Err(error) if tries < READ_TRIES && error.kind() != io::ErrorKind::NotFound => {
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}
