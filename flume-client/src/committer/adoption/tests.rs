mod unread;

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use rustix::io::Errno;
use tempfile::TempDir;

use super::*;
use crate::client::Client;
use crate::clock::SystemClock;
use crate::config::CHUNK_BYTES;
use crate::delivery::{AgentId, Outcome};
use crate::queue::Request;
use crate::queue::{Beginning, Room};
use crate::reliability::Reliability;
use crate::spool::{
    Directory, Level, NetworkFileSystem, Operation, SEGMENT_HEADER_BYTES, SegmentList, Shared,
    Survey, Watched, open_first_free,
};
use crate::stats::SpoolStats;

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A client in the first place of a directory, without its threads. Time is a number here.
struct Scene {
    home: TempDir,
    intake: Intake,
    adoption: Adoption,
    beside: Arc<Mutex<Option<Arc<Beside>>>>,
    start: Instant,
    /// Its lock holds the first place.
    _own: Directory,
}

/// What stands beside the disk: told the place and what is about to be done there.
type Beside = dyn Fn(&Path, Operation) -> io::Result<()> + Send + Sync;

/// The real places, with something beside those that are opened from now on.
struct WatchedPlaces {
    places: Shared,
    beside: Arc<Mutex<Option<Arc<Beside>>>>,
}

impl Neighbours for WatchedPlaces {
    fn places(&self, own: &Path) -> Vec<PathBuf> {
        self.places.places(own)
    }

    fn take(&self, place: &Path) -> Result<Option<Arc<dyn Location>>, DirectoryError> {
        let taken = self.places.take(place)?;
        let Some(beside) = self.beside.lock().unwrap().clone() else {
            return Ok(taken);
        };
        let place = place.to_owned();
        let watch = |location| Watched::new(location, move |it| beside(&place, it));
        Ok(taken.map(|location| Arc::new(watch(location)) as _))
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
        let room = Room::new(
            settings.bytes_max,
            settings.bytes_max,
            Seq::ZERO,
            CHUNK_BYTES,
        );
        let beginning = Beginning {
            spool: Some((SpoolStats::default(), room)),
            ..Beginning::in_memory()
        };
        let intake = Intake::new(&config, Arc::new(SystemClock));
        let handover = Arc::new(Handover::new(Seq::ZERO, SegmentList::default(), 1));
        let (level, awaited) = (Reliability::EndToEnd, &intake.awaited);
        let mut state = intake.lock();
        state.open_spool(&config, level, beginning, awaited, handover);
        drop(state);
        let beside = Arc::default();
        let neighbours = WatchedPlaces {
            places: spool.neighbours().unwrap(),
            beside: Arc::clone(&beside),
        };
        let neighbours = Some(Box::new(neighbours) as _);
        Self {
            intake,
            adoption: Adoption::new(
                neighbours,
                settings,
                config.sizes,
                Box::new(|| 1),
                reading,
                place,
                start,
            ),
            beside,
            home,
            start,
            _own: own,
        }
    }

    /// What a round at this time hands to the sender.
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
        let spools = requests.into_iter().map(|request| match request {
            Request::Adopt(spool) => spool.handover.clone(),
            other => panic!("{other:?}"),
        });
        spools.last()
    }

    /// Asks this before each operation in a place that is opened from now on.
    fn put_beside(
        &mut self,
        beside: impl Fn(&Path, Operation) -> io::Result<()> + Send + Sync + 'static,
    ) {
        *self.beside.lock().unwrap() = Some(Arc::new(beside));
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
        let stats = self.intake.stats();
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

fn retire(handover: &Handover, numbers: std::ops::Range<u64>) {
    let mut retired = Retirements::default();
    retired.add(numbers.into());
    handover.retire(&mut retired);
}

#[test]
fn a_place_without_segments_is_not_locked_for_a_moment() {
    let mut scene = Scene::new(&[]);
    // As it is while a process that has made it is about to lock it.
    let place = scene.home.path().join("process-2");
    fs::create_dir(&place).unwrap();
    assert!(scene.work(Duration::ZERO).is_none());
    let files: Vec<_> = fs::read_dir(&place).unwrap().collect();
    assert!(files.is_empty(), "{files:?}");
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
fn what_the_worker_is_done_with_is_in_the_cursor_after_100_ms_and_on_the_disk_after_1_s() {
    let mut scene = Scene::new(&[10]);
    let syncs = Arc::new(AtomicU32::new(0));
    let counted = syncs.clone();
    scene.put_beside(move |_, operation| {
        let file = FileName::Cursor;
        let is_sync = operation == Operation::Sync { file };
        counted.fetch_add(u32::from(is_sync), Ordering::Relaxed);
        Ok(())
    });
    let handover = scene.work(Duration::ZERO).unwrap();
    let begun = syncs.load(Ordering::Relaxed);
    assert!(scene.adoption.sleep(Waker::noop()), "nothing to do");
    retire(&handover, 0..3);
    assert!(!scene.adoption.sleep(Waker::noop()), "a save to come");
    scene.work(5 * MS);
    assert_eq!(scene.deadline(), 105 * MS);
    retire(&handover, 3..7);
    assert!(scene.adoption.sleep(Waker::noop()), "it comes anyway");
    scene.work(104 * MS);
    assert_eq!(
        (scene.deadline(), scene.waiting_in("process-2")),
        (105 * MS, 10)
    );
    scene.work(105 * MS);
    assert_eq!(scene.waiting_in("process-2"), 3);
    assert_eq!(syncs.load(Ordering::Relaxed), begun, "a write will do");
    assert_eq!(scene.deadline(), 1005 * MS);
    scene.work(1005 * MS);
    assert_eq!(syncs.load(Ordering::Relaxed), begun + 1);
    assert_eq!(scene.deadline(), LOOK_AGAIN);
}

#[test]
fn an_emptied_place_loses_its_files_and_the_next_is_looked_for_at_once() {
    let mut scene = Scene::new(&[2, 3]);
    let second = scene.work(Duration::ZERO).unwrap();
    retire(&second, 0..2);
    second.finish(Waker::noop());
    let third = scene.work(MS).expect("the next place");
    let stats = scene.intake.stats();
    assert_eq!(stats.spool.unwrap().adopted, 3);
    let place = scene.home.path().join("process-2");
    let left = Directory::look(&place).unwrap().list().unwrap();
    assert_eq!(left, []);
    assert!(Directory::holder(&place).unwrap().is_none());
    retire(&third, 0..3);
    third.finish(Waker::noop());
    assert!(scene.work(2 * MS).is_none());
    assert_eq!(scene.deadline(), 30 * SECOND + 2 * MS);
}

#[test]
fn a_place_that_is_not_emptied_keeps_its_events_and_is_left_alone_for_ten_minutes() {
    let mut scene = Scene::new(&[4]);
    let handover = scene.work(Duration::ZERO).unwrap();
    retire(&handover, 1..3);
    let outcome = Outcome::Delivered {
        agent: AgentId::new(0),
    };
    let start = scene.start;
    scene.intake.lock().retire_adopted(2, outcome, start);
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
    retire(&handover, 0..3);
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

/// Adopts the events of the second place and has all of them be retired.
fn finish_second_place(scene: &mut Scene, events: u64) {
    let handover = scene.work(Duration::ZERO).unwrap();
    retire(&handover, 0..events);
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
    retire(&handover, 0..2);
    scene.work(Duration::ZERO);
    scene.work(100 * MS);
    let cursor = fs::read(place.join("cursor")).unwrap();
    handover.finish(Waker::noop());
    scene.work(100 * MS);
    // Its events are retired, and what is in the way stays there also for root.
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
    retire(&handover, 0..2);
    handover.finish(Waker::noop());
    scene.work(Duration::ZERO);
    assert!(foreign.exists(), "nobody has seen its events");
    assert!(scene.adoption.schedule.leaves(&place, scene.start));
}
