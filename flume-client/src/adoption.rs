//! [`Adoption`]: what processes left behind that are gone, sent from where they left it.
//!
//! A place that nobody holds is locked and opened like one's own. Its events are read by the worker
//! in a lane of their own: under the numbers and names they have, without being written again, so
//! they take nothing of the quota. Here are its cursor and its files: what is done with is noted
//! within the same time as in one's own place, and when nothing is left the files are removed.
//!
//! | | when | costs |
//! |---|---|---|
//! | a look for such places | at the start; every 30 s; after each place | a dozen system calls for each place there is, nothing is read of one that is in use |
//! | save of the place's cursor | 100 ms after an event was done with; when it is let go | one small write, one flush |
//!
//! One place at a time is adopted. While segments of it cannot be read it is kept, and looked at
//! again as one's own is; if another place waits, it is let go when nothing else is left in it.
//! Beside these times, only what the worker is done with wakes the
//! thread.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::blocking::BlockingThread;
use crate::config::SpoolConfig;
use crate::handover::{Handover, Retirements, SAVE_AFTER};
use crate::intake::Intake;
use crate::random;
use crate::spool::{
    Directory, DirectoryError, FileName, Log, Settings, Storage, Trouble, not_taken_over, others,
};
use crate::unread_timer::UnreadTimer;
use crate::worker::Backlog;

/// How often the committer looks for what other processes left behind.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long a place that could not be emptied is left alone: nothing but a person or the disk
/// changes it, and each look reads its last segment.
const LEAVE_FOR: Duration = Duration::from_secs(600);
/// How long after a save that failed the next one is tried.
const SAVE_AGAIN: Duration = Duration::from_secs(2);

/// The places of processes that are gone, for one client.
pub(crate) struct Adoption {
    spool: SpoolConfig,
    settings: Settings,
    /// Where the worker reads.
    reading: BlockingThread,
    /// The client's own place.
    own: PathBuf,
    schedule: Schedule,
    adopted: Option<Adopted>,
    /// Places that cannot be opened, and what was told of each.
    unusable: Vec<(PathBuf, String)>,
    /// Of the last save.
    trouble: Option<Arc<Trouble>>,
}

/// When to look, and where not. Time is an argument.
struct Schedule {
    look: Instant,
    /// Places that could not be emptied, and until when they are left alone.
    left: Vec<(PathBuf, Instant)>,
}

/// A place that is being emptied.
struct Adopted {
    directory: Arc<Directory>,
    log: Log,
    handover: Arc<Handover>,
    /// Kept for its buffers.
    retired: Retirements,
    save: Option<Instant>,
    unread: UnreadTimer,
    /// The worker needs it no more.
    is_over: bool,
}

impl Adoption {
    /// For the client whose place is `own`.
    pub(crate) fn new(
        spool: SpoolConfig,
        settings: Settings,
        reading: BlockingThread,
        own: PathBuf,
        now: Instant,
    ) -> Self {
        let settings = Settings {
            // Nothing is written there, so no room is reserved: there is never this much free.
            free_bytes_min: u64::MAX,
            ..settings
        };
        Self {
            spool,
            settings,
            reading,
            own,
            schedule: Schedule::new(now),
            adopted: None,
            unusable: Vec::new(),
            trouble: None,
        }
    }

    /// The client's place is another one now.
    pub(crate) fn own_place_is(&mut self, own: PathBuf) {
        self.own = own;
    }

    /// Does what is due. When the client is `finishing`, what was adopted is let go.
    pub(crate) fn work(&mut self, now: Instant, finishing: bool, intake: &Intake) {
        if let Some(adopted) = &mut self.adopted {
            adopted.take_retired(now);
            adopted.look_again(now);
            if adopted.save.is_some_and(|at| at <= now || finishing) {
                self.trouble = adopted.save(now).err().map(Arc::new);
            }
            if finishing {
                self.adopted = None;
            } else if adopted.is_over && adopted.save.is_none() {
                self.let_go(now, intake);
            }
        }
        if !self.spool.shared || finishing || self.schedule.look > now {
            return;
        }
        match &self.adopted {
            None => self.find(now, intake),
            Some(adopted) if adopted.log.unread().is_empty() => {}
            Some(adopted) => {
                let handover = adopted.handover.clone();
                if self.others_wait(now) {
                    handover.others_wait();
                }
            }
        }
    }

    /// What keeps the cursor of an adopted place from being saved.
    pub(crate) fn trouble(&self) -> Option<&Arc<Trouble>> {
        self.trouble.as_ref()
    }

    /// When there is something to do at the latest, if the worker is done with nothing before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.adopted {
            Some(adopted) => {
                let unread = adopted.unread.deadline();
                let look = unread.map(|_| self.schedule.look);
                [adopted.save, unread, look].into_iter().flatten().min()
            }
            None => self.spool.shared.then_some(self.schedule.look),
        }
    }

    /// Has the worker wake the thread. `false`: there is something to do.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let Some(adopted) = &self.adopted else {
            return true;
        };
        // What is done with can wait for the save that is to come.
        let events = if adopted.save.is_some() { u64::MAX } else { 1 };
        adopted.is_over || adopted.handover.sleep(waker, events)
    }

    /// Adopts the first place that nobody holds and that has events.
    fn find(&mut self, now: Instant, intake: &Intake) {
        self.schedule.looked(now);
        let places = others(&self.spool.directory, &self.own);
        let gone = self
            .unusable
            .extract_if(.., |(place, _)| !places.contains(place));
        gone.for_each(|(_, note)| intake.lock_soon().forget_note(&note));
        for place in places {
            if self.schedule.leaves(&place, now) {
                continue;
            }
            let opened = self.open(&place, now);
            self.tell_unusable(&place, opened.as_ref().err(), intake);
            let Ok(Some((adopted, backlog))) = opened else {
                continue;
            };
            let events = adopted.log.backlog();
            if events > 0 {
                // If the client is closed, the next one finds it.
                self.adopted = intake.adopt(events, backlog).then_some(adopted);
                return;
            }
            if !adopted.empty() {
                self.schedule.leave(place, now);
            }
        }
    }

    /// Opens a place, for its two sides. `None`: there are no events, or somebody has it.
    fn open(
        &self,
        place: &Path,
        now: Instant,
    ) -> Result<Option<(Adopted, Backlog)>, DirectoryError> {
        let directory = Directory::open_if_free(place, self.spool.access)?;
        let directory = directory.map(|it| it.with_flushing(self.spool.flushing()));
        directory.map_or(Ok(None), |directory| {
            Adopted::open(Arc::new(directory), &self.settings, &self.reading, now)
        })
    }

    /// Tells once why a place cannot be opened, and takes it back when it can.
    fn tell_unusable(&mut self, place: &Path, error: Option<&DirectoryError>, intake: &Intake) {
        if error.is_some_and(DirectoryError::is_passing) {
            return;
        }
        let note = error.map(not_taken_over);
        let known = self.unusable.iter().position(|(it, _)| it == place);
        let before = known.map(|known| self.unusable.swap_remove(known).1);
        if before != note {
            let mut state = intake.lock_soon();
            before.iter().for_each(|note| state.forget_note(note));
            note.iter().for_each(|note| state.add_note(note));
        }
        self.unusable
            .extend(note.map(|note| (place.to_owned(), note)));
    }

    /// Whether there is another place that could be adopted.
    fn others_wait(&mut self, now: Instant) -> bool {
        self.schedule.looked(now);
        others(&self.spool.directory, &self.own)
            .into_iter()
            .filter(|place| !self.schedule.leaves(place, now))
            .filter_map(|place| Directory::open_if_free(&place, self.spool.access).ok()?)
            .any(|directory| directory.list().is_ok_and(|files| has_segment(&files)))
    }

    fn let_go(&mut self, now: Instant, intake: &Intake) {
        let Some(adopted) = self.adopted.take() else {
            return;
        };
        let place = adopted.directory.path();
        self.trouble = None;
        intake.lock_soon().let_go_adopted();
        if !adopted.empty() {
            self.schedule.leave(place, now);
        }
        // There may be more of them.
        self.schedule.look = now;
    }
}

/// The first file that may not be read.
fn denied(directory: &Directory, files: &[(FileName, u64)]) -> Option<String> {
    let is_denied = |file: FileName| {
        let read = directory.read(file, 0, &mut [0]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    let mut names: Vec<_> = files.iter().map(|(file, _)| *file).collect();
    names.sort_unstable();
    let denied = names.into_iter().find(|file| is_denied(*file));
    denied.map(|file| file.to_string())
}

fn has_segment(files: &[(FileName, u64)]) -> bool {
    let mut names = files.iter().map(|(file, _)| file);
    names.any(|file| matches!(file, FileName::Segment(_)))
}

impl Schedule {
    fn new(now: Instant) -> Self {
        Self {
            look: now,
            left: Vec::new(),
        }
    }

    fn looked(&mut self, now: Instant) {
        self.look = now + LOOK_AGAIN;
    }

    /// A place could not be emptied.
    fn leave(&mut self, place: PathBuf, now: Instant) {
        self.left.push((place, now + LEAVE_FOR));
    }

    /// Whether a place is left alone.
    fn leaves(&mut self, place: &Path, now: Instant) -> bool {
        self.left.retain(|(_, until)| *until > now);
        self.left.iter().any(|(left, _)| left == place)
    }
}

impl Adopted {
    /// Opens a place, for its two sides. `None`: there are no events.
    fn open(
        directory: Arc<Directory>,
        settings: &Settings,
        reading: &BlockingThread,
        now: Instant,
    ) -> Result<Option<(Self, Backlog)>, DirectoryError> {
        let place = directory.path();
        let files = directory.list();
        let files = files.map_err(DirectoryError::io("read the directory", &place))?;
        if !has_segment(&files) {
            return Ok(None);
        }
        let opened = Log::open(directory.clone(), *settings, random::draw());
        let (mut log, opened) = opened.map_err(|error| {
            let path = denied(&directory, &files).map_or(place.clone(), |it| place.join(it));
            DirectoryError::io("read", &path)(error)
        })?;
        let backlog = Backlog::new(reading.clone(), directory.clone(), &place, &log, &opened);
        let handover = backlog.handover.clone();
        handover.drained();
        let mut unread = UnreadTimer::default();
        unread.look_again(&mut log, now);
        let adopted = Self {
            directory,
            log,
            unread,
            handover,
            retired: Retirements::default(),
            save: None,
            is_over: false,
        };
        Ok(Some((adopted, backlog)))
    }

    /// Takes in what the worker is done with.
    fn take_retired(&mut self, now: Instant) {
        self.retired.clear();
        let is_over = self.handover.take_retired(&mut self.retired);
        for (first, end) in &self.retired.ranges {
            self.log.retire(*first, *end);
        }
        for segment in &self.retired.damaged {
            self.log.mark_damaged(*segment);
        }
        if self.retired.events > 0 {
            self.save.get_or_insert(now + SAVE_AFTER);
        }
        if is_over && !self.is_over {
            self.is_over = true;
            self.save = Some(now);
        }
    }

    /// Looks from time to time whether segments that could not be read can be now.
    fn look_again(&mut self, now: Instant) {
        if self.unread.look_again(&mut self.log, now) {
            self.tell_segments();
        }
    }

    fn save(&mut self, now: Instant) -> Result<(), Trouble> {
        let saved = self.log.save();
        self.save = saved.is_err().then_some(now + SAVE_AGAIN);
        self.tell_segments();
        saved
    }

    fn tell_segments(&self) {
        let segments = Some(self.log.segments());
        self.handover.stored(&mut Vec::new(), 0, segments);
    }

    /// Removes the files of a place that has no more events. `false`: it has, or it could not be
    /// done.
    fn empty(self) -> bool {
        let is_left = self.log.backlog() > 0 || !self.log.unread().is_empty();
        !is_left && self.save.is_none() && self.remove_files().unwrap_or(false)
    }

    /// `false`: there is a segment that was not taken in, and whose events nobody has seen.
    fn remove_files(&self) -> io::Result<bool> {
        let mut files: Vec<_> = self
            .directory
            .list()?
            .into_iter()
            .map(|(it, _)| it)
            .collect();
        files.retain(|file| !matches!(file, FileName::Quarantine(_) | FileName::Cursor));
        if !files.iter().all(|file| self.log.has_taken_in(*file)) {
            return Ok(false);
        }
        for file in files {
            self.remove(file)?;
        }
        // The cursor goes last: while it is there, what is left counts as done with.
        self.directory.sync_directory()?;
        self.remove(FileName::Cursor)?;
        Ok(true)
    }

    fn remove(&self, file: FileName) -> io::Result<()> {
        match self.directory.remove(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::client::Client;
    use crate::delivery::Outcome;
    use crate::disk::{Beginning, Disk};
    use crate::spool::{Level, NetworkFileSystem, SEGMENT_HEADER_BYTES, Survey, open_first_free};
    use crate::stats::SpoolStats;
    use crate::worker::Request;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    /// A client in the first place of a directory, without its threads. Time is a number here.
    struct Scene {
        home: TempDir,
        intake: Intake,
        adoption: Adoption,
        start: Instant,
        /// Its lock holds the first place.
        _own: Directory,
    }

    impl Scene {
        /// With these numbers of events in places whose processes are gone.
        fn new(left: &[u64]) -> Self {
            let home = TempDir::new().unwrap();
            let builder = Client::builder().agent("avro://localhost:1");
            let config = builder.spool(home.path()).spool_free_bytes(0);
            let config = config.check().unwrap();
            let spool = config.spool.clone().unwrap();
            let own = open_first_free(home.path(), NetworkFileSystem::Refused).unwrap();
            let settings = spool.settings(config.event_bytes_max, own.limits());
            let settings = settings.unwrap();
            let left: Vec<_> = left
                .iter()
                .map(|events| leave(home.path(), settings, *events))
                .collect();
            drop(left);
            let reading = BlockingThread::start("flume-test").unwrap();
            let start = Instant::now();
            let place = own.path();
            let disk = Disk::new(settings.bytes_max, settings.bytes_max, 0);
            let beginning = Beginning {
                disk: Some((SpoolStats::default(), disk)),
                ..Beginning::in_memory()
            };
            Self {
                intake: Intake::new(&config, beginning),
                adoption: Adoption::new(spool, settings, reading, place, start),
                home,
                start,
                _own: own,
            }
        }

        /// What a round at this time hands to the worker.
        fn work(&mut self, after: Duration) -> Option<Arc<Handover>> {
            self.adoption.work(self.start + after, false, &self.intake);
            let mut requests = Vec::new();
            self.intake.lock().take_requests(&mut requests);
            let backlogs = requests.into_iter().map(|request| match request {
                Request::Adopt(backlog) => backlog.handover.clone(),
                other => panic!("{other:?}"),
            });
            backlogs.last()
        }

        /// Recovered and pending.
        fn counters(&self) -> (u64, u64) {
            let stats = self.intake.lock().stats.clone();
            (stats.recovered, stats.pending)
        }

        fn deadline(&self) -> Duration {
            self.adoption.deadline().unwrap() - self.start
        }

        /// Events that a place has by its files.
        fn waiting_in(&self, place: &str) -> u64 {
            let directory = Directory::look(&self.home.path().join(place)).unwrap();
            Survey::take(&directory, |_| Ok(())).unwrap().events()
        }
    }

    /// Stores events in the next free place. The process is gone when this is dropped.
    fn leave(home: &Path, settings: Settings, events: u64) -> (Directory, Log) {
        let directory = open_first_free(home, NetworkFileSystem::Refused).unwrap();
        let storage = Directory::look(&directory.path()).unwrap();
        let settings = Settings {
            free_bytes_min: 0,
            ..settings
        };
        let (mut log, _) = Log::open(Arc::new(storage), settings, events).unwrap();
        for _ in 0..events {
            log.push(&[2], b"ab", Level::EndToEnd);
        }
        log.flush(0).unwrap();
        (directory, log)
    }

    fn retire(handover: &Handover, first: u64, end: u64) {
        let mut retired = Retirements::default();
        retired.add(first, end);
        handover.retire(&mut retired);
    }

    #[test]
    fn places_are_looked_for_at_the_start_and_every_30_seconds() {
        let mut scene = Scene::new(&[]);
        assert_eq!(scene.deadline(), Duration::ZERO);
        assert!(scene.work(Duration::ZERO).is_none());
        assert_eq!(scene.deadline(), 30 * SECOND);
        drop(leave(scene.home.path(), scene.adoption.settings, 5));
        assert!(scene.work(30 * SECOND - MS).is_none());
        assert!(scene.work(30 * SECOND).is_some());
        assert_eq!(scene.counters(), (5, 5));
        assert!(
            scene.adoption.deadline().is_none(),
            "the worker is waited for"
        );
    }

    #[test]
    fn what_the_worker_is_done_with_is_in_the_cursor_after_100_ms() {
        let mut scene = Scene::new(&[10]);
        let handover = scene.work(Duration::ZERO).unwrap();
        assert!(scene.adoption.sleep(Waker::noop()), "nothing to do");
        retire(&handover, 0, 3);
        assert!(!scene.adoption.sleep(Waker::noop()), "a save to come");
        scene.work(5 * MS);
        assert_eq!(scene.deadline(), 105 * MS);
        retire(&handover, 3, 7);
        assert!(scene.adoption.sleep(Waker::noop()), "it comes anyway");
        scene.work(104 * MS);
        assert_eq!(
            (scene.deadline(), scene.waiting_in("process-2")),
            (105 * MS, 10)
        );
        scene.work(105 * MS);
        assert_eq!(scene.waiting_in("process-2"), 3);
        assert!(scene.adoption.deadline().is_none());
    }

    #[test]
    fn an_emptied_place_loses_its_files_and_the_next_is_looked_for_at_once() {
        let mut scene = Scene::new(&[2, 3]);
        let second = scene.work(Duration::ZERO).unwrap();
        retire(&second, 0, 2);
        second.finish(Waker::noop());
        let third = scene.work(MS).expect("the next place");
        let stats = scene.intake.lock().snapshot();
        assert_eq!(stats.spool.unwrap().adopted, 3);
        let place = scene.home.path().join("process-2");
        let left = Directory::look(&place).unwrap().list().unwrap();
        assert_eq!(left, []);
        assert!(Directory::holder(&place).unwrap().is_none());
        retire(&third, 0, 3);
        third.finish(Waker::noop());
        assert!(scene.work(2 * MS).is_none());
        assert_eq!(scene.deadline(), 30 * SECOND + 2 * MS);
    }

    #[test]
    fn a_place_that_is_not_emptied_keeps_its_events_and_is_left_alone_for_ten_minutes() {
        let mut scene = Scene::new(&[4]);
        let handover = scene.work(Duration::ZERO).unwrap();
        retire(&handover, 1, 3);
        let outcome = Outcome::Delivered { agent: 0 };
        scene.intake.lock().retire_adopted(2, outcome);
        handover.finish(Waker::noop());
        assert!(scene.work(MS).is_none());
        assert_eq!(scene.waiting_in("process-2"), 2);
        assert!(scene.work(599 * SECOND).is_none());
        assert_eq!(scene.counters(), (2, 0), "it is counted by who sends it");
        assert!(scene.work(660 * SECOND).is_some());
        assert_eq!(scene.counters(), (4, 2));
    }

    #[test]
    fn a_client_that_ends_notes_what_is_done_with_and_lets_the_place_go() {
        let mut scene = Scene::new(&[4]);
        let handover = scene.work(Duration::ZERO).unwrap();
        retire(&handover, 0, 3);
        scene.adoption.work(scene.start + MS, true, &scene.intake);
        assert_eq!(scene.waiting_in("process-2"), 1);
        let place = scene.home.path().join("process-2");
        assert!(Directory::holder(&place).unwrap().is_none());
    }

    /// System calls of this thread that read something, so far.
    #[cfg(target_os = "linux")]
    fn reads() -> u64 {
        let told = fs::read_to_string("/proc/thread-self/io").unwrap();
        let count = told.lines().find_map(|line| line.strip_prefix("syscr: "));
        count.unwrap().parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_is_read_to_see_that_the_process_of_a_place_lives() {
        if !Path::new("/proc/thread-self/io").exists() {
            eprintln!("SKIPPED: this kernel does not count what a thread reads");
            return;
        }
        let mut scene = Scene::new(&[]);
        let lives = leave(scene.home.path(), scene.adoption.settings, 4);
        let begin = reads();
        let cost = reads() - begin;
        let before = reads();
        assert!(scene.work(Duration::ZERO).is_none());
        assert_eq!(reads() - before, cost, "but for the count itself");
        drop(lives);
    }

    #[test]
    fn the_place_of_a_process_that_lives_is_not_touched() {
        let mut scene = Scene::new(&[]);
        let settings = scene.adoption.settings;
        let (directory, _) = leave(scene.home.path(), settings, 4);
        assert!(scene.work(Duration::ZERO).is_none());
        drop(directory);
        assert!(scene.work(30 * SECOND).is_some());
    }
    /// Adopts the events of the second place and has all of them be done with.
    fn finish_second_place(scene: &mut Scene, events: u64) {
        let handover = scene.work(Duration::ZERO).unwrap();
        retire(&handover, 0, events);
        handover.finish(Waker::noop());
        scene.work(Duration::ZERO);
    }

    /// The file of the only segment in a directory.
    fn segment_in(place: &Path) -> PathBuf {
        let files = Directory::look(place).unwrap().list().unwrap();
        let mut names = files.into_iter().map(|(file, _)| file);
        let segment = names.find(|file| matches!(file, FileName::Segment(_)));
        place.join(segment.unwrap().to_string())
    }

    #[test]
    fn a_place_whose_files_cannot_be_removed_is_left_alone_and_its_cursor_stays() {
        let mut scene = Scene::new(&[2]);
        let place = scene.home.path().join("process-2");
        let segment = segment_in(&place);
        let events = fs::read(&segment).unwrap();
        let handover = scene.work(Duration::ZERO).unwrap();
        retire(&handover, 0, 2);
        scene.work(Duration::ZERO);
        scene.work(100 * MS);
        let cursor = fs::read(place.join("cursor")).unwrap();
        handover.finish(Waker::noop());
        scene.work(100 * MS);
        // Its events are done with, and what is in the way stays there also for root.
        fs::write(place.join("cursor"), cursor).unwrap();
        fs::write(&segment, &events).unwrap();
        let obstacle = place.join(FileName::Spare(0xff).to_string());
        fs::create_dir(&obstacle).unwrap();
        let now = 31 * SECOND;
        assert!(scene.work(now).is_none());
        assert_eq!(scene.deadline(), now + LOOK_AGAIN, "no look at once");
        assert_eq!(scene.waiting_in("process-2"), 0, "nothing comes again");
        assert!(place.join("cursor").exists());
        assert!(scene.adoption.schedule.leaves(&place, scene.start + now));
        fs::remove_dir(&obstacle).unwrap();
        fs::write(&segment, &events).unwrap();
        assert!(scene.work(now + LEAVE_FOR).is_none());
        assert_eq!(Directory::look(&place).unwrap().list().unwrap(), []);
    }
    /// A segment of another client's, put into the second place under the name of this id.
    fn put_foreign_segment(scene: &Scene, id: u64) -> PathBuf {
        let home = TempDir::new().unwrap();
        drop(leave(home.path(), scene.adoption.settings, 3));
        let place = scene.home.path().join("process-2");
        let foreign = place.join(FileName::Segment(id).to_string());
        fs::copy(segment_in(home.path()), &foreign).unwrap();
        foreign
    }

    #[test]
    fn a_segment_that_was_neither_read_nor_set_aside_is_not_removed_with_the_others() {
        let mut scene = Scene::new(&[2]);
        let place = scene.home.path().join("process-2");
        // As many as are set aside.
        for id in 0x10..0x14 {
            fs::write(place.join(FileName::Quarantine(id).to_string()), b"").unwrap();
        }
        let foreign = put_foreign_segment(&scene, 0xff);
        finish_second_place(&mut scene, 2);
        assert!(foreign.exists(), "nobody has seen its events");
        assert!(place.join("cursor").exists());
        assert!(scene.adoption.schedule.leaves(&place, scene.start));
    }

    #[test]
    fn a_segment_that_comes_while_its_place_is_adopted_is_not_removed_with_the_others() {
        let mut scene = Scene::new(&[2]);
        let place = scene.home.path().join("process-2");
        let handover = scene.work(Duration::ZERO).unwrap();
        let foreign = put_foreign_segment(&scene, 0xff);
        retire(&handover, 0, 2);
        handover.finish(Waker::noop());
        scene.work(Duration::ZERO);
        assert!(foreign.exists(), "nobody has seen its events");
        assert!(scene.adoption.schedule.leaves(&place, scene.start));
    }
    /// The segment as another release could have written it: both headers say so.
    fn of_another_version(segment: &[u8]) -> Vec<u8> {
        let mut bytes = segment.to_vec();
        for header in bytes[..SEGMENT_HEADER_BYTES].chunks_mut(SEGMENT_HEADER_BYTES / 2) {
            header[8] += 1;
            let (fields, sum) = header.split_last_chunk_mut::<4>().unwrap();
            *sum = crc32fast::hash(fields).to_le_bytes();
        }
        bytes
    }

    #[test]
    fn a_place_that_cannot_be_read_is_looked_at_again_and_gives_way_to_another() {
        let mut scene = Scene::new(&[2]);
        let segment = segment_in(&scene.home.path().join("process-2"));
        let events = fs::read(&segment).unwrap();
        fs::write(&segment, of_another_version(&events)).unwrap();
        let handover = scene.work(Duration::ZERO).unwrap();
        assert_eq!(handover.segments().unread.len(), 1);
        assert_eq!(scene.deadline(), SECOND);
        scene.work(30 * SECOND);
        assert!(!handover.do_others_wait());
        drop(leave(scene.home.path(), scene.adoption.settings, 3));
        scene.work(60 * SECOND);
        assert!(handover.do_others_wait());
        fs::write(&segment, events).unwrap();
        scene.work(90 * SECOND);
        assert!(handover.segments().unread.is_empty());
        assert_eq!(handover.segments().readable.len(), 1);
    }
    #[test]
    fn a_place_that_cannot_be_opened_is_told_until_it_can_be_and_is_adopted_then() {
        let mut scene = Scene::new(&[4]);
        let lock = scene.home.path().join("process-2").join("LOCK");
        fs::remove_file(&lock).unwrap();
        // Nobody can lock this, root neither.
        fs::create_dir(&lock).unwrap();
        let notes = |scene: &Scene| scene.intake.stats().spool.unwrap().notes;
        assert!(scene.work(Duration::ZERO).is_none());
        let told = notes(&scene);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("is not taken over"), "{told:?}");
        assert!(told[0].contains(lock.to_str().unwrap()), "{told:?}");
        assert!(scene.intake.lock().take_news(), "the worker tells it");
        assert!(scene.work(30 * SECOND).is_none());
        assert_eq!(notes(&scene), told);
        assert!(!scene.intake.lock().take_news(), "once");
        fs::remove_dir(&lock).unwrap();
        assert!(scene.work(60 * SECOND).is_some());
        assert!(notes(&scene).is_empty());
    }
}
