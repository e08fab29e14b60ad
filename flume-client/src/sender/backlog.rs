//! [`Backlog`]: the sender's events when there is a spool, from memory or from the disk, in order.
//!
//! | reading fails | then |
//! |---|---|
//! | for the process or the machine as a whole, or events must keep their order | the same read again after 100 ms, then twice as long, up to 5 s |
//! | for one file or a part of it | the same until it failed five times; then its other events and those after it first, and it again after 1 s, then twice as long, up to 30 s |
//!
//! Nothing is given up for it: what cannot be read is told, and comes late.

mod late;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use late::Late;
use told::ToldFiles;

use super::reading::{Failure, Found, Job, LeftOut, OnFailure, Outcome, read};
use crate::queue::{Chunk, Next, OpenedSpool, Retirements, Ticket};
use crate::seq::{Seq, SeqRange};
use crate::situations::reached;
use crate::spool::{FileName, Reader, SegmentList};
use crate::stats::{Passed, UnreadableEvents};

/// What there is.
pub(super) enum Item {
    /// These events, which come next.
    Chunk(Chunk),
    /// At most `events` of these are not there any more. The next item (`Skip` or `Forget`) says
    /// that the numbers are empty.
    Lost { range: SeqRange, events: u64 },
    /// Sequence numbers below are nobody's, or those of retired events.
    Skip { next: Seq },
    /// The events below cannot be read now.
    Leave { next: Seq },
    /// These events, which were left out.
    Late(Chunk),
    /// Numbers that were left out, and have no events.
    Forget { range: SeqRange },
}

impl Item {
    fn none(range: SeqRange, is_late: bool) -> Self {
        match is_late {
            true => Self::Forget { range },
            false => Self::Skip { next: range.end },
        }
    }
}

/// How often reading is tried before it is believed to be the file's fault.
const READ_TRIES: u32 = 5;
/// How long after a failure first; each wait is twice the last.
const READ_AGAIN: Duration = Duration::from_millis(100);
const READ_AGAIN_MAX: Duration = Duration::from_secs(5);

pub(super) struct Backlog {
    spool: OpenedSpool,
    /// The next event to come.
    position: Seq,
    /// Bytes of events that it gave out and are not retired.
    held: usize,
    held_max: usize,
    /// Events go in order, and none before those that cannot be read.
    is_ordered: bool,
    /// `None` while a read uses it; left-out events are read with another reader.
    reader: Option<Reader>,
    reading: Option<Ticket<Outcome>>,
    waiting: Option<Waiting>,
    late: Late,
    segments: Arc<SegmentList>,
    /// Events of earlier runs that were counted and did not come yet.
    to_come: u64,
    /// How many more were counted as recovered than there are; negative for fewer.
    miscounted: i64,
    unreadable: Arc<[UnreadableEvents]>,
    retired: Retirements,
    /// The committer was told that no agent takes events.
    has_told_rest: bool,
}

/// A read that failed and will be tried again.
struct Waiting {
    failure: Failure,
    /// Events after it, it included.
    events: u64,
    tries: u32,
    /// Of those, the ones that failed for the file itself.
    of_file: u32,
    /// `None`: it is being tried.
    again: Option<Instant>,
}

impl Backlog {
    /// Gives out events until `held_max` bytes are not retired, and a little more.
    pub(super) fn new(spool: OpenedSpool, held_max: usize, is_ordered: bool) -> Self {
        let first = spool.retired.watermark();
        let mut backlog = Self {
            reader: Some(Reader::new(first, spool.known_durable_upto)),
            position: first,
            held: 0,
            held_max,
            is_ordered,
            reading: None,
            waiting: None,
            late: Late::default(),
            segments: spool.handover.segments(),
            to_come: spool.recovered,
            miscounted: 0,
            unreadable: Arc::default(),
            retired: Retirements::default(),
            has_told_rest: false,
            spool,
        };
        if !backlog.segments.unread.is_empty() {
            backlog.tell();
        }
        backlog
    }

    /// The event that comes next.
    pub(super) fn next(&self) -> Seq {
        self.position
    }

    /// What there is now goes to `items`. If that is nothing, the waker is woken when there is, or
    /// it comes with the [`deadline`](Self::deadline).
    pub(super) fn poll(&mut self, now: Instant, waker: &Waker, items: &mut Vec<Item>) {
        loop {
            if let Some(reading) = &self.reading
                && let Poll::Ready(outcome) = reading.poll(&mut Context::from_waker(waker))
            {
                self.reading = None;
                // Reading never panics, whatever the bytes. If it did, flume-read would be dead and
                // we could not go on.
                let outcome = outcome.done().expect("reading the spool does not panic");
                self.on_read(outcome, now, items);
                continue;
            }
            if self.held >= self.held_max {
                reached!("as much is held as may be");
            }
            if self.held >= self.held_max || self.reader.is_none() {
                return;
            }
            // Late and normal reads take turns, so a failing file does not hold up live events.
            let late_rests = std::mem::take(&mut self.late.has_had_turn);
            let reads_late = self.reading.is_some();
            if !reads_late && !late_rests && self.is_late_due(now) && self.read_late() {
                reached!("what was left out is read");
                continue;
            }
            let again = self.waiting.as_ref().and_then(|it| it.again);
            if again.is_some_and(|at| now < at) {
                match late_rests {
                    true => continue,
                    false => return,
                }
            }
            match self.spool.handover.next(self.position, waker) {
                Next::Nothing if late_rests => {}
                Next::Nothing => return,
                // The disk does one thing at a time.
                Next::OnDisk { .. } if reads_late => {
                    reached!("the disk is busy with what was left out");
                    return;
                }
                Next::Chunk(chunk) => {
                    if reads_late {
                        reached!("events in memory pass a late read");
                    }
                    self.position = chunk.range().end;
                    self.held += chunk.bytes.len();
                    items.push(Item::Chunk(chunk));
                }
                Next::OnDisk { limit, segments } => self.read_next(limit, segments),
            }
        }
    }

    /// When there is something to do, if nothing wakes the thread before: there is no room, or a
    /// read has not come to its end.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.held >= self.held_max || self.reading.is_some() {
            return None;
        }
        let again = self.waiting.as_ref().and_then(|it| it.again);
        let late = self.late.again.filter(|_| !self.late.left_out.is_empty());
        again.into_iter().chain(late.map(|(_, at)| at)).min()
    }

    /// Events are retired.
    pub(super) fn retire(&mut self, range: SeqRange, bytes: usize) {
        self.retired.add(range);
        self.held -= bytes;
    }

    /// Tells the committer what is retired.
    pub(super) fn settle(&mut self) {
        self.spool.handover.retire(&mut self.retired);
    }

    /// Tells the committer whether every agent has failed and none is tried again yet.
    pub(super) fn tell_rest(&mut self, rest: bool) {
        if self.has_told_rest != rest {
            self.has_told_rest = rest;
            self.spool.handover.agents_rest(rest);
        }
    }

    /// Whether everything that was taken in is stored and was given out, except what cannot be
    /// read.
    pub(super) fn is_through(&self) -> bool {
        let is_late = !self.late.due.is_empty() || self.late.begun.is_some();
        self.spool.handover.end() == Some(self.position) && self.reading.is_none() && !is_late
    }

    /// Whether no more is to be waited for: all was given out, or all but what cannot be read and
    /// what has to wait for that, and another place waits, too. A failure that passes is no reason
    /// to go.
    pub(super) fn is_over(&self) -> bool {
        let is_through = self.is_through();
        if is_through && self.late.left_out.is_empty() {
            return true;
        }
        let waits_for_file = |it: &Waiting| it.of_file >= READ_TRIES;
        let is_stuck = self.on_failure() == OnFailure::Wait
            && self.waiting.as_ref().is_some_and(waits_for_file);
        (is_through || is_stuck) && self.spool.handover.do_others_wait()
    }

    /// The first number of this run.
    pub(super) fn run(&self) -> Seq {
        self.spool.run
    }

    /// What cannot be read now.
    pub(super) fn unreadable(&self) -> &Arc<[UnreadableEvents]> {
        &self.unreadable
    }

    /// By how much the events that were recovered are more than was counted before.
    pub(super) fn take_miscounted(&mut self) -> i64 {
        std::mem::take(&mut self.miscounted)
    }

    /// Tells the committer that nothing more is read, without waiting for it.
    pub(super) fn let_go(&mut self) {
        self.settle();
        self.spool.handover.leave(self.unreadable.clone());
        self.spool.handover.finish(Waker::noop());
    }

    /// Tells the committer to let go of the spool. `true`: it has, and nobody reads it any more.
    pub(super) fn finish(&mut self, waker: &Waker) -> bool {
        self.settle();
        if let Some(reading) = &self.reading
            && reading.poll(&mut Context::from_waker(waker)).is_ready()
        {
            self.reading = None;
        }
        self.spool.handover.finish(waker) && self.reading.is_none()
    }

    fn read_next(&mut self, limit: Seq, segments: Arc<SegmentList>) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        reader.skip_to(self.position);
        let on_failure = self.on_failure();
        if let Some(waiting) = &mut self.waiting {
            waiting.again = None;
        }
        self.submit(Job {
            reader,
            rest: SeqRange::new(self.position, limit),
            bytes_max: self.spool.read_bytes,
            segments,
            on_failure,
            left_out_max: self.late.room().max(1),
            late: None,
            why: "".into(),
        });
    }

    fn on_failure(&self) -> OnFailure {
        let waiting = self.waiting.as_ref();
        let has_tried = waiting.is_some_and(|it| it.of_file >= READ_TRIES);
        if self.is_ordered || self.late.room() == 0 {
            OnFailure::Wait
        } else if has_tried {
            OnFailure::LeaveOut
        } else {
            OnFailure::LeaveOutLater
        }
    }

    fn submit(&mut self, job: Job) {
        let storage = self.spool.storage.clone();
        let retired = self.spool.retired.clone();
        let work = move || read(job, storage.as_ref(), &retired);
        self.reading = Some(self.spool.reading.submit(work));
    }

    fn on_read(&mut self, outcome: Outcome, now: Instant, items: &mut Vec<Item>) {
        let Outcome {
            job,
            found,
            damaged,
            failure,
        } = outcome;
        self.retired.damaged.extend(damaged);
        let before = self.late.left_out.len();
        let has_found = !found.is_empty();
        for item in found {
            self.on_found(item, job.late.is_some(), now, items);
        }
        if job.late.is_some() {
            self.on_read_late(job, failure, now);
            return;
        }
        let was_waiting = self.waiting.is_some();
        let (tries, of_file) = match self.waiting.take() {
            Some(waiting) if !has_found => (waiting.tries + 1, waiting.of_file),
            _ => (1, 0),
        };
        if let Some(failure) = failure {
            reached!("a read fails");
            // Those that were left out are told beside it.
            let events = match self.position < self.spool.run {
                true => self.to_come.saturating_sub(self.left_out()),
                false => job.rest.end.since(self.position),
            };
            let wait = READ_AGAIN * 2_u32.pow((tries - 1).min(10));
            let again = now + wait.min(READ_AGAIN_MAX);
            let is_passing = failure.is_passing;
            self.waiting = Some(Waiting {
                failure,
                events,
                tries,
                of_file: of_file + u32::from(!is_passing),
                again: Some(again),
            });
        }
        self.reader = Some(job.reader);
        if was_waiting || self.waiting.is_some() || self.late.left_out.len() != before {
            self.recount();
            self.tell();
        } else if self.position >= self.spool.recovered_upto && self.to_come > 0 {
            self.recount();
        }
    }

    /// Whether it is time to try again what was left out.
    fn is_late_due(&mut self, now: Instant) -> bool {
        if self.late.left_out.is_empty() && self.segments.unread.is_empty() {
            return self.late.is_under_way();
        }
        let segments = self.spool.handover.segments();
        let has_changed = segments.unread != self.segments.unread;
        self.segments = segments;
        if has_changed {
            reached!("other files can be read than before");
            self.late.again = None;
            self.tell();
        }
        if self.late.is_under_way() {
            return true;
        }
        if self.late.again.is_some_and(|(_, at)| now < at) {
            return false;
        }
        self.late.due = self.late.left_out.drain(..).collect();
        self.late.has_read = false;
        self.late.is_under_way()
    }

    /// `false`: there is nothing to be tried.
    fn read_late(&mut self) -> bool {
        if let Some((mut job, _)) = self.late.begun.take() {
            job.left_out_max = self.late.room();
            self.submit(job);
            return true;
        }
        let Some(due) = self.late.due.pop_front() else {
            return false;
        };
        self.submit(Job {
            reader: Reader::new(due.range.first, self.spool.known_durable_upto),
            rest: due.range,
            bytes_max: self.spool.read_bytes,
            segments: self.segments.clone(),
            on_failure: OnFailure::LeaveOut,
            left_out_max: self.late.room(),
            late: Some(due.events),
            why: due.why,
        });
        true
    }

    fn on_read_late(&mut self, job: Job, failure: Option<Failure>, now: Instant) {
        self.late.has_had_turn = true;
        if !job.rest.is_empty() {
            let is_over = failure.is_some() || self.late.room() == 0;
            let (segment, why) = match failure {
                Some(failure) => (failure.segment, failure.why),
                None => (job.reader.segment(), job.why.clone()),
            };
            let rest = LeftOut {
                range: job.rest,
                events: job.late.unwrap_or(u64::MAX).min(job.rest.len()),
                segment,
                why,
            };
            if !is_over {
                self.late.begun = Some((job, rest));
                return;
            }
            // It passes, or there is room later, and then this is tried again with the others.
            self.late.leave_out_rest(rest, now);
        }
        if self.late.due.is_empty() {
            self.late.wait(now);
            self.recount();
            self.tell();
        }
    }

    fn on_found(&mut self, item: Found, is_late: bool, now: Instant, items: &mut Vec<Item>) {
        match item {
            Found::Events(chunk) => {
                self.held += chunk.bytes.len();
                let range = chunk.range();
                self.account(range.first, range.len());
                self.position = self.position.max(range.end);
                self.late.has_read |= is_late;
                items.push(match is_late {
                    true => Item::Late(chunk),
                    false => Item::Chunk(chunk),
                });
            }
            Found::Lost { range, events } => {
                // Of this run all numbers are events.
                let events = if range.first < self.spool.run {
                    events
                } else {
                    range.len()
                };
                self.account(range.first, events);
                self.position = self.position.max(range.end);
                self.late.has_read |= is_late;
                self.retired.add(range);
                items.push(Item::Lost { range, events });
                items.push(Item::none(range, is_late));
            }
            Found::Nobodys(range) => {
                self.position = self.position.max(range.end);
                self.retired.add(range);
                items.push(Item::none(range, is_late));
            }
            Found::LeftOut(left_out) => {
                if !is_late {
                    let next = left_out.range.end;
                    self.position = next;
                    items.push(Item::Leave { next });
                }
                self.late.leave_out(left_out, now);
            }
        }
    }

    /// Events of an earlier run are given out, or lost for good.
    fn account(&mut self, first: Seq, events: u64) {
        if first < self.spool.run {
            self.miscounted += events.saturating_sub(self.to_come) as i64;
            self.to_come = self.to_come.saturating_sub(events);
        }
    }

    /// Once all of them were looked at, those that are left are the ones that cannot be read.
    fn recount(&mut self) {
        if self.position >= self.spool.recovered_upto {
            let unreadable = self.left_out();
            self.miscounted += unreadable as i64 - self.to_come as i64;
            self.to_come = unreadable;
        }
    }

    /// Events of earlier runs that were left out.
    fn left_out(&self) -> u64 {
        let late = self.late.all();
        let late = late.filter(|it| it.range.first < self.spool.run);
        late.map(|it| it.events).sum()
    }

    /// Brings up to date what cannot be read: each file once, and none of its events twice.
    fn tell(&mut self) {
        let mut told = ToldFiles::default();
        if let Some(waiting) = &self.waiting {
            let Failure { segment, why, .. } = &waiting.failure;
            let passed = match waiting.of_file >= READ_TRIES {
                true => Passed::Awaited,
                false => Passed::Retried,
            };
            told.add(*segment, waiting.events, why, passed);
        }
        for it in self.late.all() {
            told.add_left_out(it, &self.segments.unread);
        }
        // Those that the reader has not come to, or that no event is missing for.
        let is_ahead = self.position < self.spool.recovered_upto;
        for it in &self.segments.unread {
            if !told.files.iter().any(|(id, _)| *id == Some(it.id)) {
                let (events, passed) = match is_ahead {
                    true => (it.events_max(), Passed::NotYet),
                    false => (0, Passed::Yes),
                };
                told.add(Some(it.id), events, &it.why.to_string().into(), passed);
            }
        }
        let place = &self.spool.place;
        let files = told.files.into_iter().map(|(id, mut it)| {
            it.file = match id {
                Some(id) => place.join(FileName::Segment(id).to_string()),
                None => place.clone(),
            };
            it
        });
        self.unreadable = files.collect();
    }
}
