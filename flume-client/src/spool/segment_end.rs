//! [`segment_end`]: where the events in a segment end.

use std::io;

use super::header::SEGMENT_HEADER_BYTES;
use super::missing::{ReadFailure, Readable};
use super::storage::Storage;
use super::window::{BLOCK_BYTES, Window};
use crate::seq::{Seq, SeqRange};

/// The end of what a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentEnd {
    /// Sequence number after the last event found; the segment's first if there is none.
    pub(super) end: Seq,
    /// All that is after it was read.
    pub(super) is_read: bool,
    /// Bytes up to the end of the last frame, damaged ones among them.
    pub(super) bytes: u64,
    /// Whether there is a frame at all.
    pub(super) any: bool,
    /// The highest `durable_upto` of the frames.
    pub(super) durable_upto: Seq,
    /// After the last frame is nothing but room that was never written.
    pub(super) is_blank: bool,
    /// Ranges before `end` that no frame holds.
    pub(super) holes: Vec<SeqRange>,
}

/// Walks through all of a segment. Blocks that cannot be read are left out; an error of the whole
/// file, or one that passes, is returned.
pub(super) fn segment_end(storage: &dyn Storage, segment: &Readable) -> io::Result<SegmentEnd> {
    segment_end_within(storage, segment, u32::MAX)
}

/// The same, but an error of a block is returned, too, after `errors_max` of them: a failing disk
/// may take half a minute for each.
pub(super) fn segment_end_within(
    storage: &dyn Storage,
    segment: &Readable,
    errors_max: u32,
) -> io::Result<SegmentEnd> {
    let mut errors = 0;
    let mut walk = Walk {
        window: Window::default(),
        offset: SEGMENT_HEADER_BYTES as u64,
        has_left_out: false,
        found: SegmentEnd {
            end: segment.header.first,
            is_read: true,
            bytes: SEGMENT_HEADER_BYTES as u64,
            any: false,
            durable_upto: segment.header.durable_upto,
            is_blank: true,
            holes: Vec::new(),
        },
    };
    let mut more = true;
    while more {
        let mut step = BLOCK_BYTES - walk.offset % BLOCK_BYTES;
        more = match walk.step(storage, segment, &mut step) {
            Ok(more) => more,
            Err(error) if ReadFailure::of(&error) == ReadFailure::Block && errors < errors_max => {
                errors += 1;
                walk.has_left_out = true;
                walk.offset += step;
                true
            }
            Err(error) => return Err(error),
        };
    }
    walk.found.is_read = !walk.has_left_out;
    Ok(walk.found)
}

/// A way through a segment.
struct Walk {
    window: Window,
    offset: u64,
    /// Something after the last frame cannot be read.
    has_left_out: bool,
    found: SegmentEnd,
}

impl Walk {
    /// `false`: nothing more is there. After an error, `step` bytes are to be left out.
    fn step(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        step: &mut u64,
    ) -> io::Result<bool> {
        let Some(header) = self.window.header(storage, segment, self.offset)? else {
            let searched = self.window.search(storage, segment, &mut self.offset);
            *step = BLOCK_BYTES - self.offset % BLOCK_BYTES;
            self.found.is_blank &= self.window.is_blank();
            return searched;
        };
        *step = header.frame_bytes();
        let whole = self
            .window
            .is_whole(storage, segment, self.offset, &header)?;
        self.offset += header.frame_bytes();
        let found = &mut self.found;
        found.durable_upto = found.durable_upto.max(header.durable_upto);
        found.is_blank = whole;
        if whole {
            found.any = true;
            // What cannot be read is no write that was never finished.
            if header.first > found.end && !self.has_left_out {
                found.holes.push(SeqRange::new(found.end, header.first));
            }
            self.has_left_out = false;
            found.end = found.end.max(header.range().end);
            found.bytes = self.offset;
        }
        Ok(true)
    }
}
