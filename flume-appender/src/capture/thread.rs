//! What each thread of a service has of ours: a number, a clock that never stands still, a buffer to
//! write in, and how deep it is in its own log calls.
//!
//! All but the buffer have no destructor, so that a thread may log to its very end.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Log calls within log calls: a value whose `Debug` logs. Deeper ones are refused and counted.
pub const NESTING_MAX: u8 = 8;

/// A buffer that grew beyond this is let go of after use.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(u32::MAX) };
    static NESTING: Cell<u8> = const { Cell::new(0) };
    static LAST_STAMP: Cell<u64> = const { Cell::new(0) };
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The calling thread's number: from 0 on, in the order in which threads first logged.
pub(super) fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NUMBER.with(|number| {
        if number.get() == u32::MAX {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed) & (u32::MAX >> 1));
        }
        number.get()
    })
}

/// Nanoseconds since the process first asked. Later calls of a thread get later stamps, whatever
/// the resolution of the clock is.
pub(crate) fn stamp() -> u64 {
    let now = now();
    LAST_STAMP.with(|last| {
        let stamp = now.max(last.get() + 1);
        last.set(stamp);
        stamp
    })
}

/// The same clock, for who only compares.
pub(crate) fn now() -> u64 {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    let beginning = *BEGINNING.get_or_init(Instant::now);
    Instant::now()
        .saturating_duration_since(beginning)
        .as_nanos() as u64
}

/// A log call of this thread, from its begin to its end. It owns the thread's buffer meanwhile; a
/// call within it gets one of its own.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) scratch: Vec<u8>,
}

impl Call {
    /// `None`: too many calls within each other.
    #[inline]
    pub(super) fn begin() -> Option<Self> {
        let nesting = NESTING.get();
        if nesting >= NESTING_MAX {
            return None;
        }
        NESTING.set(nesting + 1);
        // At a thread's end the buffer may be gone.
        let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
        scratch.clear();
        Some(Self { scratch })
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        NESTING.set(NESTING.get() - 1);
        if self.scratch.capacity() <= SCRATCH_BYTES_MAX {
            let scratch = std::mem::take(&mut self.scratch);
            let replaced = SCRATCH.try_with(|kept| kept.replace(scratch));
            drop(replaced);
        }
    }
}
