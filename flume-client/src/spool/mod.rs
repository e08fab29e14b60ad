//! The spool: events on the local disk, from `append` to the agent's acknowledgement.
//!
//! A directory of segments, written one behind the other, and a cursor that says which events are
//! done with. A segment whose events are all done with is used again.
//!
//! | file | holds |
//! |---|---|
//! | [`storage`](Storage) | all that is done to a disk, as a trait |
//! | [`directory`](Directory) | the real one |
//! | [`access`](Access) | which directories may hold a spool: owner, mode, file system |
//! | `folder` | an open directory, and its files by their names |
//! | `lock` | that of a directory |
//! | [`holder`](Holder) | which process has it |
//! | `handle` | a file that it has open for writing |
//! | `system` | what it asks of the system |
//! | [`frame`](FrameHeader) | events of one commit, as bytes. Pure |
//! | [`header`](SegmentHeader) | a segment's first block, as bytes. Pure |
//! | [`cursor`](Cursor) | which events are done with, as bytes. Pure |
//! | [`segments`](self) | which files there are, and what becomes of them |
//! | `candidate` | what a segment's file is, by its first block |
//! | [`open`](Opened) | what is made of the files that are found |
//! | [`log`](Log) | the writing side |
//! | `look` | another look at segments that could not be read |
//! | `pending` | frames that are not durable |
//! | [`reader`](Reader) | the reading side |
//! | `segment_end` | where the events in a segment end |
//! | [`missing`](Missing) | what is not there or cannot be read, and how much it can be |
//! | [`watched`](Watched) | a storage beside which a test or a measurement stands |
//! | `window` | the part of a segment that is read |
//! | [`places`] | one directory for several processes |
//! | [`survey`](Survey) | what a spool holds, without changing it |
//!
//! Nothing but the directory, what it is made of and [`places`] knows files, threads or clocks, so a
//! simulator can be the disk and end the world between any two of its operations. This module is
//! public with the feature `internals`, for drivers, tools and simulators; it may change in any
//! release. The format of the files is versioned and stays readable.
//!
//! # What can be relied on
//!
//! - An event is reported durable after the sync that covers it returned `Ok`, never before.
//! - A durable event is read again after any crash until it is done with, once per start, in order.
//! - Whatever bytes a directory holds, it opens.
//! - Only bytes that were read and fail their check are damage. What cannot be read, or is of another
//!   version, is neither passed as done with nor deleted: its events come when it can be read.
//! - Nothing is deleted but what is done with. Damage is told, and the first four damaged segments
//!   are set aside; further ones that are done with are used again.
//! - The files never take more than the quota. What was cut off at a start can come back with a
//!   power loss, if the sync after the cut had failed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod access;
mod candidate;
mod cursor;
mod directory;
mod directory_error;
mod fields;
mod folder;
mod frame;
mod handle;
mod header;
mod holder;
mod lock;
mod log;
mod look;
mod missing;
mod open;
mod pending;
mod places;
mod reader;
mod segment_end;
mod segments;
mod storage;
mod survey;
mod system;
#[cfg(any(test, feature = "internals"))]
mod watched;
mod window;

use std::io;

pub use access::{Access, ForeignOwner, NetworkFileSystem, User};
pub use cursor::{CURSOR_BYTES, Cursor, Retired};
pub(crate) use directory::Limits;
pub use directory::{Directory, Flushing, Recovered};
pub use directory_error::{DeniedBy, DirectoryError, FileSizeLimit};
pub use frame::{ALIGNMENT, FRAME_HEADER_BYTES, FrameHeader, Level, Payload, Place, frame_bytes};
pub use header::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader};
pub use holder::Holder;
pub use log::Log;
pub(crate) use look::Looked;
pub(crate) use missing::Told;
pub use missing::{Gap, Missing, ReadFailure, Readable, SegmentList, Unread, Unreadable};
pub use open::{CursorState, Opened};
pub(crate) use places::{not_taken_over, others};
pub use places::{open_first_free, places};
pub use reader::{Frame, Reader, Step};
pub use storage::{FileName, NoMoreFiles, Removed, Storage};
pub use survey::{SegmentTrouble, StoredEvent, Survey, SurveyedSegment};
pub(crate) use system::is_short_of_descriptors;
#[cfg(any(test, feature = "internals"))]
pub use watched::{Operation, Watched};

/// Segments that a quota has room for, at least: one is written, one is read, one is the reserve,
/// and one may be damaged and set aside.
pub const SEGMENTS_MIN: u64 = 4;

/// Bytes of a segment, if the quota allows so many and events need no more.
pub(crate) const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Sizes and limits of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a segment. At least its header and twice the largest frame.
    pub segment_bytes: u64,
    /// Bytes of the largest frame, see [`frame_bytes`].
    pub frame_bytes_max: u64,
    /// Bytes all files may take together. At least [`SEGMENTS_MIN`] segments and the cursor.
    pub bytes_max: u64,
    /// Bytes that stay free on the disk: no file is made that would leave less.
    pub free_bytes_min: u64,
}

/// Why something could not be written. The events are still in memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The files take as much as they may. Goes when events are done with, or what was set aside is
    /// removed.
    #[error(
        "the spool's files take all that spool_bytes allows: agents must acknowledge older events, \
         or damaged segments that were set aside (quarantine-...) be removed"
    )]
    Quota,
    /// The disk has no room.
    #[error("the spool's disk is full: make room there")]
    DiskFull,
    /// The disk has room, but less than is to stay free.
    #[error(
        "the spool's disk has {free} bytes free, of which {kept} are to stay free and {needed} are \
         needed: make room there, or lower spool_free_bytes"
    )]
    FreeBytes {
        /// Free now.
        free: u64,
        /// To stay free: [`spool_free_bytes`](crate::ClientBuilder::spool_free_bytes).
        kept: u64,
        /// For the next files.
        needed: u64,
    },
    /// The disk has room, but all its inodes are in use.
    #[error("the spool's disk takes no more files, all its inodes are in use: remove some there")]
    NoMoreFiles,
    /// The quota that the system gives a user, a group, a project or a subvolume is used up.
    #[error(
        "the disk quota for the spool's files is used up (EDQUOT): make room in what it counts, or \
         raise it"
    )]
    DiskQuota,
    /// No numbers are left for more events or files. A file says so that no client wrote.
    #[error(
        "the spool's files say that all numbers are used up, which nothing but a damaged or forged \
         file does: move its directory away, and deliver it with `flume spool drain`"
    )]
    UsedUp,
    /// The file system is read-only.
    #[error(
        "the spool's file system is read-only: the system's log may tell why; mount it for writing"
    )]
    ReadOnly,
    /// The process may not write such large files any more.
    #[error(
        "this process may not write files as large as the spool's (RLIMIT_FSIZE was lowered): raise \
         the limit, or start the service again, which takes smaller files"
    )]
    FileSizeLimit,
    /// No file can be opened.
    #[error(
        "no file of the spool can be opened, for want of file descriptors, and it is tried again: \
         {0}; raise the limit (ulimit -n, LimitNOFILE= of systemd), or look for what leaks them"
    )]
    NoDescriptors(io::Error),
    /// Owner, mode or policy keep the process out.
    #[error(
        "the spool may not be written, and it is tried again: {0}; look at owner and mode of its \
         directory and files"
    )]
    Denied(io::Error),
    /// Somebody took away what is written to.
    #[error(
        "nothing is stored while the spool is begun anew, because {0} while it was in use: look for \
         who does that, a job that cleans up perhaps"
    )]
    Removed(Removed),
    /// The disk failed.
    #[error("the spool's disk failed, and is tried again: {0}; the system's log may tell more")]
    Io(io::Error),
}

impl Settings {
    /// Whether these can work together.
    #[must_use]
    pub fn are_sound(&self) -> bool {
        let least = SEGMENT_HEADER_BYTES as u64 + 2 * self.frame_bytes_max;
        let files = SEGMENTS_MIN * self.segment_bytes + CURSOR_BYTES as u64;
        self.frame_bytes_max >= frame_bytes(1, 1) as u64
            && self.frame_bytes_max <= u64::from(u32::MAX)
            && self.segment_bytes >= least
            && self.bytes_max >= files
    }

    /// Bytes of frames that a segment takes whatever their sizes.
    fn segment_room(&self) -> u64 {
        self.segment_bytes - SEGMENT_HEADER_BYTES as u64 - self.frame_bytes_max
    }
}

/// Two are alike if the same is to be done: numbers and the system's words may differ.
impl PartialEq for Trouble {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Io(one), Self::Io(other)) => one.kind() == other.kind(),
            (Self::Removed(one), Self::Removed(other)) => one == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for Trouble {}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if let Some(removed) = Removed::of(&error) {
            return Self::Removed(removed);
        }
        let inner = error.get_ref();
        if inner
            .and_then(|inner| inner.downcast_ref::<NoMoreFiles>())
            .is_some()
        {
            return Self::NoMoreFiles;
        }
        match error.kind() {
            io::ErrorKind::StorageFull => Self::DiskFull,
            io::ErrorKind::QuotaExceeded => Self::DiskQuota,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::FileTooLarge => Self::FileSizeLimit,
            io::ErrorKind::PermissionDenied => Self::Denied(error),
            _ if is_short_of_descriptors(&error) => Self::NoDescriptors(error),
            _ => Self::Io(error),
        }
    }
}
