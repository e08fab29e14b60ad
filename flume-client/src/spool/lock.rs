//! The lock of a spool's directory: which process has it, by the kernel's word alone.
#![expect(
    clippy::disallowed_types,
    reason = "a lock is a file that is held open"
)]

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::directory::DirectoryError;
use super::system::owner_only;

const NAME: &str = "LOCK";

/// Who has a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The process id that the lock file names, if it names one.
    pub process: Option<u32>,
}

/// How often a lock is tried while somebody only looks whether it is held. That takes a few
/// microseconds, or a pause of the scheduler.
const TRIES: u32 = 500;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// Takes the lock for as long as the file is open.
pub(super) fn take(directory: &Path) -> Result<File, DirectoryError> {
    let path = directory.join(NAME);
    let mut options = OpenOptions::new();
    // Not truncated before it is ours: it tells who has it.
    options.read(true).write(true).create(true).truncate(false);
    owner_only(&mut options);
    let mut file = options
        .open(&path)
        .map_err(DirectoryError::io("open", &path))?;
    if !try_exclusive(&file).map_err(DirectoryError::io("lock", &path))? {
        return Err(DirectoryError::Locked {
            directory: directory.to_owned(),
            holder: Holder::named_in(&mut file),
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
    Ok(file)
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
        Err(TryLockError::WouldBlock) => Ok(Some(Holder::named_in(&mut file))),
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

impl Holder {
    fn named_in(file: &mut File) -> Self {
        let mut text = String::new();
        // An empty or strange one says nothing.
        let _ = file.take(64).read_to_string(&mut text);
        let process = text.lines().next().and_then(|line| line.parse().ok());
        Self { process }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(process) => write!(f, "process {process}"),
            None => f.write_str("another process"),
        }
    }
}
