//! [`DirectoryError`]: why a spool's directory cannot be used, and what to do about it.

use std::fmt;
#[cfg(unix)]
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::access::User;
use super::holder::Holder;
use super::missing::ReadFailure;

/// A process may not write files as large as a segment has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// A file is another user's, or its mode keeps this process's user out.
    #[error(
        "cannot {action} {}, which belongs to {owner} and has the mode {mode:04o}: {source}; {}",
        path.display(), cure(*owner, *mode)
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Whose it is.
        owner: User,
        /// Its mode.
        mode: u32,
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
        move |source| match owner(&path, &source) {
            Some((owner, mode)) => Self::Denied {
                action,
                path,
                owner,
                mode,
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

    /// Whether another directory beside it may be usable all the same.
    pub(super) fn is_about_this_place(&self) -> bool {
        match self {
            Self::ForeignOwner { .. } | Self::WritableByAll { .. } | Self::Denied { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists
            ),
            _ => false,
        }
    }
}

/// What gives this process's user a file that it may not open.
fn cure(owner: User, mode: u32) -> String {
    const ALL: u32 = 0o600;
    match is_own(owner) {
        false => format!("run as {owner}, or give the file to the spool's user with `chown`"),
        true if mode & ALL != ALL => {
            "give its owner, who this is, the rights with `chmod u+rwX`".to_owned()
        }
        true => "its mode allows it: look at the directories above it, and at what else keeps \
                 processes out here (SELinux, AppArmor)"
            .to_owned(),
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

/// Whose file it is that may not be opened, and its mode.
#[cfg(unix)]
fn owner(path: &Path, error: &io::Error) -> Option<(User, u32)> {
    use std::os::unix::fs::MetadataExt;
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
    let found = is_denied
        .then(|| fs::symlink_metadata(path).ok())
        .flatten()?;
    Some((User(found.uid()), found.mode() & 0o7777))
}

#[cfg(not(unix))]
fn owner(_: &Path, _: &io::Error) -> Option<(User, u32)> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_told_to_take_the_rights_and_others_whose_file_it_is() {
        let own = rustix::process::geteuid().as_raw();
        let told = |owner, mode| {
            let error = DirectoryError::Denied {
                action: "open",
                path: "spool/LOCK".into(),
                owner: User(owner),
                mode,
                source: io::ErrorKind::PermissionDenied.into(),
            };
            error.to_string()
        };
        for mode in [0o000, 0o200, 0o400] {
            assert!(told(own, mode).contains("`chmod u+rwX`"), "{mode:o}");
            assert!(!told(own, mode).contains("chown"), "{mode:o}");
        }
        assert!(told(own, 0o600).contains("the directories above it"));
        assert!(told(own + 1, 0o000).contains(&format!("run as {}", User(own + 1))));
        assert!(told(own + 1, 0o000).contains("chown"));
    }
}
