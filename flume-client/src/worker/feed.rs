//! [`Feed`]: the worker's events when there is a spool, from memory or from the disk, in order.
//!
//! | reading fails | then |
//! |---|---|
//! | for the process or the machine as a whole, or events must keep their order | the same read again after 100 ms, then twice as long, up to 5 s |
//! | for one file or a part of it | the same until it failed so five times; then its other events and those behind it first, and it again after 1 s, then twice as long, up to 30 s |
//!
//! Nothing is given up for it: what cannot be read is told, and comes late.

mod late;
#[cfg(test)]
mod tests;
mod told;

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use late::Late;
use tokio::time::{Instant, Sleep, sleep_until};
use told::ToldFiles;

use super::reading::{Failure, Found, Job, OnFailure, Outcome, read};
use crate::blocking::BlockingThread;
use crate::chunk::Chunk;
use crate::handover::{Handover, Retirements, Supply};
use crate::spool::{FileName, Log, Opened, Reader, Retired, SegmentList, Storage};
use crate::stats::{Passed, UnreadableEvents};
use crate::ticket::Ticket;

/// Where the events of a spool are read from, and which not.
pub(crate) struct Backlog {
    storage: Arc<dyn Storage>,
    /// Where that is.
    place: PathBuf,
    /// What was done with when the spool was opened.
    retired: Arc<Retired>,
    /// See [`Opened::witnessed`](crate::spool::Opened::witnessed).
    witnessed: u64,
    /// The first number of this run, and how many events of earlier ones there are at most.
    run: u64,
    recovered: u64,
    /// Where those end.
    recovered_upto: u64,
    pub(crate) handover: Arc<Handover>,
    /// Where reading may block.
    reading: BlockingThread,
}

impl Backlog {
    /// What is in a spool that was opened.
    pub(crate) fn new(
        reading: BlockingThread,
        storage: Arc<dyn Storage>,
        place: &Path,
        log: &Log,
        opened: &Opened,
    ) -> Self {
        Self {
            reading,
            storage,
            place: place.to_owned(),
            retired: Arc::new(log.retired().clone()),
            witnessed: opened.witnessed,
            run: log.next(),
            recovered: log.backlog(),
            recovered_upto: log.readable_upto(),
            handover: Arc::new(Handover::new(log.next(), log.segments())),
        }
    }

    /// The spool itself.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        self.storage.clone()
    }
}

impl fmt::Debug for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backlog").finish_non_exhaustive()
    }
}

/// What there is.
pub(super) enum Fed {
    /// These events, which come next.
    Chunk(Chunk),
    /// These are not there any more; so many of them at most. What comes next tells their numbers
    /// to have no events.
    Lost { first: u64, end: u64, events: u64 },
    /// Sequence numbers below are nobody's, or those of events done with.
    Skip { next: u64 },
    /// The events below cannot be read now.
    Leave { next: u64 },
    /// These events, which were left out.
    Late(Chunk),
    /// Numbers that were left out, and have no events.
    Forget { first: u64, end: u64 },
}

impl Fed {
    fn none(first: u64, end: u64, is_late: bool) -> Self {
        match is_late {
            true => Self::Forget { first, end },
            false => Self::Skip { next: end },
        }
    }
}

/// How often reading is tried before it is believed to be the file's fault.
const READ_TRIES: u32 = 5;
/// How long after a failure first; each wait is twice the last.
const READ_AGAIN: Duration = Duration::from_millis(100);
const READ_AGAIN_MAX: Duration = Duration::from_secs(5);
/// The same for events that were left out.
const LATE_AGAIN: Duration = Duration::from_secs(1);
const LATE_AGAIN_MAX: Duration = Duration::from_secs(30);
/// Ranges of events that are left out. With more, those behind wait: the cursor keeps 64 ranges of
/// events that were acknowledged behind others, and what is not in it is sent again.
const LEFT_OUT_MAX: usize = 48;

pub(super) struct Feed {
    backlog: Backlog,
    /// The next event to come.
    position: u64,
    /// Bytes of events that were fed and are not done with.
    held: usize,
    held_max: usize,
    /// Events go in order, and none before those that cannot be read.
    is_ordered: bool,
    /// Not here while it reads; what was left out is read with others.
    reader: Option<Reader>,
    reading: Option<Ticket<Outcome>>,
    waiting: Option<Waiting>,
    late: Late,
    segments: Arc<SegmentList>,
    /// Events of earlier runs that were counted and have not been fed.
    unfed: u64,
    /// By so much more were counted as recovered than there are, or fewer.
    miscounted: i64,
    unreadable: Arc<[UnreadableEvents]>,
    retired: Retirements,
}

/// For what cannot be read, and will be.
struct Waiting {
    failure: Failure,
    /// Events behind it, it included.
    events: u64,
    tries: u32,
    /// Of those, so many failed for the file itself.
    of_file: u32,
    /// `None`: it is being tried.
    again: Option<Pin<Box<Sleep>>>,
}

impl Feed {
    /// Feeds until `held_max` bytes are not done with, and a little more.
    pub(super) fn new(backlog: Backlog, held_max: usize, is_ordered: bool) -> Self {
        let first = backlog.retired.watermark();
        let mut feed = Self {
            reader: Some(Reader::new(first, backlog.witnessed)),
            position: first,
            held: 0,
            held_max,
            is_ordered,
            reading: None,
            waiting: None,
            late: Late::default(),
            segments: backlog.handover.segments(),
            unfed: backlog.recovered,
            miscounted: 0,
            unreadable: Arc::default(),
            retired: Retirements::default(),
            backlog,
        };
        if !feed.segments.unread.is_empty() {
            feed.tell();
        }
        feed
    }

    /// The event that comes next.
    pub(super) fn next(&self) -> u64 {
        self.position
    }

    /// What there is now goes to `fed`. If that is nothing, the context is woken when there is.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, fed: &mut Vec<Fed>) {
        loop {
            if let Some(reading) = &self.reading
                && let Poll::Ready(outcome) = reading.poll(context)
            {
                self.reading = None;
                // Reading panics for no bytes; if it did, the worker cannot go on either.
                let outcome = outcome.done().expect("reading the spool does not panic");
                self.on_read(outcome, fed);
                continue;
            }
            if self.held >= self.held_max || self.reader.is_none() {
                return;
            }
            let late_rests = std::mem::take(&mut self.late.has_had_turn);
            let reads_late = self.reading.is_some();
            if !reads_late && !late_rests && self.is_late_due(context) && self.read_late() {
                continue;
            }
            if let Some(again) = self.waiting.as_mut().and_then(|it| it.again.as_mut())
                && again.as_mut().poll(context).is_pending()
            {
                match late_rests {
                    true => continue,
                    false => return,
                }
            }
            match self.backlog.handover.supply(self.position, context.waker()) {
                Supply::Nothing if late_rests => {}
                Supply::Nothing => return,
                // The disk does one thing at a time.
                Supply::OnDisk { .. } if reads_late => return,
                Supply::Chunk(chunk) => {
                    self.position = chunk.end();
                    self.held += chunk.bytes.len();
                    fed.push(Fed::Chunk(chunk));
                }
                Supply::OnDisk { limit, segments } => self.read_next(limit, segments),
            }
        }
    }

    /// Events are done with.
    pub(super) fn retire(&mut self, first: u64, end: u64, bytes: usize) {
        self.retired.add(first, end);
        self.held -= bytes;
    }

    /// Tells the committer what is done with.
    pub(super) fn settle(&mut self) {
        self.backlog.handover.retire(&mut self.retired);
    }

    /// Whether everything that was taken in is stored and was fed, but for what cannot be read.
    pub(super) fn is_through(&self) -> bool {
        let is_late = !self.late.due.is_empty() || self.late.begun.is_some();
        self.backlog.handover.end() == Some(self.position) && self.reading.is_none() && !is_late
    }

    /// Whether no more is to be waited for: all was fed, or all but what cannot be read and what has
    /// to wait for that, and another place waits, too. A failure that passes is no reason to go.
    pub(super) fn is_over(&self) -> bool {
        let is_through = self.is_through();
        if is_through && self.late.left_out.is_empty() {
            return true;
        }
        let waits_for_file = |it: &Waiting| it.of_file >= READ_TRIES;
        let is_stuck = self.on_failure() == OnFailure::Wait
            && self.waiting.as_ref().is_some_and(waits_for_file);
        (is_through || is_stuck) && self.backlog.handover.do_others_wait()
    }

    /// The first number of this run.
    pub(super) fn run(&self) -> u64 {
        self.backlog.run
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
        self.backlog.handover.leave(self.unreadable.clone());
        self.backlog.handover.finish(Waker::noop());
    }

    /// Tells the committer to let go of the spool. `true`: it has, and nobody reads it any more.
    pub(super) fn finish(&mut self, context: &mut Context<'_>) -> bool {
        self.settle();
        if let Some(reading) = &self.reading
            && reading.poll(context).is_ready()
        {
            self.reading = None;
        }
        self.backlog.handover.finish(context.waker()) && self.reading.is_none()
    }

    fn read_next(&mut self, limit: u64, segments: Arc<SegmentList>) {
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
            next: self.position,
            limit,
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
        let storage = self.backlog.storage.clone();
        let retired = self.backlog.retired.clone();
        let work = move || read(job, storage.as_ref(), &retired);
        self.reading = Some(self.backlog.reading.submit(work));
    }

    fn on_read(&mut self, outcome: Outcome, fed: &mut Vec<Fed>) {
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
            self.on_found(item, job.late.is_some(), fed);
        }
        if job.late.is_some() {
            self.on_read_late(job, failure);
            return;
        }
        let was_waiting = self.waiting.is_some();
        let (tries, of_file) = match self.waiting.take() {
            Some(waiting) if !has_found => (waiting.tries + 1, waiting.of_file),
            _ => (1, 0),
        };
        if let Some(failure) = failure {
            // Those that were left out are told beside it.
            let events = match self.position < self.backlog.run {
                true => self.unfed.saturating_sub(self.left_out()),
                false => job.limit - self.position,
            };
            let wait = READ_AGAIN * 2_u32.pow((tries - 1).min(10));
            let again = Instant::now() + wait.min(READ_AGAIN_MAX);
            let is_passing = failure.is_passing;
            self.waiting = Some(Waiting {
                failure,
                events,
                tries,
                of_file: of_file + u32::from(!is_passing),
                again: Some(Box::pin(sleep_until(again))),
            });
        }
        self.reader = Some(job.reader);
        if was_waiting || self.waiting.is_some() || self.late.left_out.len() != before {
            self.recount();
            self.tell();
        } else if self.position >= self.backlog.recovered_upto && self.unfed > 0 {
            self.recount();
        }
    }

    fn on_found(&mut self, item: Found, is_late: bool, fed: &mut Vec<Fed>) {
        match item {
            Found::Events(chunk) => {
                self.held += chunk.bytes.len();
                self.account(chunk.first, chunk.ends.len() as u64);
                self.position = self.position.max(chunk.end());
                self.late.has_read |= is_late;
                fed.push(match is_late {
                    true => Fed::Late(chunk),
                    false => Fed::Chunk(chunk),
                });
            }
            Found::Lost { first, end, events } => {
                // Of this run all numbers are events.
                let events = if first < self.backlog.run {
                    events
                } else {
                    end - first
                };
                self.account(first, events);
                self.position = self.position.max(end);
                self.late.has_read |= is_late;
                self.retired.add(first, end);
                fed.push(Fed::Lost { first, end, events });
                fed.push(Fed::none(first, end, is_late));
            }
            Found::Nobodys { first, end } => {
                self.position = self.position.max(end);
                self.retired.add(first, end);
                fed.push(Fed::none(first, end, is_late));
            }
            Found::LeftOut(left_out) => {
                if !is_late {
                    self.position = left_out.end;
                    fed.push(Fed::Leave { next: left_out.end });
                }
                self.late.leave_out(left_out);
            }
        }
    }

    /// Events of an earlier run are fed, or lost for good.
    fn account(&mut self, first: u64, events: u64) {
        if first < self.backlog.run {
            self.miscounted += events.saturating_sub(self.unfed) as i64;
            self.unfed = self.unfed.saturating_sub(events);
        }
    }

    /// Once all of them were looked at, those that are left are the ones that cannot be read.
    fn recount(&mut self) {
        if self.position >= self.backlog.recovered_upto {
            let unreadable = self.left_out();
            self.miscounted += unreadable as i64 - self.unfed as i64;
            self.unfed = unreadable;
        }
    }

    /// Events of earlier runs that were left out.
    fn left_out(&self) -> u64 {
        let late = self.late.all();
        let late = late.filter(|it| it.first < self.backlog.run);
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
        let is_ahead = self.position < self.backlog.recovered_upto;
        for it in &self.segments.unread {
            if !told.files.iter().any(|(id, _)| *id == Some(it.id)) {
                let (events, passed) = match is_ahead {
                    true => (it.events_max(), Passed::NotYet),
                    false => (0, Passed::Yes),
                };
                told.add(Some(it.id), events, &it.why.to_string().into(), passed);
            }
        }
        let place = &self.backlog.place;
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
