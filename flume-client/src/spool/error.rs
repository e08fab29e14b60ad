//! [`SpoolError`]: why something could not be written.

use std::io;

use super::storage::{NoMoreFiles, Removed};
use super::system::is_short_of_descriptors;
use crate::debug::debug_is_the_message;

/// Why something could not be written. The events are still in memory.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The files take as much as they may. Goes when events are delivered or lost, or what was
    /// set aside is removed.
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

debug_is_the_message!(SpoolError);

/// Two are alike if the same is to be done: numbers and the system's words may differ.
impl PartialEq for SpoolError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Io(one), Self::Io(other)) => one.kind() == other.kind(),
            (Self::Removed(one), Self::Removed(other)) => one == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for SpoolError {}

impl From<io::Error> for SpoolError {
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
