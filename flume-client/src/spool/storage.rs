//! [`Storage`]: all that the spool does to a disk, so that a test can be the disk.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A file of a spool's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FileName {
    /// `cursor`: which events are retired.
    Cursor,
    /// `seg-<id>.flb`: events. Ids ascend in the order of writing.
    Segment(u64),
    /// `spare-<id>.flb`: room for a segment. Its content means nothing.
    Spare(u64),
    /// `quarantine-<id>.flb`: a damaged segment, set aside for a person to look at.
    Quarantine(u64),
}

/// One directory of files. Nothing is durable before the sync that returned `Ok`.
///
/// A write that failed may have happened in part. After a sync that failed, what was written since
/// the last good one may be lost although a later sync says `Ok`: kernels do so.
pub trait Storage: Send + Sync {
    /// The files of the spool and their lengths in bytes, in any order. Other names are left out.
    fn list(&self) -> io::Result<Vec<(FileName, u64)>>;

    /// Makes a file of `bytes` zeros, with disk space behind them where the file system can
    /// do that. An older file of the name is replaced.
    fn create(&self, file: FileName, bytes: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write(&self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads at `offset` until `bytes` is full or the file ends; says how many.
    fn read(&self, file: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<usize>;

    /// Cuts the file to `bytes`.
    fn truncate(&self, file: FileName, bytes: u64) -> io::Result<()>;

    /// Makes the file's content and length durable, not its name.
    fn sync(&self, file: FileName) -> io::Result<()>;

    /// Gives a file another name, which nobody has.
    fn rename(&self, from: FileName, to: FileName) -> io::Result<()>;

    /// Deletes a file.
    fn remove(&self, file: FileName) -> io::Result<()>;

    /// Makes creations, renamings and removals durable.
    fn sync_directory(&self) -> io::Result<()>;

    /// The bytes that are free on the disk.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Closes descriptors that it can open again: somebody needs one, and there are no more.
    fn let_go_of_descriptors(&self) {}
}

/// A file or the whole directory is not where it was: somebody removed, moved or replaced it. What
/// is written to it goes nowhere.
///
/// Inside an [`io::Error`].
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Removed {
    /// The file that keeps others out. The directory is the same.
    #[error("its file LOCK was removed or replaced")]
    Lock,
    /// The directory.
    #[error("its directory was removed, moved or replaced")]
    Directory,
    /// A file that is written.
    #[error("its file {0} was removed, moved or replaced")]
    File(FileName),
}

/// There is room, but none for one more file. Inside an [`io::Error`] of the kind
/// [`StorageFull`](io::ErrorKind::StorageFull).
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk takes no more files: all its inodes are in use")]
pub struct NoMoreFiles;

crate::debug::debug_is_the_message!(Removed, NoMoreFiles);

impl Removed {
    /// What an error is about, if it is this.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error
            .get_ref()
            .and_then(|inner| inner.downcast_ref())
            .copied()
    }
}

impl From<Removed> for io::Error {
    fn from(removed: Removed) -> Self {
        Self::other(removed)
    }
}

/// A storage that can be printed.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Arc<dyn Storage>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Storage")
    }
}

impl FileName {
    /// What kind of file it is, in a word.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Cursor => "cursor",
            Self::Segment(_) => "segment",
            Self::Spare(_) => "spare",
            Self::Quarantine(_) => "quarantine",
        }
    }

    /// The number in its name.
    #[must_use]
    pub fn id(self) -> Option<u64> {
        match self {
            Self::Cursor => None,
            Self::Segment(id) | Self::Spare(id) | Self::Quarantine(id) => Some(id),
        }
    }

    /// The file of this name, if it is one of a spool.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == "cursor" {
            return Some(Self::Cursor);
        }
        let (kind, id) = name.strip_suffix(".flb")?.split_once('-')?;
        let id = u64::from_str_radix(id, 16).ok()?;
        let file = match kind {
            "seg" => Self::Segment(id),
            "spare" => Self::Spare(id),
            "quarantine" => Self::Quarantine(id),
            _ => return None,
        };
        // Not `seg-1.flb` or `seg-+00000000000000f.flb`.
        (file.to_string() == name).then_some(file)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cursor => f.write_str("cursor"),
            Self::Segment(id) => write!(f, "seg-{id:016x}.flb"),
            Self::Spare(id) => write!(f, "spare-{id:016x}.flb"),
            Self::Quarantine(id) => write!(f, "quarantine-{id:016x}.flb"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_only_as_it_is_written() {
        for file in [
            FileName::Cursor,
            FileName::Segment(0),
            FileName::Spare(u64::MAX),
            FileName::Quarantine(0x1f),
        ] {
            assert_eq!(FileName::parse(&file.to_string()), Some(file));
        }
        for foreign in [
            "LOCK",
            "seg-1.flb",
            "seg-000000000000001F.flb",
            "seg-+00000000000001f.flb",
            "seg-000000000000001f.flb.tmp",
            "log-000000000000001f.flb",
        ] {
            assert_eq!(FileName::parse(foreign), None, "{foreign}");
        }
    }
}
