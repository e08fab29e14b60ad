//! [`Lane`]: the events of one level, from callers to whoever takes them: the committer, if they go to
//! the disk, else the sender.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::awaited::Awaited;
use super::chunk::Chunk;
use super::receipt::{Name, Receipt};
use super::receipts::Receipts;
use super::room::{Amount, Beginning, StoreWhen};
use crate::config::{CHUNK_BYTES, Config};
use crate::error::ClientThread;
use crate::event::Event;
use crate::event_batch::EventBatch;
use crate::event_id::{EVENT_ID_BYTES_MAX, EventIds};
use crate::reliability::Reliability;
use crate::seq::Seq;
use crate::situations::reached;
use crate::stats::LevelStats;
use crate::stats::times::Ages;

/// Empty chunks kept for reuse.
const SPARE_CHUNKS_MAX: usize = 8;

/// The events of one level. They have numbers of their own, and nothing of them waits for those of
/// another level.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) receipts: Receipts,
    pub(crate) ages: Ages,
    pub(crate) counts: LevelStats,
    pub(super) next: Seq,
    ids: EventIds,
    pub(super) store: StoreWhen,
    open: Chunk,
    full: Vec<Chunk>,
    /// Whoever takes the chunks, while it sleeps.
    sleeper: Option<Sleeper>,
}

/// A taker of chunks while it sleeps, and how much must come in to wake it.
#[derive(Debug)]
struct Sleeper {
    waker: Waker,
    wanted: Amount,
}

/// Empty chunks, which the lanes share.
#[derive(Debug)]
pub(super) struct Spares {
    chunks: Vec<Chunk>,
    /// Bytes at which a chunk is closed.
    chunk_bytes: usize,
}

impl Lane {
    pub(super) fn new(
        level: Reliability,
        config: &Config,
        beginning: &Beginning,
        store: StoreWhen,
        awaited: Arc<Awaited>,
    ) -> Self {
        let &Beginning {
            run_id,
            first,
            recovered,
            ..
        } = beginning;
        let mut counts = LevelStats::new(level);
        counts.recover(recovered);
        let stored = beginning.stored.clone();
        Self {
            receipts: Receipts::new(&config.agents, level, run_id, first, stored, awaited),
            ages: Ages::new(first),
            counts,
            next: first,
            ids: EventIds::new(run_id, first),
            store,
            open: Chunk {
                first,
                ..Chunk::default()
            },
            full: Vec::new(),
            sleeper: None,
        }
    }

    /// Moves events that came in to `chunks`, oldest first, until those are `bytes_max` bytes.
    pub(super) fn take_chunks(
        &mut self,
        spares: &mut Spares,
        chunks: &mut Vec<Chunk>,
        bytes_max: usize,
        now: Instant,
    ) {
        let mut bytes = 0;
        let mut fits = |chunk: &Chunk| {
            let fits = bytes < bytes_max;
            bytes += chunk.bytes.len();
            fits
        };
        let whole = self.full.iter().take_while(|chunk| fits(chunk)).count();
        if whole < self.full.len() {
            reached!("only a part of what came in is taken");
        }
        let before = chunks.len();
        chunks.extend(self.full.drain(..whole));
        if self.full.is_empty() && !self.open.ends.is_empty() && fits(&self.open) {
            let next = spares.chunk(self.next, &self.open);
            chunks.push(std::mem::replace(&mut self.open, next));
        }
        if chunks.len() > before {
            self.ages.came_in(self.next, now);
        }
    }

    /// All that came is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.ends.is_empty()
    }

    /// Takes an event. Says its number, and how many bytes it takes.
    #[inline]
    pub(super) fn push(
        &mut self,
        spares: &mut Spares,
        event: &Event,
        adds_id: bool,
    ) -> (Seq, usize) {
        self.make_room(spares, event.as_datum().len() + EVENT_ID_BYTES_MAX);
        let (bytes, frame_bytes) = (self.open.bytes.len(), self.open.frame_bytes());
        self.ids.put(&mut self.open.bytes, event, adds_id);
        self.open.ends.push(self.open.bytes.len() as u32);
        let sequence = self.next;
        self.next = sequence.next();
        self.counts.accept(1);
        self.store.on_taken(self.open.frame_bytes() - frame_bytes);
        (sequence, self.open.bytes.len() - bytes)
    }

    /// Takes all events of a batch that is not empty, by swapping buffers if they make one chunk.
    /// Returns the receipt of the last one.
    pub(super) fn push_encoded(&mut self, spares: &mut Spares, batch: &mut EventBatch) -> Receipt {
        let (events, bytes) = (batch.ends.len(), batch.bytes.len());
        let last = self.next.plus(events as u64 - 1);
        if bytes + events * size_of::<u32>() <= spares.chunk_bytes || events == 1 {
            if !self.open.ends.is_empty() {
                self.close_chunk(spares);
            }
            std::mem::swap(&mut self.open.bytes, &mut batch.bytes);
            std::mem::swap(&mut self.open.ends, &mut batch.ends);
            self.next = last.next();
            self.store.on_taken(self.open.frame_bytes());
        } else {
            reached!("a batch is larger than a chunk");
            for datum in batch.datums() {
                self.make_room(spares, datum.len());
                let frame_bytes = self.open.frame_bytes();
                self.open.bytes.extend_from_slice(datum);
                self.open.ends.push(self.open.bytes.len() as u32);
                self.next = self.next.next();
                self.store.on_taken(self.open.frame_bytes() - frame_bytes);
            }
        }
        batch.clear();
        self.ids.go_to(self.next);
        self.counts.accept(events as u64);
        self.receipts.issue(last, Name::Own)
    }

    /// Makes room for one more event of so many bytes. Inlined for `append`, which pays for each
    /// instruction of it.
    #[inline]
    fn make_room(&mut self, spares: &mut Spares, bytes: usize) {
        if !self.open.has_room(bytes, spares.chunk_bytes) {
            reached!("a chunk is full");
            self.close_chunk(spares);
        }
        self.open.grow(bytes, spares.chunk_bytes);
    }

    fn close_chunk(&mut self, spares: &mut Spares) {
        let next = spares.chunk(self.next, &self.open);
        self.full.push(std::mem::replace(&mut self.open, next));
    }

    /// Whether so many events came in that are not taken, or so many bytes of them.
    pub(crate) fn has_come_in(&self, wanted: Amount) -> bool {
        let Chunk { ends, bytes, .. } = &self.open;
        !self.full.is_empty() || ends.len() >= wanted.events || bytes.len() >= wanted.bytes
    }

    /// The taker of chunks goes to sleep until this much has come in. `false`: it already has.
    pub(crate) fn sleep(&mut self, waker: &Waker, wanted: Amount) -> bool {
        if self.has_come_in(wanted) {
            reached!("events come in before their taker sleeps");
            return false;
        }
        self.sleeper = Some(Sleeper {
            waker: waker.clone(),
            wanted,
        });
        true
    }

    /// The taker of chunks goes to sleep, and is woken by nothing but the end of the client.
    pub(super) fn sleep_whatever_comes(&mut self, waker: &Waker) {
        self.sleeper = Some(Sleeper {
            waker: waker.clone(),
            wanted: Amount::NEVER,
        });
    }

    /// The taker of chunks, if it sleeps and there is what it wants.
    pub(super) fn waker_if_due(&mut self) -> Option<Waker> {
        let sleeper = self.sleeper.as_ref()?;
        if sleeper.wanted == Amount::NEVER || !self.has_come_in(sleeper.wanted) {
            return None;
        }
        reached!("an event wakes its taker");
        self.wake_anyway()
    }

    /// The taker of chunks, if it sleeps.
    pub(super) fn wake_anyway(&mut self) -> Option<Waker> {
        self.sleeper.take().map(|sleeper| sleeper.waker)
    }

    /// The client has ended, and what became of every event is known: callers are told.
    pub(super) fn settle(&mut self, failed: Option<ClientThread>, wakers: &mut Vec<Waker>) {
        let counts = &mut self.counts;
        let lost = self
            .store
            .lost_at_end(self.next, counts.pending, failed.is_some());
        counts.lost.unknown += lost.sent;
        counts.lost.closed += lost.unsent;
        counts.pending -= lost.total();
        let gone = self.store.gone().min(counts.pending);
        counts.lost.corrupt += gone;
        counts.pending -= gone;
        self.receipts.end(self.store.last_word(failed), wakers);
    }
}

impl Spares {
    pub(super) fn new(chunk_bytes: usize) -> Self {
        Self {
            chunks: Vec::new(),
            chunk_bytes,
        }
    }

    /// An empty chunk that begins with the event `next`, with as much room as `last` has used.
    fn chunk(&mut self, next: Seq, last: &Chunk) -> Chunk {
        let spare = self.chunks.pop();
        if spare.is_none() {
            reached!("a chunk is made");
        }
        let mut chunk = spare.unwrap_or_else(|| Chunk::as_large_as(last));
        chunk.first = next;
        chunk
    }

    /// Takes an emptied chunk back for reuse.
    pub(super) fn give_back(&mut self, mut chunk: Chunk) {
        // A chunk that held one huge event is not kept.
        if self.chunks.len() < SPARE_CHUNKS_MAX && chunk.bytes.capacity() <= 4 * CHUNK_BYTES {
            reached!("a chunk is kept for reuse");
            chunk.clear();
            self.chunks.push(chunk);
        }
    }
}
