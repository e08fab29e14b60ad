//! [`IntakeState`]: what the intake's lock protects.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::oneshot::Promise;
use super::receipt::{Name, Receipt, Receipts};
use super::request::Request;
use super::room::{Amount, Beginning, CommitReport, StoreWhen};
use crate::config::{CHUNK_BYTES, Config};
use crate::delivery::{AgentId, Loss, Outcome};
use crate::error::{AgentError, Refusal};
use crate::event::Event;
use crate::event_batch::EventBatch;
use crate::event_id::{EVENT_ID_BYTES_MAX, EventIds};
use crate::seq::{Seq, SeqRange};
use crate::situations::reached;
use crate::stats::times::Times;
use crate::stats::{AgentStats, Stats, UnreadableEvents};

/// Empty chunks kept for reuse.
const SPARE_CHUNKS_MAX: usize = 8;

/// While `append` finds no room again and again, the sender is told of it this often: each time
/// costs the caller a system call.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct IntakeState {
    pub(crate) stats: Stats,
    pub(crate) receipts: Receipts,
    pub(crate) times: Times,
    /// Something happened that the sender may have to tell.
    pub(super) has_news: bool,
    pub(super) next: Seq,
    pub(super) ids: EventIds,
    pub(super) store: StoreWhen,
    pub(super) open: Chunk,
    /// Bytes at which it is closed.
    chunk_bytes: usize,
    pub(super) full: Vec<Chunk>,
    pub(super) spare: Vec<Chunk>,
    pub(super) requests: Vec<Request>,
    pub(super) ready: Vec<RoomWait>,
    pub(super) closed: bool,
    /// What cannot be read in places that were adopted and gave way to others.
    left: Vec<(PathBuf, Arc<[UnreadableEvents]>)>,
    /// Threads of the client that have not ended.
    pub(super) running: u32,
    /// Whoever takes the chunks, while it sleeps: the committer with a spool, else the sender.
    pub(super) sleeper: Option<Sleeper>,
    /// The sender while it sleeps: woken by requests, news and failures.
    pub(super) listener: Option<Waker>,
    /// There is no room in the buffer, whatever is in it.
    #[cfg(feature = "test")]
    pub(super) plays_full: bool,
}

/// A caller who waits until this fits.
#[derive(Debug)]
pub(super) struct RoomWait {
    pub(super) amount: Amount,
    pub(super) promise: Promise<()>,
}

/// A taker of chunks while it sleeps, and how much must come in to wake it.
#[derive(Debug)]
pub(super) struct Sleeper {
    pub(super) waker: Waker,
    wanted: Amount,
}

impl IntakeState {
    pub(super) fn new(config: &Config, beginning: Beginning) -> Self {
        let agents = &config.agents;
        let stats = agents.iter().cloned().map(AgentStats::new).collect();
        let Beginning {
            run_id,
            first,
            recovered,
            stored,
            spool,
        } = beginning;
        let (spool, room) = spool.unzip();
        let store = room.map_or(StoreWhen::Never, StoreWhen::Always);
        Self {
            stats: Stats {
                agents: stats,
                recovered,
                pending: recovered,
                spool,
                ..Stats::default()
            },
            receipts: Receipts::new(agents, run_id, first, stored),
            times: Times::new(agents.len(), first),
            has_news: false,
            next: first,
            ids: EventIds::new(run_id, first),
            running: store.threads(),
            store,
            open: Chunk {
                first,
                ..Chunk::default()
            },
            chunk_bytes: config.sizes.chunk,
            full: Vec::new(),
            spare: Vec::new(),
            requests: Vec::new(),
            ready: Vec::new(),
            closed: false,
            left: Vec::new(),
            sleeper: None,
            listener: None,
            #[cfg(feature = "test")]
            plays_full: false,
        }
    }

    /// Moves events that came in to `chunks`, oldest first, until those are `bytes_max` bytes.
    pub(crate) fn take_chunks(&mut self, chunks: &mut Vec<Chunk>, bytes_max: usize, now: Instant) {
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
        chunks.extend(self.full.drain(..whole));
        if self.full.is_empty() && !self.open.ends.is_empty() && fits(&self.open) {
            let next = self.new_chunk();
            chunks.push(std::mem::replace(&mut self.open, next));
        }
        if !chunks.is_empty() {
            self.times.came_in(self.next, now);
        }
    }

    /// Nothing more comes.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing more comes, and all that came is taken.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.closed && self.full.is_empty() && self.open.ends.is_empty()
    }

    /// Brings what is known of the spool up to date.
    pub(crate) fn on_stored(&mut self, report: &CommitReport<'_>) {
        let trouble = |stats: &Stats| stats.spool.as_ref().and_then(|spool| spool.trouble.clone());
        let before = trouble(&self.stats);
        self.store.on_stored(report, &mut self.stats);
        self.has_news |= before != trouble(&self.stats);
    }

    /// Something about the spool that its operator should know.
    pub(crate) fn add_note(&mut self, note: &str) {
        if let Some(spool) = &mut self.stats.spool
            && !spool.notes.iter().any(|known| known == note)
        {
            let notes = spool.notes.iter().cloned();
            spool.notes = notes.chain([note.to_owned()]).collect();
            self.has_news = true;
        }
    }

    /// It holds no more.
    pub(crate) fn forget_note(&mut self, note: &str) {
        if let Some(spool) = &mut self.stats.spool {
            let notes = spool.notes.iter().filter(|known| *known != note);
            spool.notes = notes.cloned().collect();
        }
    }

    /// `append` found no room. Whom to wake if that has not happened for a while.
    pub(super) fn on_no_room(&mut self, now: Instant) -> Option<Waker> {
        let before = self.times.on_no_room(now);
        if before.is_some_and(|ago| ago < NO_ROOM_PAUSE) {
            reached!("there is no room again and again");
            return None;
        }
        self.has_news = true;
        self.listener.take()
    }

    /// The sender, if it sleeps and there is news.
    pub(crate) fn listener_for_news(&mut self) -> Option<Waker> {
        self.listener.take_if(|_| self.has_news)
    }

    /// Whether there is news. There is none afterwards.
    pub(crate) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// The spool is in another directory now, of which this is noted.
    pub(crate) fn spool_is_at(&mut self, directory: PathBuf, notes: Arc<[String]>) {
        if let Some(spool) = &mut self.stats.spool {
            self.has_news |= !notes.is_empty();
            spool.directory = directory;
            spool.notes = notes;
        }
    }

    /// The counters, as of now.
    pub(crate) fn snapshot(&self, now: Instant) -> Stats {
        let mut stats = self.stats.clone();
        stats.timing = self.times.timing(now);
        if stats.pending == 0 {
            stats.timing.oldest_pending = None;
        }
        stats.closed = self.closed;
        self.times.tell_agents(&mut stats.agents, now);
        // Once the client has ended, those that were not stored are given up.
        if self.running > 0
            && let Some(spool) = &mut stats.spool
        {
            spool.unstored = self.store.unstored(self.next).total();
        }
        stats
    }

    /// The client has ended, and what became of every event is known: callers are told.
    pub(super) fn settle(&mut self, wakers: &mut Vec<Waker>) {
        reached!("the client settles");
        self.let_go_adopted();
        let failed = self.stats.failed;
        let pending = self.stats.pending;
        let lost = self.store.lost_at_end(self.next, pending, failed.is_some());
        self.stats.lost.unknown += lost.sent;
        self.stats.lost.closed += lost.unsent;
        self.stats.pending -= lost.total();
        let gone = self.store.gone().min(self.stats.pending);
        self.stats.lost.corrupt += gone;
        self.stats.pending -= gone;
        self.stats.pending_bytes = 0;
        self.receipts.end(self.store.last_word(failed), wakers);
    }

    /// Takes an emptied chunk back for reuse.
    pub(crate) fn give_back(&mut self, mut chunk: Chunk) {
        // A chunk that held one huge event is not kept.
        if self.spare.len() < SPARE_CHUNKS_MAX && chunk.bytes.capacity() <= 4 * CHUNK_BYTES {
            reached!("a chunk is kept for reuse");
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    pub(crate) fn take_requests(&mut self, requests: &mut Vec<Request>) {
        requests.append(&mut self.requests);
    }

    /// Events are retired.
    pub(crate) fn retire(
        &mut self,
        range: SeqRange,
        bytes: u32,
        outcome: Outcome,
        now: Instant,
        wakers: &mut Vec<Waker>,
    ) {
        self.store
            .on_retired(range, bytes as usize, &mut self.stats);
        self.stats.retire(range.len(), outcome);
        self.note(outcome, now);
        self.receipts.resolve(range, outcome, wakers);
    }

    /// At most `events` events with these numbers were in the spool and are not there any more.
    pub(crate) fn lose(
        &mut self,
        range: SeqRange,
        events: u64,
        now: Instant,
        wakers: &mut Vec<Waker>,
    ) {
        let outcome = Outcome::Lost(Loss::Corrupt);
        self.stats.retire(events, outcome);
        self.note(outcome, now);
        self.receipts.resolve(range, outcome, wakers);
    }

    /// Events below this were sent once.
    pub(crate) fn sent(&mut self, upto: Seq) {
        self.store.on_sent(upto);
    }

    fn note(&mut self, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Delivered { agent } => self.has_news |= self.times.on_delivered(agent, now),
            Outcome::Lost(_) => {
                self.times.on_lost(now);
                self.has_news = true;
            }
        }
    }

    /// Events of a process that is gone are retired.
    pub(crate) fn retire_adopted(&mut self, events: u64, outcome: Outcome, now: Instant) {
        self.stats.retire(events, outcome);
        self.note(outcome, now);
        if let Some(spool) = &mut self.stats.spool {
            spool.adopted -= events;
        }
    }

    /// Events of a process that is gone, which are not retired, are left to the next process.
    pub(crate) fn let_go_adopted(&mut self) {
        if let Some(spool) = &mut self.stats.spool {
            let left = std::mem::take(&mut spool.adopted);
            self.stats.recovered -= left;
            self.stats.pending -= left;
        }
    }

    /// This cannot be read in an adopted place, which gives way to another.
    pub(crate) fn leave_unreadable(&mut self, place: PathBuf, files: Arc<[UnreadableEvents]>) {
        if !files.is_empty() {
            self.left.push((place, files));
            self.has_news = true;
        }
    }

    /// Of places that are none of these, that is not told any more.
    pub(crate) fn keep_unreadable(&mut self, is_kept: impl Fn(&Path) -> bool) {
        let before = self.left.len();
        self.left.retain(|(place, _)| is_kept(place));
        self.has_news |= self.left.len() != before;
    }

    /// What cannot be read: this, and what was left.
    pub(crate) fn tell_unreadable<'a>(
        &mut self,
        lists: impl Iterator<Item = &'a Arc<[UnreadableEvents]>>,
    ) {
        let Some(spool) = &mut self.stats.spool else {
            return;
        };
        let left = self.left.iter().map(|(_, files)| files.clone());
        let lists = lists.cloned().chain(left);
        let lists: Vec<_> = lists.filter(|list| !list.is_empty()).collect();
        match lists.as_slice() {
            [] if spool.unreadable.is_empty() => {}
            [list] => spool.unreadable = list.clone(),
            lists => {
                spool.unreadable = lists.iter().flat_map(|list| list.iter()).cloned().collect();
            }
        }
    }

    /// An agent failed.
    pub(crate) fn on_failure(&mut self, agent: AgentId, error: Arc<AgentError>, now: Instant) {
        self.on_quiet_end(agent, error);
        self.times.on_failure(agent, now);
        self.has_news = true;
    }

    /// An agent ended a connection on which nothing was asked.
    pub(crate) fn on_quiet_end(&mut self, agent: AgentId, error: Arc<AgentError>) {
        if let Some(agent) = self.stats.agents.get_mut(agent.index()) {
            agent.failures += 1;
            agent.last_error = Some(error);
        }
    }

    /// The sender goes to sleep until there is a request or news, or another thread fails. `false`:
    /// that came since it looked.
    pub(crate) fn listen(&mut self, waker: &Waker) -> bool {
        self.listener = Some(waker.clone());
        self.requests.is_empty() && !self.has_news && self.stats.failed.is_none()
    }

    /// A taker of chunks goes to sleep until this much has come in. `false`: it already has.
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

    /// A taker of chunks goes to sleep, and is woken by nothing but the end of the client.
    pub(crate) fn sleep_until_closed(&mut self, waker: &Waker) {
        self.sleeper = (!self.closed).then(|| Sleeper {
            waker: waker.clone(),
            wanted: Amount::NEVER,
        });
    }

    /// Takes out waits for room whose callers are gone, whenever the list would have to grow.
    pub(super) fn waits_given_up(&mut self) -> Vec<RoomWait> {
        if self.ready.len() < self.ready.capacity() {
            return Vec::new();
        }
        let given_up = |wait: &mut RoomWait| wait.promise.is_given_up();
        self.ready.extract_if(.., given_up).collect()
    }

    /// Whether this can be taken, with a buffer of `capacity` bytes. Inlined for `append`, which pays
    /// for each instruction of it.
    #[inline]
    pub(super) fn check_room(&self, amount: Amount, capacity: usize) -> Result<(), Refusal> {
        let needed = amount.bytes;
        if let Some(thread) = self.stats.failed {
            return Err(Refusal::Failed { thread });
        }
        if self.closed {
            return Err(Refusal::Closed);
        }
        let used = self.used(capacity);
        if needed > capacity {
            return Err(Refusal::TooLarge {
                bytes: needed,
                limit: capacity,
            });
        }
        let trouble = self.stats.spool.as_ref().and_then(|it| it.trouble.as_ref());
        if used + needed > capacity {
            reached!("the buffer is full");
            return Err(Refusal::Full {
                used,
                capacity,
                needed,
                trouble: trouble.cloned(),
            });
        }
        self.store.check(amount, trouble)
    }

    /// Bytes of the buffer that are in use.
    #[inline]
    pub(super) fn used(&self, capacity: usize) -> usize {
        #[cfg(feature = "test")]
        if self.plays_full {
            return capacity;
        }
        let _ = capacity;
        self.stats.pending_bytes
    }

    /// Takes an event, whose number and name a receipt of it has.
    #[inline]
    pub(super) fn push(&mut self, event: &Event, adds_id: bool) -> (Seq, Name) {
        self.make_room(event.as_datum().len() + EVENT_ID_BYTES_MAX);
        let (bytes, frame_bytes) = (self.open.bytes.len(), self.open.frame_bytes());
        self.ids.put(&mut self.open.bytes, event, adds_id);
        self.open.ends.push(self.open.bytes.len() as u32);
        let sequence = self.next;
        self.next = sequence.next();
        self.stats.accept(1, self.open.bytes.len() - bytes);
        self.store.on_taken(self.open.frame_bytes() - frame_bytes);
        let name = if adds_id { Name::Given } else { Name::Own };
        (sequence, name)
    }

    /// Takes all events of a batch that is not empty, by swapping buffers if they make one chunk.
    /// Returns the receipt of the last one.
    pub(super) fn push_encoded(&mut self, batch: &mut EventBatch) -> Receipt {
        let (events, bytes) = (batch.ends.len(), batch.bytes.len());
        let last = self.next.plus(events as u64 - 1);
        if bytes + events * size_of::<u32>() <= self.chunk_bytes || events == 1 {
            if !self.open.ends.is_empty() {
                self.close_chunk();
            }
            std::mem::swap(&mut self.open.bytes, &mut batch.bytes);
            std::mem::swap(&mut self.open.ends, &mut batch.ends);
            self.next = last.next();
            self.store.on_taken(self.open.frame_bytes());
        } else {
            reached!("a batch is larger than a chunk");
            for datum in batch.datums() {
                self.make_room(datum.len());
                let frame_bytes = self.open.frame_bytes();
                self.open.bytes.extend_from_slice(datum);
                self.open.ends.push(self.open.bytes.len() as u32);
                self.next = self.next.next();
                self.store.on_taken(self.open.frame_bytes() - frame_bytes);
            }
        }
        batch.clear();
        self.ids.go_to(self.next);
        self.stats.accept(events as u64, bytes);
        self.receipts.issue(last, Name::Own)
    }

    /// Makes room for one more event of so many bytes. Inlined for `append`, which pays for each
    /// instruction of it.
    #[inline]
    fn make_room(&mut self, bytes: usize) {
        if !self.open.has_room(bytes, self.chunk_bytes) {
            reached!("a chunk is full");
            self.close_chunk();
        }
        self.open.grow(bytes, self.chunk_bytes);
    }

    fn close_chunk(&mut self) {
        let next = self.new_chunk();
        self.full.push(std::mem::replace(&mut self.open, next));
    }

    /// An empty chunk that begins with the next event.
    fn new_chunk(&mut self) -> Chunk {
        let spare = self.spare.pop();
        if spare.is_none() {
            reached!("a chunk is made");
        }
        let mut chunk = spare.unwrap_or_else(|| Chunk::as_large_as(&self.open));
        chunk.first = self.next;
        chunk
    }

    /// Whether so many events came in that are not taken, or so many bytes of them.
    pub(crate) fn has_come_in(&self, wanted: Amount) -> bool {
        let Chunk { ends, bytes, .. } = &self.open;
        !self.full.is_empty() || ends.len() >= wanted.events || bytes.len() >= wanted.bytes
    }

    pub(super) fn waker_if_due(&mut self) -> Option<Waker> {
        let sleeper = self.sleeper.as_ref()?;
        if sleeper.wanted == Amount::NEVER || !self.has_come_in(sleeper.wanted) {
            return None;
        }
        reached!("an event wakes its taker");
        self.sleeper.take().map(|sleeper| sleeper.waker)
    }
}
