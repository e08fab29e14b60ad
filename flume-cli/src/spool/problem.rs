//! [`Problem`]: why a command cannot do its work, in a sentence and as an exit code.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use flume_client::BuildError;
use flume_client::spool::{DirectoryError, Holder};

use crate::exit::Exit;
use crate::output;
use crate::text::{self, bytes, reason};
use crate::unread::UnreadableLine;

#[derive(Debug)]
pub(super) enum Problem {
    Usage(String),
    Directory(DirectoryError),
    /// There is a directory, and no spool in it.
    NoSpool(PathBuf),
    /// A file or directory, and what was tried with it.
    Io(&'static str, PathBuf, io::Error),
    /// What is to deliver its events cannot be started.
    Client(BuildError),
    Interrupted,
}

impl Problem {
    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |error| Self::Io(action, path.to_owned(), error)
    }

    pub(super) fn in_use(directory: &Path, holder: Holder) -> Self {
        let directory = directory.to_owned();
        Self::Directory(DirectoryError::Locked { directory, holder })
    }

    /// Whether it is about one spool, and others can be delivered all the same.
    pub(super) fn is_of_one_spool(&self) -> bool {
        match self {
            Self::Directory(error) => !error.is_locked(),
            Self::Io(..) => true,
            _ => false,
        }
    }

    /// The file of a spool that it is about, or the spool, for who delivers others.
    pub(super) fn unreadable(&self, spool: &Path) -> UnreadableLine {
        match self {
            Self::Directory(
                DirectoryError::Io { path, source, .. }
                | DirectoryError::Denied { path, source, .. },
            )
            | Self::Io(_, path, source) => UnreadableLine::new(path, 0, &source.to_string()),
            problem => UnreadableLine::new(spool, 0, &problem.to_string()),
        }
    }

    /// Tells the user.
    pub(super) fn tell(&self) -> Exit {
        output::note(self);
        match self {
            Self::Client(BuildError::Thread(_)) => Exit::Unexpected,
            Self::Usage(_) | Self::Client(_) => Exit::Usage,
            Self::Directory(DirectoryError::Locked { .. }) => Exit::InUse,
            Self::Interrupted => Exit::Interrupted,
            _ => Exit::Unexpected,
        }
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

impl From<BuildError> for Problem {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Spool(error) => Self::Directory(error),
            BuildError::SpoolUnreadable { directory, source } => {
                Self::Io("read the directory", directory, source)
            }
            error => Self::Client(error),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problem) => f.write_str(problem),
            Self::Directory(DirectoryError::Locked {
                directory, holder, ..
            }) => write!(
                f,
                "{} is in use by {holder}: stop it first, this needs the spool for itself",
                text::path(directory)
            ),
            Self::Directory(DirectoryError::Io {
                action,
                path,
                source,
                ..
            })
            | Self::Io(action, path, source) => {
                write!(
                    f,
                    "cannot {action} {}: {}",
                    text::path(path),
                    reason(source)
                )
            }
            Self::Directory(error) => f.write_str(&text::quiet(&error.to_string())),
            Self::Client(BuildError::OutOfRange {
                setting: "spool_bytes",
                value,
                min,
                max,
            }) => write!(
                f,
                "--spool-bytes is {}; it must lie between {} and {}",
                bytes(*value),
                bytes(*min),
                bytes(*max)
            ),
            Self::Client(error) => error.fmt(f),
            Self::NoSpool(path) => write!(
                f,
                "there is no spool in {}: it has neither segments nor a cursor; \
                 `flume spool ls DIR` finds the spools below a directory",
                text::path(path)
            ),
            Self::Interrupted => f.write_str("interrupted: nothing was made"),
        }
    }
}
