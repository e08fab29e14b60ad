//! The shards under a scheduler that tries many orders of the threads' steps: callers, the renderer
//! that swaps, and an end in between.
//!
//! The sources are those of the crate, with that scheduler's locks in the place of the system's. The
//! renderer's pass is written again here, without what it renders.
//!
//! `FLUME_SHARD_SCHEDULES=100000 cargo test -p flume-appender --release --test shards` tries more. A
//! schedule that fails is printed, and can be run again by `shuttle::replay`.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "clippy.toml allows them in #[test] functions; their helpers are tests too"
)]

#[expect(unreachable_pub, reason = "the crate's root gives it to its users")]
#[path = "../src/level.rs"]
mod level;
#[expect(dead_code, reason = "what a record is besides is the renderer's")]
#[path = "../src/capture/records.rs"]
mod records;
#[expect(
    unreachable_pub,
    reason = "the crate's root gives some of it to its users"
)]
#[path = "../src/capture/shards.rs"]
mod shards;

/// In the place of `capture::sync`.
mod sync {
    pub(super) use shuttle::sync::atomic::{AtomicUsize, Ordering};
    pub(super) use shuttle::sync::{Mutex, MutexGuard};
    pub(super) use std::sync::{PoisonError, TryLockError};
}

/// In the place of `capture::site`.
mod site {
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Site;
}

/// In the place of `capture::span`.
mod span {
    #[derive(Debug)]
    pub(crate) struct SpanNode;
}

/// In the place of `capture::field_writer`.
mod field_writer {
    pub(crate) const RECORD_BYTES_MAX: usize = 256 * 1024;
}

use std::collections::BTreeMap;
use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use shuttle::{Runner, thread};

use level::Level;
use records::{Draft, Records};
use shards::{Offered, Refused, Shards};

/// Two shards, the least that are.
const SHARD_BYTES: usize = 512 * 1024;
const CALLERS: u32 = 3;
const CALLS: u64 = 4;
/// Threads at whose steps a fault of the order may lie, for the second scheduler.
const DEPTH: usize = 3;

/// What a record is, beside its level: who logged it, and its number there.
type Name = (u32, u64);

/// A service while it logs.
struct Service {
    shards: Shards,
    /// The clock, one tick for each look.
    clock: AtomicU64,
    is_closed: AtomicBool,
    /// Bytes of each record.
    bytes: usize,
}

/// What one caller was told, call by call.
type Told = Vec<(Level, Offered)>;

impl Service {
    fn new(bytes: usize) -> Self {
        let shards = Shards::new(2 * SHARD_BYTES, 1);
        assert_eq!(shards.count(), 2);
        Self {
            shards,
            clock: AtomicU64::new(1),
            is_closed: AtomicBool::new(false),
            bytes,
        }
    }

    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Logs, as the capture does.
    fn log(&self, caller: u32) -> Told {
        let mut bytes = vec![0; self.bytes];
        let one = |number: u64| {
            let level = Level::ALL[(number as usize + caller as usize) % Level::ALL.len()];
            let name = [u64::from(caller).to_le_bytes(), number.to_le_bytes()].concat();
            bytes[..name.len()].copy_from_slice(&name);
            let draft = Draft {
                site: None,
                stamp: self.now(),
                span: None,
                level,
                is_cut: false,
                bytes: &bytes,
            };
            // A look without the lock comes first; an error goes wherever there is room.
            let looks_full = level != Level::Error && self.shards.looks_full(caller, level);
            let offered = if looks_full {
                Offered::NoRoom
            } else {
                self.shards.offer(caller, &draft)
            };
            match offered {
                Offered::Taken { .. } => {}
                Offered::NoRoom => self.shards.refuse(caller, level, Refused::NoRoom),
                Offered::Closed => self.shards.refuse(caller, level, Refused::Closed),
            }
            (level, offered)
        };
        let told = (0..CALLS).map(one).collect();
        // One that was logged from within too many others.
        self.shards.refuse(caller, Level::Info, Refused::Nested);
        told
    }

    fn close(&self) {
        self.shards.close();
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Takes all, as the renderer does, and names it in the order in which it would be rendered.
    fn render(&self) -> Vec<Name> {
        let mut rendered = Vec::new();
        let mut spare: Vec<Records> = (0..2).map(|_| self.shards.spare()).collect();
        let mut kept = Vec::new();
        loop {
            let is_last = self.is_closed.load(Ordering::SeqCst);
            let begin = if is_last { u64::MAX } else { self.now() };
            let mut all = std::mem::take(&mut kept);
            for (index, records) in spare.iter_mut().enumerate() {
                self.shards.swap(index, records);
                all.extend(records.iter().map(|it| (it.head.stamp, name_of(it.bytes))));
                records.clear();
            }
            all.sort_by_key(|(stamp, _)| *stamp);
            for (stamp, name) in all {
                if stamp > begin {
                    kept.push((stamp, name));
                } else {
                    rendered.push(name);
                }
            }
            if is_last {
                return rendered;
            }
            thread::yield_now();
        }
    }
}

fn name_of(bytes: &[u8]) -> Name {
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    (number(0) as u32, number(8))
}

/// Callers, the renderer and an end at any time; then all is looked at.
fn a_service_that_ends(bytes: usize) {
    let service = Arc::new(Service::new(bytes));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let service = service.clone();
            thread::spawn(move || service.log(caller))
        })
        .collect();
    let renderer = {
        let service = service.clone();
        thread::spawn(move || service.render())
    };
    service.close();
    let told: Vec<Told> = callers.into_iter().map(|it| it.join().unwrap()).collect();
    let rendered = renderer.join().unwrap();

    nothing_is_lost_or_doubled(&told, &rendered);
    each_thread_s_order_is_kept(&rendered);
    counts_balance(&service.shards, &told);
    assert!(service.shards.is_empty(), "a record came in after the end");
}

fn nothing_is_lost_or_doubled(told: &[Told], rendered: &[Name]) {
    let mut times: BTreeMap<Name, u32> = BTreeMap::new();
    rendered
        .iter()
        .for_each(|name| *times.entry(*name).or_default() += 1);
    for (caller, told) in (0..).zip(told) {
        for (number, (level, offered)) in (0..).zip(told) {
            let is_taken = matches!(offered, Offered::Taken { .. });
            let times = times.remove(&(caller, number)).unwrap_or_default();
            assert_eq!(
                times,
                u32::from(is_taken),
                "{caller} {number} {level} {offered:?}"
            );
        }
    }
    assert_eq!(times, BTreeMap::new(), "nobody logged these");
}

fn each_thread_s_order_is_kept(rendered: &[Name]) {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for (caller, number) in rendered {
        let before = last.insert(*caller, *number);
        assert!(
            before < Some(*number),
            "{caller}: {number} after {before:?}"
        );
    }
}

fn counts_balance(shards: &Shards, told: &[Told]) {
    let tally = shards.tally();
    let told: Vec<_> = told.iter().flatten().collect();
    for level in Level::ALL {
        let of = |wanted: fn(&Offered) -> bool| {
            let it = told.iter().filter(|it| it.0 == level && wanted(&it.1));
            it.count() as u64
        };
        let counts = [&tally.logged, &tally.no_room, &tally.closed, &tally.nested];
        let counts = counts.map(|it| it.of(level));
        let nested = u64::from(level == Level::Info) * u64::from(CALLERS);
        let seen = [
            of(|_| true) + nested,
            of(|it| *it == Offered::NoRoom),
            of(|it| *it == Offered::Closed),
            nested,
        ];
        assert_eq!(
            counts, seen,
            "{level}: logged, without room, after the end, nested"
        );
    }
}

/// Tries schedules by chance, and as many in which few threads are held up at the worst places.
fn in_every_order(service: fn()) {
    let asked = std::env::var("FLUME_SHARD_SCHEDULES").ok();
    let schedules = asked.map_or(1_000, |it| it.parse().unwrap());
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        Runner::new(scheduler, shuttle::Config::default()).run(service);
    };
    run(Box::new(RandomScheduler::new(schedules)));
    run(Box::new(PctScheduler::new(DEPTH, schedules)));
}

#[test]
fn no_order_of_steps_loses_doubles_or_reorders_a_record() {
    in_every_order(|| a_service_that_ends(32));
}

#[test]
fn no_order_of_steps_loses_doubles_or_reorders_a_record_where_room_is_short() {
    // Four of them fill a shard.
    in_every_order(|| a_service_that_ends(SHARD_BYTES / 4));
}
