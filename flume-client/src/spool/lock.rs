//! The lock of a spool's directory: which process has it, by the kernel's word alone.
#![expect(
    clippy::disallowed_types,
    reason = "a lock is a file that is held open"
)]

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::directory::DirectoryError;
use super::holder::Holder;
use super::system::owner_only;
use crate::fork::NotInherited;

const NAME: &str = "LOCK";

/// A lock that is held. It is let go when this is dropped, or the process ends; a forked process
/// does not keep it.
#[derive(Debug)]
pub(super) struct Lock {
    file: NotInherited<File>,
}

/// How often a lock is tried while somebody only looks whether it is held. That takes a few
/// microseconds, or a pause of the scheduler.
const TRIES: u32 = 500;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// Takes the lock.
pub(super) fn take(directory: &Path) -> Result<Lock, DirectoryError> {
    let path = directory.join(NAME);
    let mut options = OpenOptions::new();
    // Not truncated before it is ours: it tells who has it.
    options.read(true).write(true).create(true).truncate(false);
    owner_only(&mut options);
    let file = options
        .open(&path)
        .map_err(DirectoryError::io("open", &path))?;
    // Before it is locked, so that no fork copies it with the lock.
    let mut file = NotInherited::of(file);
    if !try_exclusive(&file).map_err(DirectoryError::io("lock", &path))? {
        return Err(DirectoryError::Locked {
            directory: directory.to_owned(),
            holder: Holder::of(&mut file, &path),
        });
    }
    let holder = format!("{}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(holder.as_bytes()))
        // On a full disk the lock holds, and names nobody.
        .or_else(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            _ => Err(error),
        })
        .map_err(DirectoryError::io("write", &path))?;
    Ok(Lock { file })
}

/// Who has the directory now. Nothing is written.
pub(super) fn holder(directory: &Path) -> Result<Option<Holder>, DirectoryError> {
    let path = directory.join(NAME);
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(DirectoryError::io("open", &path))?,
    };
    // Shared, so that those who look do not see each other.
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(Holder::of(&mut file, &path))),
        Err(TryLockError::Error(source)) => Err(DirectoryError::io("lock", &path)(source)),
    }
}

/// `false`: somebody has it.
fn try_exclusive(file: &File) -> io::Result<bool> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match file.try_lock_shared() {
            // Whoever was there only looked.
            Ok(()) => file.unlock()?,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        pause();
    }
    Ok(false)
}

#[expect(
    clippy::disallowed_methods,
    reason = "who only looks is gone in a moment, and tells nobody when"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.file.is_ours() {
            // By closing it, if this fails. Not only by that: whoever got the descriptor in spite
            // of all would keep the lock.
            let _ = self.file.unlock();
        }
    }
}
