//! [`DirectoryError`]: why a spool's directory cannot be used, and what to do about it.

use std::fmt;
#[cfg(unix)]
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::holder::Holder;
use super::missing::ReadFailure;

/// A process may not write files as large as a segment has to be.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "its files take {needed} bytes at the least, and this process may write none over {limit} \
     (RLIMIT_FSIZE): raise that (LimitFSIZE= of systemd, ulimit -f), or lower event_bytes"
)]
#[non_exhaustive]
pub struct FileSizeLimit {
    /// Bytes of a segment that takes two of the largest events.
    pub needed: u64,
    /// Bytes that a file may have.
    pub limit: u64,
}

crate::debug::debug_is_the_message!(FileSizeLimit);

/// A user of this machine, as messages name one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User(
    /// The number that the system has for the user.
    pub u32,
);

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("root"),
            number => write!(f, "user {number}"),
        }
    }
}

/// A file or directory that a process may not use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeniedBy {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: User,
    /// Its mode.
    pub mode: u32,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// Why a spool's directory cannot be used.
#[derive(thiserror::Error)]
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
    /// It belongs to somebody who is neither this process's user nor root.
    #[error(
        "{} belongs to {owner}, who could read and replace what {user} writes there: run as \
         {owner}, give {user} the directory with `chown`, or choose another one",
        directory.display()
    )]
    ForeignOwner {
        /// The directory.
        directory: PathBuf,
        /// Whose it is.
        owner: User,
        /// Whose this process is.
        user: User,
    },
    /// Everybody may write to it.
    #[error(
        "every user may write to {} (mode {mode:04o}), and could read and replace what is written \
         there: name a new directory in it, which is made for its owner alone, or take that right \
         away with `chmod o-w`",
        directory.display()
    )]
    WritableByAll {
        /// The directory.
        directory: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The process may not write files that are large enough.
    #[error("the spool {} cannot be used: {limit}", directory.display())]
    FileSizeLimit {
        /// The directory.
        directory: PathBuf,
        /// What would be needed.
        limit: FileSizeLimit,
    },
    /// There are files of another spool in it, and this one is to begin anew.
    #[error(
        "{} holds another spool than the one that was in use there: move one of them away, or end \
         this process",
        directory.display()
    )]
    Occupied {
        /// The directory.
        directory: PathBuf,
    },
    /// A file or directory is another user's, or its mode keeps this process's user out.
    #[error(
        "cannot {action} {}{}, which belongs to {} and has the mode {:04o}: {source}; {}",
        path.display(), place(path, &by.path), by.owner, by.mode, by.cure()
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What keeps the process out: that, or the directory that it is in.
        by: DeniedBy,
        /// What came of it.
        source: io::Error,
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

/// The message, since that is what `main` and `unwrap` print.
impl fmt::Debug for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl DirectoryError {
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        let path = path.to_owned();
        move |source| match DeniedBy::of(&path, &source) {
            Some(by) => Self::Denied {
                action,
                path,
                by,
                source,
            },
            None => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Whether somebody else has the directory.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }

    /// Whether nobody has to do anything about it: it passes, somebody has the directory, or it is
    /// not there any more.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                source.kind() == io::ErrorKind::NotFound
                    || ReadFailure::of(source) == ReadFailure::Passing
            }
            error => error.is_locked(),
        }
    }

    /// Whether another directory beside this one may be usable all the same.
    pub(super) fn is_about(&self, place: &Path) -> bool {
        match self {
            Self::ForeignOwner { .. } | Self::WritableByAll { .. } => true,
            // What keeps a place from being made keeps all others from it, too.
            Self::Denied { by, .. } => by.path.starts_with(place),
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotADirectory
                    | io::ErrorKind::AlreadyExists
                    | io::ErrorKind::PermissionDenied
            ),
            _ => false,
        }
    }
}

/// Where a file is that something else keeps the process from.
fn place(path: &Path, by: &Path) -> String {
    match path == by {
        true => String::new(),
        false => format!(" in {}", by.display()),
    }
}

impl DeniedBy {
    /// What gives this process's user what it may not use.
    fn cure(&self) -> String {
        // Who may not search a directory finds no file in it.
        let all = if self.is_directory { 0o700 } else { 0o600 };
        match is_own(self.owner) {
            false if self.is_directory => format!(
                "run as {}, or choose a directory that the spool's user may use",
                self.owner
            ),
            false => format!(
                "run as {}, or give the file to the spool's user with `chown`",
                self.owner
            ),
            true if self.mode & all != all => {
                "give its owner, who this is, the rights with `chmod u+rwX`".to_owned()
            }
            true => "its mode allows it: look at the directories above it, and at what else keeps \
                     processes out here (SELinux, AppArmor)"
                .to_owned(),
        }
    }

    /// What does not let this process do something with what has this path. Of what is not there, or
    /// cannot be seen, it is the directory that it is in, or the first one above that can be seen.
    #[cfg(unix)]
    fn of(path: &Path, error: &io::Error) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        if error.kind() != io::ErrorKind::PermissionDenied {
            return None;
        }
        let above = path.ancestors().skip(1).map(|it| match it.as_os_str() {
            none if none.is_empty() => Path::new("."),
            _ => it,
        });
        let itself = fs::symlink_metadata(path).ok().map(|found| (path, found));
        let (path, found) = itself.or_else(|| {
            let mut above = above;
            above.find_map(|it| Some((it, fs::metadata(it).ok()?)))
        })?;
        Some(Self {
            path: path.to_owned(),
            owner: User(found.uid()),
            mode: found.mode() & 0o7777,
            is_directory: found.is_dir(),
        })
    }

    #[cfg(not(unix))]
    fn of(_: &Path, _: &io::Error) -> Option<Self> {
        None
    }
}

#[cfg(unix)]
fn is_own(owner: User) -> bool {
    rustix::process::geteuid().as_raw() == owner.0
}

#[cfg(not(unix))]
fn is_own(_: User) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_told_to_take_the_rights_and_others_whose_file_it_is() {
        let own = rustix::process::geteuid().as_raw();
        let told = |owner, mode, is_directory| {
            let error = DirectoryError::Denied {
                action: "open",
                path: "spool/LOCK".into(),
                by: DeniedBy {
                    path: "spool".into(),
                    owner: User(owner),
                    mode,
                    is_directory,
                },
                source: io::ErrorKind::PermissionDenied.into(),
            };
            error.to_string()
        };
        for mode in [0o000, 0o200, 0o400] {
            assert!(told(own, mode, false).contains("`chmod u+rwX`"), "{mode:o}");
            assert!(!told(own, mode, false).contains("chown"), "{mode:o}");
        }
        for mode in [0o000, 0o200, 0o400, 0o600, 0o500] {
            assert!(told(own, mode, true).contains("`chmod u+rwX`"), "{mode:o}");
        }
        assert!(told(own, 0o600, false).contains("the directories above it"));
        assert!(told(own, 0o700, true).contains("the directories above it"));
        let anothers = told(own + 1, 0o000, false);
        assert!(anothers.contains(&format!("run as {}", User(own + 1))));
        assert!(anothers.contains("chown"));
        let anothers = told(own + 1, 0o755, true);
        assert!(anothers.starts_with("cannot open spool/LOCK in spool, which belongs to "));
        assert!(anothers.contains("choose a directory"), "{anothers}");
    }
}
