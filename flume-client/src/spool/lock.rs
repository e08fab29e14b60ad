//! The lock of a spool's directory: which process has it, by the kernel's word alone.
//!
//! Two things are locked. The directory itself, so that nobody gets in who finds its `LOCK` gone;
//! cleaners of temporary directories leave one that is locked alone, too. And the file `LOCK` in
//! it, which tells who has it, and is all there is where directories cannot be locked.
#![expect(
    clippy::disallowed_types,
    reason = "a lock is a file that is held open"
)]

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::directory_error::DirectoryError;
use super::folder::{Folder, How, Identity};
use super::holder::Holder;
use super::storage::Removed;
use super::system::write_at;
use crate::fork::NotInherited;

const NAME: &str = "LOCK";

/// The lock of a directory. It is let go when it and the directory's [`Folder`] are dropped, or the
/// process ends; a forked process does not keep it.
#[derive(Debug)]
pub(super) struct Lock {
    /// `None`: there was none, and no room for one.
    file: Option<NotInherited<File>>,
    identity: Option<Identity>,
    /// The directory itself is locked as well.
    holds_directory: bool,
}

/// How often a lock is tried while somebody only looks whether it is held. That takes a few
/// microseconds, or a pause of the scheduler.
const TRIES: u32 = 500;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// Takes the lock of a directory. `None`: somebody has it.
pub(super) fn take_if_free(folder: &Folder) -> Result<Option<Lock>, DirectoryError> {
    let found = find(folder)?;
    if let Some(file) = &found
        && !lock_file(folder, file)?
    {
        return Ok(None);
    }
    // On other systems, and some file systems, a directory cannot be locked. The file is, then.
    let locked = folder.file().map(try_exclusive);
    if matches!(locked, Some(Ok(false))) {
        return Ok(None);
    }
    let file = match found {
        Some(file) => Some(file),
        None => make(folder)?,
    };
    Lock::of(folder, file, matches!(locked, Some(Ok(true)))).map(Some)
}

/// Says that somebody has a directory, and who: that can take a look at every process.
pub(super) fn locked_error(directory: &Path) -> DirectoryError {
    DirectoryError::Locked {
        directory: directory.to_owned(),
        holder: holder(directory).ok().flatten().unwrap_or(Holder::UNKNOWN),
    }
}

/// Who has the directory now. Nothing is written.
pub(super) fn holder(directory: &Path) -> Result<Option<Holder>, DirectoryError> {
    let path = directory.join(NAME);
    let folder = match Folder::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(DirectoryError::io("open", directory))?,
    };
    let is_held = |file: &File| match file.try_lock_shared() {
        // Shared, so that those who look do not see each other.
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(source),
    };
    match folder.open_file(NAME, How::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => {
            let mut file = opened.map_err(DirectoryError::io("open", &path))?;
            if is_held(&file).map_err(DirectoryError::io("lock", &path))? {
                return Ok(Some(Holder::of(&mut file, &path)));
            }
        }
    }
    let is_locked = folder.file().is_some_and(|it| is_held(it).unwrap_or(false));
    Ok(is_locked.then(|| Holder::of_directory(directory)))
}

impl Lock {
    fn of(
        folder: &Folder,
        file: Option<NotInherited<File>>,
        holds_directory: bool,
    ) -> Result<Self, DirectoryError> {
        let identity = file.as_ref().map(|file| Identity::of(file)).transpose();
        let identity = identity.map_err(DirectoryError::io("look at", folder.path()))?;
        if let Some(file) = &file {
            name_holder(file);
        }
        Ok(Self {
            file,
            identity: identity.flatten(),
            holds_directory,
        })
    }

    /// Makes or takes `LOCK` once more, after it was removed or replaced. Only what the lock of the
    /// directory kept out meanwhile makes that safe.
    pub(super) fn take_again(&mut self, folder: &Folder) -> Result<(), DirectoryError> {
        if !self.holds_directory {
            let path = folder.path().join(NAME);
            return Err(DirectoryError::io("lock", &path)(Removed::Lock.into()));
        }
        let file = match find(folder)? {
            Some(file) if lock_file(folder, &file)? => Some(file),
            Some(_) => return Err(locked_error(folder.path())),
            None => make(folder)?,
        };
        *self = Self::of(folder, file, true)?;
        Ok(())
    }

    /// Whether this is still the lock of what is at the directory's path now: two system calls.
    pub(super) fn check(&self, folder: &Folder) -> io::Result<()> {
        if self.file.is_some() && is_at(self.identity, Identity::at(&folder.path().join(NAME)))? {
            return Ok(());
        }
        let directory = folder.file().map(Identity::of).transpose()?.flatten();
        if !is_at(directory, Identity::behind(folder.path()))? {
            return Err(Removed::Directory.into());
        }
        match self.file {
            Some(_) => Err(Removed::Lock.into()),
            None => Ok(()),
        }
    }

    /// Lets go of both. Not only by closing them: a process that got the descriptors in spite of all
    /// would keep the lock.
    pub(super) fn let_go(&self, folder: &Folder) {
        if let Some(file) = self.file.as_ref().filter(|file| file.is_ours()) {
            let _ = file.unlock();
        }
        if let Some(directory) = folder.file().filter(|_| folder.is_ours()) {
            let _ = directory.unlock();
        }
    }
}

/// Whether what was found is this, and not another or nothing.
pub(super) fn is_at(
    this: Option<Identity>,
    found: io::Result<Option<Identity>>,
) -> io::Result<bool> {
    match found {
        Ok(found) => Ok(found == this),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn find(folder: &Folder) -> Result<Option<NotInherited<File>>, DirectoryError> {
    let opened = match folder.open_file(NAME, How::Write) {
        // It can be locked all the same.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            folder.open_file(NAME, How::Read)
        }
        opened => opened,
    };
    match opened {
        // Before it is locked, so that no fork copies it with the lock.
        Ok(file) => Ok(Some(NotInherited::of(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DirectoryError::io("open", &folder.path().join(NAME))(error)),
    }
}

/// Makes the file, locked. `None`: the disk takes none, and the directory's own lock has to do.
fn make(folder: &Folder) -> Result<Option<NotInherited<File>>, DirectoryError> {
    let file = match folder.open_file(NAME, How::New) {
        Ok(file) => NotInherited::of(file),
        Err(error) if is_without_room(&error) && folder.file().is_some() => return Ok(None),
        Err(error) => {
            let path = folder.path().join(NAME);
            return Err(DirectoryError::io("make", &path)(error));
        }
    };
    match lock_file(folder, &file)? {
        true => Ok(Some(file)),
        false => Err(locked_error(folder.path())),
    }
}

/// What is stored there can be delivered all the same.
fn is_without_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// `false`: somebody has it.
fn lock_file(folder: &Folder, file: &File) -> Result<bool, DirectoryError> {
    try_exclusive(file).map_err(DirectoryError::io("lock", &folder.path().join(NAME)))
}

/// Writes who has it. On a full disk the lock holds, and names nobody.
fn name_holder(file: &File) {
    if has_further_names(file) {
        // What else it is must not be written to.
        return;
    }
    let holder = format!("{}\n", std::process::id());
    let _ = file
        .set_len(0)
        .and_then(|()| write_at(file, 0, holder.as_bytes()));
}

#[cfg(unix)]
fn has_further_names(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 1)
}

#[cfg(not(unix))]
fn has_further_names(_: &File) -> bool {
    false
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
            // The one that was there only looked.
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
