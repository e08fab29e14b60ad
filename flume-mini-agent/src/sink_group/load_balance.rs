//! [`LoadBalance`]: another sink each time (Flume's `LoadBalancingSinkProcessor` and the
//! `OrderSelector`s under it).

use std::time::Duration;

use flume_client::Backoff;

use super::{Next, Outcome};

/// Sinks tried in turn or in random order.
#[derive(Debug)]
pub(crate) struct LoadBalance {
    sinks: Vec<Health>,
    order: Order,
    /// The longest rest; `None`: a sink that fails is tried again the next time.
    backoff_max: Option<Duration>,
    /// What is left of this round, last one first.
    left: Vec<usize>,
    current: Option<usize>,
}

/// In which order sinks are tried.
#[derive(Debug)]
pub(crate) enum Order {
    /// One after the other, each round one further.
    RoundRobin { next_head: usize },
    /// Shuffled for each round.
    Random(fastrand::Rng),
}

#[derive(Clone, Copy, Debug, Default)]
struct Health {
    /// 0 before the first failure. A success does not set it back.
    failures: u32,
    failed_at: Duration,
    rests_until: Option<Duration>,
}

/// Failures count as sequential if they are no further apart than the rest and this.
const SEQUENTIAL_RANGE: Duration = Duration::from_secs(60 * 60);

/// From there on failures are not counted any more.
const FAILURES_MAX: u32 = 16;

impl LoadBalance {
    /// For as many sinks as there are in the group.
    pub(crate) fn new(sinks: usize, order: Order, backoff_max: Option<Duration>) -> Self {
        Self {
            sinks: vec![Health::default(); sinks],
            order,
            backoff_max,
            left: Vec::with_capacity(sinks),
            current: None,
        }
    }

    pub(super) fn begin(&mut self, now: Duration) -> Next {
        let sinks = self.sinks.iter().enumerate();
        let active = sinks.filter(|(_, health)| health.rests_until.is_none_or(|until| until < now));
        self.left.clear();
        self.left.extend(active.map(|(sink, _)| sink));
        match &mut self.order {
            Order::RoundRobin { next_head } => {
                let active = self.left.len();
                if *next_head >= active {
                    *next_head = 0;
                }
                self.left.rotate_left(*next_head);
                *next_head += 1;
                if *next_head == active {
                    *next_head = 0;
                }
            }
            Order::Random(random) => random.shuffle(&mut self.left),
        }
        self.left.reverse();
        self.next()
    }

    pub(super) fn report(&mut self, outcome: Outcome, now: Duration) -> Next {
        if outcome != Outcome::Failed {
            return Next::Done(outcome);
        }
        let failed = self.current.and_then(|sink| self.sinks.get_mut(sink));
        if let (Some(max), Some(health)) = (self.backoff_max, failed) {
            health.fail(now, max);
        }
        self.next()
    }

    fn next(&mut self) -> Next {
        self.current = self.left.pop();
        self.current.map_or(Next::Done(Outcome::Failed), Next::Try)
    }
}

impl Health {
    fn fail(&mut self, now: Duration, max: Duration) {
        let rests = Backoff::flume(max);
        let range = rests
            .longest(self.failures)
            .saturating_add(SEQUENTIAL_RANGE);
        let sequential = self.failures > 0 && now.saturating_sub(self.failed_at) < range;
        self.failures = if sequential {
            FAILURES_MAX.min(self.failures + 1)
        } else {
            1
        };
        self.failed_at = now;
        self.rests_until = Some(now.saturating_add(rests.longest(self.failures)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(30);
    const ROUND_ROBIN: Order = Order::RoundRobin { next_head: 0 };

    /// Sinks of which some are dead.
    struct Fixture {
        balance: LoadBalance,
        dead: Vec<usize>,
        taken: [usize; 3],
    }

    impl Fixture {
        fn new(order: Order, backoff_max: Option<Duration>) -> Self {
            Self {
                balance: LoadBalance::new(3, order, backoff_max),
                dead: Vec::new(),
                taken: [0; 3],
            }
        }

        fn round(&mut self, now: Duration) -> Outcome {
            let mut next = self.balance.begin(now);
            loop {
                let sink = match next {
                    Next::Try(sink) => sink,
                    Next::Done(outcome) => return outcome,
                };
                let outcome = if self.dead.contains(&sink) {
                    Outcome::Failed
                } else {
                    self.taken[sink] += 1;
                    Outcome::Ready
                };
                next = self.balance.report(outcome, now);
            }
        }

        /// What each sink took in these rounds.
        fn check(&mut self, rounds: usize, now: Duration, taken: [usize; 3]) {
            self.taken = [0; 3];
            for _ in 0..rounds {
                assert_eq!(self.round(now), Outcome::Ready);
            }
            assert_eq!(self.taken, taken);
        }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn random() -> Order {
        Order::Random(fastrand::Rng::with_seed(7))
    }

    #[test]
    fn p4_round_robin_shares_evenly_and_a_dead_sinks_turn_goes_to_its_follower() {
        let mut group = Fixture::new(ROUND_ROBIN, None);
        group.check(30, at(0), [10, 10, 10]);
        group.dead = vec![1];
        group.check(30, at(0), [10, 0, 20]);
    }

    #[test]
    fn p4_with_backoff_the_others_share_the_dead_sinks_turns_evenly() {
        let mut group = Fixture::new(ROUND_ROBIN, Some(MAX));
        group.dead = vec![1];
        group.check(2, at(0), [1, 0, 1]);
        group.check(30, at(0), [15, 0, 15]);
    }

    #[test]
    fn p5_with_all_dead_a_round_fails_and_each_was_tried_unless_at_rest() {
        let mut group = Fixture::new(ROUND_ROBIN, Some(MAX));
        group.dead = vec![0, 1, 2];
        assert_eq!(group.round(at(0)), Outcome::Failed);
        assert_eq!(group.balance.begin(at(1)), Next::Done(Outcome::Failed));
        assert_eq!(group.balance.begin(at(2001)), Next::Try(1));
    }

    #[test]
    fn p6_rest_doubles_with_failures_in_a_row_and_a_sink_that_is_well_rejoins() {
        let mut group = Fixture::new(ROUND_ROBIN, Some(MAX));
        group.dead = vec![1];
        group.check(3, at(0), [2, 0, 1]);
        group.check(3, at(2100), [1, 0, 2]);
        group.dead.clear();
        group.check(4, at(4200), [2, 0, 2]);
        group.check(60, at(2100 + 4100), [20, 20, 20]);
    }

    #[test]
    fn failures_an_hour_and_more_apart_begin_a_new_series() {
        let mut health = Health::default();
        let hour = 60 * 60 * 1000;
        health.fail(at(0), MAX);
        health.fail(at(hour + 1999), MAX);
        assert_eq!(health.failures, 2);
        health.fail(at(2 * hour + 1999 + 4000), MAX);
        assert_eq!(health.failures, 1);
        for _ in 0..100 {
            health.fail(at(2 * hour + 6000), MAX);
        }
        assert_eq!(health.failures, FAILURES_MAX);
    }

    #[test]
    fn p7_random_with_backoff_leaves_the_dead_alone_and_fails_when_none_is_left() {
        let mut group = Fixture::new(random(), Some(MAX));
        group.dead = vec![0, 2];
        group.check(50, at(0), [0, 50, 0]);
        group.dead = vec![1];
        assert_eq!(group.round(at(0)), Outcome::Failed);
        group.taken = [0; 3];
        for _ in 0..50 {
            assert_eq!(group.round(at(2500)), Outcome::Ready);
        }
        assert_eq!((group.taken[1], group.taken[0] + group.taken[2]), (0, 50));
    }

    #[test]
    fn random_order_gives_every_sink_a_share() {
        let mut group = Fixture::new(random(), None);
        for _ in 0..300 {
            assert_eq!(group.round(at(0)), Outcome::Ready);
        }
        assert!(
            group.taken.iter().all(|taken| *taken > 60),
            "{:?}",
            group.taken
        );
    }
}
