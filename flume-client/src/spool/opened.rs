//! [`Opened`]: what was found when a spool was opened.

use super::error::SpoolError;
use super::storage::FileName;
use crate::seq::Seq;

/// What was found when a spool was opened.
#[derive(Debug, Default)]
pub struct Opened {
    /// Segments that hold events, or may.
    pub segments: usize,
    /// How the cursor was.
    pub cursor: CursorState,
    /// Segments one of whose headers is damaged; the other one is good.
    pub repaired: Vec<FileName>,
    /// Segments that were set aside, by their new names.
    pub quarantined: Vec<FileName>,
    /// Segments that cannot be read, at least not to their end, and were left where they are.
    pub unreadable: Vec<FileName>,
    /// Segments of another version, left alone.
    pub other_versions: Vec<FileName>,
    /// Segments under another one's name, which are read.
    pub misnamed: Vec<FileName>,
    /// Bytes of an unfinished write that were cut off.
    pub cut_bytes: u64,
    /// All events below this were durable: the cursor or a later write proves that.
    pub known_durable_upto: Seq,
    /// What kept the spool from being fit to write to.
    pub trouble: Option<SpoolError>,
}

/// How the cursor was when a spool was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CursorState {
    /// There is none: events that were retired may come again.
    #[default]
    Missing,
    /// Of no slot that can be read: events that were retired may come again.
    Damaged,
    /// As it was written, except one slot: the latest events that were retired may come again.
    Repaired,
    /// As it was written.
    Whole,
}
