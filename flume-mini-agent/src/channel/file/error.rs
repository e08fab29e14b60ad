//! What goes wrong with a file channel: at its opening, and in a transaction.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    #[error(
        "{file} has format version {version}, this channel reads version {}",
        super::record::VERSION
    )]
    Version { file: String, version: u32 },
    #[error("{file} is not a log of this channel; its directory must be the channel's own")]
    Foreign { file: String },
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
    /// This transaction is undone, the channel works on: a full disk, most often.
    #[error("could not write to the log: {0}")]
    Write(Arc<io::Error>),
    /// Nothing goes any more until the channel is opened again. Whether the transaction that met
    /// the trouble is on disk is not known.
    #[error("the channel is out of order until it is opened again: {0}")]
    Poisoned(Arc<str>),
}

impl OpenError {
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

fn holder_name(holder: Option<u32>) -> String {
    holder.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}
