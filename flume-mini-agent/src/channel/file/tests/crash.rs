//! Crashes and errors at any operation on the disk, seeded, against a model of the channel.

use super::sim::Fault;
use super::*;
use crate::channel::file::log::{Change, Log};
use crate::channel::file::replay;

/// Small, so that segments come and go.
const SEGMENT_BYTES_MAX: u64 = 400;

/// The log and what it should hold.
struct World {
    seed: u64,
    random: fastrand::Rng,
    disk: SimDisk,
    /// What is committed, in order.
    expected: Vec<u64>,
    next: u64,
    /// Transactions of the round that failed and may be in the log: some first ones of them.
    doubtful: Vec<Step>,
    crashes: usize,
    retired: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u64>),
    Take(Vec<u64>),
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
            match replay::open(self.disk.clone(), SEGMENT_BYTES_MAX) {
                Ok((log, _)) => self.live(log),
                Err(error) => {
                    let expected = matches!(error, OpenError::Io { .. }) && self.disk.has_failed();
                    assert!(expected, "seed {}: {error}", self.seed);
                }
            }
            self.end();
        }
        let (log, _) = replay::open(self.disk.clone(), SEGMENT_BYTES_MAX)
            .unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        self.check(&log);
    }

    fn live(&mut self, mut log: Log<SimDisk>) {
        self.check(&log);
        for _ in 0..self.random.usize(1..40) {
            let round = self.round();
            match self.commit(&mut log, &round) {
                Ok(()) => round.iter().for_each(|step| self.apply(step)),
                Err(TransactionError::Write(_)) => {}
                Err(error) => {
                    assert!(matches!(error, TransactionError::Poisoned(_)));
                    let again = self.commit(&mut log, &round).unwrap_err();
                    assert!(matches!(again, TransactionError::Poisoned(_)));
                    self.doubtful = round;
                    return;
                }
            }
            assert_eq!(numbers(log.ledger()), self.expected, "seed {}", self.seed);
            let segments = log.ledger().segment_count();
            log.tidy();
            self.retired += segments.saturating_sub(log.ledger().segment_count());
            self.check_size(&log);
        }
        if self.random.bool() {
            let _ = log.close();
        }
    }

    /// One to four transactions on different events.
    fn round(&mut self) -> Vec<Step> {
        let mut there = self.expected.clone();
        // At times the oldest event stays, so that its segment must be rewritten.
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

    fn commit(&self, log: &mut Log<SimDisk>, round: &[Step]) -> Result<(), TransactionError> {
        let sequences: Vec<_> = log.ledger().events().collect();
        let sequence = |taken: &u64| {
            let found = sequences.iter().find(|(_, event)| number(event) == *taken);
            found.unwrap().0
        };
        let puts: Vec<Vec<StoredEvent>> = round.iter().map(Step::events).collect();
        let takes: Vec<Vec<u64>> = round
            .iter()
            .map(|step| match step {
                Step::Put(_) => Vec::new(),
                Step::Take(numbers) => numbers.iter().map(sequence).collect(),
            })
            .collect();
        let changes = round.iter().zip(puts.iter().zip(&takes));
        let changes: Vec<_> = changes
            .map(|(step, (puts, takes))| match step {
                Step::Put(_) => Change::Put(puts),
                Step::Take(_) => Change::Take(takes),
            })
            .collect();
        log.commit(&changes).map(|_| ())
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Put(numbers) => self.expected.extend(numbers),
            Step::Take(numbers) => self.expected.retain(|it| !numbers.contains(it)),
        }
    }

    /// The process dies, the power is lost, or neither.
    fn end(&mut self) {
        self.crashes += usize::from(self.disk.has_failed());
        if self.random.usize(..3) > 0 {
            self.disk.lose_power();
        } else {
            self.disk.kill();
        }
    }

    /// The log holds what is committed and perhaps the first transactions of the doubtful round.
    fn check(&mut self, log: &Log<SimDisk>) {
        let found = numbers(log.ledger());
        let mut doubtful = std::mem::take(&mut self.doubtful).into_iter();
        while found != self.expected {
            let Some(step) = doubtful.next() else {
                panic!(
                    "seed {}: {found:?} instead of {:?}",
                    self.seed, self.expected
                );
            };
            self.apply(&step);
        }
    }

    /// Dead events take no more than was promised.
    fn check_size(&self, log: &Log<SimDisk>) {
        if !self.disk.has_failed() {
            return;
        }
        let live: u64 = self.expected.iter().map(|it| 64 + size(*it)).sum();
        let largest_round = 4 * 6 * 120;
        let bound = 2 * live + 5 * (SEGMENT_BYTES_MAX + largest_round);
        assert!(log.ledger().bytes() <= bound, "seed {}", self.seed);
    }
}

impl Step {
    fn events(&self) -> Vec<StoredEvent> {
        match self {
            Self::Put(numbers) => numbers
                .iter()
                .map(|number| padded_event(*number, usize::try_from(number * 7 % 40).unwrap()))
                .collect(),
            Self::Take(_) => Vec::new(),
        }
    }
}

fn size(number: u64) -> u64 {
    10 + number * 7 % 40
}

#[test]
fn no_crash_or_error_at_any_operation_loses_doubles_or_reorders_a_committed_event() {
    let (mut crashes, mut retired) = (0, 0);
    for seed in 0..3000 {
        let mut world = World::new(seed);
        world.run();
        crashes += world.crashes;
        retired += world.retired;
    }
    // The runs are worth their time only if these things happened.
    assert!(crashes > 3000, "{crashes} crashes");
    assert!(retired > 3000, "{retired} segments removed");
}
