//! [`Disk`]: a real directory, locked for one channel.
//!
//! No file is opened through a link, and what is no regular file is neither read nor waited for: who
//! may write to the directory could else lead an agent that runs as root to any file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::storage::{SpaceProbe, Storage};

const LOCK_NAME: &str = "in_use.lock";
/// More than a process id and a line feed take.
const HOLDER_BYTES_MAX: u64 = 32;

/// The directory of a channel. Whoever has it is alone in it until it is dropped.
#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    /// The segment written last. All syncs go through the descriptor that wrote: the kernel tells
    /// a failed write-back to descriptors that were open at the time.
    open: Option<(u64, File)>,
    /// Holds the lock; the kernel frees it with the descriptor, however the process ends.
    _lock: Lock,
}

impl Disk {
    /// Makes the directory if need be and locks it.
    pub(super) fn open(directory: &Path) -> Result<Self, OpenError> {
        // Escaped: a path may have been read with control characters in it.
        let shown = directory.display().to_string();
        let shown = shown.escape_debug();
        create_directory(directory)
            .map_err(OpenError::io(format!("make the directory {shown}")))?;
        Ok(Self {
            directory: directory.to_owned(),
            open: None,
            _lock: lock(directory)?,
        })
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.directory.join(format!("log-{segment}"))
    }

    /// Where a segment is while it has no header yet.
    fn unpublished_path(&self, segment: u64) -> PathBuf {
        self.directory.join(format!("log-{segment}.new"))
    }

    fn file(&mut self, segment: u64) -> io::Result<&mut File> {
        if !matches!(&self.open, Some((number, _)) if *number == segment) {
            let file = open(OpenOptions::new().write(true), &self.path(segment))?;
            self.open = Some((segment, file));
        }
        let open = self.open.as_mut().map(|(_, file)| file);
        Ok(open.expect("it was opened just now"))
    }
}

impl Storage for Disk {
    fn list(&mut self) -> io::Result<Vec<u64>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            segments.extend(entry?.file_name().to_str().and_then(segment_number));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    fn read(&mut self, segment: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        open(OpenOptions::new().read(true), &self.path(segment))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        let path = self.unpublished_path(segment);
        // What an agent left that ended in the middle of this, or a link that leads elsewhere.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = File::create_new(path)?;
        self.open = Some((segment, file));
        Ok(())
    }

    fn publish(&mut self, segment: u64) -> io::Result<()> {
        fs::rename(self.unpublished_path(segment), self.path(segment))
    }

    fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(segment)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn truncate(&mut self, segment: u64, length: u64) -> io::Result<()> {
        self.file(segment)?.set_len(length)
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        self.file(segment)?.sync_data()
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        sync_directory(&self.directory)
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        fs::remove_file(self.path(segment))
    }

    fn name(&self, segment: u64) -> String {
        self.path(segment).display().to_string()
    }

    fn space_probe(&self) -> SpaceProbe {
        let directory = self.directory.clone();
        Box::new(move || free_bytes(&directory))
    }
}

/// The number in the name of a published segment.
fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("log-")?.parse().ok()?;
    // Not `log-+1` or `log-01`.
    (name == format!("log-{number}")).then_some(number)
}

/// The lock of a directory. It is released and not only closed: a process that another thread has
/// just forked has a copy of the file until it becomes another program.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // It goes with the last copy otherwise.
        let _ = self.0.unlock();
    }
}

fn lock(directory: &Path) -> Result<Lock, OpenError> {
    let path = directory.join(LOCK_NAME);
    let action = || OpenError::io(format!("lock {}", path.display()));
    let mut options = OpenOptions::new();
    // Not truncated here: the file tells others who has the lock.
    options.read(true).write(true).create(true).truncate(false);
    let mut file = open(&mut options, &path).map_err(action())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = file.take(HOLDER_BYTES_MAX).read_to_string(&mut holder);
            return Err(OpenError::Locked {
                directory: directory.to_owned(),
                holder: read.ok().and_then(|_| holder.trim().parse().ok()),
            });
        }
        Err(TryLockError::Error(error)) => return Err(action()(error)),
    }
    let pid = format!("{}\n", std::process::id());
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all(pid.as_bytes()));
    written.map_err(action())?;
    Ok(Lock(file))
}

/// Opens a file if it is a regular one, or there is none yet and the options make it.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let check = |found: fs::Metadata| match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::other(
            "it is not a regular file, such as a symbolic link, and is not used: move it away",
        )),
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => check(found?)?,
    }
    // It may have changed since.
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags as i32);
    }
    let file = options.open(path)?;
    check(file.metadata()?)?;
    Ok(file)
}

/// Makes a directory with its parents, durably: a name lasts when its directory is synced.
fn create_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<_> = directory
        .ancestors()
        .take_while(|it| !it.exists())
        .collect();
    fs::create_dir_all(directory)?;
    for made in missing {
        let parent = made.parent().filter(|it| !it.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(unix)]
fn free_bytes(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// There is no sync of a directory here; the file system keeps names in its own order.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Not known here: the floor of free space is not held.
#[cfg(not(unix))]
fn free_bytes(_: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_free_again_though_a_forked_process_has_a_copy_of_its_lock() {
        let home = tempfile::TempDir::new().unwrap();
        let held = lock(home.path()).unwrap();
        let copy = held.0.try_clone().unwrap();
        assert!(matches!(lock(home.path()), Err(OpenError::Locked { .. })));
        drop(held);
        lock(home.path()).unwrap();
        drop(copy);
    }
}
