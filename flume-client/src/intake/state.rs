//! [`IntakeState`]: what the intake's lock protects.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::chunk::{CHUNK_BYTES, Chunk};
use crate::config::AgentUrl;
use crate::delivery::{Loss, Outcome};
use crate::disk::{Beginning, Disk, StoredNews, Unstored};
use crate::error::{AgentError, Refusal};
use crate::event::Event;
use crate::event_id::{EVENT_ID_BYTES_MAX, EventIds};
use crate::receipt::{LastWord, Name, Receipt, Receipts};
use crate::stats::{AgentStats, Stats, UnreadableEvents};
use crate::ticket::Promise;
use crate::times::Times;
use crate::worker::Request;

/// Empty chunks kept for reuse.
const SPARE_CHUNKS_MAX: usize = 8;

/// While `append` finds no room again and again, the worker is told of it so often: each time costs
/// the caller a system call.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct IntakeState {
    pub(crate) stats: Stats,
    pub(crate) receipts: Receipts,
    pub(crate) times: Times,
    /// Something happened that the worker may have to tell.
    pub(super) has_news: bool,
    pub(super) next: u64,
    pub(super) ids: EventIds,
    pub(crate) disk: Option<Disk>,
    pub(super) open: Chunk,
    pub(super) full: Vec<Chunk>,
    pub(super) spare: Vec<Chunk>,
    pub(super) requests: Vec<Request>,
    pub(super) ready: Vec<RoomWait>,
    pub(super) closed: bool,
    /// What cannot be read in places that were adopted and gave way to others.
    left: Vec<(PathBuf, Arc<[UnreadableEvents]>)>,
    /// Threads of the client that have not ended.
    pub(super) running: u32,
    /// Whoever takes the chunks.
    pub(super) sleeper: Option<Sleeper>,
    /// The worker, if it is another.
    pub(super) listener: Option<Waker>,
}

/// A caller who waits until so many events of so many bytes in all fit.
#[derive(Debug)]
pub(super) struct RoomWait {
    pub(super) bytes: usize,
    pub(super) events: usize,
    pub(super) promise: Promise<()>,
}

/// A taker of chunks while it sleeps, and how much must come in to wake it.
#[derive(Debug)]
pub(super) struct Sleeper {
    pub(super) waker: Waker,
    events: usize,
    bytes: usize,
}

impl IntakeState {
    pub(super) fn new(agents: &[AgentUrl], beginning: Beginning) -> Self {
        let stats = agents.iter().cloned().map(AgentStats::new).collect();
        let Beginning {
            run_id,
            first,
            recovered,
            stored,
            disk,
        } = beginning;
        let (spool, disk) = disk.unzip();
        let running = 1 + u32::from(disk.is_some());
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
            left: Vec::new(),
            running,
            sleeper: None,
            listener: None,
        }
    }

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
        if !chunks.is_empty() {
            self.times.came_in(self.next, Instant::now());
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
    pub(crate) fn on_stored(&mut self, news: &StoredNews<'_>) {
        if let Some(disk) = &mut self.disk {
            let trouble =
                |stats: &Stats| stats.spool.as_ref().and_then(|spool| spool.trouble.clone());
            let before = trouble(&self.stats);
            disk.on_stored(news, &mut self.stats);
            self.has_news |= before != trouble(&self.stats);
        }
    }

    /// Something about the spool that whoever looks after it should know.
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
            return None;
        }
        self.has_news = true;
        self.listener.take()
    }

    /// The worker, if it sleeps and there is news.
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
    pub(crate) fn snapshot(&self) -> Stats {
        let mut stats = self.stats.clone();
        let now = Instant::now();
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
            spool.unstored = self.unstored().total();
        }
        stats
    }

    /// Events that are taken and not stored.
    fn unstored(&self) -> Unstored {
        let disk = self.disk.as_ref();
        disk.map(|disk| disk.unstored(self.next))
            .unwrap_or_default()
    }

    /// The client has ended, and what became of every event is known. Without a spool events are
    /// left over only if a thread has panicked.
    pub(super) fn settle(&mut self, wakers: &mut Vec<Waker>) {
        self.let_go_adopted();
        let failed = self.stats.failed;
        let pending = self.stats.pending;
        let unstored = self.unstored();
        let (unknown, closed) = match (&self.disk, failed) {
            (None, _) => (pending, 0),
            (Some(_), None) => (unstored.sent, unstored.unsent),
            // A panic may have come between two counters.
            (Some(_), Some(_)) => (unstored.total().min(pending), 0),
        };
        self.stats.lost.unknown += unknown;
        self.stats.lost.closed += closed;
        self.stats.pending -= unknown + closed;
        let (gone_below, gone) = self.disk.as_ref().map_or((0, 0), |disk| disk.gone);
        let gone = gone.min(self.stats.pending);
        self.stats.lost.corrupt += gone;
        self.stats.pending -= gone;
        self.stats.pending_bytes = 0;
        let disk = self.disk.as_ref();
        let last_word = LastWord {
            gone_below,
            in_spool_below: disk.map_or(0, |disk| disk.stored_upto),
            sent_below: disk.map_or(0, |disk| disk.sent_upto),
            failed,
        };
        self.receipts.end(last_word, wakers);
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
        let end = first + u64::from(events);
        if let (Some(disk), Some(spool)) = (&mut self.disk, &mut self.stats.spool)
            && end > disk.stored_upto
        {
            spool.delivered_unstored += disk.retire(first, end);
        }
        self.stats.retire(events.into(), bytes as usize, outcome);
        self.note(outcome);
        self.receipts.resolve(first, events, outcome, wakers);
    }

    /// Events with these numbers, so many at most, were in the spool and are not there any more.
    pub(crate) fn lose(&mut self, first: u64, end: u64, events: u64, wakers: &mut Vec<Waker>) {
        let outcome = Outcome::Lost(Loss::Corrupt);
        self.stats.retire(events, 0, outcome);
        self.note(outcome);
        // Those of earlier runs have no receipts.
        let mut first = first.max(self.receipts.first());
        while first < end {
            let events = u32::try_from(end - first).unwrap_or(u32::MAX);
            self.receipts.resolve(first, events, outcome, wakers);
            first += u64::from(events);
        }
    }

    /// Events below this were sent once.
    pub(crate) fn sent(&mut self, upto: u64) {
        if let Some(disk) = &mut self.disk {
            disk.sent_upto = disk.sent_upto.max(upto);
        }
    }

    fn note(&mut self, outcome: Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::Delivered { agent } => self.has_news |= self.times.on_delivered(agent, now),
            Outcome::Lost(_) => {
                self.times.on_lost(now);
                self.has_news = true;
            }
        }
    }

    /// Events of a process that is gone are done with.
    pub(crate) fn retire_adopted(&mut self, events: u64, outcome: Outcome) {
        self.stats.retire(events, 0, outcome);
        self.note(outcome);
        if let Some(spool) = &mut self.stats.spool {
            spool.adopted -= events;
        }
    }

    /// Events of a process that is gone, which are not done with, are left to whoever comes next.
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
    pub(crate) fn on_failure(&mut self, index: usize, error: Arc<AgentError>, now: Instant) {
        self.on_quiet_end(index, error);
        self.times.on_failure(index, now);
        self.has_news = true;
    }

    /// An agent ended a connection on which nothing was asked.
    pub(crate) fn on_quiet_end(&mut self, index: usize, error: Arc<AgentError>) {
        if let Some(agent) = self.stats.agents.get_mut(index) {
            agent.failures += 1;
            agent.last_error = Some(error);
        }
    }

    /// The worker goes to sleep until there is a request or news, or another thread fails. `false`:
    /// that came since it looked.
    pub(crate) fn listen(&mut self, waker: &Waker) -> bool {
        self.listener = Some(waker.clone());
        self.requests.is_empty() && !self.has_news && self.stats.failed.is_none()
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

    /// A taker of chunks goes to sleep, and is woken by nothing but the end of the client.
    pub(crate) fn sleep_until_closed(&mut self, waker: &Waker) {
        self.sleeper = (!self.closed).then(|| Sleeper {
            waker: waker.clone(),
            events: usize::MAX,
            bytes: usize::MAX,
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

    /// Whether events of so many bytes in all can be taken. Inlined for `append`, which pays for each
    /// instruction of it.
    #[inline]
    pub(super) fn check_room(
        &self,
        needed: usize,
        events: usize,
        capacity: usize,
    ) -> Result<(), Refusal> {
        if let Some(thread) = self.stats.failed {
            return Err(Refusal::Failed { thread });
        }
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
        let trouble = self.stats.spool.as_ref().and_then(|it| it.trouble.as_ref());
        if used + needed > capacity {
            return Err(Refusal::Full {
                used,
                capacity,
                needed,
                trouble: trouble.cloned(),
            });
        }
        self.disk
            .as_ref()
            .map_or(Ok(()), |disk| disk.check_room(needed, events, trouble))
    }

    pub(super) fn push(&mut self, event: &Event, adds_id: bool) -> Receipt {
        let most = event.as_datum().len() + EVENT_ID_BYTES_MAX;
        if !self.open.has_room(most) {
            let next = self.new_chunk();
            self.full.push(std::mem::replace(&mut self.open, next));
        }
        self.open.grow(most);
        let (bytes, frame_bytes) = (self.open.bytes.len(), self.open.frame_bytes());
        self.ids.put(&mut self.open.bytes, event, adds_id);
        self.open.ends.push(self.open.bytes.len() as u32);
        let sequence = self.next;
        self.next += 1;
        self.stats.accept(1, self.open.bytes.len() - bytes);
        if let Some(disk) = &mut self.disk {
            disk.uncounted += self.open.frame_bytes() - frame_bytes;
        }
        let name = if adds_id { Name::Given } else { Name::Own };
        self.receipts.issue(sequence, name)
    }

    /// An empty chunk that begins with the next event.
    fn new_chunk(&mut self) -> Chunk {
        let spare = self.spare.pop();
        let mut chunk = spare.unwrap_or_else(|| Chunk::as_large_as(&self.open));
        chunk.first = self.next;
        chunk
    }

    /// Whether so many events came in that are not taken, or so many bytes of them.
    pub(crate) fn has_come_in(&self, events: usize, bytes: usize) -> bool {
        !self.full.is_empty() || self.open.ends.len() >= events || self.open.bytes.len() >= bytes
    }

    pub(super) fn waker_if_due(&mut self) -> Option<Waker> {
        let sleeper = self.sleeper.as_ref()?;
        if sleeper.events == usize::MAX || !self.has_come_in(sleeper.events, sleeper.bytes) {
            return None;
        }
        self.sleeper.take().map(|sleeper| sleeper.waker)
    }
}
