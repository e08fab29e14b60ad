//! A feed that is worked by hand, on a disk whose reads fail or do not return.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::io::Errno;
use tempfile::TempDir;

use super::*;
use crate::event::Event;
use crate::runtime::ClientRuntime;
use crate::spool::{Access, Directory, Level, Operation, Settings, Watched};
use crate::worker::reading::LeftOut;

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);
const BLOCK_BYTES: u64 = 4096;
/// A frame of one event begins in a block and ends in the one behind the next.
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
    /// Whoever holds it holds reads.
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
fn left_out(events: u64) -> (TempDir, Arc<Sickness>, Feed) {
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
    let backlog = Backlog::new(reading, disk.clone(), home.path(), &log, &opened);
    let mut feed = Feed::new(backlog, usize::MAX, false);
    let (first, end) = (feed.position, log.readable_upto());
    feed.position = log.next();
    feed.late.due.push_back(LeftOut {
        first,
        end,
        events,
        segment: None,
        why: "a failure".into(),
    });
    (home, sickness, feed)
}

fn chunk(first: u64) -> Chunk {
    let event = Event::new(vec![b'x'; BODY_BYTES]);
    let bytes = event.as_datum().to_vec();
    Chunk {
        first,
        ends: vec![bytes.len() as u32],
        bytes,
    }
}

fn poll(feed: &mut Feed) -> Vec<Fed> {
    let mut fed = Vec::new();
    feed.poll(&mut Context::from_waker(Waker::noop()), &mut fed);
    fed
}

/// Polls until all that is due was tried. Says which events came.
fn read_all_due(feed: &mut Feed) -> Vec<u64> {
    let started = Instant::now();
    let mut came = Vec::new();
    loop {
        for it in poll(feed) {
            assert!(feed.late.all().count() <= LEFT_OUT_MAX);
            if let Fed::Late(chunk) = it {
                came.extend(chunk.first..chunk.end());
            }
        }
        if feed.reading.is_none() && !feed.late.is_under_way() {
            return came;
        }
        assert!(started.elapsed() < PATIENCE);
        thread::yield_now();
    }
}

fn in_runtime(test: impl FnOnce()) {
    ClientRuntime::new().unwrap().block_on(async { test() });
}

#[test]
fn live_events_in_memory_do_not_wait_for_a_disk_that_hangs_with_those_left_out() {
    in_runtime(|| {
        let (_home, disk, mut feed) = left_out(3);
        let held = disk.reads.lock().unwrap();
        assert!(poll(&mut feed).is_empty());
        assert!(feed.reading.is_some(), "it hangs");
        let next = feed.position;
        let handover = feed.backlog.handover.clone();
        handover.stored(&mut vec![chunk(next)], next + 1, None);
        let fed = poll(&mut feed);
        assert!(matches!(&fed[..], [Fed::Chunk(chunk)] if chunk.first == next));
        drop(held);
        assert_eq!(read_all_due(&mut feed), [0, 1, 2]);
    });
}

#[test]
fn what_is_left_out_is_never_more_ranges_than_the_cursor_can_tell_apart() {
    const EVENTS: u64 = 6 * LEFT_OUT_MAX as u64;
    in_runtime(|| {
        let (_home, disk, mut feed) = left_out(EVENTS);
        // Frames are a little longer than two blocks, so most of these are in one of two frames.
        let bad = (2..2 * EVENTS).filter(|block| block % 4 == 2);
        *disk.bad_blocks.lock().unwrap() = bad.collect();
        let mut came = read_all_due(&mut feed);
        let count = came.len();
        assert!(count > 0 && (count as u64) < EVENTS, "{count}");
        let ranges = feed.late.left_out.len();
        assert_eq!(ranges, LEFT_OUT_MAX);
        let left_out: u64 = feed.late.all().map(|it| it.end - it.first).sum();
        assert_eq!(left_out + count as u64, EVENTS);
        let why = io::Error::from(Errno::IO).to_string();
        assert!(feed.late.all().all(|it| *it.why == *why));
        disk.bad_blocks.lock().unwrap().clear();
        feed.late.again = None;
        came.extend(read_all_due(&mut feed));
        came.sort_unstable();
        assert!(came.into_iter().eq(0..EVENTS));
    });
}

#[test]
fn a_disk_that_fails_again_and_again_is_asked_a_few_times_before_others_have_their_turn() {
    in_runtime(|| {
        let (_home, disk, mut feed) = left_out(100);
        *disk.bad_blocks.lock().unwrap() = (1..1000).collect();
        assert!(feed.read_late());
        let mut context = Context::from_waker(Waker::noop());
        while feed
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
    });
}

/// A read of what comes next that fails.
fn fail(feed: &mut Feed, is_passing: bool) -> OnFailure {
    let job = Job {
        reader: feed.reader.take().unwrap(),
        next: feed.position,
        limit: feed.position + 1,
        segments: feed.segments.clone(),
        on_failure: feed.on_failure(),
        left_out_max: 1,
        late: None,
        why: "".into(),
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
    feed.on_read(outcome, &mut Vec::new());
    feed.on_failure()
}

#[test]
fn a_place_is_not_given_up_for_another_because_of_failures_that_pass() {
    in_runtime(|| {
        for is_ordered in [true, false] {
            let (_home, _disk, mut feed) = left_out(LEFT_OUT_MAX as u64);
            let due = feed.late.due.pop_front().unwrap();
            feed.is_ordered = is_ordered;
            if !is_ordered {
                // What comes next waits for room among these.
                let alone = |first| LeftOut {
                    first,
                    end: first + 1,
                    events: 1,
                    ..due.clone()
                };
                feed.late.left_out = (due.first..due.end).map(alone).collect();
            }
            feed.backlog.handover.others_wait();
            for _ in 0..2 * READ_TRIES {
                fail(&mut feed, true);
                assert!(!feed.is_over(), "there may be descriptors soon");
            }
            for _ in 1..READ_TRIES {
                fail(&mut feed, false);
                assert!(!feed.is_over(), "it may be read yet");
            }
            fail(&mut feed, false);
            assert!(feed.is_over(), "in order: {is_ordered}");
        }
    });
}

#[test]
fn a_place_is_given_up_for_another_when_only_a_block_that_cannot_be_read_is_left() {
    in_runtime(|| {
        let (_home, disk, mut feed) = left_out(3);
        *disk.bad_blocks.lock().unwrap() = vec![2];
        let came = read_all_due(&mut feed);
        assert!(!came.is_empty() && came.len() < 3, "{came:?}");
        let handover = feed.backlog.handover.clone();
        handover.drained();
        assert!(feed.is_through() && !feed.is_over(), "no other waits");
        handover.others_wait();
        assert!(feed.is_over());
        feed.let_go();
        let left = handover.unreadable();
        assert_eq!(
            left.iter().map(|it| it.events_max).sum::<u64>(),
            3 - came.len() as u64
        );
    });
}

#[test]
fn only_failures_of_the_file_count_for_leaving_its_events_out() {
    in_runtime(|| {
        let (_home, _disk, mut feed) = left_out(1);
        feed.late.due.clear();
        let mut fail = |is_passing| fail(&mut feed, is_passing);
        for _ in 0..2 * READ_TRIES {
            assert_eq!(fail(true), OnFailure::LeaveOutLater);
        }
        for _ in 1..READ_TRIES {
            assert_eq!(fail(false), OnFailure::LeaveOutLater);
        }
        assert_eq!(fail(false), OnFailure::LeaveOut);
    });
}
