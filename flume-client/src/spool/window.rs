//! [`Window`]: a part of a segment in memory, and the frames in it.

use std::io;

use super::frame::{ALIGNMENT, FRAME_HEADER_BYTES, FrameHeader, Place};
use super::reader::Readable;
use super::storage::{FileName, Storage};

/// Bytes read at once.
const WINDOW_BYTES: usize = 128 * 1024;

/// A part of a segment in memory.
#[derive(Debug, Default)]
pub(super) struct Window {
    segment: Option<u64>,
    offset: u64,
    bytes: Vec<u8>,
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

    /// So many bytes at `offset`, or as many as there are.
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
        if self.segment != Some(segment.header.id) || offset < self.offset || end > held {
            let file = FileName::Segment(segment.header.id);
            let wanted = (bytes.max(WINDOW_BYTES) as u64).min(segment.bytes.saturating_sub(offset));
            self.segment = None;
            self.offset = offset;
            self.bytes.resize(wanted as usize, 0);
            let read = storage.read(file, offset, &mut self.bytes)?;
            self.bytes.truncate(read);
            self.segment = Some(segment.header.id);
        }
        let start = (offset - self.offset) as usize;
        let available = self.bytes.get(start..).unwrap_or_default();
        Ok(available.get(..bytes).unwrap_or(available))
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
        let header = FrameHeader::read(place, bytes);
        if header.is_some() || fresh {
            return Ok(header);
        }
        // It may have been written since the window was read.
        self.clear();
        let bytes = self.get(storage, segment, offset, FRAME_HEADER_BYTES)?;
        Ok(FrameHeader::read(place, bytes))
    }

    /// Whether the payload of the frame at `offset` is as it was written.
    pub(super) fn is_whole(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        offset: u64,
        header: &FrameHeader,
    ) -> io::Result<bool> {
        for _ in 0..2 {
            let bytes = self.get(storage, segment, offset, header.frame_bytes() as usize)?;
            let payload = bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default();
            if header.payload(payload).is_some() {
                return Ok(true);
            }
            self.clear();
        }
        Ok(false)
    }

    /// The first place from `offset` on where a frame of this segment begins.
    pub(super) fn search(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        offset: u64,
    ) -> io::Result<Option<u64>> {
        let mut at = offset;
        while at + FRAME_HEADER_BYTES as u64 <= segment.bytes {
            let bytes = self.get(storage, segment, at, WINDOW_BYTES)?;
            if bytes.len() < FRAME_HEADER_BYTES {
                return Ok(None);
            }
            let mut searched = 0;
            while let Some(candidate) = bytes.get(searched..)
                && candidate.len() >= FRAME_HEADER_BYTES
            {
                let place = Place {
                    salt: segment.header.salt,
                    offset: at + searched as u64,
                };
                if FrameHeader::read(place, candidate).is_some() {
                    return Ok(Some(place.offset));
                }
                searched += ALIGNMENT;
            }
            at += searched as u64;
        }
        Ok(None)
    }
}
