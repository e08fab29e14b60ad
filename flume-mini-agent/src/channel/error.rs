//! [`ChannelError`]: why a channel did not take or give a batch.

use std::time::Duration;

use super::file::TransactionError;

/// Why a channel did not take or give a batch. Nothing has changed in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChannelError {
    /// However empty the channel is.
    #[error("{events} events are more than the channel's transactionCapacity {capacity}")]
    OverTransaction { events: usize, capacity: usize },
    /// For all of keep-alive.
    #[error("the channel is full: no room for {events} events within {keep_alive:?}")]
    Full { events: usize, keep_alive: Duration },
    /// For all of keep-alive.
    #[error(
        "the channel's byteCapacity is used up: no room for {events} events within {keep_alive:?}"
    )]
    BytesFull { events: usize, keep_alive: Duration },
    /// A disk that is full or fails.
    #[error("{0}")]
    Disk(String),
    /// The channel works no more until it is opened again.
    #[error("{0}")]
    OutOfOrder(String),
}

impl ChannelError {
    pub(super) fn of_file(error: &TransactionError, events: usize) -> Self {
        match *error {
            TransactionError::TransactionFull { capacity } => {
                Self::OverTransaction { events, capacity }
            }
            TransactionError::ChannelFull { keep_alive, .. } => Self::Full { events, keep_alive },
            TransactionError::Poisoned(_) => Self::OutOfOrder(error.to_string()),
            _ => Self::Disk(error.to_string()),
        }
    }
}
