//! [`Settings`]: sizes and limits of a spool.

use super::cursor::CURSOR_BYTES;
use super::frame::frame_bytes;
use super::header::SEGMENT_HEADER_BYTES;

/// Segments that a quota has room for, at least: one is written, one is read, one is the reserve,
/// and one may be damaged and set aside.
pub const SEGMENTS_MIN: u64 = 4;

/// Bytes of a segment, if the quota allows that and events need no more.
pub(crate) const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Sizes and limits of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a segment. At least its header and twice the largest frame.
    pub segment_bytes: u64,
    /// Bytes of the largest frame, see [`frame_bytes`].
    pub frame_bytes_max: u64,
    /// Bytes all files may take together. At least [`SEGMENTS_MIN`] segments and the cursor.
    pub bytes_max: u64,
    /// Bytes that stay free on the disk: no file is made that would leave less.
    pub free_bytes_min: u64,
}

impl Settings {
    /// Whether these can work together.
    #[must_use]
    pub fn are_sound(&self) -> bool {
        let least = SEGMENT_HEADER_BYTES as u64 + 2 * self.frame_bytes_max;
        let files = SEGMENTS_MIN * self.segment_bytes + CURSOR_BYTES as u64;
        self.frame_bytes_max >= frame_bytes(1, 1) as u64
            && self.frame_bytes_max <= u64::from(u32::MAX)
            && self.segment_bytes >= least
            && self.bytes_max >= files
    }

    /// Bytes of frames that a segment takes whatever their sizes.
    pub(super) fn segment_room(&self) -> u64 {
        self.segment_bytes - SEGMENT_HEADER_BYTES as u64 - self.frame_bytes_max
    }
}
