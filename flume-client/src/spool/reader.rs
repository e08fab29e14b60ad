//! [`Reader`]: events from the segments, in order, a frame at a time.

use std::io;

use super::cursor::Retired;
use super::frame::{ALIGNMENT, FRAME_HEADER_BYTES, FrameHeader, Payload};
use super::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::storage::Storage;
use super::window::Window;

/// A segment that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable {
    /// What it says of itself.
    pub header: SegmentHeader,
    /// Bytes of its file.
    pub bytes: u64,
}

/// Reads the events of a spool once, in the order of their sequence numbers.
///
/// Memory: one frame, or 128 KiB if that is more.
#[derive(Debug)]
pub struct Reader {
    /// The event to come.
    next: u64,
    /// All events below were durable.
    witnessed: u64,
    /// The segment being read.
    segment: Option<u64>,
    offset: u64,
    window: Window,
    found: Option<Found>,
}

/// What [`Reader::advance`] came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Events, now in [`Reader::frame`].
    Frame,
    /// These events are not in the spool.
    Gap(Gap),
    /// Everything below the limit has been read.
    End,
}

/// Sequence numbers without their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first one missing.
    pub first: u64,
    /// The one behind the last one missing.
    pub end: u64,
    /// They were durable once. Otherwise nobody was told so: a write that never came to its end.
    pub durable: bool,
    /// Where they should be.
    pub segment: u64,
}

/// A frame, or what is left of it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// As stored.
    pub header: FrameHeader,
    /// As stored.
    pub payload: Payload<'a>,
    /// So many events at its start are done with, or were read before.
    pub skip: u32,
    /// So many events behind those are to be read now.
    pub take: u32,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    header: FrameHeader,
    offset: u64,
    skip: u32,
    take: u32,
}

/// The end of what a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentEnd {
    /// Sequence number behind the last event found; the segment's first if there is none.
    pub(super) end: u64,
    /// Bytes up to the end of the last frame, damaged ones among them.
    pub(super) bytes: u64,
    /// Whether there is a frame at all.
    pub(super) any: bool,
    /// The highest `durable_upto` of the frames.
    pub(super) durable_upto: u64,
    /// Ranges before `end` that no frame holds.
    pub(super) holes: Vec<(u64, u64)>,
}

impl Reader {
    /// A reader that begins with the event `next`. `witnessed` is what was known to be durable
    /// when the spool was opened, see [`Opened::witnessed`](super::Opened::witnessed).
    #[must_use]
    pub fn new(next: u64, witnessed: u64) -> Self {
        Self {
            next,
            witnessed,
            segment: None,
            offset: 0,
            window: Window::default(),
            found: None,
        }
    }

    /// The id of the segment that is read.
    #[must_use]
    pub fn segment(&self) -> Option<u64> {
        self.segment
    }

    /// Leaves out the events below `next` that are still to come.
    pub fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// Looks for the next events below `limit` that are not `retired`. `segments` are those of the
    /// spool, by id, and hold everything below the limit. After an error it can be called again,
    /// or [`skip_block`](Self::skip_block) before.
    pub fn advance(
        &mut self,
        storage: &dyn Storage,
        segments: &[Readable],
        retired: &Retired,
        limit: u64,
    ) -> io::Result<Step> {
        self.found = None;
        while self.next < limit {
            let (is_done, upto) = retired.run(self.next);
            if is_done {
                self.next = upto;
                continue;
            }
            let limit = limit.min(upto);
            // What a segment repeats of the one before, after a failed sync, is read there.
            let behind = segments.partition_point(|it| it.header.first <= self.next);
            let following = segments.get(behind);
            let current = behind.checked_sub(1).and_then(|index| segments.get(index));
            if let Some(segment) = current {
                self.enter(segment.header.id);
                if let Some(header) = self.find(storage, segment, following, limit)? {
                    return Ok(self.come_upon(header, segment.header.id, limit));
                }
            }
            let Some(following) = following else {
                let segment = current.map_or(0, |segment| segment.header.id);
                return Ok(self.gap(limit, limit, segment));
            };
            let header = &following.header;
            if self.next < header.skipped_from {
                let end = header.skipped_from.min(limit);
                return Ok(self.gap(end, header.durable_upto, header.id));
            }
            self.next = header.first;
        }
        // What comes next may not have been there when the window was read.
        self.window.clear();
        Ok(Step::End)
    }

    /// The events that the last step found.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'_>> {
        let found = self.found.as_ref()?;
        let payload = self.window.from(found.offset + FRAME_HEADER_BYTES as u64)?;
        Some(Frame {
            header: found.header,
            payload: found.header.split(payload)?,
            skip: found.skip,
            take: found.take,
        })
    }

    /// Gives up the block of 4096 bytes that cannot be read; what is missing is told as a gap.
    pub fn skip_block(&mut self) {
        self.offset = (self.offset + 1).next_multiple_of(SEGMENT_HEADER_BYTES as u64);
    }

    fn enter(&mut self, segment: u64) {
        if self.segment != Some(segment) {
            self.segment = Some(segment);
            self.offset = SEGMENT_HEADER_BYTES as u64;
            self.window.clear();
        }
    }

    fn come_upon(&mut self, header: FrameHeader, segment: u64, limit: u64) -> Step {
        if header.first > self.next {
            return self.gap(header.first.min(limit), header.durable_upto, segment);
        }
        let end = header.end().min(limit);
        self.found = Some(Found {
            header,
            offset: self.offset,
            skip: (self.next - header.first) as u32,
            take: (end - self.next) as u32,
        });
        self.next = end;
        Step::Frame
    }

    fn gap(&mut self, end: u64, durable_upto: u64, segment: u64) -> Step {
        let first = self.next;
        let durable_upto = durable_upto.max(self.witnessed);
        // One that is durable in part only is told in two steps.
        let durable = first < durable_upto;
        let end = if durable { end.min(durable_upto) } else { end };
        self.next = end;
        Step::Gap(Gap {
            first,
            end,
            durable,
            segment,
        })
    }

    /// The next frame with events to come, `offset` then at its start; `None` at the segment's end.
    fn find(
        &mut self,
        storage: &dyn Storage,
        segment: &Readable,
        following: Option<&Readable>,
        limit: u64,
    ) -> io::Result<Option<FrameHeader>> {
        loop {
            let at = self.offset;
            if let Some(header) = self.window.header(storage, segment, at)? {
                if header.first >= limit {
                    return Ok(None);
                }
                if header.end() > self.next
                    && self.window.is_whole(storage, segment, at, &header)?
                {
                    return Ok(Some(header));
                }
                self.offset += header.frame_bytes();
                continue;
            }
            let expected = following.map_or(limit, |it| it.header.skipped_from);
            if self.next >= expected {
                return Ok(None);
            }
            let Some(found) = self
                .window
                .search(storage, segment, at + ALIGNMENT as u64)?
            else {
                return Ok(None);
            };
            self.offset = found;
        }
    }
}

/// Walks through all of a segment.
pub(super) fn segment_end(storage: &dyn Storage, segment: &Readable) -> io::Result<SegmentEnd> {
    let mut window = Window::default();
    let mut offset = SEGMENT_HEADER_BYTES as u64;
    let mut found = SegmentEnd {
        end: segment.header.first,
        bytes: offset,
        any: false,
        durable_upto: segment.header.durable_upto,
        holes: Vec::new(),
    };
    loop {
        match window.header(storage, segment, offset)? {
            Some(header) => {
                let whole = window.is_whole(storage, segment, offset, &header)?;
                offset += header.frame_bytes();
                found.durable_upto = found.durable_upto.max(header.durable_upto);
                if whole {
                    found.any = true;
                    if header.first > found.end {
                        found.holes.push((found.end, header.first));
                    }
                    found.end = found.end.max(header.end());
                    found.bytes = offset;
                }
            }
            None => match window.search(storage, segment, offset + ALIGNMENT as u64)? {
                Some(next) => offset = next,
                None => return Ok(found),
            },
        }
    }
}
