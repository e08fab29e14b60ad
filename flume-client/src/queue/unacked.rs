//! [`Unacked`]: the events in memory that are not retired, of one lane.
//!
//! Events lie in chunks in the order of their sequence numbers and never move while they wait, so
//! a batch is sent as one or two slices of a chunk, again and again if need be.

use std::collections::BTreeMap;

use super::chunk::Chunk;
use crate::seq::{Seq, SeqRange};

/// The events in memory that are not retired, of one lane.
#[derive(Debug, Default)]
pub(crate) struct Unacked {
    /// By sequence number of their first event.
    chunks: BTreeMap<Seq, Held>,
}

#[derive(Debug)]
struct Held {
    chunk: Chunk,
    retired: usize,
}

impl Unacked {
    /// Takes in a chunk. A small one is copied after the last, so that a trickle of events does
    /// not hold a large buffer each; what is left over is returned for reuse.
    pub(crate) fn add(&mut self, chunk: Chunk) -> Option<Chunk> {
        if let Some(mut last) = self.chunks.last_entry()
            && last.get_mut().chunk.takes_in(&chunk)
        {
            return Some(chunk);
        }
        self.chunks.insert(chunk.first, Held { chunk, retired: 0 });
        None
    }

    /// The datums of these events, as slices of at most one chunk each.
    pub(crate) fn slices(&self, range: SeqRange) -> impl Iterator<Item = &[u8]> {
        let chunks = self.chunks.range(self.chunk_of(range.first)..range.end);
        chunks.map(move |(_, held)| held.chunk.datums(range))
    }

    /// Forgets events that are retired; chunks that are emptied by it go to `emptied`.
    pub(crate) fn retire(&mut self, range: SeqRange, emptied: &mut Vec<Chunk>) {
        let mut next = self.chunk_of(range.first);
        while next < range.end
            && let Some((&start, held)) = self.chunks.range_mut(next..range.end).next()
        {
            let here = held.chunk.range();
            next = here.end;
            held.retired += here.not_below(range.first).below(range.end).len() as usize;
            if held.retired == held.chunk.ends.len() {
                emptied.extend(self.chunks.remove(&start).map(|held| held.chunk));
            }
        }
    }

    /// The key of the chunk that holds this event.
    fn chunk_of(&self, event: Seq) -> Seq {
        let chunk = self.chunks.range(..=event).next_back();
        chunk.map_or(event, |(start, _)| *start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CHUNK_BYTES;

    fn chunk(first: u64, events: &[&str]) -> Chunk {
        let mut chunk = Chunk {
            first: Seq::new(first),
            ..Chunk::default()
        };
        for event in events {
            chunk.bytes.extend_from_slice(event.as_bytes());
            chunk.ends.push(chunk.bytes.len() as u32);
        }
        chunk
    }

    fn read(unacked: &Unacked, first: u64, events: u64) -> String {
        unacked
            .slices(SeqRange::of(Seq::new(first), events))
            .map(|slice| std::str::from_utf8(slice).unwrap())
            .collect()
    }

    #[test]
    fn batches_are_read_back_from_any_place() {
        let mut unacked = Unacked::default();
        assert!(unacked.add(chunk(0, &["a", "bb", "ccc"])).is_none());
        assert!(
            unacked.add(chunk(3, &["dddd", "e"])).is_some(),
            "a small chunk is copied"
        );
        assert_eq!(read(&unacked, 0, 5), "abbcccdddde");
        assert_eq!(read(&unacked, 1, 3), "bbcccdddd");
        assert_eq!(read(&unacked, 4, 1), "e");
    }

    #[test]
    fn a_batch_may_span_chunks() {
        let big = "x".repeat(CHUNK_BYTES - 1);
        let mut unacked = Unacked::default();
        unacked.add(chunk(0, &["a", &big]));
        assert!(
            unacked.add(chunk(2, &["b", "c"])).is_none(),
            "it does not fit behind the first"
        );
        assert_eq!(unacked.slices((1..3).into()).count(), 2);
        assert_eq!(read(&unacked, 1, 2), format!("{big}b"));
    }

    #[test]
    fn a_chunk_goes_when_its_last_event_is_done_with_in_any_order() {
        let big = "x".repeat(CHUNK_BYTES);
        let mut unacked = Unacked::default();
        unacked.add(chunk(0, &[&big, "b"]));
        unacked.add(chunk(2, &["c", "d"]));
        let mut emptied = Vec::new();
        unacked.retire((1..3).into(), &mut emptied);
        assert!(emptied.is_empty());
        unacked.retire((0..1).into(), &mut emptied);
        assert_eq!(
            emptied.iter().map(|chunk| chunk.first).collect::<Vec<_>>(),
            [Seq::ZERO]
        );
        assert_eq!(read(&unacked, 3, 1), "d");
        unacked.retire((3..4).into(), &mut emptied);
        assert_eq!(emptied.len(), 2);
        assert!(unacked.chunks.is_empty());
    }
}
