use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Context;

use super::*;
use crate::client::{Client, Parts, assemble};
use crate::clock::SystemClock;
use crate::error::ClientThread;
use crate::event::Event;
use crate::queue::{Next, OpenedSpool, Request, Retirements, oneshot};
use crate::seq::SeqRange;
use crate::spool::{Directory, FileName, Operation, Storage, Watched};

const LEVEL: Reliability = Reliability::EndToEnd;

/// A committer that is worked by hand, and what it deals with.
type ByHand = (
    tempfile::TempDir,
    Arc<Intake>,
    Committer,
    OpenedSpool,
    Arc<Directory>,
);

/// A committer that is worked by hand.
fn committer(sync: SyncMode) -> (tempfile::TempDir, Arc<Intake>, Committer, OpenedSpool) {
    let (home, intake, committer, spool, _) = committer_in(sync);
    (home, intake, committer, spool)
}

/// The same, and its directory.
fn committer_in(sync: SyncMode) -> ByHand {
    committer_of(LEVEL, sync)
}

/// The same of a level.
fn committer_of(level: Reliability, sync: SyncMode) -> ByHand {
    committer_with(|it| it, Arc::new(SystemClock), level, sync)
}

/// The same, with what `storage` makes of its disk, and another clock.
fn committer_with(
    storage: impl FnOnce(Arc<dyn Storage>) -> Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    level: Reliability,
    sync: SyncMode,
) -> ByHand {
    let home = tempfile::TempDir::new().unwrap();
    let builder = Client::builder().agent("avro://localhost:1");
    let spool = home.path().join("above/spool");
    let builder = builder.spool(spool).spool_free_bytes(0).sync(sync);
    let config = builder.check().unwrap();
    let spool = config.spool.clone().unwrap();
    let intake = Arc::new(Intake::new(&config, Arc::new(SystemClock)));
    let directory = Directory::open(&spool.directory, spool.access).unwrap();
    let directory = Arc::new(directory.with_flushing(spool.flushing()));
    let settings = spool.settings(config.event_bytes_max, directory.limits());
    let parts = Parts {
        location: directory.clone(),
        storage: storage(directory.clone()),
        neighbours: None,
        settings: settings.unwrap(),
        reading: BlockingThread::start("flume-test").unwrap(),
        clock,
        draw: Box::new(|| 1),
    };
    let opening = assemble(&config, level, &spool, parts, &intake).unwrap();
    let (beginning, committer, spool) = opening;
    let handover = spool.handover.clone();
    let mut state = intake.lock();
    state.open_spool(&config, level, beginning, &intake.awaited, handover);
    drop(state);
    (home, intake, committer, spool, directory)
}

fn close(intake: &Intake) {
    let (promise, _) = oneshot();
    let timeout = Duration::from_secs(60);
    intake.request(|_| Request::Close { timeout, promise });
}

#[test]
fn a_close_that_comes_when_the_committer_has_looked_and_does_not_sleep_yet_is_seen() {
    let (_home, intake, mut committer, _spool) = committer(SyncMode::Always);
    assert!(!committer.take_chunks());
    close(&intake);
    assert!(!committer.listen(Waker::noop()), "the close is not seen");
    assert!(committer.take_chunks(), "nothing more comes");
    assert!(committer.listen(Waker::noop()), "there is nothing to do");
}

#[test]
fn a_close_during_a_commit_that_fails_hands_the_events_on_at_once() {
    let (_home, intake, mut committer, _spool) = committer(SyncMode::Always);
    drop(intake.append(LEVEL, &Event::new("not stored")).unwrap());
    assert!(!committer.take_chunks());
    committer.uncommitted.fail(Instant::now());
    close(&intake);
    assert!(!committer.listen(Waker::noop()), "the close is not seen");
    assert!(committer.take_chunks(), "nothing more comes");
    committer.hand_on_unstored(Instant::now());
    assert!(committer.uncommitted.takes_more(), "the sender has it");
}

#[test]
fn what_somebody_waits_for_is_with_the_sender_before_the_disk_has_it_and_other_events_are_not() {
    let (_home, intake, mut committer, spool) = committer(SyncMode::Always);
    let handover = &spool.handover;
    let next = |position: u64| handover.next(Seq::new(position), Waker::noop());
    drop(intake.append(LEVEL, &Event::new("nobody waits")).unwrap());
    committer.take_chunks();
    committer.send_awaited();
    assert!(matches!(next(0), Next::Nothing));
    assert!(matches!(committer.turn(Waker::noop()), Turn::Sleep { .. }));
    assert!(matches!(next(0), Next::Chunk(_)), "it is stored");

    let receipt = intake.append(LEVEL, &Event::new("somebody waits")).unwrap();
    let mut delivered = Box::pin(receipt.delivered());
    let mut context = Context::from_waker(Waker::noop());
    assert!(delivered.as_mut().poll(&mut context).is_pending());
    committer.take_chunks();
    committer.send_awaited();
    assert!(matches!(next(1), Next::Chunk(chunk) if chunk.first == Seq::new(1)));
    assert!(!receipt.is_on_disk());
    assert!(matches!(committer.turn(Waker::noop()), Turn::Sleep { .. }));
    assert!(receipt.is_on_disk());
    assert!(matches!(next(2), Next::Nothing), "it is not sent again");
    let stats = intake.stats();
    let spool = stats.spool.unwrap();
    assert_eq!(
        (spool.stored, spool.unstored, stats.pending_bytes),
        (2, 0, 0)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_flush_that_fails_is_told_until_one_succeeds_and_its_segment_is_written_no_more() {
    let interval = SyncMode::Interval(Duration::from_secs(3600));
    let (_home, intake, mut committer, _spool, directory) = committer_in(interval);
    let store = |committer: &mut Committer, body: &str| {
        drop(intake.append(LEVEL, &Event::new(body)).unwrap());
        committer.take_chunks();
        committer.commit(false);
        committer.save(true);
        committer.settle();
        intake.stats().spool.unwrap()
    };
    assert!(store(&mut committer, "before").trouble.is_none());
    let first = committer.log.newest_segment();
    directory.fail_flushes(true);
    committer.timers.sync = Some(Instant::now());
    committer.sync();
    let stats = store(&mut committer, "behind");
    assert!(stats.trouble.is_some(), "a save does not end it: {stats:?}");
    assert_eq!((stats.stored, stats.unstored), (2, 0));
    assert_ne!(committer.log.newest_segment(), first);
    let again = committer.timers.sync.unwrap();
    assert!(again <= Instant::now() + RETRY_MAX, "it is tried again");
    directory.fail_flushes(false);
    committer.timers.sync = Some(Instant::now());
    committer.sync();
    assert!(store(&mut committer, "at last").trouble.is_none());
}

#[cfg(target_os = "linux")]
#[test]
fn a_flush_that_goes_on_failing_costs_no_more_segments_than_a_few() {
    let interval = SyncMode::Interval(Duration::from_secs(3600));
    let (_home, intake, mut committer, _spool, directory) = committer_in(interval);
    let sync_behind_one_more = |committer: &mut Committer| {
        drop(intake.append(LEVEL, &Event::new("one more")).unwrap());
        committer.take_chunks();
        committer.commit(false);
        committer.timers.sync = Some(Instant::now());
        committer.sync();
        committer.settle();
        committer.log.segments().readable.len()
    };
    sync_behind_one_more(&mut committer);
    directory.fail_flushes(true);
    for _ in 0..100 {
        let segments = sync_behind_one_more(&mut committer);
        assert!(segments <= 2, "{segments} segments for a failing disk");
    }
    let failing = committer.log.newest_segment();
    directory.fail_flushes(false);
    for _ in 0..3 {
        sync_behind_one_more(&mut committer);
    }
    assert!(
        committer.log.newest_segment() > failing,
        "it is not trusted"
    );
    assert_eq!(committer.log.segments().readable.len(), 3);
    assert!(intake.stats().spool.unwrap().trouble.is_none());
}

#[test]
fn the_errors_of_a_disk_are_told_before_that_the_quota_is_used_up() {
    let (_home, intake, mut committer, _spool) = committer(SyncMode::Always);
    let told = |committer: &mut Committer| {
        committer.settle();
        intake.stats().spool.unwrap().trouble.unwrap()
    };
    committer.trouble = Some(Arc::new(SpoolError::Quota));
    assert_eq!(*told(&mut committer), SpoolError::Quota);
    committer.sync_trouble = Some(Arc::new(SpoolError::ReadOnly));
    assert_eq!(*told(&mut committer), SpoolError::ReadOnly);
}

#[cfg(unix)]
#[test]
fn what_a_look_at_the_directory_finds_is_told_until_a_look_finds_nothing() {
    let (home, intake, mut committer, _spool) = committer(SyncMode::Always);
    let mut looked = || {
        committer.timers.check = Instant::now();
        committer.keep_directory(false);
        committer.settle();
        assert!(
            !committer.timers.cursor.is_set(),
            "there is nothing to save"
        );
        let again = committer.timers.check - RETRY_MAX <= Instant::now();
        (intake.stats().spool.unwrap().trouble, again)
    };
    assert!(looked().0.is_none());
    // Nobody gets to the directory for a while, not even root.
    let (above, aside) = (home.path().join("above"), home.path().join("aside"));
    std::fs::rename(&above, &aside).unwrap();
    std::os::unix::fs::symlink(&above, &above).unwrap();
    let (told, is_soon_again) = looked();
    assert!(
        matches!(told.as_deref(), Some(SpoolError::Io(_))),
        "{told:?}"
    );
    assert!(is_soon_again, "nothing else would tell that it is over");
    std::fs::remove_file(&above).unwrap();
    std::fs::rename(&aside, &above).unwrap();
    let (told, _) = looked();
    assert!(told.is_none(), "{told:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_last_flush_that_fails_is_told_with_the_end_of_the_client() {
    let (_home, intake, committer, spool, directory) = committer_in(SyncMode::Os);
    close(&intake);
    directory.fail_flushes(true);
    spool.handover.finish(Waker::noop());
    let guard = Guard::of_committer(intake.clone(), spool.handover.clone());
    committer.run(guard);
    assert!(intake.stats().spool.unwrap().trouble.is_some());
}

#[test]
fn what_is_in_memory_is_stored_when_the_sender_is_gone() {
    let level = Reliability::StoreOnFailure;
    let (_home, intake, mut committer, spool, _) = committer_of(level, SyncMode::Always);
    let receipt = intake.append(level, &Event::new("in memory")).unwrap();
    let is_asleep = |turn| matches!(turn, Turn::Sleep { .. });
    assert!(is_asleep(committer.turn(Waker::noop())));
    let next = spool.handover.next(Seq::ZERO, Waker::noop());
    assert!(matches!(next, Next::Chunk(_)), "the sender has it");
    assert_eq!(intake.stats().spool.unwrap().commits, 0);
    assert!(!receipt.is_on_disk());
    intake.fail(ClientThread::Sender);
    spool.handover.finish(Waker::noop());
    assert_eq!(committer.turn(Waker::noop()), Turn::End);
    assert!(receipt.is_on_disk());
    let stats = intake.stats();
    assert_eq!((stats.spilled, stats.pending_bytes), (1, 0));
}

#[test]
fn what_comes_while_the_sender_reads_the_disk_follows_it_there() {
    let level = Reliability::StoreOnFailure;
    let (_home, intake, mut committer, spool, _) = committer_of(level, SyncMode::Always);
    let append_and_count = |committer: &mut Committer| {
        drop(intake.append(level, &Event::new("one more")).unwrap());
        committer.turn(Waker::noop());
        intake.stats().spool.unwrap().commits
    };
    let handover = &spool.handover;
    let retire = |number: u64| {
        let mut retired = Retirements::default();
        retired.add(SeqRange::of(Seq::new(number), 1));
        handover.retire(&mut retired);
    };
    assert_eq!(append_and_count(&mut committer), 0);
    // It waits for a second, and no agent takes it.
    handover.agents_rest(true);
    if let Some(spill) = &mut committer.spill {
        *spill = Spill::new(0, false);
    }
    assert_eq!(append_and_count(&mut committer), 1);
    handover.agents_rest(false);
    if let Some(spill) = &mut committer.spill {
        *spill = Spill::new(1_000, true);
    }
    let next = |position: u64| handover.next(Seq::new(position), Waker::noop());
    assert!(matches!(next(0), Next::Chunk(_)));
    // As if it had been let go of for want of room.
    assert!(matches!(next(0), Next::OnDisk { .. }));
    retire(0);
    assert_eq!(append_and_count(&mut committer), 2, "the sender reads");
    assert!(matches!(next(1), Next::Chunk(_)));
    retire(1);
    assert_eq!(append_and_count(&mut committer), 2, "it has read");
}

/// Goes when it is told to.
#[derive(Debug)]
struct ClockByHand {
    start: Instant,
    ms: AtomicU64,
}

impl Clock for ClockByHand {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.unix_ms())
    }

    fn unix_ms(&self) -> u64 {
        self.ms.load(Ordering::Relaxed)
    }
}

#[test]
fn a_busy_second_has_many_writes_of_the_cursor_and_one_sync() {
    let counts = Arc::new([const { AtomicU32::new(0) }; 2]);
    let counted = counts.clone();
    let count = move |operation| {
        let file = FileName::Cursor;
        let is_sync = operation == Operation::Sync { file };
        if is_sync || operation == (Operation::Write { file }) {
            counted[usize::from(is_sync)].fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let (start, ms) = (Instant::now(), AtomicU64::new(0));
    let clock = Arc::new(ClockByHand { start, ms });
    let (_home, intake, mut committer, spool, _) = committer_with(
        |disk| Arc::new(Watched::new(disk, count)),
        clock.clone(),
        LEVEL,
        SyncMode::Always,
    );
    let take = || [0, 1].map(|it: usize| counts[it].swap(0, Ordering::Relaxed));
    let mut events = |numbers: Range<u64>| {
        for number in numbers {
            drop(intake.append(LEVEL, &Event::new("acknowledged")).unwrap());
            committer.turn(Waker::noop());
            let mut retired = Retirements::default();
            retired.add(SeqRange::of(Seq::new(number), 1));
            spool.handover.retire(&mut retired);
            clock.ms.fetch_add(10, Ordering::Relaxed);
            committer.turn(Waker::noop());
        }
    };
    take();
    for second in 0..3 {
        events(100 * second..100 * (second + 1));
        let [writes, syncs] = take();
        assert!((8..=10).contains(&writes), "{writes} writes");
        assert_eq!(syncs, 1);
    }
    events(300..301);
    clock.ms.fetch_add(1_000, Ordering::Relaxed);
    committer.turn(Waker::noop());
    assert_eq!(take(), [1, 1], "of what came last");
    assert!(!committer.timers.cursor.is_set());
}
