//! [`Faults`]: decides what goes wrong, told what happens and when. No clock, no IO; chance comes
//! from a seed.

use std::collections::VecDeque;
use std::time::Duration;

use super::Fault;
use super::rule::{FaultRule, Point};

/// A fault that struck.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultHit {
    /// The number of its rule, as in [`FaultGuard::rule`](crate::FaultGuard::rule).
    pub rule: u64,
    /// What went wrong.
    pub fault: Fault,
    /// When, counted from the agent's making.
    pub at: Duration,
    /// The number of the connection, from 1 on; 0 for a fault of a disk.
    pub connection: u64,
    /// The number of the request, as in [`RequestRecord::number`](crate::RequestRecord::number),
    /// if there was one.
    pub request: Option<u64>,
}

/// The rules in force, and what came of them.
#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    rules: Vec<Armed>,
    rules_added: u64,
    last_connection: u64,
    hits: VecDeque<FaultHit>,
}

/// A call, as far as conditions look at it.
pub(crate) struct CallView<'a> {
    pub(crate) at: Place,
    /// Whether the answer is a frame, which can be broken.
    pub(crate) framed: bool,
    pub(crate) payload_bytes: usize,
    /// Whether one of its events has all these headers.
    pub(crate) has_headers: &'a HasHeaders<'a>,
}

/// See [`CallView::has_headers`].
pub(crate) type HasHeaders<'a> = dyn Fn(&[(String, String)]) -> bool + 'a;

/// Where something happens: on which connection, how much came there so far, at which request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) connection: u64,
    pub(crate) connection_bytes: u64,
    pub(crate) request: u64,
}

/// Hits kept, the latest; about 100 bytes each.
const HITS_MAX: usize = 10_000;

/// A rule in force.
#[derive(Debug)]
struct Armed {
    number: u64,
    rule: FaultRule,
    since: Duration,
    /// Connections that had come before the rule.
    connections_before: u64,
    /// Cases that fulfilled all conditions but the count and chance.
    seen: u64,
    struck: u64,
    chance: fastrand::Rng,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            rules: Vec::new(),
            rules_added: 0,
            last_connection: 0,
            hits: VecDeque::new(),
        }
    }

    /// Puts a rule in force and returns its number.
    pub(crate) fn add(&mut self, rule: FaultRule, now: Duration) -> u64 {
        self.rules_added += 1;
        let number = self.rules_added;
        // A generator for each rule: one more rule must not change what another one draws.
        let seed = self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.rules.push(Armed {
            number,
            rule,
            since: now,
            connections_before: self.last_connection,
            seen: 0,
            struck: 0,
            chance: fastrand::Rng::with_seed(seed),
        });
        number
    }

    /// Takes a rule out of force.
    pub(crate) fn remove(&mut self, number: u64) {
        self.rules.retain(|armed| armed.number != number);
    }

    /// The rules in force, each with its number and how often it struck.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (u64, &FaultRule, u64)> {
        let rules = self.rules.iter();
        rules.map(|armed| (armed.number, &armed.rule, armed.struck))
    }

    /// The latest hits, in order.
    pub(crate) fn hits(&self) -> impl Iterator<Item = &FaultHit> {
        self.hits.iter()
    }

    /// A connection comes; their numbers grow. `paced` tells whether its source can slow it down.
    pub(crate) fn on_connection(
        &mut self,
        now: Duration,
        connection: u64,
        paced: bool,
    ) -> Option<Fault> {
        self.last_connection = connection;
        let place = Place {
            connection,
            connection_bytes: 0,
            request: 0,
        };
        self.strike(Point::Accept, now, &place, |rule| {
            paced || !rule.fault.slows_stream()
        })
    }

    /// Bytes arrive on a connection. If a fault strikes among them: how many come before it.
    pub(crate) fn on_bytes(
        &mut self,
        now: Duration,
        connection: u64,
        (before, arriving): (u64, usize),
    ) -> Option<(usize, Fault)> {
        let place = Place {
            connection,
            connection_bytes: before.saturating_add(arriving as u64),
            request: 0,
        };
        // Of several places in these bytes the first one counts, whatever the rules' order.
        let here = |armed: &Armed| match armed.rule.after_bytes {
            Some(limit) if armed.rule.point() == Point::Bytes && limit > before => Some(limit),
            _ => None,
        };
        let mut limits: Vec<u64> = self.rules.iter().filter_map(here).collect();
        limits.retain(|limit| *limit <= place.connection_bytes);
        limits.sort_unstable();
        limits.dedup();
        limits.into_iter().find_map(|limit| {
            let fault = self.strike(Point::Bytes, now, &place, |rule| {
                rule.after_bytes == Some(limit)
            })?;
            Some(((limit - before) as usize, fault))
        })
    }

    /// A request brings a handshake.
    pub(crate) fn on_handshake(&mut self, now: Duration, place: &Place) -> Option<Fault> {
        self.strike(Point::Handshake, now, place, |_| true)
    }

    /// A file channel is about to write, or to sync.
    #[cfg(any(test, feature = "file-channel"))]
    pub(crate) fn on_disk(&mut self, now: Duration, point: Point) -> Option<Fault> {
        let nowhere = Place {
            connection: 0,
            connection_bytes: 0,
            request: 0,
        };
        self.strike(point, now, &nowhere, |_| true)
    }

    /// A call is made.
    pub(crate) fn on_call(&mut self, now: Duration, call: &CallView<'_>) -> Option<Fault> {
        self.strike(Point::Call, now, &call.at, |rule| {
            (call.framed || !rule.fault.breaks_answer() && !rule.fault.slows_stream())
                && rule.size_over.is_none_or(|size| call.payload_bytes > size)
                && (rule.headers.is_empty() || (call.has_headers)(&rule.headers))
        })
    }

    /// Lets every rule see the case; the first that strikes does so.
    fn strike(
        &mut self,
        point: Point,
        now: Duration,
        place: &Place,
        matches: impl Fn(&FaultRule) -> bool,
    ) -> Option<Fault> {
        let mut hit = None;
        for armed in &mut self.rules {
            let seen = armed.rule.point() == point
                && armed.is_in_time(now)
                && armed.is_place(point, place)
                && matches(&armed.rule);
            if seen && armed.is_due(point, hit.is_none()) {
                armed.struck += 1;
                hit = Some(FaultHit {
                    rule: armed.number,
                    fault: armed.rule.fault.clone(),
                    at: now,
                    connection: place.connection,
                    request: (place.request > 0).then_some(place.request),
                });
            }
        }
        let hit = hit?;
        if self.hits.len() == HITS_MAX {
            self.hits.pop_front();
        }
        let fault = hit.fault.clone();
        self.hits.push_back(hit);
        Some(fault)
    }
}

impl Armed {
    fn is_in_time(&self, now: Duration) -> bool {
        let age = now.saturating_sub(self.since);
        let window = self.rule.during.as_ref();
        window.is_none_or(|window| window.contains(&age))
    }

    /// Whether connection and bytes are those the rule asks for. The nth connection is a matter of
    /// counting where connections are what is struck.
    fn is_place(&self, point: Point, place: &Place) -> bool {
        let wanted = self.rule.nth_connection;
        let connection = place.connection.checked_sub(self.connections_before);
        let bytes = self.rule.after_bytes;
        (point == Point::Accept || wanted.is_none() || wanted == connection)
            && bytes.is_none_or(|bytes| place.connection_bytes >= bytes)
    }

    /// Counts the case. Chance is asked for every case, so that what other rules do does not
    /// change its later answers.
    fn is_due(&mut self, point: Point, free: bool) -> bool {
        self.seen += 1;
        let nth = match point {
            Point::Accept => self.rule.nth_connection,
            _ => self.rule.nth_request,
        };
        let share = self.rule.probability;
        let drawn = share.is_none_or(|share| self.chance.f64() < share);
        drawn && free && self.seen >= nth.unwrap_or(1) && self.struck < self.rule.times_max()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn place(connection: u64, request: u64) -> Place {
        Place {
            connection,
            connection_bytes: 100,
            request,
        }
    }

    /// A call of 50 bytes with one event that has the header a=b.
    fn call(faults: &mut Faults, at: Place, now: Duration) -> Option<Fault> {
        let has = |headers: &[(String, String)]| headers == [("a".to_owned(), "b".to_owned())];
        let call = CallView {
            at,
            framed: true,
            payload_bytes: 50,
            has_headers: &has,
        };
        faults.on_call(now, &call)
    }

    /// The numbers, from 1 on, of the calls among `calls` that a rule strikes.
    fn struck(rule: FaultRule, calls: u64) -> Vec<u64> {
        let mut faults = Faults::new(7);
        faults.add(rule, Duration::ZERO);
        let mut strikes = |n: &u64| call(&mut faults, place(1, *n), Duration::ZERO).is_some();
        (1..=calls).filter(|n| strikes(n)).collect()
    }

    #[test]
    fn a_fault_without_conditions_strikes_every_call() {
        assert_eq!(struck(Fault::Failed.into(), 3), [1, 2, 3]);
        assert_eq!(struck(Fault::Failed.times(2), 3), [1, 2]);
    }

    #[test]
    fn the_nth_request_is_struck_once_unless_more_times_are_asked_for() {
        assert_eq!(struck(Fault::Failed.nth_request(3), 6), [3]);
        assert_eq!(struck(Fault::Failed.nth_request(3).times(2), 6), [3, 4]);
    }

    #[test]
    fn conditions_on_headers_and_size_look_at_the_call() {
        assert_eq!(struck(Fault::Failed.header("a", "b"), 1), [1]);
        assert!(struck(Fault::Failed.header("a", "c"), 1).is_empty());
        assert_eq!(struck(Fault::Failed.size_over(49), 1), [1]);
        assert!(struck(Fault::Failed.size_over(50), 1).is_empty());
        assert_eq!(struck(Fault::Failed.after_bytes(100), 1), [1]);
        assert!(struck(Fault::Failed.after_bytes(101), 1).is_empty());
    }

    #[test]
    fn counts_start_with_the_rule_and_see_every_call_whoever_strikes_it() {
        let mut faults = Faults::new(0);
        let now = Duration::ZERO;
        assert_eq!(call(&mut faults, place(1, 1), now), None);
        faults.add(Fault::Failed.nth_request(1), now);
        faults.add(Fault::Unknown.nth_request(2), now);
        faults.add(Fault::WrongSerial.nth_request(2), now);
        assert_eq!(call(&mut faults, place(1, 2), now), Some(Fault::Failed));
        assert_eq!(call(&mut faults, place(1, 3), now), Some(Fault::Unknown));
        // Its second call was taken by the rule before it, so it gets the next one.
        assert_eq!(
            call(&mut faults, place(1, 4), now),
            Some(Fault::WrongSerial)
        );
        let hits: Vec<_> = faults.hits().map(|hit| (hit.rule, hit.request)).collect();
        assert_eq!(hits, [(1, Some(2)), (2, Some(3)), (3, Some(4))]);
    }

    #[test]
    fn connections_are_counted_from_the_rule_on() {
        let mut faults = Faults::new(0);
        let now = Duration::ZERO;
        assert_eq!(faults.on_connection(now, 1, true), None);
        faults.add(Fault::Refuse.nth_connection(2), now);
        faults.add(Fault::Failed.nth_connection(1), now);
        assert_eq!(faults.on_connection(now, 2, true), None);
        assert_eq!(faults.on_connection(now, 3, true), Some(Fault::Refuse));
        assert_eq!(faults.on_connection(now, 4, true), None);
        assert_eq!(call(&mut faults, place(1, 1), now), None);
        assert_eq!(call(&mut faults, place(2, 1), now), Some(Fault::Failed));
        assert_eq!(call(&mut faults, place(3, 1), now), None);
    }

    #[test]
    fn faults_of_disks_count_writes_and_syncs_apart_whatever_connections_there_were() {
        let mut faults = Faults::new(0);
        let now = Duration::ZERO;
        assert_eq!(faults.on_connection(now, 1, true), None);
        faults.add(Fault::FsyncError.nth_request(2), now);
        faults.add(Fault::DiskFull.times(1), now);
        let mut at = |point| faults.on_disk(now, point);
        let struck = [Point::Write, Point::Sync, Point::Write, Point::Sync].map(&mut at);
        let [full, fsync] = [Fault::DiskFull, Fault::FsyncError].map(Some);
        assert_eq!(struck, [full, None, None, fsync]);
        assert_eq!(call(&mut faults, place(1, 1), now), None);
    }

    #[test]
    fn bytes_are_cut_where_the_first_fault_among_them_strikes() {
        let mut faults = Faults::new(0);
        let now = Duration::ZERO;
        faults.add(Fault::Hang.after_bytes(30), now);
        faults.add(Fault::Reset.after_bytes(20), now);
        assert_eq!(faults.on_bytes(now, 1, (0, 19)), None);
        assert_eq!(faults.on_bytes(now, 1, (19, 50)), Some((1, Fault::Reset)));
        assert_eq!(faults.on_bytes(now, 2, (20, 10)), Some((10, Fault::Hang)));
        assert_eq!(faults.on_bytes(now, 2, (30, 10)), None);
    }

    #[test]
    fn a_time_window_counts_from_the_rule_on() {
        let mut faults = Faults::new(0);
        faults.add(Fault::Failed.during(SECOND..3 * SECOND), SECOND);
        let mut at = |now| call(&mut faults, place(1, 1), now).is_some();
        assert_eq!(
            [SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND].map(&mut at),
            [false, true, true, false]
        );
    }

    #[test]
    fn a_removed_rule_strikes_no_more_and_its_hits_stay() {
        let mut faults = Faults::new(0);
        let rule = faults.add(Fault::Failed.into(), Duration::ZERO);
        call(&mut faults, place(1, 1), Duration::ZERO);
        faults.remove(rule);
        assert_eq!(call(&mut faults, place(1, 2), Duration::ZERO), None);
        assert_eq!(faults.hits().count(), 1);
    }

    proptest! {
        #[test]
        fn chance_depends_on_the_seed_and_not_on_other_rules(seed: u64, share in 0.0..=1.0) {
            let draws = |other: bool| -> Vec<bool> {
                let mut faults = Faults::new(seed);
                faults.add(Fault::Failed.probability(share), Duration::ZERO);
                if other {
                    faults.add(Fault::Unknown.probability(0.5), Duration::ZERO);
                }
                let mut draw = |n| call(&mut faults, place(1, n), Duration::ZERO);
                (0..100).map(|n| draw(n) == Some(Fault::Failed)).collect()
            };
            prop_assert_eq!(draws(false), draws(true));
        }

        #[test]
        fn chance_never_and_always_are_that(seed: u64) {
            let mut faults = Faults::new(seed);
            faults.add(Fault::Failed.probability(0.0), Duration::ZERO);
            faults.add(Fault::Unknown.probability(1.0), Duration::ZERO);
            for n in 0..50 {
                let struck = call(&mut faults, place(1, n), Duration::ZERO);
                prop_assert_eq!(struck, Some(Fault::Unknown));
            }
        }
    }

    #[test]
    fn chance_strikes_about_its_share() {
        let strikes = struck(Fault::Failed.probability(0.25), 10_000).len();
        assert!((2_300..2_700).contains(&strikes), "{strikes}");
    }
}
