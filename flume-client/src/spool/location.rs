//! [`Location`] and [`Neighbours`]: where a spool lies and what lies beside it, as far as whoever
//! writes to it looks after that, so that a test can be both.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::access::{Access, judge};
use super::directory::{Directory, Flushing, Recovered};
use super::directory_error::DirectoryError;
use super::folder::Folder;
use super::places::others;
use super::storage::{FileName, Storage};

/// A locked directory of files that somebody may remove or move.
pub trait Location: Storage {
    /// Where it is. That changes when it is recovered elsewhere.
    fn path(&self) -> PathBuf;

    /// What whoever looks after it should know.
    fn notes(&self) -> Arc<[String]>;

    /// Fails if it, or its lock, is not where it was.
    fn check_place(&self) -> io::Result<()>;

    /// Goes on after that, if that can be: see [`Directory::recover`].
    fn recover(&self, root: Option<&Path>, below: u64) -> Result<Recovered, DirectoryError>;

    /// Makes everything that was written durable.
    fn flush(&self) -> io::Result<()>;

    /// Whether a former directory was removed: what is not open of it is nowhere.
    fn is_former_gone(&self) -> bool;

    /// What was in former directories is not needed any more.
    fn forget_former(&self);
}

impl Location for Directory {
    fn path(&self) -> PathBuf {
        Self::path(self)
    }

    fn notes(&self) -> Arc<[String]> {
        Self::notes(self)
    }

    fn check_place(&self) -> io::Result<()> {
        Self::check_place(self)
    }

    fn recover(&self, root: Option<&Path>, below: u64) -> Result<Recovered, DirectoryError> {
        Self::recover(self, root, below)
    }

    fn flush(&self) -> io::Result<()> {
        Self::flush(self)
    }

    fn is_former_gone(&self) -> bool {
        Self::is_former_gone(self)
    }

    fn forget_former(&self) {
        Self::forget_former(self);
    }
}

/// The places beside one's own, in which other processes may have left events.
pub trait Neighbours: Send {
    /// Those that are there, except `own`.
    fn places(&self, own: &Path) -> Vec<PathBuf>;

    /// Locks one that has segments. `None`: somebody has it, or there are none.
    fn take(&self, place: &Path) -> Result<Option<Arc<dyn Location>>, DirectoryError>;
}

/// Those of a directory that several processes share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) root: PathBuf,
    pub(crate) access: Access,
    pub(crate) flushing: Flushing,
}

impl Neighbours for Shared {
    fn places(&self, own: &Path) -> Vec<PathBuf> {
        others(&self.root, own)
    }

    fn take(&self, place: &Path) -> Result<Option<Arc<dyn Location>>, DirectoryError> {
        let directory = open_if_left(place, self.access)?;
        let flushing = self.flushing;
        Ok(directory.map(|it| Arc::new(it.with_flushing(flushing)) as Arc<dyn Location>))
    }
}

/// One without segments is not locked for a moment either: who has just made it, and is about to
/// lock it, would take the next place.
fn open_if_left(place: &Path, access: Access) -> Result<Option<Directory>, DirectoryError> {
    let folder = Folder::open(place).map_err(DirectoryError::io("open", place))?;
    judge(&folder, access)?;
    // One that lets nobody in is told, whatever is in it.
    if folder.lets_in() && !is_left(place, &Directory::look(place)?)? {
        return Ok(None);
    }
    // Between the two looks somebody may have emptied it.
    match Directory::open_if_free(place, access)? {
        Some(directory) if is_left(place, &directory)? => Ok(Some(directory)),
        _ => Ok(None),
    }
}

/// Whether there are segments.
fn is_left(place: &Path, directory: &Directory) -> Result<bool, DirectoryError> {
    match directory.list() {
        // Whoever has it has renamed a file just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(DirectoryError::io("read the directory", place)(error)),
        Ok(files) => {
            let mut names = files.iter().map(|(file, _)| file);
            Ok(names.any(|file| matches!(file, FileName::Segment(_))))
        }
    }
}
