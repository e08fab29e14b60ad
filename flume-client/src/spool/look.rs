//! [`Look`]: another look at segments that could not be read. It can be taken on another thread than
//! the one that writes, which need not wait for a disk that fails slowly.

use std::fmt;

use super::candidate::{Candidate, Kind, LOOK_ERRORS_MAX, Patience};
use super::missing::Unread;
use super::segments::Segments;
use super::storage::{FileName, Shared};

/// What is to be looked at.
#[derive(Debug)]
pub(crate) struct Look {
    storage: Shared,
    /// Each with whether it is in a directory that was lost.
    files: Vec<(Unread, bool)>,
}

/// What was seen.
pub(crate) struct Looked {
    files: Vec<(Unread, bool, Seen)>,
    /// The first that the look has not come to.
    next: Option<u64>,
}

enum Seen {
    /// It is not there.
    Gone,
    File(Candidate),
}

impl Look {
    /// At these segments, beginning with the one of this id.
    pub(super) fn new(storage: &Shared, segments: &Segments, from: u64) -> Self {
        let unread = segments.unread().iter().cloned();
        let mut files: Vec<_> = unread.map(|it| (segments.is_left(it.id), it)).collect();
        let first = files.partition_point(|(_, it)| it.id < from);
        files.rotate_left(first);
        Self {
            storage: storage.clone(),
            files: files.into_iter().map(|(left, it)| (it, left)).collect(),
        }
    }

    /// Tries once to read each.
    pub(crate) fn take(self) -> Looked {
        let mut looked = Looked {
            files: Vec::new(),
            next: None,
        };
        let Ok(listed) = self.storage.0.list() else {
            return looked;
        };
        let bytes_of = |wanted| listed.iter().find(|(file, _)| *file == wanted);
        if bytes_of(FileName::Cursor).is_none() {
            // It is not the directory that it was.
            return looked;
        }
        let mut errors = 0;
        for (unread, is_left) in self.files {
            if errors >= LOOK_ERRORS_MAX {
                looked.next = Some(unread.id);
                break;
            }
            let bytes = match bytes_of(FileName::Segment(unread.id)) {
                // It is not listed where it is.
                _ if is_left => Some(unread.bytes_max),
                found => found.map(|(_, bytes)| *bytes),
            };
            let seen = bytes.map_or(Seen::Gone, |bytes| {
                let storage = self.storage.0.as_ref();
                let (id, elsewhere) = (unread.id, unread.bytes_max);
                let mut candidate = Candidate::read(storage, id, bytes, elsewhere, Patience::Once);
                if !is_left && candidate.block.is_ok() {
                    // What is read in it from now on may not be on the disk yet.
                    let synced = storage.sync(FileName::Segment(id));
                    candidate.block = synced.and(candidate.block);
                }
                errors += u32::from(candidate.is_block_unread());
                Seen::File(candidate)
            });
            looked.files.push((unread, is_left, seen));
        }
        looked
    }
}

impl Looked {
    /// Takes in what was seen, as far as it was not settled in the meantime. Returns where the next
    /// look begins.
    pub(super) fn end(self, client: u64, segments: &mut Segments) -> u64 {
        for (unread, was_left, seen) in self.files {
            let is_left = segments.is_left(unread.id);
            if is_left == was_left && segments.take_unread(&unread) {
                take_in(client, segments, unread, &seen);
            }
        }
        self.next.unwrap_or(0)
    }
}

fn take_in(client: u64, segments: &mut Segments, unread: Unread, seen: &Seen) {
    let is_left = segments.is_left(unread.id);
    let candidate = match seen {
        Seen::Gone => return segments.lost_unread(unread),
        Seen::File(candidate) => candidate,
    };
    match candidate.kind(Some(client)) {
        Kind::Unread(_) if is_left && candidate.is_missing() => segments.lost_unread(unread),
        Kind::Readable(readable) if segments.found(readable) => {}
        Kind::Unread(now) if is_left => segments.found_unread(Unread {
            why: now.why,
            ..unread
        }),
        Kind::Unread(now) => segments.found_unread(now),
        // What it is instead is settled at the next opening, if there is one.
        _ if is_left => segments.lost_unread(unread),
        _ => segments.found_other(FileName::Segment(unread.id), candidate.bytes),
    }
}

impl fmt::Debug for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looked").finish_non_exhaustive()
    }
}
