//! A backlog that is worked by hand, on a disk whose reads fail or do not return.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::io::Errno;
use tempfile::TempDir;

use super::late::LEFT_OUT_MAX;
use super::*;
use crate::config::Sizes;
use crate::event::Event;
use crate::queue::BlockingThread;
use crate::spool::{Access, Directory, Level, Log, Operation, Settings, Watched};

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);
const BLOCK_BYTES: u64 = 4096;
/// A frame of one event begins in a block and ends in the one after the next.
const BODY_BYTES: usize = 2 * BLOCK_BYTES as usize;
const SETTINGS: Settings = Settings {
    segment_bytes: 4 * 1024 * 1024,
    frame_bytes_max: 64 * 1024,
    bytes_max: 64 * 1024 * 1024,
    free_bytes_min: 0,
};

/// What a real directory has: blocks that cannot be read.
#[derive(Default)]
struct Sickness {
    bad_blocks: Mutex<Vec<u64>>,
    errors: AtomicU32,
    /// A test that holds it holds reads.
    reads: Mutex<()>,
}

impl Sickness {
    fn before(&self, operation: Operation) -> io::Result<()> {
        let Operation::Read {
            file,
            offset,
            bytes,
        } = operation
        else {
            return Ok(());
        };
        if thread::current().name() == Some("flume-read") {
            drop(self.reads.lock().unwrap());
        }
        let end = offset + bytes as u64;
        let is_bad = |block: &u64| block * BLOCK_BYTES < end && offset < (block + 1) * BLOCK_BYTES;
        let is_segment = matches!(file, FileName::Segment(_));
        if is_segment && self.bad_blocks.lock().unwrap().iter().any(is_bad) {
            self.errors.fetch_add(1, Ordering::Relaxed);
            return Err(Errno::IO.into());
        }
        Ok(())
    }
}

/// Events of an earlier run, all of them left out and to be tried again now.
fn left_out(events: u64) -> (TempDir, Arc<Sickness>, Backlog) {
    let home = TempDir::new().unwrap();
    let sickness = Arc::new(Sickness::default());
    let directory = Directory::open(home.path(), Access::default()).unwrap();
    let beside = sickness.clone();
    let disk = Arc::new(Watched::new(Arc::new(directory), move |it| {
        beside.before(it)
    }));
    let (mut log, _) = Log::open(disk.clone(), SETTINGS, 1).unwrap();
    for _ in 0..events {
        let chunk = chunk(log.next());
        log.push(&chunk.ends, &chunk.bytes, Level::EndToEnd);
    }
    log.flush(0).unwrap();
    drop(log);
    let (log, opened) = Log::open(disk.clone(), SETTINGS, 2).unwrap();
    let reading = BlockingThread::start("flume-read").unwrap();
    let spool = OpenedSpool::new(
        reading,
        disk.clone(),
        home.path(),
        &log,
        &opened,
        Sizes::default(),
    );
    let mut backlog = Backlog::new(spool, usize::MAX, false);
    let range = SeqRange::new(backlog.position, log.readable_upto());
    backlog.position = log.next();
    backlog.late.due.push_back(LeftOut {
        range,
        events,
        segment: None,
        why: "a failure".into(),
    });
    (home, sickness, backlog)
}

fn chunk(first: Seq) -> Chunk {
    let event = Event::new(vec![b'x'; BODY_BYTES]);
    let bytes = event.as_datum().to_vec();
    Chunk {
        first,
        ends: vec![bytes.len() as u32],
        bytes,
    }
}

fn poll(backlog: &mut Backlog) -> Vec<Item> {
    let mut items = Vec::new();
    backlog.poll(Instant::now(), Waker::noop(), &mut items);
    items
}

/// Polls until all that is due was tried. Says which events came.
fn read_all_due(backlog: &mut Backlog) -> Vec<u64> {
    let started = Instant::now();
    let mut came = Vec::new();
    loop {
        for it in poll(backlog) {
            assert!(backlog.late.all().count() <= LEFT_OUT_MAX);
            if let Item::Late(chunk) = it {
                came.extend(chunk.range().iter().map(Seq::number));
            }
        }
        if backlog.reading.is_none() && !backlog.late.is_under_way() {
            return came;
        }
        assert!(started.elapsed() < PATIENCE);
        thread::yield_now();
    }
}

#[test]
fn live_events_in_memory_do_not_wait_for_a_disk_that_hangs_with_those_left_out() {
    let (_home, disk, mut backlog) = left_out(3);
    let held = disk.reads.lock().unwrap();
    assert!(poll(&mut backlog).is_empty());
    assert!(backlog.reading.is_some(), "it hangs");
    let next = backlog.position;
    let handover = backlog.spool.handover.clone();
    handover.stored(&mut vec![chunk(next)], next.next(), None);
    let items = poll(&mut backlog);
    assert!(matches!(&items[..], [Item::Chunk(chunk)] if chunk.first == next));
    drop(held);
    assert_eq!(read_all_due(&mut backlog), [0, 1, 2]);
}

#[test]
fn what_is_left_out_is_never_more_ranges_than_the_cursor_can_tell_apart() {
    const EVENTS: u64 = 6 * LEFT_OUT_MAX as u64;
    let (_home, disk, mut backlog) = left_out(EVENTS);
    // Frames are a little longer than two blocks, so most of these are in one of two frames.
    let bad = (2..2 * EVENTS).filter(|block| block % 4 == 2);
    *disk.bad_blocks.lock().unwrap() = bad.collect();
    let mut came = read_all_due(&mut backlog);
    let count = came.len();
    assert!(count > 0 && (count as u64) < EVENTS, "{count}");
    let ranges = backlog.late.left_out.len();
    assert_eq!(ranges, LEFT_OUT_MAX);
    let left_out: u64 = backlog.late.all().map(|it| it.range.len()).sum();
    assert_eq!(left_out + count as u64, EVENTS);
    let why = io::Error::from(Errno::IO).to_string();
    assert!(backlog.late.all().all(|it| *it.why == *why));
    disk.bad_blocks.lock().unwrap().clear();
    backlog.late.again = None;
    came.extend(read_all_due(&mut backlog));
    came.sort_unstable();
    assert!(came.into_iter().eq(0..EVENTS));
}

#[test]
fn a_disk_that_fails_again_and_again_is_asked_a_few_times_before_others_have_their_turn() {
    let (_home, disk, mut backlog) = left_out(100);
    *disk.bad_blocks.lock().unwrap() = (1..1000).collect();
    assert!(backlog.read_late());
    let mut context = Context::from_waker(Waker::noop());
    while backlog
        .reading
        .as_ref()
        .unwrap()
        .poll(&mut context)
        .is_pending()
    {
        thread::yield_now();
    }
    // Each block is tried alone, once more.
    let errors = disk.errors.load(Ordering::Relaxed);
    assert!((4..=8).contains(&errors), "{errors}");
}

/// A read of what comes next that fails.
fn fail(backlog: &mut Backlog, is_passing: bool) -> OnFailure {
    let job = Job {
        reader: backlog.reader.take().unwrap(),
        rest: SeqRange::of(backlog.position, 1),
        segments: backlog.segments.clone(),
        on_failure: backlog.on_failure(),
        left_out_max: 1,
        late: None,
        why: "".into(),
        bytes_max: backlog.spool.read_bytes,
    };
    let failure = Failure {
        segment: None,
        why: "a failure".into(),
        is_passing,
    };
    let outcome = Outcome {
        job,
        found: Vec::new(),
        damaged: Vec::new(),
        failure: Some(failure),
    };
    backlog.on_read(outcome, Instant::now(), &mut Vec::new());
    backlog.on_failure()
}

#[test]
fn a_place_is_not_given_up_for_another_because_of_failures_that_pass() {
    for is_ordered in [true, false] {
        let (_home, _disk, mut backlog) = left_out(LEFT_OUT_MAX as u64);
        let due = backlog.late.due.pop_front().unwrap();
        backlog.is_ordered = is_ordered;
        if !is_ordered {
            // What comes next waits for room among these.
            let alone = |first| LeftOut {
                range: SeqRange::of(first, 1),
                events: 1,
                ..due.clone()
            };
            backlog.late.left_out = due.range.iter().map(alone).collect();
        }
        backlog.spool.handover.others_wait();
        for _ in 0..2 * READ_TRIES {
            fail(&mut backlog, true);
            assert!(!backlog.is_over(), "there may be descriptors soon");
        }
        for _ in 1..READ_TRIES {
            fail(&mut backlog, false);
            assert!(!backlog.is_over(), "it may be read yet");
        }
        fail(&mut backlog, false);
        assert!(backlog.is_over(), "in order: {is_ordered}");
    }
}

#[test]
fn a_place_is_given_up_for_another_when_only_a_block_that_cannot_be_read_is_left() {
    let (_home, disk, mut backlog) = left_out(3);
    *disk.bad_blocks.lock().unwrap() = vec![2];
    let came = read_all_due(&mut backlog);
    assert!(!came.is_empty() && came.len() < 3, "{came:?}");
    let handover = backlog.spool.handover.clone();
    handover.drained();
    assert!(backlog.is_through() && !backlog.is_over(), "no other waits");
    handover.others_wait();
    assert!(backlog.is_over());
    backlog.let_go();
    let left = handover.unreadable();
    assert_eq!(
        left.iter().map(|it| it.events_max).sum::<u64>(),
        3 - came.len() as u64
    );
}

#[test]
fn only_failures_of_the_file_count_for_leaving_its_events_out() {
    let (_home, _disk, mut backlog) = left_out(1);
    backlog.late.due.clear();
    let mut fail = |is_passing| fail(&mut backlog, is_passing);
    for _ in 0..2 * READ_TRIES {
        assert_eq!(fail(true), OnFailure::LeaveOutLater);
    }
    for _ in 1..READ_TRIES {
        assert_eq!(fail(false), OnFailure::LeaveOutLater);
    }
    assert_eq!(fail(false), OnFailure::LeaveOut);
}
