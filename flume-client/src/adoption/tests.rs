use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use rustix::io::Errno;
use tempfile::TempDir;

use super::*;
use crate::client::Client;
use crate::delivery::Outcome;
use crate::disk::{Beginning, Disk};
use crate::spool::{
    Level, NetworkFileSystem, Operation, SEGMENT_HEADER_BYTES, Survey, Watched, open_first_free,
};
use crate::stats::SpoolStats;
use crate::worker::Request;

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);
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

/// What stands beside the disk: told the place and what is about to be done there.
pub(super) type Beside = dyn Fn(&Path, Operation) -> io::Result<()> + Send + Sync;

impl Adoption {
    pub(super) fn storage(&self, directory: &Arc<Directory>) -> Arc<dyn Storage> {
        let Some(beside) = self.beside.clone() else {
            return directory.clone();
        };
        let place = directory.path();
        Arc::new(Watched::new(directory.clone(), move |operation| {
            beside(&place, operation)
        }))
    }
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
        self.round(after, false);
        let started = Instant::now();
        while self.is_reading() {
            assert!(started.elapsed() < PATIENCE);
            thread::yield_now();
            self.round(after, false);
        }
        let mut requests = Vec::new();
        self.intake.lock().take_requests(&mut requests);
        let backlogs = requests.into_iter().map(|request| match request {
            Request::Adopt(backlog) => backlog.handover.clone(),
            other => panic!("{other:?}"),
        });
        backlogs.last()
    }

    /// Asks this before each operation in a place that is opened from now on.
    fn put_beside(
        &mut self,
        beside: impl Fn(&Path, Operation) -> io::Result<()> + Send + Sync + 'static,
    ) {
        self.adoption.beside = Some(Arc::new(beside));
    }

    /// Has the disk fail with the cursor of a place, for as long as that says so.
    fn break_cursor(&mut self, place: &'static str) -> Arc<AtomicBool> {
        let is_broken = Arc::new(AtomicBool::new(true));
        let says_so = is_broken.clone();
        self.put_beside(move |at, operation| match operation {
            Operation::Read {
                file: FileName::Cursor,
                ..
            } if at.ends_with(place) && says_so.load(Ordering::Relaxed) => Err(Errno::IO.into()),
            _ => Ok(()),
        });
        is_broken
    }

    fn is_reading(&self) -> bool {
        let adopted = self.adoption.adopted.as_ref();
        self.adoption.opening.is_some() || adopted.is_some_and(|it| it.unread.is_looking())
    }

    fn round(&mut self, after: Duration, finishing: bool) {
        let (now, waker) = (self.start + after, Waker::noop());
        self.adoption.work(now, finishing, &self.intake, waker);
    }

    fn notes(&self) -> Arc<[String]> {
        self.intake.stats().spool.unwrap().notes
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
    assert_eq!(scene.deadline(), 60 * SECOND, "whether others wait for it");
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
    assert_eq!(scene.deadline(), LOOK_AGAIN);
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
    scene.round(MS, true);
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
    let told = scene.notes();
    assert_eq!(told.len(), 1, "{told:?}");
    let name = foreign.file_name().unwrap().to_str().unwrap();
    assert!(told[0].contains(name), "{told:?}");
    assert!(told[0].contains("neither read nor set aside"), "{told:?}");
    fs::remove_file(&foreign).unwrap();
    scene.work(LEAVE_FOR + LOOK_AGAIN);
    assert!(scene.notes().is_empty());
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
    assert!(scene.work(Duration::ZERO).is_none());
    let told = scene.notes();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("is not taken over"), "{told:?}");
    assert!(told[0].contains(lock.to_str().unwrap()), "{told:?}");
    assert!(scene.intake.lock().take_news(), "the worker tells it");
    assert!(scene.work(30 * SECOND).is_none());
    assert_eq!(scene.notes(), told);
    assert!(!scene.intake.lock().take_news(), "once");
    fs::remove_dir(&lock).unwrap();
    assert!(scene.work(60 * SECOND).is_some());
    assert!(scene.notes().is_empty());
}

#[test]
fn a_place_is_let_go_for_another_whatever_of_it_cannot_be_read() {
    // Nothing here tells what of the first one cannot be read: that only the worker knows.
    let mut scene = Scene::new(&[4]);
    let second = scene.work(Duration::ZERO).unwrap();
    assert!(second.segments().unread.is_empty());
    assert_eq!(scene.deadline(), LOOK_AGAIN);
    scene.work(LOOK_AGAIN);
    assert!(!second.do_others_wait());
    drop(leave(scene.home.path(), scene.adoption.settings, 3));
    scene.work(2 * LOOK_AGAIN);
    assert!(second.do_others_wait());
    second.finish(Waker::noop());
    assert!(scene.work(2 * LOOK_AGAIN + MS).is_some());
    assert_eq!(scene.counters(), (3, 3));
}

#[test]
fn no_commit_waits_for_a_place_that_is_opened_on_a_disk_that_hangs() {
    let mut scene = Scene::new(&[4]);
    let (begun, begins) = channel();
    let (go_on, goes_on) = channel::<()>();
    let (begun, goes_on) = (Mutex::new(begun), Mutex::new(goes_on));
    scene.put_beside(move |_, _| {
        let _ = begun.lock().unwrap().send(());
        // It goes on when the other side is dropped.
        let _ = goes_on.lock().unwrap().recv();
        Ok(())
    });
    scene.round(Duration::ZERO, false);
    begins.recv_timeout(PATIENCE).unwrap();
    // Rounds end all the same.
    scene.round(LOOK_AGAIN, false);
    assert!(scene.adoption.deadline().is_none(), "it is waited for");
    drop(go_on);
    assert!(scene.work(LOOK_AGAIN).is_some());
}

#[test]
fn no_commit_waits_for_a_look_at_what_cannot_be_read_and_a_slow_one_is_not_soon_repeated() {
    let mut scene = Scene::new(&[4]);
    let hangs = Arc::new(AtomicBool::new(false));
    let (go_on, goes_on) = channel::<()>();
    let (goes_on, does_hang) = (Mutex::new(goes_on), hangs.clone());
    let reads = Arc::new(AtomicU32::new(0));
    let count = reads.clone();
    scene.put_beside(move |_, operation| match operation {
        Operation::Read {
            file: FileName::Segment(_),
            ..
        } => {
            count.fetch_add(1, Ordering::Relaxed);
            if does_hang.load(Ordering::Relaxed) {
                // It goes on when the other side is dropped.
                let _ = goes_on.lock().unwrap().recv();
            }
            Err(Errno::IO.into())
        }
        _ => Ok(()),
    });
    scene.work(Duration::ZERO).unwrap();
    assert_eq!(scene.deadline(), SECOND);
    hangs.store(true, Ordering::Relaxed);
    reads.store(0, Ordering::Relaxed);
    scene.round(SECOND, false);
    // Rounds end all the same.
    scene.round(2 * SECOND, false);
    assert!(scene.is_reading());
    drop(go_on);
    scene.work(11 * SECOND);
    assert_eq!(reads.load(Ordering::Relaxed), 1, "an error is believed");
    let unread = scene.adoption.adopted.as_ref().unwrap();
    let next = unread.unread.deadline().unwrap() - scene.start;
    assert_eq!(next, (11 + 10 * 10) * SECOND);
}

#[test]
fn a_client_that_ends_lets_go_of_a_place_that_is_being_opened() {
    let mut scene = Scene::new(&[4]);
    scene.round(Duration::ZERO, false);
    scene.round(Duration::ZERO, true);
    assert!(scene.adoption.opening.is_none());
    let place = scene.home.path().join("process-2");
    assert!(Directory::holder(&place).unwrap().is_none());
    assert_eq!(scene.counters(), (0, 0));
}

#[test]
fn a_place_is_not_let_go_for_one_that_cannot_be_opened() {
    let mut scene = Scene::new(&[4, 3]);
    let is_broken = scene.break_cursor("process-3");
    let second = scene.work(Duration::ZERO).unwrap();
    for look in 1..4 {
        scene.work(look * LOOK_AGAIN);
        assert!(!second.do_others_wait(), "look {look}");
    }
    let notes = scene.notes();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("process-3"), "{notes:?}");
    is_broken.store(false, Ordering::Relaxed);
    scene.work(4 * LOOK_AGAIN);
    assert!(second.do_others_wait(), "it can be opened now");
    assert!(scene.notes().is_empty());
}

#[test]
fn what_cannot_be_read_in_a_place_that_was_let_go_stays_told_until_it_is_opened_again() {
    let mut scene = Scene::new(&[4, 3]);
    let second = scene.work(Duration::ZERO).unwrap();
    scene.work(LOOK_AGAIN);
    assert!(second.do_others_wait());
    let file = scene.home.path().join("process-2").join("a segment");
    let unreadable = UnreadableEvents {
        file: file.clone(),
        events_max: 4,
        why: "the disk fails".into(),
        passed: Passed::Yes,
    };
    second.leave([unreadable].into());
    second.finish(Waker::noop());
    assert!(scene.work(LOOK_AGAIN).is_some());
    let told = |scene: &Scene| {
        let mut state = scene.intake.lock();
        // As the worker does, which has nothing to tell.
        state.tell_unreadable([].iter());
        state.stats.spool.clone().unwrap()
    };
    let spool = told(&scene);
    let one = &spool.unreadable[..];
    assert!(matches!(one, [it] if it.file == file && it.passed == Passed::Left));
    assert_eq!((spool.unreadable_events(), spool.passed_events()), (0, 0));
    let health = scene.intake.health().to_string();
    assert!(health.contains("a segment cannot be read"), "{health}");
    scene
        .adoption
        .let_go(scene.start + LOOK_AGAIN, &scene.intake);
    assert!(scene.work(LOOK_AGAIN + LEAVE_FOR).is_some());
    assert_eq!(told(&scene).unreadable.len(), 0);
}

#[test]
fn what_cannot_be_read_in_a_place_that_was_let_go_is_told_no_more_when_somebody_has_the_place() {
    let mut scene = Scene::new(&[4]);
    let place = scene.home.path().join("process-2");
    scene.work(Duration::ZERO).unwrap().finish(Waker::noop());
    let unreadable = UnreadableEvents {
        file: place.join("a segment"),
        events_max: 4,
        why: "the disk fails".into(),
        passed: Passed::Left,
    };
    let files = [unreadable].into();
    let mut state = scene.intake.lock();
    state.leave_unreadable(place.clone(), files);
    drop(state);
    let told = |scene: &Scene| {
        let mut state = scene.intake.lock();
        state.tell_unreadable([].iter());
        state.stats.spool.as_ref().unwrap().unreadable.len()
    };
    assert!(scene.work(LOOK_AGAIN).is_none(), "it is left alone");
    assert_eq!(told(&scene), 1);
    let other = Directory::open_if_free(&place, NetworkFileSystem::Refused);
    let other = other.unwrap().unwrap();
    scene.work(2 * LOOK_AGAIN);
    assert_eq!(told(&scene), 0);
    drop(other);
}

#[test]
fn what_is_told_of_other_places_is_told_still_when_the_own_one_is_begun_anew() {
    let mut scene = Scene::new(&[4]);
    scene.break_cursor("process-2");
    assert!(scene.work(Duration::ZERO).is_none());
    let told = scene.notes();
    assert_eq!(told.len(), 1, "{told:?}");
    let own = scene.home.path().join("process-7");
    let notes = ["of the new directory".to_owned()].into();
    scene.adoption.own_place_is(own, notes, &scene.intake);
    scene.work(LOOK_AGAIN);
    let after = scene.notes();
    assert_eq!(
        after[..],
        ["of the new directory".to_owned(), told[0].clone()]
    );
}

#[test]
fn only_what_may_not_be_read_is_named_instead_of_what_cannot_be() {
    for (error, named) in [
        (Errno::IO, "process-2"),
        (Errno::ACCESS, "process-2/cursor"),
    ] {
        let mut scene = Scene::new(&[4]);
        scene.put_beside(move |_, operation| match operation {
            Operation::Read {
                file: FileName::Cursor,
                ..
            } => Err(error.into()),
            // Neither may this be read, but that is not why.
            Operation::Read { .. } => Err(Errno::ACCESS.into()),
            _ => Ok(()),
        });
        assert!(scene.work(Duration::ZERO).is_none());
        let told = scene.notes();
        let named = scene.home.path().join(named);
        let named = format!("cannot read {}", named.display());
        let rest = told[0].split_once(&named).unwrap().1;
        assert!(rest.starts_with([':', ',']), "{told:?}");
        assert!(rest.contains("its file cursor"), "{told:?}");
    }
}
