//! [`Chunk`]: events on their way through the client, as they travel.

use crate::spool::{Frame, frame_bytes};
use crate::wire::avro::datum::EventRef;

/// Bytes at which a chunk is closed and the next one begun.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// A part of what a frame holds.
#[derive(Debug)]
pub(crate) enum Part {
    Events(Chunk),
    /// Something else. An agent could not read it, nor anything behind it.
    Damage {
        first: u64,
        end: u64,
    },
}

/// Events with consecutive sequence numbers, their datums back to back.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) first: u64,
    pub(crate) bytes: Vec<u8>,
    /// For each event, where its datum ends in `bytes`.
    pub(crate) ends: Vec<u32>,
}

impl Chunk {
    /// An empty one with the room that another has used: made with two allocations, where growing to
    /// the same size would take a dozen. After one of a single large event that is no measure.
    pub(crate) fn as_large_as(other: &Self) -> Self {
        Self {
            first: 0,
            bytes: Vec::with_capacity(other.bytes.len().min(2 * CHUNK_BYTES)),
            ends: Vec::with_capacity(other.ends.len()),
        }
    }

    /// A copy of the events of a frame that are to be read.
    pub(crate) fn of_frame(frame: &Frame<'_>) -> Self {
        let (skip, take) = (frame.skip as usize, frame.take as usize);
        let end_of = |events: usize| match events.checked_sub(1) {
            None => 0,
            Some(last) => frame.payload.ends().nth(last).unwrap_or(0),
        };
        let (start, end) = (end_of(skip), end_of(skip + take));
        let datums = frame.payload.datums().get(start as usize..end as usize);
        let ends = frame.payload.ends().skip(skip).take(take);
        Self {
            first: frame.header.first + u64::from(frame.skip),
            bytes: datums.unwrap_or_default().to_vec(),
            ends: ends.map(|end| end - start).collect(),
        }
    }

    /// Hands its events on in order, with what is no event told apart.
    pub(crate) fn examine(self, mut hand_on: impl FnMut(Part)) {
        let is_event = |number: &u64| EventRef::parse(self.datums(*number, number + 1)).is_ok();
        let mut first = self.first;
        while let Some(damaged) = (first..self.end()).find(|number| !is_event(number)) {
            if first < damaged {
                hand_on(Part::Events(self.part(first, damaged)));
            }
            first = (damaged..self.end()).find(is_event).unwrap_or(self.end());
            hand_on(Part::Damage {
                first: damaged,
                end: first,
            });
        }
        if first == self.first {
            hand_on(Part::Events(self));
        } else if first < self.end() {
            hand_on(Part::Events(self.part(first, self.end())));
        }
    }

    /// A copy of its events from `first` up to `end`.
    fn part(&self, first: u64, end: u64) -> Self {
        let bytes = self.datums(first, end).to_vec();
        let before = self.datums(self.first, first).len() as u32;
        let skip = (first - self.first) as usize;
        let ends = self.ends.iter().skip(skip).take((end - first) as usize);
        Self {
            first,
            bytes,
            ends: ends.map(|end| end - before).collect(),
        }
    }

    /// Copies a chunk that follows behind its own events, if both are small.
    pub(crate) fn takes_in(&mut self, next: &Self) -> bool {
        let fits = self.bytes.len() + next.bytes.len() <= CHUNK_BYTES;
        if self.end() != next.first || !fits {
            return false;
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&next.bytes);
        self.ends.extend(next.ends.iter().map(|end| end + offset));
        true
    }

    /// Sequence number behind its last event.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.ends.len() as u64
    }

    /// Bytes that it takes on the disk.
    pub(crate) fn frame_bytes(&self) -> u64 {
        match self.ends.len() {
            0 => 0,
            events => frame_bytes(events, self.bytes.len()) as u64,
        }
    }

    /// Whether an event of so many bytes fits behind the last one.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let ends = size_of_val(self.ends.as_slice());
        let more = bytes + size_of::<u32>();
        self.ends.is_empty() || self.bytes.len() + ends + more <= CHUNK_BYTES
    }

    /// Makes room for one more event of so many bytes. A chunk that grows large is given all of its
    /// room at once: by doubling it would get almost twice as much.
    pub(crate) fn grow(&mut self, bytes: usize) {
        let length = self.bytes.len();
        if length + bytes > self.bytes.capacity() && length > CHUNK_BYTES / 8 {
            self.bytes
                .reserve_exact((CHUNK_BYTES - length.min(CHUNK_BYTES)).max(bytes));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The datums of those of its events that lie between two sequence numbers.
    pub(crate) fn datums(&self, first: u64, end: u64) -> &[u8] {
        let from = first.saturating_sub(self.first) as usize;
        let to = (end.saturating_sub(self.first) as usize).min(self.ends.len());
        let offset = |index: usize| match index.checked_sub(1) {
            None => 0,
            Some(before) => self
                .ends
                .get(before)
                .map_or(self.bytes.len(), |end| *end as usize),
        };
        self.bytes.get(offset(from)..offset(to)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    /// Numbers from 100 on, and what is told of them: `+` an event, `-` something else.
    fn check(kinds: &str) {
        let mut chunk = Chunk {
            first: 100,
            ..Chunk::default()
        };
        for (kind, index) in kinds.chars().zip(0..) {
            match kind {
                '+' => chunk
                    .bytes
                    .extend_from_slice(Event::new([index; 3]).as_datum()),
                '-' => chunk.bytes.extend([0xff; 5]),
                _ => {}
            }
            chunk.ends.push(chunk.bytes.len() as u32);
        }
        let mut told = String::new();
        chunk.examine(|part| match part {
            Part::Events(events) => {
                assert_eq!(events.first, 100 + told.len() as u64);
                for number in events.first..events.end() {
                    let event = Event::from_datum(events.datums(number, number + 1).to_vec());
                    assert_eq!(event.unwrap().body(), [told.len() as u8; 3]);
                    told.push('+');
                }
            }
            Part::Damage { first, end } => {
                assert_eq!(first, 100 + told.len() as u64);
                (first..end).for_each(|_| told.push('-'));
            }
        });
        assert_eq!(told, kinds.replace('0', "-"));
    }

    #[test]
    fn what_is_no_event_is_told_apart_and_the_others_are_handed_on() {
        // `0` has no bytes at all.
        for kinds in [
            "+", "-", "+++", "---", "+-+", "-+-", "++--+0+", "0", "-+", "+-",
        ] {
            check(kinds);
        }
    }
}
