//! What goes wrong with a file channel: at its opening, and in a transaction.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flume_client::spool::DirectoryError;

use super::guarded::Failure;
use crate::channel::error::ChannelError;

/// A channel that was not opened. No committed event was touched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another channel, of this process or another, has the directory.
    #[error("the directory {} is in use by {}", directory.display(), holder_name(*holder))]
    Locked {
        directory: PathBuf,
        /// The process that has it, if it could be read.
        holder: Option<u32>,
    },
    /// Committed events cannot be read. Flume's channel refuses to go on as well when it syncs
    /// every transaction, rather than lose them without a word.
    #[error("{file} is damaged at offset {offset}: {what}; move it away or restore it")]
    Damaged {
        file: String,
        offset: u64,
        what: String,
    },
    #[error("{file} has format version {version}, this channel reads version 1")]
    Version { file: String, version: u16 },
    #[error("{file} is not a log of this channel; its directory must be the channel's own")]
    Foreign { file: String },
    /// There is a log as this agent wrote it once, or as Flume itself does.
    #[error(
        "{} is of another format, that of an earlier mini-agent or of Flume itself: give the \
         channel a directory of its own, or let what wrote that one empty it, and move it away",
        file.display()
    )]
    OtherFormat { file: PathBuf },
    /// Who may use the directory, and where it is.
    #[error("{0}")]
    Directory(String),
    #[error("the log holds {events} events, more than the channel's capacity {capacity}: raise it")]
    OverCapacity { events: usize, capacity: usize },
    #[error("could not {action}: {source}")]
    Io { action: String, source: io::Error },
}

/// A transaction that failed, or a put or take that was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TransactionError {
    /// More events than `transactionCapacity`: commit first. No wait will help.
    #[error(
        "the transaction holds {capacity} events, all its channel's transactionCapacity allows"
    )]
    TransactionFull { capacity: usize },
    #[error("the transaction holds {bytes} bytes; with this event it is over {bytes_max}")]
    TransactionBytes { bytes: usize, bytes_max: usize },
    /// Flume notices at the commit only.
    #[error("a transaction of a file channel puts or takes, not both")]
    PutsAndTakes,
    #[error("no room for another event: all {capacity} slots stayed taken for {keep_alive:?}")]
    ChannelFull {
        capacity: usize,
        keep_alive: Duration,
    },
    /// It gets better when somebody makes space on the disk.
    #[error(
        "only {usable} bytes are free on the disk and the channel leaves {required} untouched: \
         make room there, or lower minimumRequiredSpace"
    )]
    SpaceLow { usable: u64, required: u64 },
    /// The same of a segment that the transaction would begin.
    #[error(
        "only {free} bytes are free on the disk, of which the channel needs {needed} for more \
         events and leaves {required} untouched: make room there, or lower minimumRequiredSpace"
    )]
    SegmentSpace {
        free: u64,
        needed: u64,
        required: u64,
    },
    /// This transaction is undone, the channel works on: a full disk, most often.
    #[error("could not write to the log: {0}")]
    Write(Arc<io::Error>),
    /// Nothing goes any more until the channel is opened again. Whether the transaction that met
    /// the trouble is on disk is not known.
    #[error("the channel is out of order until it is opened again: {0}")]
    Poisoned(Arc<str>),
}

impl TransactionError {
    /// Whether the disk did not take it.
    pub(crate) fn is_write(&self) -> bool {
        matches!(self, Self::Write(_))
    }

    /// The same of any channel, for a transaction of so many events.
    pub(crate) fn told(&self, events: usize) -> ChannelError {
        match *self {
            Self::TransactionFull { capacity } => {
                ChannelError::OverTransaction { events, capacity }
            }
            Self::ChannelFull { keep_alive, .. } => ChannelError::Full { events, keep_alive },
            Self::Poisoned(_) => ChannelError::OutOfOrder(self.to_string()),
            _ => ChannelError::Disk(self.to_string()),
        }
    }
}

impl OpenError {
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// The disk failed while the log was opened.
    pub(super) fn failed(failure: &Failure) -> Self {
        let error = failure.error();
        let source = io::Error::new(error.kind(), error.to_string());
        Self::io(failure.action())(source)
    }

    pub(super) fn of_directory(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Locked { directory, holder } => Self::Locked {
                directory,
                holder: holder.process,
            },
            DirectoryError::Io {
                action,
                path,
                source,
            } => {
                // Escaped: a path may have been read with control characters in it.
                let path = path.display().to_string();
                Self::io(format!("{action} {}", path.escape_debug()))(source)
            }
            // What keeps the process out, and what helps, in the words of the errors here.
            error => Self::Directory(error.to_string().replacen("cannot ", "could not ", 1)),
        }
    }
}

fn holder_name(holder: Option<u32>) -> String {
    holder.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}
