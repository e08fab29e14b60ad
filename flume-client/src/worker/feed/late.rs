//! [`Late`]: events that were left out, for they could not be read, and are tried again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::super::reading::{Failure, Job, LeftOut, OnFailure};
use super::{Feed, LATE_AGAIN, LATE_AGAIN_MAX, LEFT_OUT_MAX};
use crate::spool::Reader;

/// Events that were left out.
#[derive(Default)]
pub(super) struct Late {
    /// By their numbers.
    pub(super) left_out: Vec<LeftOut>,
    /// To be tried now.
    pub(super) due: VecDeque<LeftOut>,
    /// One that is being read in parts, and what is left of it.
    pub(super) begun: Option<(Job, LeftOut)>,
    pub(super) again: Option<(Duration, Pin<Box<Sleep>>)>,
    pub(super) has_read: bool,
    /// A part was read: what comes next has its turn.
    pub(super) has_had_turn: bool,
}

/// What was left out, tried again.
impl Feed {
    /// Whether it is time to try again what was left out.
    pub(super) fn is_late_due(&mut self, context: &mut Context<'_>) -> bool {
        if self.late.left_out.is_empty() && self.segments.unread.is_empty() {
            return self.late.is_under_way();
        }
        let segments = self.backlog.handover.segments();
        let has_changed = segments.unread != self.segments.unread;
        self.segments = segments;
        if has_changed {
            self.late.again = None;
            self.tell();
        }
        if self.late.is_under_way() {
            return true;
        }
        if let Some((_, again)) = &mut self.late.again
            && again.as_mut().poll(context).is_pending()
        {
            return false;
        }
        self.late.due = self.late.left_out.drain(..).collect();
        self.late.has_read = false;
        self.late.is_under_way()
    }

    /// `false`: there is nothing to be tried.
    pub(super) fn read_late(&mut self) -> bool {
        if let Some((mut job, _)) = self.late.begun.take() {
            job.left_out_max = self.late.room();
            self.submit(job);
            return true;
        }
        let Some(due) = self.late.due.pop_front() else {
            return false;
        };
        self.submit(Job {
            reader: Reader::new(due.first, self.backlog.witnessed),
            next: due.first,
            limit: due.end,
            segments: self.segments.clone(),
            on_failure: OnFailure::LeaveOut,
            left_out_max: self.late.room(),
            late: Some(due.events),
            why: due.why,
        });
        true
    }

    pub(super) fn on_read_late(&mut self, job: Job, failure: Option<Failure>) {
        self.late.has_had_turn = true;
        if job.next < job.limit {
            let is_over = failure.is_some() || self.late.room() == 0;
            let (segment, why) = match failure {
                Some(failure) => (failure.segment, failure.why),
                None => (job.reader.segment(), job.why.clone()),
            };
            let rest = LeftOut {
                first: job.next,
                end: job.limit,
                events: job.late.unwrap_or(u64::MAX).min(job.limit - job.next),
                segment,
                why,
            };
            if !is_over {
                self.late.begun = Some((job, rest));
                return;
            }
            // It passes, or there is room later, and then this is tried again with the others.
            self.late.leave_out_rest(rest);
        }
        if self.late.due.is_empty() {
            self.late.wait();
            self.recount();
            self.tell();
        }
    }
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
    pub(super) fn leave_out_rest(&mut self, rest: LeftOut) {
        let is_full = self.room() == 0;
        let mut ranges = self.left_out.iter_mut();
        match ranges.find(|it| is_full && it.end == rest.first) {
            Some(before) => {
                before.end = rest.end;
                before.events += rest.events;
            }
            None => self.leave_out(rest),
        }
    }

    pub(super) fn leave_out(&mut self, left_out: LeftOut) {
        let place = self
            .left_out
            .partition_point(|it| it.first < left_out.first);
        self.left_out.insert(place, left_out);
        if self.again.is_none() {
            self.wait();
        }
    }

    /// Goes to sleep until the next try, the longer the longer nothing could be read.
    pub(super) fn wait(&mut self) {
        if self.left_out.is_empty() {
            self.again = None;
            return;
        }
        let wait = match &self.again {
            Some((wait, _)) if !self.has_read => (*wait * 2).min(LATE_AGAIN_MAX),
            _ => LATE_AGAIN,
        };
        let again = Box::pin(sleep_until(Instant::now() + wait));
        self.again = Some((wait, again));
    }
}
