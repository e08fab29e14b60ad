//! [`Failover`]: always the best sink that works (Flume's `FailoverSinkProcessor`).

use std::time::Duration;

use flume_client::Backoff;

use super::{Next, Outcome};

/// Sinks by priority; one that fails is left alone for a while, longer each time.
#[derive(Debug)]
pub(crate) struct Failover {
    sinks: Vec<Ranked>,
    penalties: Backoff,
    turn: Turn,
}

#[derive(Debug)]
struct Ranked {
    sink: usize,
    priority: i32,
    /// `None`: it is alive.
    rest: Option<Rest>,
}

/// A sink that failed.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Duration,
    failures: u32,
}

/// Whose outcome is awaited: a place in `sinks`.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Nobody,
    /// One whose rest is over, in a round that began then.
    Rested(usize, Duration),
    Live(usize),
}

impl Failover {
    /// `sinks` are pairs of a sink and its priority; the highest is best. Of two with the same
    /// priority the first is used only, as in Flume.
    pub(crate) fn new(
        sinks: impl IntoIterator<Item = (usize, i32)>,
        penalty_max: Duration,
    ) -> Self {
        let mut ranked: Vec<Ranked> = Vec::new();
        for (sink, priority) in sinks {
            if ranked.iter().all(|other| other.priority != priority) {
                let rest = None;
                ranked.push(Ranked {
                    sink,
                    priority,
                    rest,
                });
            }
        }
        ranked.sort_by_key(|ranked| std::cmp::Reverse(ranked.priority));
        Self {
            sinks: ranked,
            penalties: Backoff::flume(penalty_max),
            turn: Turn::Nobody,
        }
    }

    pub(super) fn begin(&mut self, now: Duration) -> Next {
        self.next(now)
    }

    pub(super) fn report(&mut self, outcome: Outcome, now: Duration) -> Next {
        let turn = std::mem::replace(&mut self.turn, Turn::Nobody);
        let (place, began) = match turn {
            Turn::Rested(place, began) => (place, Some(began)),
            Turn::Live(place) => (place, None),
            Turn::Nobody => return Next::Done(outcome),
        };
        let penalties = self.penalties;
        let Some(ranked) = self.sinks.get_mut(place) else {
            return Next::Done(outcome);
        };
        match outcome {
            // An empty channel proves nothing: a sink at rest stays at rest, unpunished.
            Outcome::Backoff => Next::Done(outcome),
            Outcome::Ready => {
                ranked.rest = None;
                Next::Done(outcome)
            }
            Outcome::Failed => {
                let failures = ranked
                    .rest
                    .map_or(1, |rest| rest.failures.saturating_add(1));
                let until = now.saturating_add(penalties.longest(failures));
                ranked.rest = Some(Rest { until, failures });
                match began {
                    // The others whose rest was over when the round began are tried first.
                    Some(began) => self.next(began),
                    None => self.next_live(),
                }
            }
        }
    }

    fn next(&mut self, began: Duration) -> Next {
        let rested = self.sinks.iter().enumerate();
        let rested = rested
            .filter_map(|(place, ranked)| Some((ranked.rest?.until, place)))
            .filter(|(until, _)| *until < began);
        let Some((_, place)) = rested.min() else {
            return self.next_live();
        };
        self.turn = Turn::Rested(place, began);
        self.try_place(place)
    }

    fn next_live(&mut self) -> Next {
        let live = self.sinks.iter().position(|ranked| ranked.rest.is_none());
        let Some(place) = live else {
            return Next::Done(Outcome::Failed);
        };
        self.turn = Turn::Live(place);
        self.try_place(place)
    }

    fn try_place(&self, place: usize) -> Next {
        let ranked = self.sinks.get(place);
        ranked.map_or(Next::Done(Outcome::Failed), |ranked| Next::Try(ranked.sink))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(30);

    /// Sinks that fail once they have had their fill.
    struct Fixture {
        failover: Failover,
        room: Vec<usize>,
        taken: Vec<usize>,
    }

    impl Fixture {
        fn new(sinks: &[(usize, i32)], room: &[usize]) -> Self {
            Self {
                failover: Failover::new(sinks.iter().copied(), MAX),
                room: room.to_vec(),
                taken: vec![0; room.len()],
            }
        }

        fn rounds(&mut self, rounds: usize, now: Duration) {
            for _ in 0..rounds {
                assert_eq!(self.round(now), Outcome::Ready);
            }
        }

        fn round(&mut self, now: Duration) -> Outcome {
            let mut next = self.failover.begin(now);
            loop {
                let sink = match next {
                    Next::Try(sink) => sink,
                    Next::Done(outcome) => return outcome,
                };
                let fails = self.room[sink] == 0;
                if !fails {
                    self.room[sink] -= 1;
                    self.taken[sink] += 1;
                }
                let outcome = if fails {
                    Outcome::Failed
                } else {
                    Outcome::Ready
                };
                next = self.failover.report(outcome, now);
            }
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn p1_p2_the_best_live_sink_works_and_a_revived_one_comes_back_after_its_penalty() {
        let mut group = Fixture::new(&[(0, 3), (1, 2), (2, 1)], &[10, 50, 100]);
        group.rounds(15, at(0));
        group.rounds(50, at(0));
        assert_eq!(group.taken, [10, 50, 5]);
        group.room[1] = 20;
        group.rounds(100, at(5));
        assert_eq!(group.taken, [10, 70, 85]);
    }

    #[test]
    fn a_penalty_must_be_over_not_just_reached() {
        let mut group = Fixture::new(&[(0, 2), (1, 1)], &[0, 100]);
        group.rounds(1, at(0));
        group.room[0] = 10;
        group.rounds(1, at(2));
        assert_eq!(group.taken, [0, 2]);
        group.rounds(1, at(2) + Duration::from_millis(1));
        assert_eq!(group.taken, [1, 2]);
    }

    #[test]
    fn with_all_sinks_at_rest_a_round_fails_without_a_try() {
        let mut group = Fixture::new(&[(0, 2), (1, 1)], &[0, 0]);
        assert_eq!(group.round(at(0)), Outcome::Failed);
        group.room = vec![1, 1];
        assert_eq!(group.round(at(1)), Outcome::Failed);
        assert_eq!(group.taken, [0, 0]);
        assert_eq!(group.round(at(3)), Outcome::Ready);
    }

    #[test]
    fn an_empty_channel_neither_punishes_a_rested_sink_nor_brings_it_back() {
        let mut failover = Failover::new([(0, 2), (1, 1)], MAX);
        assert_eq!(failover.begin(at(0)), Next::Try(0));
        assert_eq!(failover.report(Outcome::Failed, at(0)), Next::Try(1));
        let done = Next::Done(Outcome::Backoff);
        assert_eq!(failover.report(Outcome::Backoff, at(0)), done);
        for _ in 0..3 {
            assert_eq!(failover.begin(at(3)), Next::Try(0));
            assert_eq!(failover.report(Outcome::Backoff, at(3)), done);
        }
        assert_eq!(failover.begin(at(3)), Next::Try(0));
        let _ = failover.report(Outcome::Failed, at(3));
        // The second failure in a row: 4 s.
        assert_eq!(failover.begin(at(7)), Next::Try(1));
        assert_eq!(failover.begin(at(8)), Next::Try(0));
    }

    #[test]
    fn of_two_sinks_with_one_priority_the_second_is_never_used() {
        let mut group = Fixture::new(&[(0, 1), (1, 1)], &[1, 100]);
        group.rounds(1, at(0));
        assert_eq!(group.round(at(0)), Outcome::Failed);
        assert_eq!(group.taken, [1, 0]);
    }

    #[test]
    fn a_round_that_was_given_up_changes_nothing() {
        let mut failover = Failover::new([(0, 2), (1, 1)], MAX);
        assert_eq!(failover.begin(at(0)), Next::Try(0));
        assert_eq!(failover.begin(at(0)), Next::Try(0));
    }
}
