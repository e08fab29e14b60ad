//! [`Stats`]: what became of records, by level.

use crate::capture::{ByLevel, CaptureCore};
use crate::counts::Counts;
use crate::level::Level;

/// What became of records. For each level `logged` is the sum of all its others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// By level, the least first.
    pub levels: [LevelStats; 5],
    /// Calls in a process that was forked from the appender's: no record was made.
    pub forked: u64,
    /// How often a caller waited for room.
    pub waits: u64,
    /// Values whose `Display` or `Debug` panicked or failed.
    pub broken_values: u64,
    /// Values that were cut, or left out, because the record was too large.
    pub cut_values: u64,
    /// Events of which something was cut off, in the body or in a header, or whose record was cut at
    /// the call: each one carries the header `flume.truncated`.
    pub cut_events: u64,
    /// Promoted fields whose wanted header has a meaning of its own, so that they got one with a
    /// prefix: see [`Builder::promote`](crate::Builder::promote).
    pub renamed_headers: u64,
    /// Records of the appender itself, which tell that others were shed: target `flume`, WARN, once
    /// the client's buffer or spool is less than half full again. No level counts them.
    pub reports: u64,
}

/// What became of the records of a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelStats {
    /// Records that were logged.
    pub logged: u64,
    /// Not taken from the callers' threads yet, or being rendered.
    pub captured: u64,
    /// Handed to the client, whose own counters go on from here. A batch that the client has no room
    /// for waits, and is offered again: each time its events count in the client's
    /// [`Refused`](flume_client::stats::Refused), and they are not lost by that.
    pub handed_on: u64,
    /// There was no room for them in the appender.
    pub shed_at_call: u64,
    /// There was no room for them in the client.
    pub shed_at_client: u64,
    /// Logged from within too many other log calls.
    pub nested: u64,
    /// The layout or the look at them failed or panicked, or an event cannot hold them.
    pub unwritten: u64,
    /// The user's own look at them said so.
    pub dropped: u64,
    /// The appender had been closed, or its time to end was over.
    pub closed: u64,
}

impl Stats {
    pub(crate) fn of(core: &CaptureCore, counts: &Counts) -> Self {
        if core.is_forked() {
            // The parent's locks may be held for ever here.
            return Self {
                forked: core.forked(),
                ..Self::default()
            };
        }
        // In this order: what is with the renderer cannot be more than what came.
        let outcomes = *counts.lock();
        let tally = core.shards.tally();
        let level = |level: Level| {
            let of = |counts: &ByLevel| counts.of(level);
            let mut stats = LevelStats {
                logged: of(&tally.logged),
                captured: 0,
                handed_on: of(&outcomes.handed),
                shed_at_call: of(&tally.no_room),
                shed_at_client: of(&outcomes.no_room),
                nested: of(&tally.nested),
                unwritten: of(&outcomes.unwritten),
                dropped: of(&outcomes.dropped),
                closed: of(&tally.closed) + of(&outcomes.closed),
            };
            stats.captured = stats.logged - stats.known();
            stats
        };
        let (broken_values, cut_values) = core.faults();
        Self {
            levels: Level::ALL.map(level),
            forked: core.forked(),
            waits: core.waits(),
            broken_values,
            cut_values,
            cut_events: outcomes.cut,
            renamed_headers: outcomes.renamed,
            reports: outcomes.reports,
        }
    }

    /// Those of one level.
    #[must_use]
    pub fn of_level(&self, level: Level) -> LevelStats {
        self.levels.get(level.index()).copied().unwrap_or_default()
    }

    /// Those of all levels together.
    #[must_use]
    pub fn total(&self) -> LevelStats {
        let mut total = LevelStats::default();
        for level in &self.levels {
            total.logged += level.logged;
            total.captured += level.captured;
            total.handed_on += level.handed_on;
            total.shed_at_call += level.shed_at_call;
            total.shed_at_client += level.shed_at_client;
            total.nested += level.nested;
            total.unwritten += level.unwritten;
            total.dropped += level.dropped;
            total.closed += level.closed;
        }
        total
    }
}

impl LevelStats {
    /// Records that never reached the client.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let Self {
            shed_at_call,
            shed_at_client,
            nested,
            unwritten,
            closed,
            ..
        } = self;
        shed_at_call + shed_at_client + nested + unwritten + closed
    }

    fn known(&self) -> u64 {
        self.handed_on + self.dropped + self.lost()
    }
}
