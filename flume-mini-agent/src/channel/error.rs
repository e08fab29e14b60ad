//! [`ChannelError`]: why a channel did not take or give a batch.

use std::time::Duration;

/// Why a channel did not take or give a batch. Nothing has changed in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(
    not(feature = "file-channel"),
    expect(dead_code, reason = "only a file channel has a disk")
)]
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
