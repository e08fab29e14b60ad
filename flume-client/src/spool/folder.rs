//! [`Folder`]: an open directory, and its files by their names in it.
//!
//! All goes through the descriptor of the directory, so that nothing ever happens to the files of
//! another one that was put in its place. No link is followed, and what is no regular file is
//! neither opened nor waited for: who may write to the directory could else lead a service that
//! runs as root to any file.
#![expect(
    clippy::disallowed_types,
    reason = "part of the directory, which knows a file system"
)]

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::storage::FileName;
#[cfg(unix)]
use crate::fork::NotInherited;

/// An open directory.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    #[cfg(unix)]
    file: NotInherited<File>,
    /// Who gets the files that are made here, if it is not who makes them.
    #[cfg(unix)]
    heir: Option<(rustix::fs::Uid, rustix::fs::Gid)>,
}

/// What is to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It is read.
    Read,
    /// It is read and written.
    Write,
    /// It is made, read and written. There must be none of the name.
    New,
}

/// Which file this is, whatever its name. A number is not another file's while this one is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// Something has the name of a file of the spool and is none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it is {kind}, not a regular file, and is not used: {advice}")]
pub(super) struct NotAFile {
    kind: Kind,
    advice: &'static str,
}

impl NotAFile {
    /// Whether an error is this.
    pub(super) fn is_why(error: &io::Error) -> bool {
        let inner = error.get_ref();
        inner.and_then(|it| it.downcast_ref::<Self>()).is_some()
    }
}

/// What there is under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Directory,
    Link,
    Other,
}

impl Folder {
    /// Makes a directory and its parents, durably: a name lasts once its directory is synced.
    pub(super) fn make(path: &Path) -> io::Result<()> {
        let missing: Vec<_> = path.ancestors().take_while(|it| !it.exists()).collect();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        for made in missing {
            let parent = made.parent().filter(|it| !it.as_os_str().is_empty());
            Self::open(parent.unwrap_or(Path::new(".")))?.sync()?;
        }
        Ok(())
    }

    /// The names are those in the directory that `path` leads to now, also if it is a link.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        #[cfg(unix)]
        {
            let file = File::open(path)?;
            if !file.metadata()?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(Self {
                path: path.to_owned(),
                heir: heir(&file)?,
                // Before it is locked, so that no fork copies it with the lock.
                file: NotInherited::of(file),
            })
        }
        #[cfg(not(unix))]
        {
            fs::read_dir(path)?;
            let path = path.to_owned();
            Ok(Self { path })
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it, what they are, and their bytes.
    pub(super) fn list(&self) -> io::Result<Vec<(String, Kind, u64)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                let metadata = entry.metadata()?;
                names.push((name, Kind::of(metadata.file_type()), metadata.len()));
            }
        }
        Ok(names)
    }
}

#[cfg(unix)]
mod unix {
    use super::{File, Folder, How, Identity, Kind};
    use rustix::fs::{Access, AtFlags, FileType, Gid, Mode, OFlags, Uid};
    use rustix::io::retry_on_intr;
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    impl Folder {
        /// The directory itself.
        pub(in super::super) fn file(&self) -> Option<&File> {
            Some(&self.file)
        }

        /// Whether the calling process opened it, and not one that it was forked from.
        pub(in super::super) fn is_ours(&self) -> bool {
            self.file.is_ours()
        }

        /// Whether it was removed, and not only moved: nobody finds anything in it again.
        pub(in super::super) fn is_gone(&self) -> bool {
            self.file.metadata().is_ok_and(|it| it.nlink() == 0)
        }

        /// Whether the calling process may make files in it.
        pub(in super::super) fn lets_in(&self) -> bool {
            let (access, flags) = (
                Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
                AtFlags::EACCESS,
            );
            rustix::fs::accessat(&*self.file, ".", access, flags).is_ok()
        }

        /// Opens a file, which is a regular one.
        pub(in super::super) fn open_file(&self, name: &str, how: How) -> io::Result<File> {
            let access = match how {
                How::Read => OFlags::RDONLY,
                How::Write => OFlags::RDWR,
                How::New => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            };
            if how != How::New {
                self.kind(name)?.check(name)?;
            }
            // It may have changed since, so not to wait for the other end of a pipe.
            let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            let file = retry_on_intr(|| rustix::fs::openat(&*self.file, name, flags, mode))?;
            let file = File::from(file);
            Kind::of(file.metadata()?.file_type()).check(name)?;
            if let (How::New, Some((user, group))) = (how, self.heir) {
                rustix::fs::fchown(&file, Some(user), Some(group))?;
            }
            Ok(file)
        }

        /// What has a name.
        pub(in super::super) fn kind(&self, name: &str) -> io::Result<Kind> {
            let found = rustix::fs::statat(&*self.file, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(match FileType::from_raw_mode(found.st_mode) {
                FileType::RegularFile => Kind::Regular,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Link,
                _ => Kind::Other,
            })
        }

        pub(in super::super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            Ok(rustix::fs::renameat(&*self.file, from, &*self.file, to)?)
        }

        pub(in super::super) fn remove(&self, name: &str) -> io::Result<()> {
            let flags = AtFlags::empty();
            Ok(rustix::fs::unlinkat(&*self.file, name, flags)?)
        }

        pub(in super::super) fn sync(&self) -> io::Result<()> {
            self.file.sync_all()
        }

        /// Makes a directory in it, for its owner alone.
        pub(in super::super) fn make_directory(&self, name: &str) -> io::Result<()> {
            rustix::fs::mkdirat(&*self.file, name, Mode::RWXU)?;
            if let Some((user, group)) = self.heir {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(&*self.file, name, Some(user), Some(group), flags)?;
            }
            self.sync()
        }
    }

    impl Identity {
        pub(in super::super) fn of(file: &File) -> io::Result<Option<Self>> {
            file.metadata().map(|found| Some(found.into()))
        }

        /// Of what has this path now; a link at its end is not followed.
        pub(in super::super) fn at(path: &Path) -> io::Result<Option<Self>> {
            Self::ask(path, AtFlags::SYMLINK_NOFOLLOW)
                .or_else(|| Some(std::fs::symlink_metadata(path).map(Self::from)))
                .transpose()
        }

        /// Of the directory that this path leads to now.
        pub(in super::super) fn behind(path: &Path) -> io::Result<Option<Self>> {
            Self::ask(path, AtFlags::empty())
                .or_else(|| Some(std::fs::metadata(path).map(Self::from)))
                .transpose()
        }

        /// Asks for no times: a file that was asked for them gets a finer one with the next write
        /// (multigrain timestamps of Linux), which makes a commit of one event take 1.4 times as
        /// long. `None`: there is no such call.
        #[cfg(target_os = "linux")]
        fn ask(path: &Path, flags: AtFlags) -> Option<io::Result<Self>> {
            use rustix::fs::{CWD, StatxFlags, makedev, statx};
            match statx(CWD, path, flags, StatxFlags::INO) {
                Ok(found) => Some(Ok(Self {
                    device: makedev(found.stx_dev_major, found.stx_dev_minor),
                    inode: found.stx_ino,
                })),
                Err(rustix::io::Errno::NOSYS) => None,
                Err(error) => Some(Err(error.into())),
            }
        }

        #[cfg(not(target_os = "linux"))]
        fn ask(_: &Path, _: AtFlags) -> Option<io::Result<Self>> {
            None
        }
    }

    impl From<std::fs::Metadata> for Identity {
        fn from(metadata: std::fs::Metadata) -> Self {
            Self {
                device: metadata.dev(),
                inode: metadata.ino(),
            }
        }
    }

    /// The owner of a directory, if this is root and it belongs to another: what root makes there
    /// must not keep its owner out.
    pub(super) fn heir(directory: &File) -> io::Result<Option<(Uid, Gid)>> {
        let metadata = directory.metadata()?;
        let is_anothers = rustix::process::geteuid().is_root() && metadata.uid() != 0;
        let owner = || (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
        Ok(is_anothers.then(owner))
    }
}

#[cfg(unix)]
use unix::heir;

#[cfg(not(unix))]
mod not_unix {
    use super::{File, Folder, How, Identity, Kind};
    use std::fs;
    use std::io;
    use std::path::Path;

    impl Folder {
        /// The directory itself: it cannot be opened here.
        pub(in super::super) fn file(&self) -> Option<&File> {
            None
        }

        pub(in super::super) fn is_ours(&self) -> bool {
            true
        }

        pub(in super::super) fn is_gone(&self) -> bool {
            false
        }

        /// Nobody is told before it is tried.
        pub(in super::super) fn lets_in(&self) -> bool {
            true
        }

        pub(in super::super) fn open_file(&self, name: &str, how: How) -> io::Result<File> {
            if how != How::New {
                self.kind(name)?.check(name)?;
            }
            let mut options = File::options();
            options.read(true).write(how != How::Read);
            options.create_new(how == How::New);
            options.open(self.path.join(name))
        }

        pub(in super::super) fn kind(&self, name: &str) -> io::Result<Kind> {
            let metadata = fs::symlink_metadata(self.path.join(name))?;
            Ok(Kind::of(metadata.file_type()))
        }

        pub(in super::super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            fs::rename(self.path.join(from), self.path.join(to))
        }

        pub(in super::super) fn remove(&self, name: &str) -> io::Result<()> {
            fs::remove_file(self.path.join(name))
        }

        /// There is no sync of a directory here; the file system keeps names in its own order.
        pub(in super::super) fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        pub(in super::super) fn make_directory(&self, name: &str) -> io::Result<()> {
            fs::create_dir(self.path.join(name))
        }
    }

    /// Files have no numbers that std tells, so what was removed or replaced is not noticed here.
    /// An open file cannot be removed by others either.
    impl Identity {
        pub(in super::super) fn of(_: &File) -> io::Result<Option<Self>> {
            Ok(None)
        }

        pub(in super::super) fn at(_: &Path) -> io::Result<Option<Self>> {
            Ok(None)
        }

        pub(in super::super) fn behind(_: &Path) -> io::Result<Option<Self>> {
            Ok(None)
        }
    }
}

impl Kind {
    fn of(found: fs::FileType) -> Self {
        if found.is_file() {
            Self::Regular
        } else if found.is_dir() {
            Self::Directory
        } else if found.is_symlink() {
            Self::Link
        } else {
            Self::Other
        }
    }

    /// Nothing but a regular file is opened as one.
    fn check(self, name: &str) -> io::Result<()> {
        let advice = match FileName::parse(name) {
            // Its events may be where somebody has moved it.
            Some(FileName::Segment(_)) => "put the segment's own file in its place",
            _ => "move it away",
        };
        match self {
            Self::Regular => Ok(()),
            kind => Err(io::Error::other(NotAFile { kind, advice })),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regular => "a regular file",
            Self::Directory => "a directory",
            Self::Link => "a symbolic link",
            Self::Other => "a pipe, a socket or a device",
        })
    }
}
