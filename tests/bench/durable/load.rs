//! What every contender is given to store, and how it fails.

use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Callers of the tables with more than one.
pub(crate) const CALLERS: usize = 64;
/// Sizes of the events of a burst: a short log line, a long one, one with a stack trace. Small ones
/// show what an event costs, large ones what a byte does.
pub(crate) const SIZES: [usize; 3] = [200, 1000, 4096];
/// Bytes of each event, as it is stored.
pub(crate) static EVENT_BYTES: AtomicUsize = AtomicUsize::new(SIZES[0]);

pub(crate) fn event_bytes() -> usize {
    EVENT_BYTES.load(Ordering::Relaxed)
}
