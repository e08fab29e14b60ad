//! Crashes and errors at any operation on the disk, seeded, against a model of the channel.

use std::env;

use super::sim::Fault;
use super::*;

const SEEDS: &str = "FLUME_CRASH_SEEDS";

/// The log and what it should hold.
struct World {
    seed: u64,
    random: fastrand::Rng,
    disk: SimDisk,
    /// What is committed, in order.
    expected: Vec<u64>,
    next: u64,
    /// Transactions of the round that failed and may be in the log.
    doubtful: Vec<Step>,
    crashes: u64,
    undone: u64,
    retired: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            seed,
            disk: SimDisk::new(random.u64(..)),
            random,
            expected: Vec::new(),
            next: 0,
            doubtful: Vec::new(),
            crashes: 0,
            undone: 0,
            retired: 0,
        }
    }

    /// Several lives of a log, each with an end of its own.
    fn run(&mut self) {
        for _ in 0..6 {
            let faulty = self.random.usize(..4) > 0;
            if faulty {
                let fault = [Fault::Crash, Fault::Error][self.random.usize(..2)];
                let operations = [3, 20, 120][self.random.usize(..3)];
                let operations = self.random.usize(..operations);
                self.disk.fail_after(operations, fault);
            }
            match Booked::open(&self.disk) {
                Ok(log) => self.live(log),
                Err(error) => {
                    let expected = matches!(error, OpenError::Io { .. }) && self.disk.has_failed();
                    assert!(expected, "seed {}: {error}", self.seed);
                }
            }
            self.end();
        }
        let log =
            Booked::open(&self.disk).unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        self.check(&log);
    }

    fn live(&mut self, mut log: Booked) {
        self.check(&log);
        for _ in 0..self.random.usize(1..40) {
            let round = self.round();
            let segments = self.disk.segments().len();
            match log.commit(&round) {
                Ok(()) => round.iter().for_each(|step| self.apply(step)),
                Err(TransactionError::Write(_)) => self.undone += 1,
                Err(error) => {
                    assert!(matches!(error, TransactionError::Poisoned(_)), "{error}");
                    let again = log.commit(&round).unwrap_err();
                    assert!(matches!(again, TransactionError::Poisoned(_)));
                    self.doubtful = round;
                    return;
                }
            }
            assert_eq!(log.numbers(), self.expected, "seed {}", self.seed);
            self.retired += segments.saturating_sub(self.disk.segments().len()) as u64;
            self.check_size();
        }
        if self.random.bool() {
            let _ = log.log.close();
        }
    }

    /// One to four transactions on different events.
    fn round(&mut self) -> Vec<Step> {
        let mut there = self.expected.clone();
        // At times the oldest event stays, and its segment with it.
        let first = usize::from(self.random.usize(..8) > 0);
        let mut step = |world: &mut Self| {
            if world.random.bool() {
                let count = world.random.u64(1..6);
                world.next += count;
                Step::Put((world.next - count..world.next).collect())
            } else {
                let from = there.len().min(1 - first);
                let to = there.len().min(from + world.random.usize(1..8));
                Step::Take(there.drain(from..to).collect())
            }
        };
        (0..self.random.usize(1..5)).map(|_| step(self)).collect()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Put(numbers) => self.expected.extend(numbers),
            Step::Take(numbers) => self.expected.retain(|it| !numbers.contains(it)),
        }
    }

    /// The process dies, the power is lost, or neither.
    fn end(&mut self) {
        self.crashes += u64::from(self.disk.has_failed());
        if self.random.usize(..3) > 0 {
            self.disk.lose_power();
        } else {
            self.disk.kill();
        }
    }

    /// The log holds what is committed, and of the doubtful round any transactions of puts, each as
    /// a whole; if all of those, perhaps without what was taken.
    fn check(&mut self, log: &Booked) {
        let found = log.numbers();
        let doubtful = std::mem::take(&mut self.doubtful);
        let mut puts_are_there = true;
        for step in &doubtful {
            match step {
                Step::Put(numbers) if found.contains(&numbers[0]) => self.apply(step),
                Step::Put(_) => puts_are_there = false,
                Step::Take(_) => {}
            }
        }
        if puts_are_there && found != self.expected {
            let takes = doubtful.iter().filter(|it| matches!(it, Step::Take(_)));
            takes.for_each(|step| self.apply(step));
        }
        assert_eq!(found, self.expected, "seed {}", self.seed);
    }

    /// Segments go with their events.
    fn check_size(&self) {
        let most = self.expected.len() + 2;
        let segments = self.disk.segments().len();
        assert!(segments <= most, "seed {}: {segments} segments", self.seed);
    }
}

#[test]
fn no_crash_or_error_at_any_operation_loses_doubles_or_reorders_a_committed_event() {
    let seeds = env::var(SEEDS).map_or(300, |seeds| seeds.parse().unwrap());
    let (mut crashes, mut undone, mut retired) = (0, 0, 0);
    for seed in 0..seeds {
        let mut world = World::new(seed);
        world.run();
        crashes += world.crashes;
        undone += world.undone;
        retired += world.retired;
    }
    // The runs are worth their time only if these things happened.
    println!("{crashes} crashes, {undone} rounds undone, {retired} segments removed");
    assert!(crashes > seeds, "{crashes} crashes");
    assert!(undone > seeds / 10, "{undone} rounds undone");
    assert!(retired > seeds, "{retired} segments removed");
}
