//! [`Directory`]: the real [`Storage`], a directory that is locked for one process.
#![expect(
    clippy::disallowed_types,
    reason = "the one file of the spool that knows a file system"
)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handle::Handle;
use super::holder::Holder;
use super::lock::{self, Lock};
use super::storage::{FileName, Storage};
use super::system::{free_bytes, network_kind, owner_only, read_at, sync_directory};

/// Descriptors that are kept for writing.
const HANDLES_MAX: usize = 6;

/// A directory of files. Whoever has it is alone in it until it is dropped; the kernel frees the
/// lock however the process ends.
///
/// The directory gets the mode 0700 if it is made here, files get 0600: logs are nobody else's
/// business.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Files are synced through the descriptor that wrote: kernels tell a failed write-back to
    /// descriptors that were open at the time. And it saves the system calls.
    open: Mutex<BTreeMap<FileName, Arc<Handle>>>,
    /// The one that is read, if it is not written.
    reading: Mutex<Option<(FileName, Arc<File>)>>,
    /// `None` for who only looks.
    _lock: Option<Lock>,
    flushing: Flushing,
}

/// Whether a sync reaches the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flushing {
    /// Yes: what is synced survives a power loss.
    #[default]
    Always,
    /// Only with [`Directory::flush`]: what is written survives the end of the process, not that of
    /// the system.
    OnRequest,
}

/// Why a spool's directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// Another process, or another client in this one, has the directory.
    #[error("{} is used by {holder}: give each client a directory of its own", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// Locks and syncs over a network cannot be relied on.
    #[error(
        "{} is on a network file system ({kind}), where neither locks nor syncs can be relied on: \
         choose a local directory, or allow it if you know better",
        directory.display()
    )]
    Network {
        /// The directory.
        directory: PathBuf,
        /// Of file system.
        kind: &'static str,
    },
    /// The file system says no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
}

/// Whether a directory may be on a network file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkFileSystem {
    /// No, [`DirectoryError::Network`].
    #[default]
    Refused,
    /// Yes. What its server and client do to locks and syncs is not known.
    Allowed,
}

impl Directory {
    /// Makes the directory if need be, and locks it.
    pub fn open(path: &Path, network: NetworkFileSystem) -> Result<Self, DirectoryError> {
        make(path).map_err(DirectoryError::io("make the directory", path))?;
        if network == NetworkFileSystem::Refused {
            let kind = network_kind(path).map_err(DirectoryError::io("look at", path))?;
            if let Some(kind) = kind {
                let directory = path.to_owned();
                return Err(DirectoryError::Network { directory, kind });
            }
        }
        Ok(Self {
            path: path.to_owned(),
            open: Mutex::default(),
            reading: Mutex::default(),
            _lock: Some(lock::take(path)?),
            flushing: Flushing::Always,
        })
    }

    /// Looks at a directory that may be another one's, for [`Survey`](super::Survey). Nothing is
    /// locked, so what is read may be in the middle of a change.
    pub fn look(path: &Path) -> Result<Self, DirectoryError> {
        fs::read_dir(path).map_err(DirectoryError::io("read the directory", path))?;
        Ok(Self {
            path: path.to_owned(),
            open: Mutex::default(),
            reading: Mutex::default(),
            _lock: None,
            flushing: Flushing::Always,
        })
    }

    /// Who has the directory locked at this moment, this process included. Nothing is written, and
    /// nobody is kept from locking it.
    pub fn holder(path: &Path) -> Result<Option<Holder>, DirectoryError> {
        lock::holder(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same directory, with syncs that do as `flushing` says.
    #[must_use]
    pub fn with_flushing(self, flushing: Flushing) -> Self {
        Self { flushing, ..self }
    }

    /// Makes everything that was written durable, whatever [`Flushing`] says.
    pub fn flush(&self) -> io::Result<()> {
        // Not under the lock: whoever writes or reads a file meanwhile needs it.
        let handles: Vec<_> = self.handles().values().cloned().collect();
        for handle in handles {
            handle.file.sync_data()?;
        }
        sync_directory(&self.path)
    }

    fn at(&self, file: FileName) -> PathBuf {
        self.path.join(file.to_string())
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<FileName, Arc<Handle>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The descriptor to write with.
    fn writing(&self, file: FileName) -> io::Result<Arc<Handle>> {
        if let Some(handle) = self.handles().get(&file) {
            return Ok(Arc::clone(handle));
        }
        let handle = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.at(file))?;
        // A segment that was found is not written on.
        let is_written = !matches!(file, FileName::Spare(_));
        self.keep(file, Handle::of(handle, is_written)?)
    }

    fn keep(&self, file: FileName, handle: Handle) -> io::Result<Arc<Handle>> {
        let handle = Arc::new(handle);
        let mut handles = self.handles();
        handles.insert(file, Arc::clone(&handle));
        // The segments of the lowest ids are full.
        while handles.len() > HANDLES_MAX {
            let full = |file: &&FileName| matches!(file, FileName::Segment(_));
            let Some(file) = handles.keys().find(full).copied() else {
                break;
            };
            let full = handles.remove(&file);
            if self.flushing == Flushing::OnRequest {
                // The next flush would not find it.
                full.map_or(Ok(()), |full| full.file.sync_data())?;
            }
        }
        Ok(handle)
    }

    /// Reads with the descriptor that is at hand, or a new one.
    fn read_with(
        &self,
        file: FileName,
        read: impl FnOnce(&File) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let written = self.handles().get(&file).cloned();
        if let Some(handle) = written {
            return read(&handle.file);
        }
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match reading.take() {
            Some((open, handle)) if open == file => handle,
            _ => Arc::new(File::open(self.at(file))?),
        };
        *reading = Some((file, Arc::clone(&open)));
        drop(reading);
        read(&open)
    }

    /// Forgets descriptors of a name that will be another file's.
    fn forget(&self, file: FileName) -> Option<Arc<Handle>> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.take_if(|(open, _)| *open == file);
        self.handles().remove(&file)
    }
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if let Some(file) = entry.file_name().to_str().and_then(FileName::parse) {
                files.push((file, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, file: FileName, bytes: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        owner_only(&mut options);
        let handle = Handle::make(options.open(self.at(file))?, bytes)?;
        self.forget(file);
        self.keep(file, handle)?;
        Ok(())
    }

    fn write(&self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let handle = self.writing(file)?;
        match file {
            FileName::Segment(_) => {
                let sync_follows = self.flushing == Flushing::Always;
                handle.append(offset, bytes, sync_follows)
            }
            _ => handle.write(offset, bytes),
        }
    }

    fn read(&self, file: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.read_with(file, |open| read_at(open, offset, bytes))
    }

    fn truncate(&self, file: FileName, bytes: u64) -> io::Result<()> {
        self.writing(file)?.file.set_len(bytes)
    }

    fn sync(&self, file: FileName) -> io::Result<()> {
        match self.flushing {
            Flushing::Always => self.writing(file)?.file.sync_data(),
            Flushing::OnRequest => Ok(()),
        }
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))?;
        if let Some(handle) = self.forget(from) {
            self.handles().insert(to, handle);
        }
        Ok(())
    }

    fn remove(&self, file: FileName) -> io::Result<()> {
        self.forget(file);
        fs::remove_file(self.at(file))
    }

    fn sync_directory(&self) -> io::Result<()> {
        match self.flushing {
            Flushing::Always => sync_directory(&self.path),
            Flushing::OnRequest => Ok(()),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(&self.path)
    }
}

impl DirectoryError {
    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// Makes a directory and its parents, durably: a name lasts once its directory is synced.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|it| !it.exists()).collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    for made in missing {
        let parent = made.parent().filter(|it| !it.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}
