//! [`Directory`]: the real [`Storage`], a directory that is locked for one process.
#![expect(
    clippy::disallowed_types,
    reason = "the one file of the spool that knows a file system"
)]

mod former;
mod place;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use former::{FORMER_MAX, Former, Reading};
use place::{Place, lock};

use super::access::{Access, judge};
use super::directory_error::DirectoryError;
use super::folder::{Folder, How, Identity, Kind};
use super::handle::Handle;
use super::holder::Holder;
use super::lock::{self, Lock, is_at};
use super::places::{self, places, unusable};
use super::storage::{FileName, NoMoreFiles, Removed, Storage};
use super::system::{disk_space, file_bytes_max, is_short_of_descriptors, read_at};

/// Descriptors that are kept for writing.
const HANDLES_MAX: usize = 6;
/// Things that have the cursor's name and are no file, and are given another.
const SET_ASIDE_MAX: u32 = 16;

/// A directory of files. Its holder is alone in it until it is dropped; the kernel frees the
/// lock however the process ends.
///
/// The directory gets the mode 0700 if it is made here, files get 0600: logs are nobody else's
/// business. One that belongs to another user, or that every user may write to, is refused. No
/// file is opened through a link.
///
/// Each sync looks whether what was synced is still to be found at the directory's path, and the
/// lock as well: two system calls, which reach no device. After somebody removed or replaced one of
/// them nothing is stored any more, and the sync fails with [`Removed`].
/// [`recover`](Self::recover) helps then. If it is only the file `LOCK`, that is made again: the
/// directory itself is locked as well.
#[derive(Debug)]
pub struct Directory {
    place: Mutex<Arc<Place>>,
    former: Mutex<Former>,
    access: Access,
    notes: Mutex<Arc<[String]>>,
    /// Files are synced through the descriptor that wrote: kernels tell a failed write-back to
    /// descriptors that were open at the time. And it saves the system calls.
    open: Mutex<BTreeMap<FileName, Arc<Handle>>>,
    /// The one that is read, if it is not written.
    reading: Mutex<Option<(FileName, Arc<File>)>>,
    flushing: Flushing,
}

/// What was done about a directory that was removed or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// It is where it was again.
    Same,
    /// It is another one, which is empty. What was in the old one can be read as far as files are
    /// open or it is only moved; see [`Log::leave`](super::Log::leave).
    Another,
}

/// What disk and system allow a spool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// All bytes of the disk, if it has a size.
    pub(crate) disk_bytes: Option<u64>,
    /// Bytes that a file of this process may have.
    pub(crate) file_bytes: u64,
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

impl Directory {
    /// Makes the directory if need be, and locks it.
    pub fn open(path: &Path, access: impl Into<Access>) -> Result<Self, DirectoryError> {
        Folder::make(path).map_err(DirectoryError::io("make the directory", path))?;
        let opened = Self::open_if_free(path, access)?;
        opened.ok_or_else(|| lock::locked_error(path))
    }

    /// Locks a directory that is there. `None`: somebody has it.
    pub fn open_if_free(
        path: &Path,
        access: impl Into<Access>,
    ) -> Result<Option<Self>, DirectoryError> {
        let folder = Folder::open(path).map_err(DirectoryError::io("open", path))?;
        let access = access.into();
        let notes = judge(&folder, access)?;
        let Some(lock) = lock::take_if_free(&folder)? else {
            return Ok(None);
        };
        let directory = Self::of(folder, Some(lock), access).with_notes(notes);
        directory.free_the_cursors_name()?;
        Ok(Some(directory))
    }

    /// Looks at a directory that may be another one's, for [`Survey`](super::Survey). Nothing is
    /// locked, so what is read may be in the middle of a change.
    pub fn look(path: &Path) -> Result<Self, DirectoryError> {
        let folder = Folder::open(path).map_err(DirectoryError::io("read the directory", path))?;
        match folder.list() {
            // Its holder has renamed a file just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            listed => drop(listed.map_err(DirectoryError::io("read the directory", path))?),
        }
        Ok(Self::of(folder, None, Access::default()))
    }

    fn of(folder: Folder, lock: Option<Lock>, access: Access) -> Self {
        let lock = lock.map(Mutex::new);
        Self {
            place: Mutex::new(Arc::new(Place { folder, lock })),
            former: Mutex::default(),
            access,
            notes: Mutex::default(),
            open: Mutex::default(),
            reading: Mutex::default(),
            flushing: Flushing::Always,
        }
    }

    /// Who has the directory locked at this moment, this process included. Nothing is written, and
    /// nobody is kept from locking it.
    pub fn holder(path: &Path) -> Result<Option<Holder>, DirectoryError> {
        lock::holder(path)
    }

    /// Where it is. That changes when it is [recovered](Self::recover) elsewhere.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.place().folder.path().to_owned()
    }

    fn place(&self) -> Arc<Place> {
        Arc::clone(&lock(&self.place))
    }

    /// What was found when it was opened, or [recovered](Self::recover) elsewhere, and is allowed,
    /// and its operator should know.
    #[must_use]
    pub fn notes(&self) -> Arc<[String]> {
        Arc::clone(&lock(&self.notes))
    }

    pub(super) fn with_notes(self, more: Vec<String>) -> Self {
        let notes = self.notes().iter().cloned().chain(more).collect();
        *lock(&self.notes) = notes;
        self
    }

    /// What disk and system allow a spool here.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            disk_bytes: disk_space(&self.place().folder)
                .ok()
                .and_then(|it| it.bytes),
            file_bytes: file_bytes_max(),
        }
    }

    /// Whether it and its lock are where they were. Two system calls.
    pub(crate) fn check_place(&self) -> io::Result<()> {
        self.place().check()
    }

    /// After a sync failed with [`Removed`]: goes on if it was moved back, or begins an empty
    /// directory at its path, or else in the first free place of `root`, if that is
    /// given. None is made whose parent is not there. Segments of ids below `below` are those of
    /// the old one then.
    pub fn recover(&self, root: Option<&Path>, below: u64) -> Result<Recovered, DirectoryError> {
        let old = self.place();
        let path = old.folder.path();
        match old.check() {
            Ok(()) => return Ok(Recovered::Same),
            Err(error) => match Removed::of(&error) {
                Some(Removed::Lock | Removed::Directory) => {}
                _ => return Err(DirectoryError::io("look at", path)(error)),
            },
        }
        let others = root.into_iter().flat_map(places);
        let mut first_error = None;
        for path in std::iter::once(path.to_owned()).chain(others) {
            match self.begin_at(root, &path) {
                Ok(begun) => {
                    *lock(&self.notes) = begun.notes();
                    self.move_to(begun.place(), below);
                    return Ok(Recovered::Another);
                }
                Err(error) => first_error.get_or_insert(error),
            };
        }
        Err(first_error.expect("the directory's own path was tried"))
    }

    /// Takes a directory that holds no spool.
    fn begin_at(&self, root: Option<&Path>, path: &Path) -> Result<Self, DirectoryError> {
        if !path.parent().is_some_and(Path::is_dir) {
            // Its disk may not be there, and it must not be made on another one.
            let missing = io::ErrorKind::NotFound.into();
            return Err(DirectoryError::io("make the directory", path)(missing));
        }
        let directory = open_place(root.unwrap_or(path), path, self.access)?;
        let directory = directory.ok_or_else(|| lock::locked_error(path))?;
        let files = directory.list();
        if !files
            .map_err(DirectoryError::io("read the directory", path))?
            .is_empty()
        {
            let directory = path.to_owned();
            return Err(DirectoryError::Occupied { directory });
        }
        let notes = root.map_or(Vec::new(), |root| unusable(root, path, self.access));
        Ok(directory.with_notes(notes))
    }

    fn move_to(&self, place: Arc<Place>, below: u64) {
        let mut former = lock(&self.former);
        former.below = below;
        let old = std::mem::replace(&mut *lock(&self.place), place);
        former.places.push(old);
        if former.places.len() > FORMER_MAX {
            former.places.remove(0);
        }
        let read = lock(&self.reading).take();
        let read = read.map(|(file, open)| (file, Reading::File(open)));
        let written = std::mem::take(&mut *lock(&self.open)).into_iter();
        let written = written.map(|(file, open)| (file, Reading::Handle(open)));
        for (file, open) in read.into_iter().chain(written) {
            former.keep(file, open);
        }
    }

    /// What was in former directories is not needed any more.
    pub(crate) fn forget_former(&self) {
        lock(&self.former).places.clear();
    }

    /// Whether a former directory was removed: what is not open of it is nowhere.
    pub(crate) fn is_former_gone(&self) -> bool {
        let former = lock(&self.former);
        former.places.iter().any(|place| place.folder.is_gone())
    }

    /// The same directory, with syncs that do as `flushing` says.
    #[must_use]
    pub fn with_flushing(self, flushing: Flushing) -> Self {
        Self { flushing, ..self }
    }

    /// Makes everything that was written durable, whatever [`Flushing`] says. An error is the first
    /// one: every file is tried. What was written to one that failed may be lost for good, and the
    /// next flush does not tell.
    pub fn flush(&self) -> io::Result<()> {
        // Not under the lock: a thread that writes or reads a file meanwhile needs it.
        let handles: Vec<_> = self.handles().values().cloned().collect();
        let flushed = handles.iter().map(|handle| handle.file.sync_data());
        let flushed = flushed.fold(Ok(()), io::Result::and);
        let place = self.place();
        let listed = place.folder.sync();
        flushed.and(listed)?;
        place.check()
    }

    /// Something that is no file and has the cursor's name is given another one: the spool opens as
    /// with any other damage to its cursor, and nothing is deleted.
    fn free_the_cursors_name(&self) -> Result<(), DirectoryError> {
        let (place, name) = (self.place(), FileName::Cursor.to_string());
        let folder = &place.folder;
        if matches!(folder.kind(&name), Err(_) | Ok(Kind::Regular)) {
            return Ok(());
        }
        let path = self.path().join(&name);
        let is_free = |other: &String| folder.kind(other).is_err();
        let mut names = (1..=SET_ASIDE_MAX).map(|number| format!("{name}-set-aside-{number}"));
        let renamed = match names.find(is_free) {
            Some(other) => folder.rename(&name, &other),
            None => Err(io::ErrorKind::AlreadyExists.into()),
        };
        renamed.map_err(DirectoryError::io("set aside", &path))
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<FileName, Arc<Handle>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The descriptor to write with.
    fn writing(&self, file: FileName) -> io::Result<Arc<Handle>> {
        if let Some(handle) = self.handles().get(&file) {
            return Ok(Arc::clone(handle));
        }
        let (place, name) = (self.place(), file.to_string());
        let handle = self.opening(|| place.folder.open_file(&name, How::Write));
        // A segment that was found is not written on.
        let is_written = !matches!(file, FileName::Spare(_));
        self.keep(file, Handle::of(self.explained(handle)?, is_written)?)
    }

    /// What is missing may be so because the whole directory is not where it was.
    fn explained<T>(&self, done: io::Result<T>) -> io::Result<T> {
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.place().check()?;
                Err(error)
            }
            done => done,
        }
    }

    /// Fails if the file that was written is not the one that will be found under its name.
    fn check(&self, file: FileName, handle: &Handle) -> io::Result<()> {
        self.place().check()?;
        let path = self.path().join(file.to_string());
        match is_at(handle.identity, Identity::at(&path))? {
            true => Ok(()),
            false => {
                let open = self.forget(file).map(Reading::Handle);
                if let Some(open) = open {
                    // Its events can still be read.
                    lock(&self.former).keep(file, open);
                }
                Err(Removed::File(file).into())
            }
        }
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
        let former = lock(&self.former).open.get(&file).cloned();
        match former {
            Some(Reading::Handle(handle)) => return read(&handle.file),
            Some(Reading::File(open)) => return read(&open),
            None => {}
        }
        let at_hand = lock(&self.reading).take();
        let open = match at_hand {
            Some((open, handle)) if open == file => handle,
            _ => {
                let Some(open) = self.opening(|| self.open_to_read(file))? else {
                    return Ok(0);
                };
                Arc::new(open)
            }
        };
        *lock(&self.reading) = Some((file, Arc::clone(&open)));
        read(&open)
    }

    /// Opens something. If there is no descriptor for it, those that can be had again make room.
    fn opening<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match open() {
            Err(error) if is_short_of_descriptors(&error) => {
                self.let_go_of_descriptors();
                open()
            }
            opened => opened,
        }
    }

    /// `None`: it was in a directory that was removed, and is gone for good. As if it were empty.
    fn open_to_read(&self, file: FileName) -> io::Result<Option<File>> {
        let former = lock(&self.former);
        let name = file.to_string();
        if !former.has(file) {
            drop(former);
            return self.place().folder.open_file(&name, How::Read).map(Some);
        }
        let mut places = former.places.iter().rev();
        let mut tried = places
            .clone()
            .map(|it| it.folder.open_file(&name, How::Read));
        let is_missing = |opened: &io::Result<File>| matches!(opened, Err(error) if error.kind() == io::ErrorKind::NotFound);
        match tried.find(|opened| !is_missing(opened)) {
            Some(opened) => opened.map(Some),
            None if places.all(|place| place.folder.is_gone()) => Ok(None),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Forgets descriptors of a name that will be another file's.
    fn forget(&self, file: FileName) -> Option<Arc<Handle>> {
        lock(&self.reading).take_if(|(open, _)| *open == file);
        self.handles().remove(&file)
    }
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        let place = self.place();
        let names = self.opening(|| place.folder.list())?;
        let files = names.into_iter().filter_map(|(name, kind, bytes)| {
            let file = FileName::parse(&name)?;
            // What is no file is listed, so that it is told when it cannot be read.
            let bytes = if kind == Kind::Regular { bytes } else { 0 };
            Some((file, bytes))
        });
        Ok(files.collect())
    }

    fn create(&self, file: FileName, bytes: u64) -> io::Result<()> {
        let (place, name) = (self.place(), file.to_string());
        let folder = &place.folder;
        self.forget(file);
        match folder.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let made = self
            .opening(|| folder.open_file(&name, How::New))
            .map_err(|error| {
                let has_no_inodes = || disk_space(folder).is_ok_and(|it| it.free_files == Some(0));
                match error.kind() {
                    io::ErrorKind::StorageFull if has_no_inodes() => {
                        io::Error::new(io::ErrorKind::StorageFull, NoMoreFiles)
                    }
                    _ => error,
                }
            });
        let handle = Handle::make(self.explained(made)?, bytes)?;
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
        let handle = self.writing(file)?;
        if self.flushing == Flushing::Always {
            handle.file.sync_data()?;
        }
        self.check(file, &handle)
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        let (old, new) = (from.to_string(), to.to_string());
        let renamed = self.place().folder.rename(&old, &new);
        if renamed.is_err() {
            lock(&self.former).open.remove(&from);
        }
        self.explained(renamed)?;
        if let Some(handle) = self.forget(from) {
            self.handles().insert(to, handle);
        }
        Ok(())
    }

    fn remove(&self, file: FileName) -> io::Result<()> {
        self.forget(file);
        let mut former = lock(&self.former);
        if former.open.remove(&file).is_some() || former.has(file) {
            // It is not ours any more.
            return Ok(());
        }
        drop(former);
        self.place().folder.remove(&file.to_string())
    }

    fn sync_directory(&self) -> io::Result<()> {
        match self.flushing {
            Flushing::Always => self.place().folder.sync(),
            Flushing::OnRequest => Ok(()),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(disk_space(&self.place().folder)?.free_bytes)
    }

    fn let_go_of_descriptors(&self) {
        drop(lock(&self.reading).take());
        if self.flushing == Flushing::OnRequest {
            // The next flush would not find the others.
            return;
        }
        let is_segment = |file: &FileName| matches!(file, FileName::Segment(_));
        let mut handles = self.handles();
        // Only the newest one may have writes that are not synced: each is synced before the next is
        // begun. To keep one more could be to hold on to the only two there are when a third is due.
        let newest = handles.keys().rev().find(|file| is_segment(file)).copied();
        handles.retain(|file, _| match file {
            FileName::Segment(_) => Some(*file) == newest,
            FileName::Spare(_) => false,
            FileName::Cursor | FileName::Quarantine(_) => true,
        });
    }
}

/// Locks the first place that nobody has, and makes it if need be. A place that cannot be used,
/// above all another user's, is passed over and told in [`Directory::notes`]; the directory itself
/// must be usable, except for who has it. An error names the holder of the directory itself.
pub fn open_first_free(
    root: &Path,
    access: impl Into<Access>,
) -> Result<Directory, DirectoryError> {
    let access = access.into();
    for place in places(root) {
        match open_place(root, &place, access) {
            Ok(Some(directory)) => {
                let notes = unusable(root, &place, access);
                return Ok(directory.with_notes(notes));
            }
            Ok(None) => {}
            Err(error) if place != root && error.is_about(&place) => {}
            Err(error) if error.is_locked() => {}
            // The next one would fail as well.
            Err(error) => return Err(error),
        }
    }
    Err(lock::locked_error(root))
}

/// Locks a place, and makes it if need be. `None`: somebody has it.
fn open_place(
    root: &Path,
    place: &Path,
    access: Access,
) -> Result<Option<Directory>, DirectoryError> {
    places::make(root, place)?;
    Directory::open_if_free(place, access)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
