//! [`Store`]: the worker's events, from intake to retirement.
//!
//! Events lie in chunks in the order of their sequence numbers and never move while they wait, so
//! a batch is sent as one or two slices of a chunk, again and again if need be.

use std::collections::BTreeMap;

use crate::chunk::Chunk;

/// All events that are not done with.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// By sequence number of their first event.
    chunks: BTreeMap<u64, Stored>,
}

#[derive(Debug)]
struct Stored {
    chunk: Chunk,
    retired: usize,
}

impl Store {
    /// Takes in a chunk. A small one is copied behind the last, so that a trickle of events does
    /// not hold a large buffer each; what is left over is returned for reuse.
    pub(crate) fn add(&mut self, chunk: Chunk) -> Option<Chunk> {
        if let Some(mut last) = self.chunks.last_entry()
            && last.get_mut().chunk.takes_in(&chunk)
        {
            return Some(chunk);
        }
        self.chunks
            .insert(chunk.first, Stored { chunk, retired: 0 });
        None
    }

    /// The datums of `events` events from `first` on, as slices of at most one chunk each.
    pub(crate) fn slices(&self, first: u64, events: u32) -> impl Iterator<Item = &[u8]> {
        let end = first + u64::from(events);
        let chunks = self.chunks.range(self.chunk_of(first)..end);
        chunks.map(move |(_, stored)| stored.chunk.datums(first, end))
    }

    /// Forgets events that are done with; chunks that are emptied by it go to `emptied`.
    pub(crate) fn retire(&mut self, first: u64, events: u32, emptied: &mut Vec<Chunk>) {
        let end = first + u64::from(events);
        let mut next = self.chunk_of(first);
        while next < end
            && let Some((&start, stored)) = self.chunks.range_mut(next..end).next()
        {
            let chunk_end = start + stored.chunk.ends.len() as u64;
            stored.retired += (chunk_end.min(end).saturating_sub(first.max(start))) as usize;
            if stored.retired == stored.chunk.ends.len() {
                emptied.extend(self.chunks.remove(&start).map(|stored| stored.chunk));
            }
            next = chunk_end;
        }
    }

    /// The key of the chunk that holds this event.
    fn chunk_of(&self, event: u64) -> u64 {
        let chunk = self.chunks.range(..=event).next_back();
        chunk.map_or(event, |(start, _)| *start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::CHUNK_BYTES;

    fn chunk(first: u64, events: &[&str]) -> Chunk {
        let mut chunk = Chunk {
            first,
            ..Chunk::default()
        };
        for event in events {
            chunk.bytes.extend_from_slice(event.as_bytes());
            chunk.ends.push(chunk.bytes.len() as u32);
        }
        chunk
    }

    fn read(store: &Store, first: u64, events: u32) -> String {
        store
            .slices(first, events)
            .map(|slice| std::str::from_utf8(slice).unwrap())
            .collect()
    }

    #[test]
    fn batches_are_read_back_from_any_place() {
        let mut store = Store::default();
        assert!(store.add(chunk(0, &["a", "bb", "ccc"])).is_none());
        assert!(
            store.add(chunk(3, &["dddd", "e"])).is_some(),
            "a small chunk is copied"
        );
        assert_eq!(read(&store, 0, 5), "abbcccdddde");
        assert_eq!(read(&store, 1, 3), "bbcccdddd");
        assert_eq!(read(&store, 4, 1), "e");
    }

    #[test]
    fn a_batch_may_span_chunks() {
        let big = "x".repeat(CHUNK_BYTES - 1);
        let mut store = Store::default();
        store.add(chunk(0, &["a", &big]));
        assert!(
            store.add(chunk(2, &["b", "c"])).is_none(),
            "it does not fit behind the first"
        );
        assert_eq!(store.slices(1, 2).count(), 2);
        assert_eq!(read(&store, 1, 2), format!("{big}b"));
    }

    #[test]
    fn a_chunk_goes_when_its_last_event_is_done_with_in_any_order() {
        let big = "x".repeat(CHUNK_BYTES);
        let mut store = Store::default();
        store.add(chunk(0, &[&big, "b"]));
        store.add(chunk(2, &["c", "d"]));
        let mut emptied = Vec::new();
        store.retire(1, 2, &mut emptied);
        assert!(emptied.is_empty());
        store.retire(0, 1, &mut emptied);
        assert_eq!(
            emptied.iter().map(|chunk| chunk.first).collect::<Vec<_>>(),
            [0]
        );
        assert_eq!(read(&store, 3, 1), "d");
        store.retire(3, 1, &mut emptied);
        assert_eq!(emptied.len(), 2);
        assert!(store.chunks.is_empty());
    }
}
