//! [`Pending`]: frames that are not durable, kept in memory until they are.

use super::frame::{Level, Place, Stamp, put_payload, stamp};

/// Frames in the order of their events, back to back.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    frames: Vec<PendingFrame>,
}

#[derive(Clone, Copy, Debug)]
struct PendingFrame {
    first: u64,
    events: u32,
    level: Level,
    start: usize,
    end: usize,
}

/// Memory of the frames that is kept for the next ones.
const BYTES_KEPT: usize = 8 * 1024 * 1024;

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes of all frames.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The first event's number.
    pub(super) fn first(&self) -> Option<u64> {
        self.frames.first().map(|frame| frame.first)
    }

    /// The number behind the events of the first frames.
    pub(super) fn end_of(&self, frames: usize) -> Option<u64> {
        let last = self.frames.get(frames.checked_sub(1)?)?;
        Some(last.first + u64::from(last.events))
    }

    /// Adds a frame of events from number `first` on.
    pub(super) fn push(&mut self, first: u64, ends: &[u32], datums: &[u8], level: Level) {
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

    /// How many of the frames fit into so many bytes.
    pub(super) fn fitting(&self, bytes: u64) -> usize {
        self.frames
            .partition_point(|frame| frame.end as u64 <= bytes)
    }

    /// The first frames, ready to be written at this place.
    pub(super) fn stamped(
        &mut self,
        frames: usize,
        place: Place,
        durable_upto: u64,
        time_ms: u64,
    ) -> &[u8] {
        let mut end = 0;
        for frame in self.frames.iter().take(frames) {
            let header = Stamp {
                place: Place {
                    offset: place.offset + frame.start as u64,
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
        self.bytes.get(..end).unwrap_or_default()
    }

    /// Forgets the first frames, which are durable now.
    pub(super) fn forget(&mut self, frames: usize) {
        let bytes = self
            .frames
            .get(frames)
            .map_or(self.bytes.len(), |it| it.start);
        self.bytes.drain(..bytes);
        self.bytes.shrink_to(BYTES_KEPT);
        self.frames.drain(..frames);
        for frame in &mut self.frames {
            frame.start -= bytes;
            frame.end -= bytes;
        }
    }
}
