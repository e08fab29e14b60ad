//! [`Committer`]: the thread that makes events durable, between intake and sender.
//!
//! Each turn takes what came in while the last one was written, so commits grow with the load and
//! nobody waits for a timer. A sync is an `fsync` of the device, not [`Client::flush`].
//!
//! [`Client::flush`]: crate::Client::flush
//!
//! | | when | costs |
//! |---|---|---|
//! | commit | something came in | one write per MiB, one sync |
//! | write of the cursor | 100 ms after an event was retired | one small write |
//! | save of the cursor | 1 s after an event was retired or committed; instead of the write if a segment has nothing left to send; at the end; earlier if the quota is short, after a commit that failed (both if there is such a segment), or when the directory was lost | one small write, one sync |
//! | a look whether the directory is still there | with each commit and save; 30 s after the last look, or 2 s after one that failed | two system calls |
//! | a look at segments that cannot be read | 1 s after the last, then twice as long, up to 30 s | a few system calls for each, if there are any, on the thread that reads |
//! | another try | 50 ms after trouble, then twice as long, up to 2 s; 2 s after a sync that failed and was not part of a commit | a commit, or the beginning of a segment if nothing waits to be stored any more; a sync |
//!
//! The steps of a turn stand in one file, in their order: each reads what the one before has left, the
//! log above all. What can be decided without it is beside: [`Spill`], [`Uncommitted`],
//! [`CursorTimer`], [`UnreadTimer`].
//!
//! What [others](crate::spool::places) left behind is looked after here, too: see [`Adoption`].
//!
//! What somebody waits for goes to the sender before it is written: an agent then takes it while the
//! disk does, and who waits does not wait for one after the other. It is stored all the same, and
//! a receipt says so as ever.
//!
//! At the level store on failure nothing of that happens as long as agents take events: they go to the
//! sender from memory, and are stored when [`Spill`] says so.
//!
//! While there is trouble, events wait in memory: those of one turn here, the others in the
//! intake, whose bound holds. What the disk does not take for two seconds, or when the client is
//! closed, is delivered from memory ([`Uncommitted`]).

mod adoption;
mod cursor_timer;
mod spill;
#[cfg(test)]
mod tests;
mod uncommitted;
mod unread_timer;

use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use adoption::Adoption;
use cursor_timer::{CursorTimer, Due, SAVE_AFTER};
use spill::{Memory, Spill};
use uncommitted::Uncommitted;
use unread_timer::UnreadTimer;

use crate::clock::Clock;
use crate::config::{Sizes, SpoolConfig, SyncMode};
use crate::own_thread;
use crate::queue::{
    Amount, BlockingThread, Chunk, CommitReport, DurableMark, Guard, Handover, Intake, Retirements,
    Turn, Unpark, wakeup,
};
use crate::reliability::Reliability;
use crate::seq::Seq;
use crate::situations::reached;
use crate::spool::{Level, Location, Log, Neighbours, Recovered, Removed, Settings, SpoolError};

/// How often it is looked whether the directory is still there, when nothing is written.
const CHECK_AFTER: Duration = Duration::from_secs(30);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The writing side of a client's spool, and everyone it deals with.
pub(crate) struct Committer {
    /// Whose events it stores.
    level: Reliability,
    /// When, if not always.
    spill: Option<Spill>,
    log: Log,
    directory: Arc<dyn Location>,
    spool: SpoolConfig,
    sizes: Sizes,
    /// Where the disk is read.
    reading: BlockingThread,
    partners: Partners,
    adoption: Adoption,
    uncommitted: Uncommitted,
    /// Nothing more comes in.
    is_closed: bool,
    /// Stored chunks, not handed on yet.
    stored: Vec<Chunk>,
    taken: Vec<Chunk>,
    retired: Retirements,
    report: CommitReport<'static>,
    /// Error of the last commit.
    trouble: Option<Arc<SpoolError>>,
    /// When to try again, and how long that wait is.
    retry: Option<(Instant, Duration)>,
    /// Error of the last look at the directory.
    check_trouble: Option<Arc<SpoolError>>,
    /// Error of the last sync that was not part of a commit.
    sync_trouble: Option<Arc<SpoolError>>,
    /// Such syncs that failed one after the other.
    failed_syncs: u32,
    timers: Timers,
    newest_segment: Option<u64>,
    saved: bool,
}

/// What was decided about a spool.
pub(crate) struct Plan {
    pub(crate) level: Reliability,
    /// The level's part of the buffer, in bytes.
    pub(crate) buffer_share: usize,
    pub(crate) spool: SpoolConfig,
    pub(crate) settings: Settings,
    pub(crate) sizes: Sizes,
    /// Draws what the runs of places that are adopted are named by.
    pub(crate) draw: Box<dyn FnMut() -> u64 + Send>,
}

/// Whom the committer deals with.
pub(crate) struct Partners {
    pub(crate) intake: Arc<Intake>,
    pub(crate) handover: Arc<Handover>,
    pub(crate) mark: Arc<DurableMark>,
    /// Work on a disk takes long, so the time is asked for again in between.
    pub(crate) clock: Arc<dyn Clock>,
}

/// When something is due, if it is.
struct Timers {
    cursor: CursorTimer,
    sync: Option<Instant>,
    check: Instant,
    unread: UnreadTimer,
}

impl Committer {
    /// The writing side of what `log` and `directory` hold, in a place under `spool`.
    pub(crate) fn new(
        log: Log,
        directory: Arc<dyn Location>,
        plan: Plan,
        reading: BlockingThread,
        partners: Partners,
        neighbours: Option<Box<dyn Neighbours>>,
    ) -> Self {
        let Plan {
            level,
            buffer_share,
            spool,
            settings,
            sizes,
            draw,
        } = plan;
        let (place, now) = (directory.path(), partners.clock.now());
        let adoption = Adoption::new(
            neighbours,
            settings,
            sizes,
            draw,
            reading.clone(),
            place,
            now,
        );
        let spills = level == Reliability::StoreOnFailure;
        let spill = spills.then(|| Spill::new(buffer_share, log.backlog() > 0));
        Self {
            level,
            spill,
            log,
            directory,
            adoption,
            spool,
            sizes,
            reading,
            partners,
            uncommitted: Uncommitted::default(),
            is_closed: false,
            stored: Vec::new(),
            taken: Vec::new(),
            retired: Retirements::default(),
            report: CommitReport::default(),
            trouble: None,
            retry: None,
            check_trouble: None,
            sync_trouble: None,
            failed_syncs: 0,
            timers: Timers {
                cursor: CursorTimer::default(),
                sync: None,
                check: now + CHECK_AFTER,
                unread: UnreadTimer::default(),
            },
            newest_segment: None,
            saved: false,
        }
    }

    /// The body of the thread, which holds the guard.
    pub(crate) fn run(mut self, guard: Guard) {
        own_thread::let_clients_wait_for_it();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match self.turn(&waker) {
                Turn::Again => {}
                Turn::Sleep { until: None } => thread::park(),
                Turn::Sleep { until: Some(at) } => {
                    let now = self.partners.clock.now();
                    thread::park_timeout(at.saturating_duration_since(now));
                }
                Turn::End => break,
            }
        }
        self.finish();
        // The spool is let go of before it is said so.
        drop(self);
        guard.end();
    }

    /// Does what is to be done, once. The `waker` is woken when there is more.
    pub(crate) fn turn(&mut self, waker: &Waker) -> Turn {
        let finishing = self.take_retired();
        let (now, intake) = (self.now(), &self.partners.intake);
        self.adoption.work(now, finishing, intake, waker);
        let is_exhausted = self.take_chunks();
        self.keep_directory(finishing);
        self.begin_to_spill(finishing);
        self.send_awaited();
        self.commit(finishing);
        self.sync();
        // The others are told of it with the news of a save.
        let (log, now) = (&mut self.log, self.partners.clock.now());
        self.saved |= self
            .timers
            .unread
            .look_again(log, &self.reading, now, waker);
        self.save(finishing);
        self.settle();
        let now = self.now();
        self.hand_on_unstored(now);
        if is_exhausted && self.uncommitted.is_empty() {
            self.partners.handover.drained();
        }
        if !finishing {
            self.sleep(waker, now)
        } else if is_exhausted || !self.uncommitted.is_empty() {
            if !self.uncommitted.is_empty() {
                reached!("the client ends with events that the disk does not take");
            }
            Turn::End
        } else {
            Turn::Again
        }
    }

    /// After the last turn.
    pub(crate) fn finish(&mut self) {
        if self.spool.sync != SyncMode::Always {
            self.sync_now();
            self.settle();
        }
        self.timers.unread.finish(&self.reading);
    }

    fn now(&self) -> Instant {
        self.partners.clock.now()
    }

    /// Takes in what is retired. `true`: the client ends.
    fn take_retired(&mut self) -> bool {
        self.retired.clear();
        let finishing = self.partners.handover.take_retired(&mut self.retired);
        for range in &self.retired.ranges {
            self.log.retire(*range);
        }
        for segment in &self.retired.damaged {
            self.log.mark_damaged(*segment);
        }
        if self.retired.events > 0 {
            // What was never on the disk need not be noted there.
            let mut ranges = self.retired.ranges.iter();
            if self.stores() || ranges.any(|range| self.log.may_hold(*range)) {
                self.timers.cursor.on_retired(self.partners.clock.now());
            }
            if !self.uncommitted.is_empty() {
                // Some of them may be delivered, and need not be stored any more.
                let before = self.log.settled_upto();
                self.log.forget_retired();
                let upto = self.log.settled_upto();
                self.report.forgotten_events += upto.since(before);
                let settled = self.uncommitted.settle(upto, &mut self.stored);
                if settled > 0 {
                    reached!("what waits for the disk need not be stored any more");
                }
                self.report.settled_bytes += settled;
            }
            self.end_spill();
        }
        finishing
    }

    /// Whether events go to the disk as they come.
    fn stores(&self) -> bool {
        self.spill.as_ref().is_none_or(|spill| spill.stores)
    }

    /// What is in memory, at the level store on failure.
    fn memory(&self) -> Memory {
        Memory {
            oldest: self.uncommitted.oldest(),
            bytes: self.uncommitted.bytes(),
            agents_rest: self.partners.handover.do_agents_rest(),
        }
    }

    /// Has what is in memory go to the disk from now on, if it is time for that.
    fn begin_to_spill(&mut self, finishing: bool) {
        let (memory, now) = (self.memory(), self.now());
        if let Some(spill) = &mut self.spill
            && spill.begins(memory, finishing, now)
        {
            // Some of what goes there was acknowledged before, and must not come again.
            self.save_within(Duration::ZERO);
            self.save(finishing);
            self.log_uncommitted();
        }
    }

    /// Events are retired: has those that come stay in memory, if agents have caught up.
    fn end_spill(&mut self) {
        let handover = &self.partners.handover;
        if let Some(spill) = &mut self.spill
            && self.trouble.is_none()
            && !handover.do_agents_rest()
            && handover.is_read()
        {
            spill.ends();
        }
    }

    /// Takes what came in, unless what came before cannot be stored. `true`: nothing more comes.
    fn take_chunks(&mut self) -> bool {
        let now = self.now();
        let mut state = self.partners.intake.lock_soon();
        if self.uncommitted.takes_more() || !self.stores() {
            state.take_chunks(self.level, &mut self.taken, self.sizes.commit, now);
        }
        let is_exhausted = state.is_exhausted(self.level);
        self.is_closed = state.is_closed();
        drop(state);
        for chunk in self.taken.drain(..) {
            self.uncommitted.push(chunk, now);
        }
        if self.stores() {
            self.log_uncommitted();
        }
        is_exhausted
    }

    /// Hands to the log what it does not have, and begins to write if that is much.
    fn log_uncommitted(&mut self) {
        let (log, report) = (&mut self.log, &mut self.report);
        let mut unwritten = 0;
        self.uncommitted.log(|chunk| {
            push(chunk, log, report);
            unwritten += chunk.frame_bytes();
            if unwritten >= self.sizes.write {
                reached!("a commit is begun while it is made");
                log.write(self.partners.clock.unix_ms());
                unwritten = 0;
            }
        });
    }

    /// Looks whether the directory is still there, if that is due, and goes on in another one if it
    /// is not.
    fn keep_directory(&mut self, finishing: bool) {
        let now = self.now();
        if self.timers.check <= now {
            let checked = self.directory.check_place().map_err(SpoolError::from);
            // A client without events does nothing else that could tell when it is over.
            let again = checked.as_ref().map_or(RETRY_MAX, |()| CHECK_AFTER);
            self.timers.check = now + again;
            self.check_trouble = checked.err().map(Arc::new);
        }
        let retries = self.retry.is_none_or(|(at, _)| at <= now);
        let is_lost = self.troubles().any(|trouble| {
            matches!(
                **trouble,
                SpoolError::Removed(Removed::Lock | Removed::Directory)
            )
        });
        if !(is_lost && (retries || finishing)) {
            return;
        }
        let root = self.spool.shared.then_some(self.spool.directory.as_path());
        let below = self.log.next_segment_id();
        let recovered = self.directory.recover(root, below);
        if let Ok(Recovered::Another) = recovered {
            self.log.leave();
            self.saved = true;
            let own = self.directory.path();
            let notes = self.directory.notes();
            self.adoption
                .own_place_is(own, notes, &self.partners.intake);
        }
        if recovered.is_ok() {
            self.check_trouble = None;
            // The sync that is to come tells whether there is another.
            (self.sync_trouble, self.failed_syncs) = (None, 0);
        }
        // The cursor tells whether it was of use.
        self.save_within(Duration::ZERO);
    }

    fn commit(&mut self, finishing: bool) {
        if !self.stores() && !self.uncommitted.is_empty() {
            return;
        }
        let is_early = self.retry.is_some_and(|(at, _)| self.now() < at);
        if self.uncommitted.is_empty() {
            // All was delivered from memory. Without a try nobody would know when the trouble is over.
            if self.trouble.is_some() && !is_early && !finishing {
                reached!("the disk is tried with nothing to store");
                let begun = self.log.begin(self.partners.clock.unix_ms());
                self.on_tried(begun);
            }
            return;
        }
        if is_early && !finishing {
            reached!("a commit waits for the next try");
            return;
        }
        let before = self.log.settled_upto();
        let committed = self.log.flush(self.partners.clock.unix_ms());
        let upto = self.log.settled_upto();
        self.report.settled_bytes += self.uncommitted.settle(upto, &mut self.stored);
        if upto > before {
            self.report.stored_events += upto.since(before);
            self.report.commits += 1;
            // That these are durable is to be known, too.
            self.save_within(SAVE_AFTER);
            if let SyncMode::Interval(interval) = self.spool.sync {
                let due = self.now() + interval;
                self.timers.sync.get_or_insert(due);
            }
        }
        self.on_tried(committed);
    }

    /// The disk has taken everything, or has not.
    fn on_tried(&mut self, tried: Result<(), SpoolError>) {
        match tried {
            Ok(()) => {
                if self.trouble.is_some() {
                    reached!("the disk takes events again");
                    // With a save what could not be removed meanwhile gives its room back.
                    self.save_within(Duration::ZERO);
                }
                self.trouble = None;
                self.retry = None;
                self.uncommitted.recover();
            }
            Err(trouble) => {
                reached!("the disk takes no events");
                self.uncommitted.fail(self.now());
                self.trouble = Some(Arc::new(trouble));
                let wait = self.retry.map_or(RETRY_FIRST, |(_, wait)| wait * 2);
                let wait = wait.min(RETRY_MAX);
                self.retry = Some((self.now() + wait, wait));
                if self.log.has_drained_segment() {
                    // What is retired may be all the room there is.
                    self.save_within(Duration::ZERO);
                }
            }
        }
    }

    /// Hands on to the sender what the disk does not take, if that has lasted.
    fn hand_on_unstored(&mut self, now: Instant) {
        let at = self
            .uncommitted
            .hand_on_at(self.is_closed || self.spill.is_some());
        let is_due = at.is_some_and(|at| at <= now);
        if is_due {
            reached!("what the disk does not take is handed on");
        }
        if is_due || !self.stores() {
            self.send_unstored(Seq::MAX);
        }
    }

    /// Hands on to the sender what somebody waits for, if it sends what comes from memory.
    fn send_awaited(&mut self) {
        let awaited = self.partners.intake.awaited.upto()[self.level];
        let is_awaited = self.uncommitted.first().is_some_and(|it| it < awaited);
        // A disk that takes nothing has its time to do so, and a sender that reads has no use for it.
        if is_awaited && self.trouble.is_none() && self.partners.handover.is_read() {
            reached!("what somebody waits for is sent while the disk stores it");
            self.send_unstored(awaited);
        }
    }

    /// Hands on to the sender chunks that begin below `upto`, as far as it has room for them.
    fn send_unstored(&mut self, upto: Seq) {
        let (log, report) = (&mut self.log, &mut self.report);
        let handover = &self.partners.handover;
        self.uncommitted.hand_on(
            upto,
            |chunk| push(chunk, log, report),
            |chunk| handover.unstored(chunk),
        );
    }

    /// Makes what was written durable, if that is not done with each commit.
    fn sync(&mut self) {
        let now = self.now();
        let due = self.timers.sync.take_if(|at| *at <= now);
        if due.is_some() {
            self.sync_now();
        }
    }

    /// The trouble stays until it succeeds, whatever comes in. After the first failed sync a new
    /// segment is begun; after the last of several, one more. Not one per failure: that would use
    /// up the quota.
    fn sync_now(&mut self) {
        let synced = self.directory.flush();
        let failed_before = self.failed_syncs;
        self.failed_syncs = match synced {
            Ok(()) => 0,
            Err(_) => failed_before.saturating_add(1),
        };
        if self.failed_syncs == 1 || synced.is_ok() && failed_before > 1 {
            self.log.distrust_active();
        }
        if synced.is_err() {
            self.timers.sync = Some(self.now() + RETRY_MAX);
        }
        self.sync_trouble = synced.map_err(SpoolError::from).err().map(Arc::new);
    }

    /// What keeps events from being stored.
    fn troubles(&self) -> impl Iterator<Item = &Arc<SpoolError>> + Clone {
        let of_events = [self.trouble.as_ref(), self.timers.cursor.trouble()];
        let of_the_disk = [self.check_trouble.as_ref(), self.sync_trouble.as_ref()];
        of_events.into_iter().chain(of_the_disk).flatten()
    }

    /// Which trouble is shown. If the disk fails, the quota fills too, so `Quota` is shown only if
    /// it is alone.
    fn told(&self) -> Option<&Arc<SpoolError>> {
        let mut others = self.troubles().filter(|it| ***it != SpoolError::Quota);
        others.next().or_else(|| self.troubles().next())
    }

    /// Writes or saves the cursor if that is due, and makes the next reserve.
    fn save(&mut self, finishing: bool) {
        let (now, timer) = (self.now(), &self.timers.cursor);
        let mut due = timer.due(now, &self.log);
        if timer.is_set() && finishing {
            due = Some(Due::Save);
        } else if timer.is_set() && self.is_short_of_room() && self.log.has_drained_segment() {
            reached!("the cursor is saved for want of room");
            due = Some(Due::Save);
        }
        let Some(due) = due else {
            return;
        };
        let done = due.work(&mut self.log);
        let now = self.now();
        self.timers.cursor.on_done(due, done, now);
        if due == Due::Note {
            return;
        }
        self.saved = true;
        if !self.log.has_left() {
            self.directory.forget_former();
        }
        // Without a reserve everything works, except a start on a full disk.
        let _ = self.log.reserve();
    }

    /// Brings everyone's view up to date: the callers' before the sender's, so that an event that is
    /// sent after it was stored also counts as stored before it is acknowledged.
    fn settle(&mut self) {
        let mut wakers = Vec::new();
        let gone = self.gone();
        let mut state = self.partners.intake.lock_soon();
        let report = CommitReport {
            left: self.log.room(),
            stored_upto: self.log.settled_upto(),
            disk_bytes: self.log.disk_bytes(),
            gone,
            trouble: self.told().or(self.adoption.trouble()),
            ..self.report
        };
        state.on_stored(self.level, &report);
        self.partners.intake.offer_room(&mut state, &mut wakers);
        wakers.extend(state.listener_for_news());
        drop(state);
        wakeup::wake(wakers);
        if self.report.settled_bytes > 0 {
            self.partners.mark.advance(self.log.settled_upto());
        }
        let is_news = self.report.settled_bytes > 0;
        self.report = CommitReport::default();
        self.hand_on(is_news);
    }

    /// Hands on to the sender what is stored.
    fn hand_on(&mut self, is_news: bool) {
        let changed = self.saved || self.newest_segment != self.log.newest_segment();
        if !changed && !is_news {
            return;
        }
        self.saved = false;
        self.newest_segment = self.log.newest_segment();
        let segments = changed.then(|| self.log.segments());
        let upto = self.log.readable_upto();
        self.partners
            .handover
            .stored(&mut self.stored, upto, segments);
        if !self.stored.is_empty() {
            // The sender does not keep up, and reads these from the disk.
            reached!("the sender does not keep up");
            let mut state = self.partners.intake.lock_soon();
            self.stored
                .drain(..)
                .for_each(|chunk| state.give_back(chunk));
        }
    }

    /// Events that were stored, in a directory that was removed, as [`Log::left`] counts them.
    fn gone(&self) -> (Seq, u64) {
        if self.log.has_left() && self.directory.is_former_gone() {
            return self.log.left();
        }
        (Seq::ZERO, 0)
    }

    fn is_short_of_room(&self) -> bool {
        self.log.room() < self.sizes.commit as u64
    }

    /// Until when there is nothing to do, if nobody wakes the thread.
    fn sleep(&self, waker: &Waker, now: Instant) -> Turn {
        if !self.listen(waker) {
            return Turn::Again;
        }
        let retry = self.retry.map(|(at, _)| at);
        let unstored = self
            .uncommitted
            .hand_on_at(self.is_closed || self.spill.is_some());
        // If its time has come already, it waits for room, which comes with what is retired.
        let unstored = unstored.filter(|at| *at > now);
        let (cursor, sync) = (self.timers.cursor.deadline(), self.timers.sync);
        let check = Some(self.timers.check);
        let adoption = self.adoption.deadline();
        let unread = self.timers.unread.deadline();
        let spill = self
            .spill
            .as_ref()
            .and_then(|it| it.deadline(self.memory()));
        let timers = [
            cursor, sync, retry, unstored, check, unread, adoption, spill,
        ];
        let until = timers.into_iter().flatten().min();
        Turn::Sleep { until }
    }

    /// Has those wake the thread who may have something for it. `false`: somebody has.
    fn listen(&self, waker: &Waker) -> bool {
        // With everything durable, the first event is news; after trouble, only the end is.
        let mut state = self.partners.intake.lock_soon();
        if state.is_closed() != self.is_closed {
            // Who closed the client found nobody asleep, and wakes nobody later.
            reached!("a close comes before the committer sleeps");
            return false;
        }
        let wanted = match self.uncommitted.takes_more() {
            true => Amount::SOME,
            // What waits here waits for an agent.
            false => Amount {
                events: usize::MAX,
                bytes: self.sizes.chunk,
            },
        };
        if self.stores() && !self.uncommitted.takes_more() {
            reached!("the committer takes nothing before the disk does");
            state.sleep_until_closed(self.level, waker);
        } else if !state.lanes[self.level].sleep(waker, wanted) {
            return false;
        }
        drop(state);
        // What is retired can wait for the timer that it starts.
        let is_started = self.timers.cursor.is_started();
        // But not if it need not be stored any more.
        let may_wait = !self.is_short_of_room() && self.uncommitted.is_empty();
        let events = if is_started && may_wait { u64::MAX } else { 1 };
        self.partners.handover.sleep(waker, events) && self.adoption.sleep(waker)
    }

    fn save_within(&mut self, wait: Duration) {
        let now = self.now();
        self.timers.cursor.save_within(wait, now);
    }
}

/// Hands a chunk to the log.
fn push(chunk: &Chunk, log: &mut Log, report: &mut CommitReport<'_>) {
    let first = log.push(&chunk.ends, &chunk.bytes, Level::EndToEnd);
    assert_eq!(first, chunk.first, "intake and log number events alike");
    report.counted += chunk.frame_bytes();
}
