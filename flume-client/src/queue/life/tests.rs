//! Clients whose threads panic, and whose disk takes its time. No agent is there.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::clock::SystemClock;
use crate::error::{DeliveryError, Refusal, StoreError};
use crate::health::Problem;
use crate::spool::{FileName, Operation, Watched};
use crate::{Client, Event, Receipt, Reliability, Report, Stats};

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the disk does when a segment is written, synced or read for delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Works,
    /// Writing panics.
    PanicsOnWrite,
    /// Syncs do not return before this changes.
    HoldsSyncs,
    /// Reading for delivery does not begin before this changes,
    HoldsReads,
    /// and panics then.
    PanicsOnRead,
}

/// What stands beside a real directory and has a will of its own.
#[derive(Clone, Default)]
struct MoodyDisk {
    mood: Arc<(Mutex<(Mood, u32)>, Condvar)>,
}

impl MoodyDisk {
    fn lock(&self) -> MutexGuard<'_, (Mood, u32)> {
        self.mood.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mood: Mood) {
        self.lock().0 = mood;
        self.mood.1.notify_all();
    }

    fn pass(&self, held: Mood) -> Mood {
        let mut state = self.lock();
        if state.0 == held {
            state.1 += 1;
            self.mood.1.notify_all();
        }
        while state.0 == held {
            state = self.mood.1.wait(state).unwrap();
        }
        state.0
    }

    fn before(&self, operation: Operation) -> io::Result<()> {
        match operation {
            Operation::Write {
                file: FileName::Segment(_),
            } => assert!(
                self.lock().0 != Mood::PanicsOnWrite,
                "on purpose: a write panics"
            ),
            Operation::Read { .. } if thread::current().name() == Some("flume-read") => {
                let mood = self.pass(Mood::HoldsReads);
                assert!(mood != Mood::PanicsOnRead, "on purpose: a read panics");
            }
            Operation::Sync {
                file: FileName::Segment(_),
            } => drop(self.pass(Mood::HoldsSyncs)),
            _ => {}
        }
        Ok(())
    }

    /// Waits until `calls` calls were held.
    fn wait_for_held(&self, calls: u32) {
        let state = self.lock();
        let waiting = |state: &mut (Mood, u32)| state.1 < calls;
        let waited = self.mood.1.wait_timeout_while(state, PATIENCE, waiting);
        assert!(!waited.unwrap().1.timed_out(), "nothing was held");
    }
}

/// A directory of its own, removed with this.
struct Place(std::path::PathBuf);

impl Place {
    fn new() -> Self {
        let name = format!("flume-life-{}-{:x}", std::process::id(), fastrand::u64(..));
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A client of an agent that is not there.
fn client_on(place: &Place, mood: Mood) -> (Client, MoodyDisk) {
    let builder = Client::builder().agent("avro://127.0.0.1:1");
    let builder = builder.spool(place.path()).spool_free_bytes(0);
    let disk = MoodyDisk::default();
    disk.set(mood);
    let beside = disk.clone();
    let client = Client::start_on(builder.check().unwrap(), move |directory| {
        let beside = beside.clone();
        Arc::new(Watched::new(directory, move |it| beside.before(it)))
    });
    (client.unwrap(), disk)
}

/// All at once: a thread may panic over the first of them.
fn append(client: &Client, events: usize) -> Vec<Receipt> {
    let events = (0..events).map(|number| Event::new(format!("event {number}")));
    client.append_batch(events.collect()).unwrap()
}

#[track_caller]
fn assert_balanced(stats: &Stats) {
    let Stats {
        accepted,
        recovered,
        delivered,
        pending,
        lost,
        ..
    } = stats;
    assert_eq!(
        accepted + recovered,
        delivered + pending + lost.total(),
        "{stats:?}"
    );
}

/// Counts how often it is woken.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counts {
    /// Waits until it was woken `wakes` times: that comes after what it is woken for.
    fn wait_for(&self, wakes: usize) {
        let started = Instant::now();
        while self.0.load(Ordering::SeqCst) < wakes {
            assert!(started.elapsed() < PATIENCE, "not woken");
            thread::yield_now();
        }
    }
}

/// Polls once; it has to be woken when the client ends.
fn poll<F: Future + Unpin>(future: &mut F, counts: &Arc<Counts>) {
    let waker = Waker::from(counts.clone());
    let polled = Pin::new(future).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
}

/// Everything that a client whose thread has panicked says, and to whom.
#[track_caller]
fn assert_failed(client: &Client, thread: ClientThread) -> Report {
    let error = client.append(Event::new("later")).unwrap_err();
    assert_eq!(*error.refusal(), Refusal::Failed { thread });
    assert!(error.to_string().contains(thread.name()), "{error}");
    let error = client.append_batch(vec![Event::new("later")]).unwrap_err();
    assert_eq!(*error.refusal(), Refusal::Failed { thread });
    assert!(client.ready(1).wait(PATIENCE));
    let error = client.flush(PATIENCE).wait().unwrap_err();
    assert_eq!(error.failed, Some(thread));
    let health = client.health();
    let told =
        |problem: &Problem| matches!(problem, Problem::Failed { thread: it } if *it == thread);
    assert!(health.problems.iter().any(told), "{health}");
    let report = client.close(PATIENCE).wait();
    assert_eq!(report.failed, Some(thread));
    let stats = client.stats();
    assert_eq!((stats.failed, stats.pending_bytes), (Some(thread), 0));
    assert_balanced(&stats);
    report
}

#[test]
fn a_panic_of_the_committer_ends_the_client_and_everybody_is_told() {
    let place = Place::new();
    let (client, disk) = client_on(&place, Mood::Works);
    let stored = append(&client, 3);
    stored[2].wait_stored(PATIENCE).unwrap();
    let counts = Arc::new(Counts::default());
    let mut in_spool = stored[0].delivered();
    let mut flush = client.flush(PATIENCE);
    poll(&mut in_spool, &counts);
    poll(&mut flush, &counts);

    disk.set(Mood::PanicsOnWrite);
    let receipts = append(&client, 2);
    let thread = ClientThread::Committer;
    for receipt in &receipts {
        let error = receipt.wait_stored(PATIENCE).unwrap_err();
        assert_eq!(error, StoreError::Failed { thread });
        let error = receipt.wait(PATIENCE).unwrap_err();
        assert_eq!(error, DeliveryError::Failed { thread });
    }
    for receipt in &stored {
        assert_eq!(receipt.wait_stored(PATIENCE), Ok(()));
        assert_eq!(receipt.wait(PATIENCE), Err(DeliveryError::InSpool));
    }
    counts.wait_for(2);
    let report = assert_failed(&client, thread);
    assert_eq!((report.on_disk, report.pending), (3, 0));
    assert_eq!((report.lost.unknown, report.lost.total()), (2, 2));

    drop((client, disk));
    let (next, _) = client_on(&place, Mood::Works);
    assert_eq!(next.stats().recovered, 3);
}

#[test]
fn a_panic_of_the_sender_ends_the_client_and_what_was_taken_is_in_the_spool() {
    let place = Place::new();
    let (client, _) = client_on(&place, Mood::Works);
    let _ = append(&client, 3);
    let _ = client.close(Duration::ZERO).wait();
    drop(client);

    // What is left has to be read, and that panics when the next events are there.
    let (client, disk) = client_on(&place, Mood::HoldsReads);
    disk.wait_for_held(1);
    let receipts = append(&client, 2);
    let counts = Arc::new(Counts::default());
    let mut delivered = receipts[0].delivered();
    poll(&mut delivered, &counts);
    disk.set(Mood::PanicsOnRead);
    for receipt in &receipts {
        assert_eq!(receipt.wait(PATIENCE), Err(DeliveryError::InSpool));
        assert_eq!(receipt.wait_stored(PATIENCE), Ok(()));
    }
    counts.wait_for(1);
    let report = assert_failed(&client, ClientThread::Sender);
    assert_eq!(
        (report.on_disk, report.pending, report.lost.total()),
        (5, 0, 0)
    );

    drop((client, disk));
    let (next, _) = client_on(&place, Mood::Works);
    assert_eq!(next.stats().recovered, 5);
}

#[test]
fn a_thread_that_cannot_be_started_ends_the_other_one() {
    let config = Client::builder().agent("avro://localhost:1").check();
    let intake = Arc::new(Intake::new(&config.unwrap(), Arc::new(SystemClock)));
    let thread = ClientThread::Sender;
    drop(Guard::of_sender(intake.clone()));
    let refusal = intake
        .append(Reliability::InMemory, &Event::new(""))
        .unwrap_err();
    assert_eq!(refusal, Refusal::Failed { thread });
}

#[test]
fn what_a_slow_disk_takes_after_the_close_is_neither_reported_lost_nor_lost() {
    let place = Place::new();
    let (client, disk) = client_on(&place, Mood::HoldsSyncs);
    let receipts = append(&client, 5);
    disk.wait_for_held(1);
    let patient = client.close(PATIENCE * 10);
    let early = client.close(Duration::ZERO).wait();
    assert_eq!(
        (early.pending, early.on_disk, early.lost.total()),
        (5, 0, 0)
    );
    // One more, and shorter than the one that waits already.
    let early = client.close(Duration::ZERO).wait();
    assert_eq!(
        (early.pending, early.on_disk, early.lost.total()),
        (5, 0, 0)
    );
    for receipt in &receipts {
        let waited = Duration::ZERO;
        let pending = Err(DeliveryError::Pending {
            waited,
            cause: None,
        });
        assert_eq!(receipt.wait(waited), pending);
    }
    assert_balanced(&client.stats());

    disk.set(Mood::Works);
    let report = patient.wait();
    assert_eq!(
        (report.on_disk, report.pending, report.lost.total()),
        (5, 0, 0)
    );
    for receipt in &receipts {
        assert_eq!(receipt.wait(PATIENCE), Err(DeliveryError::InSpool));
        assert_eq!(receipt.wait_stored(PATIENCE), Ok(()));
    }
    let stats = client.stats();
    assert_eq!((stats.pending, stats.pending_bytes), (5, 0));
    assert_balanced(&stats);
    drop((client, disk));
    let (next, _) = client_on(&place, Mood::Works);
    assert_eq!(next.stats().recovered, 5);
}

#[test]
fn without_a_spool_what_was_taken_is_lost_as_unknown_when_the_thread_panics() {
    let builder = Client::builder().agent("avro://localhost:1");
    let config = builder.reliability(Reliability::InMemory).check().unwrap();
    let intake = Arc::new(Intake::new(&config, Arc::new(SystemClock)));
    let receipt = intake
        .append(Reliability::InMemory, &Event::new("left over"))
        .unwrap();
    let thread = ClientThread::Sender;
    let guard = Guard::of_sender(intake.clone());
    let panicked = thread::spawn(move || {
        let _guard = guard;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.join().is_err());
    let failed = Err(DeliveryError::Failed { thread });
    assert_eq!(receipt.wait(Duration::ZERO), failed);
    let stats = intake.stats();
    assert_eq!((stats.lost.unknown, stats.pending), (1, 0));
    assert_balanced(&stats);
}
