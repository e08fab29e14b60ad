//! [`Lane`]: the events of one reliability level. [`Lanes`]: whose batch is sent next.
//!
//! Each level has its own numbers, batches and counters. What they share is the agents, and the one
//! rule of sharing is here: they take turns, a batch each.

use super::batch::{Batch, Batches};
use super::outcome::{Counters, Outcome};
use super::settings::{Settings, Time};
use super::window::WindowMode;
use crate::reliability::Reliability;
use crate::seq::{SeqRange, SeqSet};

/// What decides about sending, besides the events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Time,
    /// The connection that is to be used has nothing under way, or an answer has just come.
    pub(super) is_quiet: bool,
}

/// The events of one level.
#[derive(Debug)]
pub(super) struct Lane {
    level: Reliability,
    is_ordered: bool,
    pub(super) batches: Batches,
    pub(super) retired: SeqSet,
    pub(super) counters: Counters,
    /// Its calls that were sent and not answered.
    pub(super) calls_in_flight: u32,
}

impl Lane {
    fn new(level: Reliability, settings: &Settings) -> Self {
        Self {
            level,
            is_ordered: settings.window == WindowMode::Ordered,
            batches: Batches::new(level, settings),
            retired: SeqSet::default(),
            counters: Counters::default(),
            calls_in_flight: 0,
        }
    }

    /// Marks events as retired. None ever is twice: a batch is retired once.
    pub(super) fn finish(&mut self, range: SeqRange) {
        let open = self.retired.open_in(range);
        let level = self.level;
        assert_eq!(
            open,
            range.len(),
            "{level:?}: some of {range:?} were retired before"
        );
        self.retired.add(range);
    }

    /// The events of a batch are retired.
    pub(super) fn retire(&mut self, batch: &Batch, outcome: Outcome) {
        self.finish(batch.range());
        self.counters.retire(batch.events, outcome);
    }

    /// Whether a batch of it may be sent now. In the ordered mode the next one goes when the one
    /// before it is answered.
    fn may_send(&self, moment: Moment) -> bool {
        let is_taken = self.is_ordered && (self.calls_in_flight > 0 || self.batches.has_aside());
        !is_taken && (self.batches.is_ready() || self.takes_open(moment))
    }

    /// What stands aside at this place, if it may be sent now, by the order.
    pub(super) fn aside_at(&self, place: usize) -> Option<&Batch> {
        let is_taken = self.is_ordered && (self.calls_in_flight > 0 || place > 0);
        self.batches.aside().nth(place).filter(|_| !is_taken)
    }

    /// Whether the batch that would be sent has rested, if it was sent before.
    fn is_rested(&self, moment: Moment) -> bool {
        let is_rested = match self.is_ordered {
            true => {
                let rest = self.batches.oldest_rest();
                rest.is_some_and(|until| until <= moment.now)
            }
            false => self.batches.is_rested(moment.now),
        };
        is_rested || self.takes_open(moment)
    }

    /// Whether the open batch is closed and sent: it is awaited, and no other one goes before it.
    fn takes_open(&self, moment: Moment) -> bool {
        let is_next = match self.is_ordered {
            true => !self.batches.is_ready(),
            false => !self.batches.is_rested(moment.now),
        };
        moment.is_quiet && is_next && self.batches.is_awaited()
    }

    /// The batch that is to be sent.
    pub(super) fn next(&self, moment: Moment) -> Option<&Batch> {
        if self.takes_open(moment) {
            return self.batches.open();
        }
        match self.is_ordered {
            true => self.batches.first(),
            false => self.batches.first_rested(moment.now),
        }
    }

    /// Takes out the batch that is to be sent.
    pub(super) fn pop(&mut self, moment: Moment) -> Option<Batch> {
        if self.takes_open(moment) {
            self.batches.seal();
        }
        let now = moment.now;
        match self.is_ordered {
            true => self.batches.pop(),
            false => self.batches.pop_rested(now),
        }
    }
}

/// A lane for each level. One that is not used holds nothing.
#[derive(Debug)]
pub(super) struct Lanes {
    by_level: [Lane; Reliability::ALL.len()],
    /// The index of the lane that is asked first.
    turn: usize,
}

impl Lanes {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            by_level: Reliability::ALL.map(|level| Lane::new(level, settings)),
            turn: 0,
        }
    }

    pub(super) fn of(&self, level: Reliability) -> &Lane {
        let lane = self.by_level.get(level.index());
        lane.expect("each level has a lane at its index")
    }

    pub(super) fn of_mut(&mut self, level: Reliability) -> &mut Lane {
        let lane = self.by_level.get_mut(level.index());
        lane.expect("each level has a lane at its index")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.by_level.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.by_level.iter_mut()
    }

    /// Whether nothing waits, in open batches or closed ones.
    pub(super) fn is_empty(&self) -> bool {
        self.iter().all(|lane| lane.batches.is_empty())
    }

    /// The level whose batch is to be sent next: in turn, so that a long backlog of one holds up no
    /// other. A batch that rests waits until no other level has one that does not.
    pub(super) fn next_to_send(&self, moment: Moment) -> Option<Reliability> {
        let (before, after) = self.by_level.split_at(self.turn);
        let in_turn = || {
            let lanes = after.iter().chain(before);
            lanes.filter(|lane| lane.may_send(moment))
        };
        let rested = in_turn().find(|lane| lane.is_rested(moment));
        rested.or_else(|| in_turn().next()).map(|lane| lane.level)
    }

    /// A batch of this level is sent: the next level has its turn.
    pub(super) fn on_sent(&mut self, level: Reliability) {
        self.turn = (level.index() + 1) % self.by_level.len();
    }
}
