//! [`Late`]: events that were left out, because they could not be read, and are tried again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::reading::{Job, LeftOut};

/// How long after a failure events that were left out are tried again; each wait is twice the last.
const LATE_AGAIN: Duration = Duration::from_secs(1);
const LATE_AGAIN_MAX: Duration = Duration::from_secs(30);
/// Ranges of events that are left out. With more, those after them wait: the cursor keeps 64 ranges
/// of events that were acknowledged ahead of others, and what is not in it is sent again.
pub(super) const LEFT_OUT_MAX: usize = 48;

/// Events that were left out.
#[derive(Default)]
pub(super) struct Late {
    /// By their numbers.
    pub(super) left_out: Vec<LeftOut>,
    /// To be tried now.
    pub(super) due: VecDeque<LeftOut>,
    /// One that is being read in parts, and what is left of it.
    pub(super) begun: Option<(Job, LeftOut)>,
    /// How long the last wait is, and when it ends.
    pub(super) again: Option<(Duration, Instant)>,
    pub(super) has_read: bool,
    /// A part was read: what comes next has its turn.
    pub(super) has_had_turn: bool,
}

impl Late {
    pub(super) fn is_under_way(&self) -> bool {
        self.begun.is_some() || !self.due.is_empty()
    }

    /// All that was left out and is not being read.
    pub(super) fn all(&self) -> impl Iterator<Item = &LeftOut> {
        let begun = self.begun.iter().map(|(_, rest)| rest);
        self.left_out.iter().chain(&self.due).chain(begun)
    }

    /// How many more ranges may be left out.
    pub(super) fn room(&self) -> usize {
        LEFT_OUT_MAX.saturating_sub(self.all().count())
    }

    /// Leaves out what follows the range before, or extends that one if there is no room for another.
    pub(super) fn leave_out_rest(&mut self, rest: LeftOut, now: Instant) {
        let is_full = self.room() == 0;
        let mut ranges = self.left_out.iter_mut();
        match ranges.find(|it| is_full && it.range.end == rest.range.first) {
            Some(before) => {
                before.range.end = rest.range.end;
                before.events += rest.events;
            }
            None => self.leave_out(rest, now),
        }
    }

    pub(super) fn leave_out(&mut self, left_out: LeftOut, now: Instant) {
        let place = self
            .left_out
            .partition_point(|it| it.range.first < left_out.range.first);
        self.left_out.insert(place, left_out);
        if self.again.is_none() {
            self.wait(now);
        }
    }

    /// Waits for the next try, the longer the longer nothing could be read.
    pub(super) fn wait(&mut self, now: Instant) {
        if self.left_out.is_empty() {
            self.again = None;
            return;
        }
        let wait = match &self.again {
            Some((wait, _)) if !self.has_read => (*wait * 2).min(LATE_AGAIN_MAX),
            _ => LATE_AGAIN,
        };
        self.again = Some((wait, now + wait));
    }
}
