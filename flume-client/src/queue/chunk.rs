//! [`Chunk`]: events on their way through the client, as they travel.

use crate::config::CHUNK_BYTES;
use crate::seq::{Seq, SeqRange};
use crate::spool::{Frame, frame_bytes};
use crate::wire::avro::datum::EventRef;

/// A part of what a frame holds.
#[derive(Debug)]
pub(crate) enum Part {
    Events(Chunk),
    /// Something else has these numbers. An agent could not read it, nor anything after it.
    Damage(SeqRange),
}

/// Events with consecutive sequence numbers, their datums back to back.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) first: Seq,
    pub(crate) bytes: Vec<u8>,
    /// For each event, where its datum ends in `bytes`.
    pub(crate) ends: Vec<u32>,
}

impl Chunk {
    /// An empty one with the room that another has used: made with two allocations, where growing
    /// to the same size would take a dozen. At most `2 * CHUNK_BYTES`: the other may have held one
    /// huge event.
    pub(crate) fn as_large_as(other: &Self) -> Self {
        Self {
            first: Seq::ZERO,
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
            first: frame.wanted().first,
            bytes: datums.unwrap_or_default().to_vec(),
            ends: ends.map(|end| end - start).collect(),
        }
    }

    /// Hands on its events in order, separate from parts that are not events.
    pub(crate) fn examine(self, mut hand_on: impl FnMut(Part)) {
        let is_event = |event: &Seq| EventRef::parse(self.datum(*event)).is_ok();
        let mut rest = self.range();
        while let Some(damaged) = rest.iter().find(|event| !is_event(event)) {
            if rest.first < damaged {
                hand_on(Part::Events(self.part(rest.below(damaged))));
            }
            rest = rest.not_below(damaged);
            let sound = rest.iter().find(is_event).unwrap_or(rest.end);
            hand_on(Part::Damage(rest.below(sound)));
            rest = rest.not_below(sound);
        }
        if rest == self.range() {
            hand_on(Part::Events(self));
        } else if !rest.is_empty() {
            hand_on(Part::Events(self.part(rest)));
        }
    }

    /// A copy of these of its events.
    fn part(&self, range: SeqRange) -> Self {
        let bytes = self.datums(range).to_vec();
        let before = self.datums(self.range().below(range.first)).len() as u32;
        let skip = range.first.since(self.first) as usize;
        let ends = self.ends.iter().skip(skip).take(range.len() as usize);
        Self {
            first: range.first,
            bytes,
            ends: ends.map(|end| end - before).collect(),
        }
    }

    /// Appends the next chunk's events. `true`: done; `false`: it does not follow, or both together
    /// exceed [`CHUNK_BYTES`].
    pub(crate) fn takes_in(&mut self, next: &Self) -> bool {
        let fits = self.bytes.len() + next.bytes.len() <= CHUNK_BYTES;
        if self.range().end != next.first || !fits {
            return false;
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&next.bytes);
        self.ends.extend(next.ends.iter().map(|end| end + offset));
        true
    }

    /// The numbers of its events.
    pub(crate) fn range(&self) -> SeqRange {
        SeqRange::of(self.first, self.ends.len() as u64)
    }

    /// Bytes that it takes on the disk.
    pub(crate) fn frame_bytes(&self) -> u64 {
        match self.ends.len() {
            0 => 0,
            events => frame_bytes(events, self.bytes.len()) as u64,
        }
    }

    /// Whether an event of `bytes` fits after the last one, in a chunk of `most`.
    pub(crate) fn has_room(&self, bytes: usize, most: usize) -> bool {
        let ends = size_of_val(self.ends.as_slice());
        let more = bytes + size_of::<u32>();
        self.ends.is_empty() || self.bytes.len() + ends + more <= most
    }

    /// Makes room for one more event of `bytes`, in a chunk of `most`. A chunk that grows large is
    /// given all of its room at once: by doubling it would get almost twice as much.
    pub(crate) fn grow(&mut self, bytes: usize, most: usize) {
        let length = self.bytes.len();
        if length + bytes > self.bytes.capacity() && length > most / 8 {
            self.bytes
                .reserve_exact((most - length.min(most)).max(bytes));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The datum of one of its events.
    fn datum(&self, event: Seq) -> &[u8] {
        self.datums(SeqRange::of(event, 1))
    }

    /// The datums of those of its events that have these numbers.
    pub(crate) fn datums(&self, range: SeqRange) -> &[u8] {
        let from = range.first.since(self.first) as usize;
        let to = (range.end.since(self.first) as usize).min(self.ends.len());
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
            first: Seq::new(100),
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
        chunk.examine(|part| {
            let next = Seq::new(100 + told.len() as u64);
            match part {
                Part::Events(events) => {
                    assert_eq!(events.first, next);
                    for number in events.range().iter() {
                        let event = Event::from_datum(events.datum(number).to_vec());
                        assert_eq!(event.unwrap().body(), [told.len() as u8; 3]);
                        told.push('+');
                    }
                }
                Part::Damage(range) => {
                    assert_eq!(range.first, next);
                    range.iter().for_each(|_| told.push('-'));
                }
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
