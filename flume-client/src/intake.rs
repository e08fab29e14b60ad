//! [`Intake`]: where callers and the worker meet, under one short lock.
//!
//! Callers copy their event's datum behind the last one and leave. The worker takes whole chunks
//! and hands empty ones back, so in a steady state nothing is allocated. The counters are changed
//! under the same lock, which is why they balance at every moment.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::chunk::{CHUNK_BYTES, Chunk};
use crate::config::Config;
use crate::delivery::Outcome;
use crate::disk::{Beginning, Disk, StoredNews};
use crate::error::Refusal;
use crate::event::Event;
use crate::event_id::{EVENT_ID_BYTES_MAX, EVENT_ID_HEADER, EventIds};
use crate::receipt::{LastWord, Receipt, Receipts};
use crate::stats::{AgentStats, SpoolStats, Stats};
use crate::ticket::Promise;
use crate::worker::Request;

/// Empty chunks kept for reuse.
const SPARE_CHUNKS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Intake {
    state: Mutex<IntakeState>,
    buffer_bytes_max: usize,
    event_bytes_max: usize,
    event_ids: bool,
}

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct IntakeState {
    pub(crate) stats: Stats,
    pub(crate) receipts: Receipts,
    next: u64,
    ids: EventIds,
    pub(crate) disk: Option<Disk>,
    open: Chunk,
    full: Vec<Chunk>,
    spare: Vec<Chunk>,
    requests: Vec<Request>,
    ready: Vec<(usize, Promise<()>)>,
    closed: bool,
    worker_gone: bool,
    /// Whoever takes the chunks.
    sleeper: Option<Sleeper>,
    /// The worker, if it is another.
    listener: Option<Waker>,
}

/// A taker of chunks while it sleeps, and how much must come in to wake it.
#[derive(Debug)]
struct Sleeper {
    waker: Waker,
    events: usize,
    bytes: usize,
}

impl Intake {
    pub(crate) fn new(config: &Config, beginning: Beginning) -> Self {
        let agents = config.agents.iter().cloned().map(AgentStats::new).collect();
        let Beginning {
            client,
            first,
            recovered,
            stored,
            disk,
        } = beginning;
        let state = IntakeState {
            stats: Stats {
                agents,
                recovered,
                pending: recovered,
                spool: disk.map(|_| SpoolStats::default()),
                ..Stats::default()
            },
            receipts: Receipts::new(&config.agents, first, stored),
            next: first,
            ids: EventIds::new(client, first),
            disk,
            open: Chunk {
                first,
                ..Chunk::default()
            },
            full: Vec::new(),
            spare: Vec::new(),
            requests: Vec::new(),
            ready: Vec::new(),
            closed: false,
            worker_gone: false,
            sleeper: None,
            listener: None,
        };
        Self {
            state: Mutex::new(state),
            buffer_bytes_max: config.buffer_bytes_max,
            event_bytes_max: config.event_bytes_max,
            event_ids: config.event_ids,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, IntakeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one event, if everything about it is right.
    pub(crate) fn append(&self, event: &Event) -> Result<Receipt, Refusal> {
        let checked = self.check(event);
        let adds_id = self.adds_id(event);
        let mut state = self.lock();
        let room =
            checked.and_then(|()| state.check_room(self.bytes_of(event), 1, self.capacity()));
        if let Err(refusal) = room {
            state.stats.refuse(&refusal, 1);
            return Err(refusal);
        }
        let receipt = state.push(event, adds_id);
        let waker = state.waker_if_due();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(receipt)
    }

    /// Takes all events or none; the error names the first that is at fault.
    pub(crate) fn append_all(&self, events: &[Event]) -> Result<Vec<Receipt>, (usize, Refusal)> {
        let mut numbered = events.iter().enumerate();
        let faulty = numbered.find_map(|(index, event)| Some((index, self.check(event).err()?)));
        let bytes: usize = events.iter().map(|event| self.bytes_of(event)).sum();
        let adds_id: Vec<bool> = events.iter().map(|event| self.adds_id(event)).collect();
        let mut state = self.lock();
        let refused = faulty.or_else(|| {
            let refusal = state
                .check_room(bytes, events.len(), self.capacity())
                .err()?;
            Some((0, refusal))
        });
        if let Some((index, refusal)) = refused {
            state.stats.refuse(&refusal, events.len() as u64);
            return Err((index, refusal));
        }
        let events = events.iter().zip(adds_id);
        let receipts = events.map(|(event, adds_id)| state.push(event, adds_id));
        let receipts = receipts.collect();
        let waker = state.waker_if_due();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(receipts)
    }

    /// Fulfils the promise when `bytes` fit, at once or later.
    pub(crate) fn when_ready(&self, bytes: usize, promise: Promise<()>) {
        let mut state = self.lock();
        let room = state.check_room(bytes, 1, self.capacity());
        let waits = room.is_err_and(|refusal| refusal.is_retryable());
        if waits && bytes <= self.buffer_bytes_max {
            let given_up = state.waits_given_up();
            state.ready.push((bytes, promise));
            drop(state);
            // Letting go of a promise can run its waiter's code, so not under the lock.
            drop(given_up);
            return;
        }
        drop(state);
        promise.fulfil(()).into_iter().for_each(Waker::wake);
    }

    /// Puts a request before the worker. A worker that is gone drops it, and with it its promise.
    pub(crate) fn request(&self, request: impl FnOnce(u64) -> Request) {
        let mut state = self.lock();
        let request = request(state.next);
        if state.worker_gone {
            drop(state);
            drop(request);
            return;
        }
        state.closed |= matches!(request, Request::Close { .. });
        state.requests.push(request);
        let sleeper = state.sleeper.take().map(|sleeper| sleeper.waker);
        let listener = state.listener.take();
        drop(state);
        sleeper.into_iter().chain(listener).for_each(Waker::wake);
    }

    /// Wakes callers who wait for room, now that there may be some.
    pub(crate) fn offer_room(&self, state: &mut IntakeState, wakers: &mut Vec<Waker>) {
        let used = state.stats.pending_bytes;
        let capacity = self.buffer_bytes_max;
        let closed = state.closed;
        // A quarter of the buffer must be free, so that a waiting caller is woken for many events.
        let disk = state.disk;
        let fits = |bytes: usize| {
            let fits_disk = disk.is_none_or(|disk| disk.check_room(bytes, 1).is_ok());
            closed || (fits_disk && used + bytes.max(capacity / 4) <= capacity)
        };
        for (_, promise) in state.ready.extract_if(.., |(bytes, _)| fits(*bytes)) {
            wakers.extend(promise.fulfil(()));
        }
    }

    /// The worker ends: nothing more is taken, and nobody waits for it in vain. Without a spool
    /// events are left over only if it ended by a panic; whether they were stored is not known.
    pub(crate) fn worker_ends(&self) {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        state.closed = true;
        state.worker_gone = true;
        let last_word = match state.disk {
            None => {
                state.stats.lost.unknown += state.stats.pending;
                state.stats.pending = 0;
                LastWord::Unknown
            }
            Some(disk) => {
                let unstored = state.next - disk.stored_upto;
                state.stats.lost.closed += unstored;
                state.stats.pending -= unstored;
                LastWord::InSpoolBelow(disk.stored_upto)
            }
        };
        state.stats.pending_bytes = 0;
        state.receipts.end(last_word, &mut wakers);
        let requests = std::mem::take(&mut state.requests);
        let ready = std::mem::take(&mut state.ready);
        drop(state);
        drop((requests, ready));
        wakers.into_iter().for_each(Waker::wake);
    }

    fn capacity(&self) -> usize {
        self.buffer_bytes_max
    }

    /// Bytes that the event takes, at the most.
    pub(crate) fn bytes_of(&self, event: &Event) -> usize {
        let id = if self.event_ids {
            EVENT_ID_BYTES_MAX
        } else {
            0
        };
        event.as_datum().len() + id
    }

    fn adds_id(&self, event: &Event) -> bool {
        self.event_ids && event.header_value(EVENT_ID_HEADER).is_none()
    }

    fn check(&self, event: &Event) -> Result<(), Refusal> {
        if let Some(fault) = event.fault() {
            return Err(Refusal::Header(fault.clone()));
        }
        let (bytes, limit) = (event.as_datum().len(), self.event_bytes_max);
        if bytes > limit {
            return Err(Refusal::TooLarge { bytes, limit });
        }
        Ok(())
    }
}

impl IntakeState {
    /// Moves events that came in to `chunks`, oldest first, until those are so many bytes.
    pub(crate) fn take_chunks(&mut self, chunks: &mut Vec<Chunk>, bytes_max: usize) {
        let mut bytes = 0;
        let mut fits = |chunk: &Chunk| {
            let fits = bytes < bytes_max;
            bytes += chunk.bytes.len();
            fits
        };
        let whole = self.full.iter().take_while(|chunk| fits(chunk)).count();
        chunks.extend(self.full.drain(..whole));
        if self.full.is_empty() && !self.open.ends.is_empty() && fits(&self.open) {
            let next = self.new_chunk();
            chunks.push(std::mem::replace(&mut self.open, next));
        }
    }

    /// Nothing more comes, and all that came is taken.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.closed && self.full.is_empty() && self.open.ends.is_empty()
    }

    /// Brings what is known of the spool up to date.
    pub(crate) fn on_stored(&mut self, news: &StoredNews<'_>) {
        if let Some(disk) = &mut self.disk {
            disk.on_stored(news, &mut self.stats);
        }
    }

    /// The counters, as of now.
    pub(crate) fn snapshot(&self) -> Stats {
        let mut stats = self.stats.clone();
        if let (Some(disk), Some(spool)) = (&self.disk, &mut stats.spool) {
            spool.unstored = self.next - disk.stored_upto;
        }
        stats
    }

    /// Takes an emptied chunk back for reuse.
    pub(crate) fn give_back(&mut self, mut chunk: Chunk) {
        if self.spare.len() < SPARE_CHUNKS_MAX && chunk.bytes.capacity() <= 4 * CHUNK_BYTES {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    pub(crate) fn take_requests(&mut self, requests: &mut Vec<Request>) {
        requests.append(&mut self.requests);
    }

    /// Events are done with.
    pub(crate) fn retire(
        &mut self,
        first: u64,
        events: u32,
        bytes: u32,
        outcome: Outcome,
        wakers: &mut Vec<Waker>,
    ) {
        self.stats.retire(events.into(), bytes as usize, outcome);
        self.receipts.resolve(first, events, outcome, wakers);
    }

    /// The worker goes to sleep until there is a request. `false`: there is one.
    pub(crate) fn listen(&mut self, waker: &Waker) -> bool {
        self.listener = Some(waker.clone());
        self.requests.is_empty()
    }

    /// A taker of chunks goes to sleep until this much has come in. `false`: it already has.
    pub(crate) fn sleep(&mut self, waker: &Waker, events: usize, bytes: usize) -> bool {
        if self.has_come_in(events, bytes) {
            return false;
        }
        self.sleeper = Some(Sleeper {
            waker: waker.clone(),
            events,
            bytes,
        });
        true
    }

    /// Takes out waits for room whose callers are gone, whenever the list would have to grow.
    fn waits_given_up(&mut self) -> Vec<(usize, Promise<()>)> {
        if self.ready.len() < self.ready.capacity() {
            return Vec::new();
        }
        let given_up = |(_, promise): &mut (usize, Promise<()>)| promise.is_given_up();
        self.ready.extract_if(.., given_up).collect()
    }

    fn check_room(&self, needed: usize, events: usize, capacity: usize) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        let used = self.stats.pending_bytes;
        if needed > capacity {
            return Err(Refusal::TooLarge {
                bytes: needed,
                limit: capacity,
            });
        }
        if used + needed > capacity {
            return Err(Refusal::Full {
                used,
                capacity,
                needed,
            });
        }
        self.disk
            .as_ref()
            .map_or(Ok(()), |disk| disk.check_room(needed, events))
    }

    fn push(&mut self, event: &Event, adds_id: bool) -> Receipt {
        if !self
            .open
            .has_room(event.as_datum().len() + EVENT_ID_BYTES_MAX)
        {
            let next = self.new_chunk();
            self.full.push(std::mem::replace(&mut self.open, next));
        }
        let (bytes, frame_bytes) = (self.open.bytes.len(), self.open.frame_bytes());
        self.ids.put(&mut self.open.bytes, event, adds_id);
        self.open.ends.push(self.open.bytes.len() as u32);
        let sequence = self.next;
        self.next += 1;
        self.stats.accept(1, self.open.bytes.len() - bytes);
        if let Some(disk) = &mut self.disk {
            disk.uncounted += self.open.frame_bytes() - frame_bytes;
        }
        self.receipts.issue(sequence)
    }

    /// An empty chunk that begins with the next event.
    fn new_chunk(&mut self) -> Chunk {
        let mut chunk = self.spare.pop().unwrap_or_default();
        chunk.first = self.next;
        chunk
    }

    fn has_come_in(&self, events: usize, bytes: usize) -> bool {
        !self.full.is_empty() || self.open.ends.len() >= events || self.open.bytes.len() >= bytes
    }

    fn waker_if_due(&mut self) -> Option<Waker> {
        let sleeper = self.sleeper.as_ref()?;
        if !self.has_come_in(sleeper.events, sleeper.bytes) {
            return None;
        }
        self.sleeper.take().map(|sleeper| sleeper.waker)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Client;
    use crate::error::DeliveryError;

    fn intake() -> Intake {
        let builder = Client::builder().agent("avro://localhost:1");
        let config = builder.buffer_bytes(100).event_bytes(100).check().unwrap();
        Intake::new(&config, Beginning::in_memory())
    }

    #[test]
    fn receipts_resolve_and_counters_balance_when_the_worker_dies() {
        let intake = intake();
        let receipt = intake.append(&Event::new("left over")).unwrap();
        intake.worker_ends();
        assert_eq!(receipt.wait(Duration::ZERO), Err(DeliveryError::Unknown));
        let stats = intake.lock().stats.clone();
        assert_eq!(
            (stats.accepted, stats.pending, stats.lost.unknown),
            (1, 0, 1)
        );
        assert!(matches!(
            intake.append(&Event::new("later")),
            Err(Refusal::Closed)
        ));
    }

    #[test]
    fn a_batch_that_can_never_fit_is_not_refused_as_retryable() {
        let intake = intake();
        let events = vec![Event::new([0; 60]), Event::new([0; 60])];
        let (_, refusal) = intake.append_all(&events).unwrap_err();
        assert!(!refusal.is_retryable(), "{refusal}");
    }
}
