//! [`Committer`]: the thread that makes events durable, between intake and worker.
//!
//! Each round takes what came in while the last one was written, so commits grow with the load and
//! nobody waits for a timer.
//!
//! | | when | costs |
//! |---|---|---|
//! | commit | something came in | one write, one flush of the device |
//! | save of the cursor | 100 ms after an event was done with; 1 s after the last commit; at the end | one small write, one flush |
//! | a look whether the directory is still there | with each of these; 30 s after the last look, or 2 s after one that failed | two system calls |
//! | a look at segments that cannot be read | 1 s after the last, then twice as long, up to 30 s | a few system calls for each, if there are any, on the thread that reads |
//! | another try | 50 ms after trouble, then twice as long, up to 2 s; 2 s after a flush that was not part of a commit | a commit, or the beginning of a segment if nothing waits to be stored any more; a flush |
//!
//! What [others](crate::spool::places) left behind is looked after here, too: see [`Adoption`].
//!
//! While there is trouble, events wait in memory: those of one round here, the others in the
//! intake, whose bound holds. What the disk does not take for two seconds, or when the client is
//! closed, is delivered from memory ([`Uncommitted`]).

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::adoption::Adoption;
use crate::blocking::BlockingThread;
use crate::chunk::Chunk;
use crate::config::{SpoolConfig, SyncMode};
use crate::disk::StoredNews;
use crate::handover::{Handover, Retirements, SAVE_AFTER};
use crate::intake::Intake;
use crate::life::Guard;
use crate::spool::{Directory, Level, Log, Recovered, Removed, Settings, Trouble};
use crate::stored::{StoredMark, Unpark};
use crate::uncommitted::Uncommitted;
use crate::unread_timer::UnreadTimer;
use crate::wakeup;

/// Bytes of events taken into one commit, but for the last chunk.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of them that are written at once, so that the disk begins with them.
const WRITE_BYTES: u64 = 1024 * 1024;
/// How long after the last commit the cursor notes that it is durable.
const NOTE_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked whether the directory is still there, when nothing is written.
const CHECK_AFTER: Duration = Duration::from_secs(30);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The writing side of a client's spool, and everyone it deals with.
pub(crate) struct Committer {
    log: Log,
    directory: Arc<Directory>,
    spool: SpoolConfig,
    /// Where the disk is read.
    reading: BlockingThread,
    partners: Partners,
    adoption: Adoption,
    uncommitted: Uncommitted,
    /// Nothing more comes in.
    is_closed: bool,
    /// Chunks that are, to be handed on.
    stored: Vec<Chunk>,
    taken: Vec<Chunk>,
    retired: Retirements,
    news: StoredNews<'static>,
    /// Of the last commit, and when to try again after how long a wait.
    trouble: Option<Arc<Trouble>>,
    retry: Option<(Instant, Duration)>,
    /// Of the last save.
    save_trouble: Option<Arc<Trouble>>,
    /// Of the last look at the directory.
    check_trouble: Option<Arc<Trouble>>,
    /// Of the last flush that was not part of a commit.
    sync_trouble: Option<Arc<Trouble>>,
    /// Such flushes that failed one after the other.
    failed_syncs: u32,
    timers: Timers,
    newest_segment: Option<u64>,
    saved: bool,
}

/// Whom the committer deals with.
pub(crate) struct Partners {
    pub(crate) intake: Arc<Intake>,
    pub(crate) handover: Arc<Handover>,
    pub(crate) mark: Arc<StoredMark>,
}

/// When something is due, if it is.
struct Timers {
    save: Option<Instant>,
    /// A save only to note what is durable.
    note: Option<Instant>,
    sync: Option<Instant>,
    check: Instant,
    unread: UnreadTimer,
}

impl Committer {
    /// The writing side of what `log` and `directory` hold, in a place under `spool`.
    pub(crate) fn new(
        log: Log,
        directory: Arc<Directory>,
        spool: SpoolConfig,
        settings: Settings,
        reading: BlockingThread,
        partners: Partners,
    ) -> Self {
        let place = directory.path();
        let now = Instant::now();
        let adoption = Adoption::new(spool.clone(), settings, reading.clone(), place, now);
        Self {
            log,
            directory,
            adoption,
            spool,
            reading,
            partners,
            uncommitted: Uncommitted::default(),
            is_closed: false,
            stored: Vec::new(),
            taken: Vec::new(),
            retired: Retirements::default(),
            news: StoredNews::default(),
            trouble: None,
            retry: None,
            save_trouble: None,
            check_trouble: None,
            sync_trouble: None,
            failed_syncs: 0,
            timers: Timers {
                save: None,
                note: None,
                sync: None,
                check: Instant::now() + CHECK_AFTER,
                unread: UnreadTimer::default(),
            },
            newest_segment: None,
            saved: false,
        }
    }

    /// The body of the thread, which holds the guard.
    pub(crate) fn run(mut self, guard: Guard) {
        wakeup::enter_thread_of_a_client();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            let finishing = self.take_retired();
            let intake = &self.partners.intake;
            self.adoption
                .work(Instant::now(), finishing, intake, &waker);
            let is_exhausted = self.take_chunks();
            self.keep_directory(finishing);
            self.commit(finishing);
            self.sync();
            // The others are told of it with the news of a save.
            let (log, now) = (&mut self.log, Instant::now());
            self.saved |= self
                .timers
                .unread
                .look_again(log, &self.reading, now, &waker);
            self.save(finishing);
            self.settle();
            self.hand_on_unstored();
            if is_exhausted && self.uncommitted.is_empty() {
                self.partners.handover.drained();
            }
            if !finishing {
                self.sleep(&waker);
            } else if is_exhausted || !self.uncommitted.is_empty() {
                break;
            }
        }
        if self.spool.sync != SyncMode::Always {
            self.sync_now();
            self.settle();
        }
        self.timers.unread.finish();
        // The spool is let go of before it is said so.
        drop(self);
        guard.end();
    }

    /// Takes in what is done with. `true`: the client ends.
    fn take_retired(&mut self) -> bool {
        self.retired.clear();
        let finishing = self.partners.handover.take_retired(&mut self.retired);
        for (first, end) in &self.retired.ranges {
            self.log.retire(*first, *end);
        }
        for segment in &self.retired.damaged {
            self.log.mark_damaged(*segment);
        }
        if self.retired.events > 0 {
            self.save_within(SAVE_AFTER);
            if !self.uncommitted.is_empty() {
                // Some of them may be delivered, and need not be stored any more.
                self.log.forget_retired();
                let upto = self.log.settled_upto();
                self.news.settled_bytes += self.uncommitted.settle(upto, &mut self.stored);
            }
        }
        finishing
    }

    /// Takes what came in, unless what came before cannot be stored. `true`: nothing more comes.
    fn take_chunks(&mut self) -> bool {
        let mut state = self.partners.intake.lock_soon();
        if self.uncommitted.takes_more() {
            state.take_chunks(&mut self.taken, COMMIT_BYTES);
        }
        let is_exhausted = state.is_exhausted();
        self.is_closed = state.is_closed();
        drop(state);
        let mut unwritten = 0;
        for chunk in self.taken.drain(..) {
            let first = self.log.push(&chunk.ends, &chunk.bytes, Level::EndToEnd);
            assert_eq!(first, chunk.first, "intake and log number events alike");
            self.news.counted += chunk.frame_bytes();
            unwritten += chunk.frame_bytes();
            if unwritten >= WRITE_BYTES {
                self.log.write(now_ms());
                unwritten = 0;
            }
            self.uncommitted.push(chunk);
        }
        is_exhausted
    }

    /// Looks whether the directory is still there, if that is due, and goes on in another one if it
    /// is not.
    fn keep_directory(&mut self, finishing: bool) {
        let now = Instant::now();
        if self.timers.check <= now {
            let checked = self.directory.check_place().map_err(Trouble::from);
            // A client without events does nothing else that could tell when it is over.
            let again = checked.as_ref().map_or(RETRY_MAX, |()| CHECK_AFTER);
            self.timers.check = now + again;
            self.check_trouble = checked.err().map(Arc::new);
        }
        let retries = self.retry.is_none_or(|(at, _)| at <= now);
        let is_lost = self.troubles().any(|trouble| {
            matches!(
                **trouble,
                Trouble::Removed(Removed::Lock | Removed::Directory)
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
            // The flush that is to come tells whether there is another.
            (self.sync_trouble, self.failed_syncs) = (None, 0);
        }
        // The cursor tells whether it was of use.
        self.save_within(Duration::ZERO);
    }

    fn commit(&mut self, finishing: bool) {
        let is_early = self.retry.is_some_and(|(at, _)| Instant::now() < at);
        if self.uncommitted.is_empty() {
            // All was delivered from memory. Without a try nobody knew when the trouble is over.
            if self.trouble.is_some() && !is_early && !finishing {
                let begun = self.log.begin(now_ms());
                self.on_tried(begun);
            }
            return;
        }
        if is_early && !finishing {
            return;
        }
        let before = self.log.settled_upto();
        let committed = self.log.flush(now_ms());
        let upto = self.log.settled_upto();
        self.news.settled_bytes += self.uncommitted.settle(upto, &mut self.stored);
        if upto > before {
            self.news.stored_events += upto - before;
            self.news.commits += 1;
            self.timers.note = Some(Instant::now() + NOTE_AFTER);
            if let SyncMode::Interval(interval) = self.spool.sync {
                let due = Instant::now() + interval;
                self.timers.sync.get_or_insert(due);
            }
        }
        self.on_tried(committed);
    }

    /// The disk has taken everything, or has not.
    fn on_tried(&mut self, tried: Result<(), Trouble>) {
        match tried {
            Ok(()) => {
                self.trouble = None;
                self.retry = None;
                self.uncommitted.recover();
            }
            Err(trouble) => {
                self.uncommitted.fail(Instant::now());
                self.trouble = Some(Arc::new(trouble));
                let wait = self.retry.map_or(RETRY_FIRST, |(_, wait)| wait * 2);
                let wait = wait.min(RETRY_MAX);
                self.retry = Some((Instant::now() + wait, wait));
                if self.log.has_drained_segment() {
                    // What is done with may be all the room there is.
                    self.save_within(Duration::ZERO);
                }
            }
        }
    }

    /// Hands on to the worker what the disk does not take, if that has lasted.
    fn hand_on_unstored(&mut self) {
        let at = self.uncommitted.hand_on_at(self.is_closed);
        if at.is_some_and(|at| at <= Instant::now()) {
            let handover = &self.partners.handover;
            self.uncommitted.hand_on(|chunk| handover.unstored(chunk));
        }
    }

    /// Makes what was written durable, if that is not done with each commit.
    fn sync(&mut self) {
        let due = self.timers.sync.take_if(|at| *at <= Instant::now());
        if due.is_some() {
            self.sync_now();
        }
    }

    /// The trouble stays until it succeeds, whatever comes in. A segment is given up after the
    /// first failure, and the one that was written during further ones when they are over: one for
    /// each would use up the quota for a few events.
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
            self.timers.sync = Some(Instant::now() + RETRY_MAX);
        }
        self.sync_trouble = synced.map_err(Trouble::from).err().map(Arc::new);
    }

    /// What keeps events from being stored.
    fn troubles(&self) -> impl Iterator<Item = &Arc<Trouble>> + Clone {
        let of_events = [&self.trouble, &self.save_trouble];
        let of_the_disk = [&self.check_trouble, &self.sync_trouble];
        of_events.into_iter().chain(of_the_disk).flatten()
    }

    /// The one that is told. A quota that is used up is what follows from a disk that fails.
    fn told(&self) -> Option<&Arc<Trouble>> {
        let mut others = self.troubles().filter(|it| ***it != Trouble::Quota);
        others.next().or_else(|| self.troubles().next())
    }

    /// Saves the cursor if it is due, and makes the next reserve.
    fn save(&mut self, finishing: bool) {
        let (now, timers) = (Instant::now(), &self.timers);
        let due = [timers.save, timers.note].into_iter().flatten().min();
        let is_due = due.is_some_and(|at| finishing || at <= now);
        let is_short = timers.save.is_some() && self.is_short_of_room();
        if !(is_due || is_short && self.log.has_drained_segment()) {
            return;
        }
        (self.timers.save, self.timers.note) = (None, None);
        let saved = self.log.save();
        self.saved = true;
        if saved.is_err() {
            self.save_within(RETRY_MAX);
        }
        self.save_trouble = saved.err().map(Arc::new);
        if !self.log.has_left() {
            self.directory.forget_former();
        }
        // Without a reserve everything works, but for a start on a full disk.
        let _ = self.log.reserve();
    }

    /// Brings everyone's view up to date: the callers' before the worker's, so that no event is
    /// acknowledged before it counts as stored.
    fn settle(&mut self) {
        let mut wakers = Vec::new();
        let gone = self.gone();
        let mut state = self.partners.intake.lock_soon();
        state.on_stored(&StoredNews {
            room: self.log.room(),
            stored_upto: self.log.settled_upto(),
            disk_bytes: self.log.disk_bytes(),
            gone,
            trouble: self.told().or(self.adoption.trouble()),
            ..self.news
        });
        self.partners.intake.offer_room(&mut state, &mut wakers);
        wakers.extend(state.listener_for_news());
        drop(state);
        wakeup::wake(wakers);
        if self.news.settled_bytes > 0 {
            self.partners.mark.advance(self.log.settled_upto());
        }
        let is_news = self.news.settled_bytes > 0;
        self.news = StoredNews::default();
        self.hand_on(is_news);
    }

    /// Hands on to the worker what is stored.
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
            // The worker does not keep up, and reads these from the disk.
            let mut state = self.partners.intake.lock_soon();
            self.stored
                .drain(..)
                .for_each(|chunk| state.give_back(chunk));
        }
    }

    /// Events that were stored, in a directory that was removed, as [`Log::left`] counts them.
    fn gone(&self) -> (u64, u64) {
        if !self.log.has_left() {
            return (0, 0);
        }
        match self.directory.is_former_gone() {
            true => self.log.left(),
            false => (0, 0),
        }
    }

    fn is_short_of_room(&self) -> bool {
        self.log.room() < COMMIT_BYTES as u64
    }

    /// Sleeps until there is something to do.
    fn sleep(&mut self, waker: &Waker) {
        if !self.listen(waker) {
            return;
        }
        let retry = self.retry.map(|(at, _)| at);
        let unstored = self.uncommitted.hand_on_at(self.is_closed);
        // If its time has come already, it waits for room, which comes with what is done with.
        let unstored = unstored.filter(|at| *at > Instant::now());
        let Timers {
            save, note, sync, ..
        } = self.timers;
        let check = Some(self.timers.check);
        let adoption = self.adoption.deadline();
        let unread = self.timers.unread.deadline();
        let timers = [save, note, sync, retry, unstored, check, unread, adoption];
        match timers.into_iter().flatten().min() {
            Some(at) => thread::park_timeout(at.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
    }

    /// Has those wake the thread who may have something for it. `false`: somebody has.
    fn listen(&self, waker: &Waker) -> bool {
        // With everything durable, the first event is news; after trouble, only the end is.
        let mut state = self.partners.intake.lock_soon();
        if state.is_closed() != self.is_closed {
            // Who closed the client found nobody asleep, and wakes nobody later.
            return false;
        }
        if !self.uncommitted.takes_more() {
            state.sleep_until_closed(waker);
        } else if !state.sleep(waker, 1, 1) {
            return false;
        }
        drop(state);
        // What is done with can wait for the timer that it starts.
        let soon = Instant::now() + SAVE_AFTER;
        let is_started = self.timers.save.is_some_and(|at| at <= soon);
        // But not if it need not be stored any more.
        let may_wait = !self.is_short_of_room() && self.uncommitted.is_empty();
        let events = if is_started && may_wait { u64::MAX } else { 1 };
        self.partners.handover.sleep(waker, events) && self.adoption.sleep(waker)
    }

    fn save_within(&mut self, wait: Duration) {
        let at = Instant::now() + wait;
        self.timers.save = Some(self.timers.save.map_or(at, |due| due.min(at)));
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
