//! [`Pending`]: frames that are not durable, kept in memory until they are.

use super::frame::{Level, Place, Stamp, put_payload, stamp};
use crate::seq::{Seq, SeqRange};

/// Frames in the order of their events, back to back.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// How many of the first bytes are of frames that are forgotten. They are let go of when they are
    /// half of all, so that each byte is moved once at the most.
    forgotten: usize,
    frames: Vec<PendingFrame>,
    /// How many of the first frames are written.
    written: usize,
}

#[derive(Clone, Copy, Debug)]
struct PendingFrame {
    first: Seq,
    events: u32,
    level: Level,
    start: usize,
    end: usize,
}

impl PendingFrame {
    fn range(&self) -> SeqRange {
        SeqRange::of(self.first, self.events.into())
    }
}

/// Memory of the frames that is kept for the next ones.
const BYTES_KEPT: usize = 8 * 1024 * 1024;

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many of the first frames are written.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Bytes of the frames that are not written.
    pub(super) fn unwritten_bytes(&self) -> u64 {
        (self.bytes.len() - self.unwritten_start()) as u64
    }

    fn unwritten_start(&self) -> usize {
        let first = self.frames.get(self.written);
        first.map_or(self.bytes.len(), |frame| frame.start)
    }

    /// The first event's number.
    pub(super) fn first(&self) -> Option<Seq> {
        self.frames.first().map(|frame| frame.first)
    }

    /// The numbers of the first frame.
    pub(super) fn front(&self) -> Option<SeqRange> {
        self.frames.first().map(PendingFrame::range)
    }

    /// Forgets the first frame, while none is written.
    pub(super) fn forget_front(&mut self) {
        assert_eq!(self.written, 0, "what is written is there to stay");
        self.written = self.frames.len().min(1);
        self.forget_written();
    }

    /// Adds a frame of events from number `first` on.
    pub(super) fn push(&mut self, first: Seq, ends: &[u32], datums: &[u8], level: Level) {
        let start = self.bytes.len();
        put_payload(&mut self.bytes, ends, datums);
        self.frames.push(PendingFrame {
            first,
            events: ends.len() as u32,
            level,
            start,
            end: self.bytes.len(),
        });
    }

    /// The frames that are not written, as many as fit into `rest` bytes, ready to be written at
    /// this place.
    pub(super) fn stamped(
        &mut self,
        bytes: u64,
        place: Place,
        durable_upto: Seq,
        time_ms: u64,
    ) -> &[u8] {
        let start = self.unwritten_start();
        let mut end = start;
        for frame in self.frames.iter().skip(self.written) {
            if (frame.end - start) as u64 > bytes {
                break;
            }
            let header = Stamp {
                place: Place {
                    offset: place.offset + (frame.start - start) as u64,
                    ..place
                },
                first: frame.first,
                events: frame.events,
                level: frame.level,
                durable_upto,
                time_ms,
            };
            let bytes = self.bytes.get_mut(frame.start..frame.end);
            stamp(bytes.unwrap_or_default(), header);
            end = frame.end;
        }
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// `bytes` more of the frames are written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        let end = self.unwritten_start() + bytes;
        self.written = self.frames.partition_point(|frame| frame.end <= end);
    }

    /// What was written is not to be relied on: all of it has to be written again.
    pub(super) fn unwrite(&mut self) {
        self.written = 0;
    }

    /// Forgets what is written, which is durable now; says where its numbers end.
    pub(super) fn forget_written(&mut self) -> Option<Seq> {
        self.forgotten = self.unwritten_start();
        let written = std::mem::take(&mut self.written);
        let last = self.frames.drain(..written).next_back();
        if self.forgotten * 2 >= self.bytes.len() {
            let bytes = std::mem::take(&mut self.forgotten);
            self.bytes.drain(..bytes);
            self.bytes.shrink_to(BYTES_KEPT);
            for frame in &mut self.frames {
                frame.start -= bytes;
                frame.end -= bytes;
            }
        }
        last.map(|frame| frame.range().end)
    }
}
