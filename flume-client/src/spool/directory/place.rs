//! [`Place`]: the directory that is in use, or was.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::folder::Folder;
use super::super::lock::Lock;
use super::super::storage::Removed;

/// Where the files are.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: Folder,
    /// `None` for who only looks.
    pub(super) lock: Option<Mutex<Lock>>,
}

impl Place {
    /// Fails if this is not any more what is at the directory's path, or others can get in.
    pub(super) fn check(&self) -> io::Result<()> {
        let Some(taken) = &self.lock else {
            return Ok(());
        };
        let mut taken = lock(taken);
        match taken.check(&self.folder) {
            // The directory was locked all the time, so nobody came in.
            Err(error) if Removed::of(&error) == Some(Removed::Lock) => {
                taken.take_again(&self.folder).map_err(|_| error)
            }
            checked => checked,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(taken) = &self.lock {
            lock(taken).let_go(&self.folder);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
