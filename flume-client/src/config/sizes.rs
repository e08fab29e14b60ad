//! [`Sizes`]: how many bytes move at once, and how many wait between two threads.

use super::CHUNK_BYTES;

/// Nobody sets them; a simulator makes them small, so that a few events fill them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Bytes at which a chunk is closed.
    pub(crate) chunk: usize,
    /// Bytes taken into one commit; the last chunk may go over it.
    pub(crate) commit: usize,
    /// Bytes of a commit after which writing begins.
    pub(crate) write: u64,
    /// Bytes of stored chunks that wait for the sender.
    pub(crate) waiting: usize,
    /// Least bytes of a spool's events that the sender may hold.
    pub(crate) held_min: usize,
    /// Bytes per read; the last frame may go over it.
    pub(crate) read: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            chunk: CHUNK_BYTES,
            commit: 4 * 1024 * 1024,
            write: 1024 * 1024,
            waiting: 8 * 1024 * 1024,
            held_min: 8 * 1024 * 1024,
            read: 1024 * 1024,
        }
    }
}
