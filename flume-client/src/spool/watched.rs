//! [`Watched`]: a storage beside which something stands that counts, holds up or refuses what is
//! done to it. For tests and measurements.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::Recovered;
use super::directory_error::DirectoryError;
use super::location::Location;
use super::storage::{FileName, Storage};

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Bytes are written.
    Write {
        /// To which file.
        file: FileName,
    },
    /// Bytes are read.
    Read {
        /// Of which file.
        file: FileName,
        /// From which byte on.
        offset: u64,
        /// At most.
        bytes: usize,
    },
    /// A file is synced.
    Sync {
        /// Which one.
        file: FileName,
    },
    /// The directory is synced.
    SyncDirectory,
}

/// A storage that asks `before` each [`Operation`]. Where that returns an error, the operation is
/// not done and fails with it.
pub struct Watched<S: ?Sized, F> {
    storage: Arc<S>,
    before: F,
}

impl<S: Storage + ?Sized, F: Fn(Operation) -> io::Result<()> + Send + Sync> Watched<S, F> {
    /// The same storage, watched.
    pub fn new(storage: Arc<S>, before: F) -> Self {
        Self { storage, before }
    }
}

impl<S: ?Sized, F> fmt::Debug for Watched<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl<S, F> Storage for Watched<S, F>
where
    S: Storage + ?Sized,
    F: Fn(Operation) -> io::Result<()> + Send + Sync,
{
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        self.storage.list()
    }

    fn create(&self, file: FileName, bytes: u64) -> io::Result<()> {
        self.storage.create(file, bytes)
    }

    fn write(&self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (self.before)(Operation::Write { file })?;
        self.storage.write(file, offset, bytes)
    }

    fn read(&self, file: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        (self.before)(Operation::Read {
            file,
            offset,
            bytes: bytes.len(),
        })?;
        self.storage.read(file, offset, bytes)
    }

    fn truncate(&self, file: FileName, bytes: u64) -> io::Result<()> {
        self.storage.truncate(file, bytes)
    }

    fn sync(&self, file: FileName) -> io::Result<()> {
        (self.before)(Operation::Sync { file })?;
        self.storage.sync(file)
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        self.storage.rename(from, to)
    }

    fn remove(&self, file: FileName) -> io::Result<()> {
        self.storage.remove(file)
    }

    fn sync_directory(&self) -> io::Result<()> {
        (self.before)(Operation::SyncDirectory)?;
        self.storage.sync_directory()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.storage.free_bytes()
    }

    fn let_go_of_descriptors(&self) {
        self.storage.let_go_of_descriptors();
    }
}

impl<S, F> Location for Watched<S, F>
where
    S: Location + ?Sized,
    F: Fn(Operation) -> io::Result<()> + Send + Sync,
{
    fn path(&self) -> PathBuf {
        self.storage.path()
    }

    fn notes(&self) -> Arc<[String]> {
        self.storage.notes()
    }

    fn check_place(&self) -> io::Result<()> {
        self.storage.check_place()
    }

    fn recover(&self, root: Option<&Path>, below: u64) -> Result<Recovered, DirectoryError> {
        self.storage.recover(root, below)
    }

    fn flush(&self) -> io::Result<()> {
        self.storage.flush()
    }

    fn is_former_gone(&self) -> bool {
        self.storage.is_former_gone()
    }

    fn forget_former(&self) {
        self.storage.forget_former();
    }
}
