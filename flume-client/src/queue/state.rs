//! [`IntakeState`]: what the intake's lock protects.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::awaited::Awaited;
use super::chunk::Chunk;
use super::handover::Handover;
use super::lane::{Lane, Spares};
use super::oneshot::Promise;
use super::receipt::{Name, Receipt};
use super::request::Request;
use super::room::{Amount, Beginning, CommitReport, StoreWhen};
use crate::config::Config;
use crate::delivery::{AgentId, Loss, Outcome};
#[cfg(feature = "tls")]
use crate::error::TlsSettingsError;
use crate::error::{AgentError, Refusal};
use crate::event::Event;
use crate::event_batch::EventBatch;
use crate::reliability::{PerLevel, Reliability};
use crate::seq::{Seq, SeqRange};
use crate::situations::reached;
use crate::stats::times::Times;
use crate::stats::{AgentStats, Stats, UnreadableEvents};

/// While `append` finds no room again and again, the sender is told of it this often: each time
/// costs the caller a system call.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct IntakeState {
    /// Without what is counted by level: that is in the lanes, and [`snapshot`](Self::snapshot) adds it.
    pub(crate) stats: Stats,
    pub(crate) lanes: PerLevel<Lane>,
    pub(crate) times: Times,
    /// Something happened that the sender may have to tell.
    pub(super) has_news: bool,
    spares: Spares,
    pub(super) requests: Vec<Request>,
    pub(super) ready: Vec<RoomWait>,
    pub(super) closed: bool,
    /// What cannot be read in places that were adopted and gave way to others.
    left: Vec<(PathBuf, Arc<[UnreadableEvents]>)>,
    /// Threads of the client that have not ended.
    pub(super) running: u32,
    /// What the sender has to do with each thread that writes a spool.
    pub(super) handovers: Vec<Arc<Handover>>,
    /// The sender while it sleeps: woken by requests, news and failures.
    pub(super) listener: Option<Waker>,
    /// There is no room in the buffer, whatever is in it.
    #[cfg(feature = "test")]
    pub(super) plays_full: bool,
}

/// A caller who waits until this fits.
#[derive(Debug)]
pub(super) struct RoomWait {
    pub(super) level: Reliability,
    pub(super) amount: Amount,
    pub(super) promise: Promise<()>,
}

impl IntakeState {
    pub(super) fn new(config: &Config, awaited: &Arc<Awaited>) -> Self {
        let agents = &config.agents;
        let stats = agents.iter().cloned().map(AgentStats::new).collect();
        let lanes = PerLevel::new(|level| {
            let beginning = Beginning::in_memory();
            Lane::new(level, config, &beginning, StoreWhen::Never, awaited.clone())
        });
        Self {
            stats: Stats {
                agents: stats,
                ..Stats::default()
            },
            lanes,
            times: Times::new(agents.len()),
            has_news: false,
            spares: Spares::new(config.sizes.chunk),
            running: 1,
            handovers: Vec::new(),
            requests: Vec::new(),
            ready: Vec::new(),
            closed: false,
            left: Vec::new(),
            listener: None,
            #[cfg(feature = "test")]
            plays_full: false,
        }
    }

    /// A level has a spool from now on, with a thread that writes it. None of its events have come in.
    pub(crate) fn open_spool(
        &mut self,
        config: &Config,
        level: Reliability,
        beginning: Beginning,
        awaited: &Arc<Awaited>,
        handover: Arc<Handover>,
    ) {
        let mut beginning = beginning;
        let store = match beginning.spool.take() {
            Some((known, room)) => {
                match &self.stats.spool {
                    None => self.stats.spool = Some(known),
                    Some(_) => known.notes.iter().for_each(|note| self.add_note(note)),
                }
                match level {
                    Reliability::StoreOnFailure => StoreWhen::OnFailure(room),
                    _ => StoreWhen::Always(room),
                }
            }
            None => StoreWhen::Never,
        };
        self.lanes[level] = Lane::new(level, config, &beginning, store, awaited.clone());
        self.handovers.push(handover);
        self.running += 1;
    }

    /// Moves events of a level that came in to `chunks`, oldest first, until those are `bytes_max`
    /// bytes.
    pub(crate) fn take_chunks(
        &mut self,
        level: Reliability,
        chunks: &mut Vec<Chunk>,
        bytes_max: usize,
        now: Instant,
    ) {
        self.lanes[level].take_chunks(&mut self.spares, chunks, bytes_max, now);
    }

    /// Nothing more comes.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing more comes, and all that came at this level is taken.
    pub(crate) fn is_exhausted(&self, level: Reliability) -> bool {
        self.closed && self.lanes[level].is_empty()
    }

    /// Brings what is known of a level's spool up to date.
    pub(crate) fn on_stored(&mut self, level: Reliability, report: &CommitReport<'_>) {
        self.lanes[level].store.on_stored(report);
        self.stats.pending_bytes -= report.settled_bytes;
        if level == Reliability::StoreOnFailure {
            self.stats.spilled += report.stored_events;
        }
        let Some(spool) = &mut self.stats.spool else {
            return;
        };
        spool.stored += report.stored_events;
        if level == Reliability::EndToEnd {
            spool.delivered_unstored += report.forgotten_events;
        }
        spool.commits += report.commits;
        let disks = self.lanes.iter().map(|(_, lane)| lane.store.disk());
        spool.disk_bytes = disks.clone().map(|(bytes, _)| bytes).sum();
        // What keeps most is told first.
        let trouble = disks.filter_map(|(_, trouble)| trouble).last();
        self.has_news |= spool.trouble.as_ref() != trouble;
        spool.trouble = trouble.cloned();
    }

    /// Why the files of TLS that are there now are not used, if they are not.
    #[cfg(feature = "tls")]
    pub(crate) fn tell_tls(&mut self, trouble: Option<&Arc<TlsSettingsError>>) {
        let known = self.stats.tls_trouble.as_ref();
        let is_same = known.map(Arc::as_ptr) == trouble.map(Arc::as_ptr);
        if !is_same {
            self.has_news = true;
            self.stats.tls_trouble = trouble.cloned();
        }
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

    /// Events that are pending, of all levels.
    pub(crate) fn pending(&self) -> u64 {
        let pending = self.lanes.iter().map(|(_, lane)| lane.counts.pending);
        pending.sum()
    }

    /// Those that were not adopted.
    pub(crate) fn own_pending(&self) -> u64 {
        let spool = self.stats.spool.as_ref();
        self.pending() - spool.map_or(0, |spool| spool.adopted)
    }

    /// The counters, as of now.
    pub(crate) fn snapshot(&self, now: Instant) -> Stats {
        let mut stats = self.stats.clone();
        for (_, lane) in self.lanes.iter() {
            stats.add(lane.counts);
        }
        let ages = self.lanes.iter().map(|(_, lane)| &lane.ages);
        let waiting = ages.filter(|ages| ages.oldest().is_some());
        let oldest = waiting.min_by_key(|ages| ages.oldest());
        stats.timing = self.times.timing(oldest, now);
        if stats.pending == 0 {
            stats.timing.oldest_pending = None;
        }
        stats.closed = self.closed;
        self.times.tell_agents(&mut stats.agents, now);
        // Once the client has ended, those that were not stored are given up.
        if self.running > 0
            && let Some(spool) = &mut stats.spool
        {
            let lanes = self.lanes.iter().map(|(_, lane)| lane);
            let unstored = lanes.map(|lane| lane.store.unstored(lane.next).total());
            spool.unstored = unstored.sum();
        }
        stats
    }

    /// The client has ended, and what became of every event is known: callers are told.
    pub(super) fn settle(&mut self, wakers: &mut Vec<Waker>) {
        reached!("the client settles");
        self.let_go_adopted();
        let failed = self.stats.failed;
        if let Some(spool) = &mut self.stats.spool {
            let store = &self.lanes[Reliability::EndToEnd].store;
            spool.delivered_unstored += store.retired_unstored();
        }
        for (_, lane) in self.lanes.iter_mut() {
            lane.settle(failed, wakers);
        }
        self.stats.pending_bytes = 0;
    }

    /// Takes an emptied chunk back for reuse.
    pub(crate) fn give_back(&mut self, chunk: Chunk) {
        self.spares.give_back(chunk);
    }

    pub(crate) fn take_requests(&mut self, requests: &mut Vec<Request>) {
        requests.append(&mut self.requests);
    }

    /// Events of a level are retired.
    pub(crate) fn retire(
        &mut self,
        level: Reliability,
        range: SeqRange,
        bytes: u32,
        outcome: Outcome,
        now: Instant,
        wakers: &mut Vec<Waker>,
    ) {
        let lane = &mut self.lanes[level];
        let bytes = bytes as usize;
        let in_buffer = lane.store.on_retired(range, bytes);
        self.stats.pending_bytes -= in_buffer;
        lane.counts.retire(range.len(), outcome);
        lane.receipts.resolve(range, outcome, wakers);
        self.note(range.len(), outcome, now);
    }

    /// At most `events` events of a level with these numbers were in the spool and are not there any
    /// more.
    pub(crate) fn lose(
        &mut self,
        level: Reliability,
        range: SeqRange,
        events: u64,
        now: Instant,
        wakers: &mut Vec<Waker>,
    ) {
        let outcome = Outcome::Lost(Loss::Corrupt);
        let lane = &mut self.lanes[level];
        lane.counts.retire(events, outcome);
        lane.receipts.resolve(range, outcome, wakers);
        self.note(events, outcome, now);
    }

    /// Events of a level below this were sent once.
    pub(crate) fn sent(&mut self, level: Reliability, upto: Seq) {
        self.lanes[level].store.on_sent(upto);
    }

    fn note(&mut self, events: u64, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Delivered { agent } => {
                self.has_news |= self.times.on_delivered(agent, now);
                if let Some(agent) = self.stats.agents.get_mut(agent.index()) {
                    agent.delivered += events;
                }
            }
            Outcome::Lost(_) => {
                self.times.on_lost(now);
                self.has_news = true;
            }
        }
    }

    /// Events of a process that is gone are retired.
    pub(crate) fn retire_adopted(&mut self, events: u64, outcome: Outcome, now: Instant) {
        self.lanes[Reliability::EndToEnd]
            .counts
            .retire(events, outcome);
        self.note(events, outcome, now);
        if let Some(spool) = &mut self.stats.spool {
            spool.adopted -= events;
        }
    }

    /// `more` of them were found than was counted; fewer if it is negative.
    pub(crate) fn recount_adopted(&mut self, more: i64) {
        self.lanes[Reliability::EndToEnd].counts.recount(more);
        if let Some(spool) = &mut self.stats.spool {
            let adopted = spool.adopted.checked_add_signed(more);
            spool.adopted = adopted.expect("what is taken back was neither delivered nor lost");
        }
    }

    /// Events of a process that is gone were found.
    pub(super) fn find_adopted(&mut self, events: u64) {
        self.lanes[Reliability::EndToEnd].counts.recover(events);
        if let Some(spool) = &mut self.stats.spool {
            spool.adopted += events;
        }
    }

    /// Events of a process that is gone, which are not retired, are left to the next process.
    pub(crate) fn let_go_adopted(&mut self) {
        if let Some(spool) = &mut self.stats.spool {
            let left = std::mem::take(&mut spool.adopted);
            let counts = &mut self.lanes[Reliability::EndToEnd].counts;
            counts.recovered -= left;
            counts.pending -= left;
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

    /// The taker of a level's chunks goes to sleep, and is woken by nothing but the end of the client.
    pub(crate) fn sleep_until_closed(&mut self, level: Reliability, waker: &Waker) {
        if !self.closed {
            self.lanes[level].sleep_whatever_comes(waker);
        }
    }

    /// All takers of chunks that sleep.
    pub(super) fn sleepers(&mut self) -> impl Iterator<Item = Waker> {
        let lanes = self.lanes.iter_mut();
        lanes.filter_map(|(_, lane)| lane.wake_anyway())
    }

    /// Takes out waits for room whose callers are gone, whenever the list would have to grow.
    pub(super) fn waits_given_up(&mut self) -> Vec<RoomWait> {
        if self.ready.len() < self.ready.capacity() {
            return Vec::new();
        }
        let given_up = |wait: &mut RoomWait| wait.promise.is_given_up();
        self.ready.extract_if(.., given_up).collect()
    }

    /// Whether this can be taken at a level, with `capacity` bytes of the buffer for it. Inlined for
    /// `append`, which pays for each instruction of it.
    #[inline]
    pub(super) fn check_room(
        &self,
        level: Reliability,
        amount: Amount,
        capacity: usize,
    ) -> Result<(), Refusal> {
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
        self.lanes[level].store.check(amount, trouble)
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
    pub(super) fn push(&mut self, level: Reliability, event: &Event, adds_id: bool) -> (Seq, Name) {
        let lane = &mut self.lanes[level];
        let (number, bytes) = lane.push(&mut self.spares, event, adds_id);
        self.stats.pending_bytes += bytes;
        (number, if adds_id { Name::Given } else { Name::Own })
    }

    /// Takes all events of a batch that is not empty, by swapping buffers if they make one chunk.
    /// Returns the receipt of the last one.
    pub(super) fn push_encoded(&mut self, level: Reliability, batch: &mut EventBatch) -> Receipt {
        self.stats.pending_bytes += batch.bytes.len();
        self.lanes[level].push_encoded(&mut self.spares, batch)
    }
}
