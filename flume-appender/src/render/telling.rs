//! [`Teller`]: when losses are told, and to whom. **Pure.**

use std::time::{Duration, UNIX_EPOCH};

use crate::level::Level;
use crate::loss::Loss;
use crate::stats::{LevelStats, Stats};

/// An episode of shedding is over when the client's buffer or spool is filled less than this, in
/// percent.
const RECOVERED_PERCENT: u64 = 50;

/// Between two lines on the standard error output.
const COMPLAINT_NS_MIN: u64 = 30_000_000_000;

/// Looks at the counters, and finds what is new.
#[derive(Debug)]
pub(crate) struct Teller {
    known: [LevelStats; 5],
    looked_ns: u64,
    episode: Option<Episode>,
    /// Not told on the standard error output yet.
    untold: LevelStats,
    fault: Option<String>,
    complained_ns: Option<u64>,
}

/// Records that were shed for want of room, without a recovery in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Episode {
    pub(crate) shed: u64,
    /// The greatest one of them.
    pub(crate) level: Level,
    pub(crate) since_ns: u64,
    pub(crate) until_ns: u64,
}

impl Teller {
    pub(crate) fn new(unix_ns: u64) -> Self {
        Self {
            known: [LevelStats::default(); 5],
            looked_ns: unix_ns,
            episode: None,
            untold: LevelStats::default(),
            fault: None,
            complained_ns: None,
        }
    }

    /// What was lost since the last look. `fault`: why a record was not written, if one was not.
    pub(crate) fn look(
        &mut self,
        stats: &Stats,
        fault: Option<String>,
        unix_ns: u64,
    ) -> Option<Loss> {
        let (since_ns, until_ns) = (self.looked_ns, unix_ns.max(self.looked_ns));
        self.looked_ns = until_ns;
        self.fault = fault.or(self.fault.take());
        let mut levels = [LevelStats::default(); 5];
        let all = levels.iter_mut().zip(&stats.levels).zip(&self.known);
        for ((new, now), known) in all {
            *new = lost_since(now, known);
        }
        self.known = stats.levels;
        if levels.iter().all(|level| level.lost() == 0) {
            return None;
        }
        for (level, new) in Level::ALL.into_iter().zip(&levels) {
            add(&mut self.untold, new);
            let shed = new.shed_at_call + new.shed_at_client;
            if shed > 0 {
                let episode = self.episode.get_or_insert(Episode {
                    shed: 0,
                    level,
                    since_ns,
                    until_ns,
                });
                episode.shed += shed;
                episode.level = episode.level.max(level);
                episode.until_ns = until_ns;
            }
        }
        Some(Loss {
            levels,
            since: UNIX_EPOCH + Duration::from_nanos(since_ns),
            until: UNIX_EPOCH + Duration::from_nanos(until_ns),
        })
    }

    /// Whether there is something to tell once there is room again.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.episode.is_some()
    }

    /// The episode that is over, once, if nothing was lost in the last look and there is room.
    pub(crate) fn take_recovered(&mut self, percent: u64) -> Option<Episode> {
        let ended = self.episode?.until_ns < self.looked_ns;
        if ended && percent < RECOVERED_PERCENT {
            self.episode.take()
        } else {
            None
        }
    }

    /// The next line for the standard error output, if it is time for one.
    pub(crate) fn take_complaint(&mut self) -> Option<String> {
        let last = self.complained_ns;
        if last.is_some_and(|last| self.looked_ns < last.saturating_add(COMPLAINT_NS_MIN)) {
            return None;
        }
        let untold = std::mem::take(&mut self.untold);
        if untold.lost() == 0 {
            return None;
        }
        self.complained_ns = Some(self.looked_ns);
        let reasons = [
            (untold.shed_at_call, "no room in the appender"),
            (untold.shed_at_client, "no room in the client"),
            (untold.nested, "logged from within too many log calls"),
            (untold.unwritten, "not written"),
            (untold.closed, "after the end"),
        ];
        let reasons: Vec<String> = reasons
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{count} {why}"))
            .collect();
        let fault = self.fault.take();
        let fault = fault.map_or_else(String::new, |fault| {
            format!("; the last not written: {fault}")
        });
        let (lost, reasons) = (untold.lost(), reasons.join(", "));
        Some(format!(
            "flume-appender: {lost} log records were lost ({reasons}){fault}"
        ))
    }
}

/// What was lost between two looks at a level.
fn lost_since(now: &LevelStats, known: &LevelStats) -> LevelStats {
    LevelStats {
        shed_at_call: now.shed_at_call.saturating_sub(known.shed_at_call),
        shed_at_client: now.shed_at_client.saturating_sub(known.shed_at_client),
        nested: now.nested.saturating_sub(known.nested),
        unwritten: now.unwritten.saturating_sub(known.unwritten),
        closed: now.closed.saturating_sub(known.closed),
        ..LevelStats::default()
    }
}

fn add(sum: &mut LevelStats, more: &LevelStats) {
    sum.shed_at_call += more.shed_at_call;
    sum.shed_at_client += more.shed_at_client;
    sum.nested += more.nested;
    sum.unwritten += more.unwritten;
    sum.closed += more.closed;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn shed(level: Level, at_call: u64, at_client: u64) -> Stats {
        let mut stats = Stats::default();
        if let Some(of) = stats.levels.get_mut(level.index()) {
            of.shed_at_call = at_call;
            of.shed_at_client = at_client;
        }
        stats
    }

    #[test]
    fn an_episode_is_told_once_and_only_after_there_is_room_again() {
        let mut teller = Teller::new(0);
        assert_eq!(teller.look(&Stats::default(), None, SECOND), None);
        assert_eq!(teller.take_recovered(0), None);
        let mut stats = shed(Level::Debug, 3, 0);
        let loss = teller.look(&stats, None, 2 * SECOND).unwrap();
        assert_eq!(loss.total(), 3);
        assert_eq!(loss.since, UNIX_EPOCH + Duration::from_secs(1));
        stats.levels[Level::Warn.index()].shed_at_client = 2;
        assert_eq!(teller.look(&stats, None, 3 * SECOND).unwrap().total(), 2);
        // It may go on.
        assert_eq!(teller.take_recovered(0), None);
        assert_eq!(teller.look(&stats, None, 4 * SECOND), None);
        assert_eq!(teller.take_recovered(50), None);
        assert!(teller.waits_for_room());
        let expected = Episode {
            shed: 5,
            level: Level::Warn,
            since_ns: SECOND,
            until_ns: 3 * SECOND,
        };
        assert_eq!(teller.take_recovered(49), Some(expected));
        assert_eq!(teller.take_recovered(0), None);
        assert!(!teller.waits_for_room());
    }

    #[test]
    fn what_is_lost_for_other_reasons_begins_no_episode() {
        let mut teller = Teller::new(0);
        let mut stats = Stats::default();
        stats.levels[0].unwritten = 1;
        assert_eq!(teller.look(&stats, None, SECOND).unwrap().total(), 1);
        assert!(!teller.waits_for_room());
    }

    #[test]
    fn complaints_come_at_most_every_30_s_and_tell_of_all_that_was_lost_since() {
        let mut teller = Teller::new(0);
        assert_eq!(teller.take_complaint(), None);
        teller.look(&shed(Level::Info, 3, 0), Some("field x".into()), SECOND);
        let first = teller.take_complaint().unwrap();
        let expected = "flume-appender: 3 log records were lost (3 no room in the appender); the \
                        last not written: field x";
        assert_eq!(first, expected);
        for second in 2..31 {
            teller.look(
                &shed(Level::Info, 3 + second, second),
                None,
                second * SECOND,
            );
            assert_eq!(teller.take_complaint(), None, "{second}");
        }
        teller.look(&shed(Level::Info, 33, 30), None, 31 * SECOND);
        let second = teller.take_complaint().unwrap();
        let expected = "flume-appender: 60 log records were lost (30 no room in the appender, 30 no \
                        room in the client)";
        assert_eq!(second, expected);
        teller.look(&shed(Level::Info, 33, 30), None, 100 * SECOND);
        assert_eq!(teller.take_complaint(), None);
    }
}
