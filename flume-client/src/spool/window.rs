//! [`Window`]: a part of a segment in memory, and the frames in it.

use std::io;

use super::frame::{ALIGNMENT, FRAME_HEADER_BYTES, FrameHeader, Place};
use super::missing::{ReadFailure, Readable};
use super::storage::Storage;

/// Bytes read at once.
const WINDOW_BYTES: usize = 128 * 1024;
/// Bytes that a disk can read or not, as a whole.
pub(super) const BLOCK_BYTES: u64 = 4096;

/// A part of a segment in memory.
#[derive(Debug, Default)]
pub(super) struct Window {
    segment: Option<u64>,
    offset: u64,
    bytes: Vec<u8>,
    /// The last search saw nothing but zeros.
    is_blank: bool,
}

impl Window {
    /// What it holds from `offset` on.
    pub(super) fn from(&self, offset: u64) -> Option<&[u8]> {
        self.bytes.get((offset - self.offset) as usize..)
    }

    /// Forgets what it holds.
    pub(super) fn clear(&mut self) {
        self.segment = None;
        self.bytes.clear();
    }

    /// What is held from `offset` on: `bytes` or more, or as many as there are.
    fn get(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        offset: u64,
        bytes: usize,
    ) -> io::Result<&[u8]> {
        if offset >= segment.bytes {
            return Ok(&[]);
        }
        let end = (offset + bytes as u64).min(segment.bytes);
        let held = self.offset + self.bytes.len() as u64;
        if self.segment != Some(segment.id) || offset < self.offset || end > held {
            let wanted = (bytes.max(WINDOW_BYTES) as u64).min(segment.bytes - offset);
            let mut filled = self.fill(storage, segment, offset, wanted);
            if let Err(error) = &filled
                && ReadFailure::of(error) == ReadFailure::Block
            {
                // A block that is not asked for yet must not stand for those before it.
                let needed = end.next_multiple_of(BLOCK_BYTES).min(segment.bytes) - offset;
                filled = self.fill(storage, segment, offset, needed);
            }
            filled?;
        }
        let start = (offset - self.offset) as usize;
        Ok(self.bytes.get(start..).unwrap_or_default())
    }

    fn fill(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        offset: u64,
        bytes: u64,
    ) -> io::Result<()> {
        self.segment = None;
        self.offset = offset;
        self.bytes.resize(bytes as usize, 0);
        let read = storage.read(segment.file(), offset, &mut self.bytes)?;
        self.bytes.truncate(read);
        self.segment = Some(segment.id);
        Ok(())
    }

    /// The header of the frame at `offset`, if there is one.
    pub(super) fn header(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        offset: u64,
    ) -> io::Result<Option<FrameHeader>> {
        let place = Place {
            salt: segment.header.salt,
            offset,
        };
        let fresh = self.segment.is_none();
        let bytes = self.get(storage, segment, offset, FRAME_HEADER_BYTES)?;
        let header = header_of(segment, place, bytes);
        if header.is_some() || fresh {
            return Ok(header);
        }
        // It may have been written since the window was read.
        self.clear();
        let bytes = self.get(storage, segment, offset, FRAME_HEADER_BYTES)?;
        Ok(header_of(segment, place, bytes))
    }

    /// Whether the payload of the frame at `offset` is as it was written.
    pub(super) fn is_whole(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        offset: u64,
        header: &FrameHeader,
    ) -> io::Result<bool> {
        let frame = header.frame_bytes() as usize;
        for _ in 0..2 {
            let bytes = self.get(storage, segment, offset, frame)?;
            let payload = bytes.get(FRAME_HEADER_BYTES..frame).unwrap_or_default();
            if header.payload(payload).is_some() {
                return Ok(true);
            }
            self.clear();
        }
        Ok(false)
    }

    /// Whether the last [`search`](Self::search) saw nothing but zeros: room that was never written.
    pub(super) fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// Moves `offset` on to the first place from there where a frame of this segment begins, or to
    /// where nothing can be read. `false`: there is none.
    pub(super) fn search(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        offset: &mut u64,
    ) -> io::Result<bool> {
        self.is_blank = true;
        while *offset + FRAME_HEADER_BYTES as u64 <= segment.bytes {
            let bytes = self.get(storage, segment, *offset, FRAME_HEADER_BYTES)?;
            if bytes.len() < FRAME_HEADER_BYTES {
                return Ok(false);
            }
            let is_blank = bytes.iter().all(|byte| *byte == 0);
            let mut searched = 0;
            while let Some(candidate) = bytes.get(searched..)
                && candidate.len() >= FRAME_HEADER_BYTES
            {
                let place = Place {
                    salt: segment.header.salt,
                    offset: *offset + searched as u64,
                };
                if header_of(segment, place, candidate).is_some() {
                    *offset = place.offset;
                    self.is_blank &= searched == 0;
                    return Ok(true);
                }
                searched += ALIGNMENT;
            }
            *offset += searched as u64;
            self.is_blank &= is_blank;
        }
        Ok(false)
    }
}

/// The header at the start of `bytes`, if it was written for this place of this segment.
fn header_of(segment: &Readable, place: Place, bytes: &[u8]) -> Option<FrameHeader> {
    FrameHeader::read(place, bytes)
        .filter(|header| header.is_of(segment.header.first, segment.bytes, place.offset))
}
