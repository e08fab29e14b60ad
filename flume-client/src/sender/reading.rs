//! Reading events from the disk for a while, on a thread that may block.

use std::io;
use std::sync::Arc;

use crate::queue::{Chunk, Part};
use crate::seq::{Seq, SeqRange, SeqSet};
use crate::situations::reached;
use crate::spool::{Frame, Gap, Missing, ReadFailure, Reader, SegmentList, Step, Storage};

/// Errors that a job of events that were left out passes over at once. A failing disk may take half
/// a minute for each, and live events that are on the disk wait meanwhile, as does a close.
const LATE_ERRORS_MAX: u32 = 4;

/// Which events are to be read, and how.
pub(super) struct Job {
    pub(super) reader: Reader,
    /// The events to come.
    pub(super) rest: SeqRange,
    /// Bytes that are read; the last frame may go over it.
    pub(super) bytes_max: usize,
    pub(super) segments: Arc<SegmentList>,
    pub(super) on_failure: OnFailure,
    /// Ranges that may be left out.
    pub(super) left_out_max: usize,
    /// If these events were left out before: how many are still to come, at most.
    pub(super) late: Option<u64>,
    /// Why reading failed last, for what is left out because of it.
    pub(super) why: Arc<str>,
}

/// What becomes of events that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// Those after them wait for them.
    Wait,
    /// They are left out when reading them failed some times, and it is their file that fails.
    LeaveOutLater,
    /// They are left out.
    LeaveOut,
}

/// Sequence numbers in order, with what there is of their events.
pub(super) enum Found {
    Events(Chunk),
    /// They were in the spool and are not there any more: `events` of them at most.
    Lost {
        range: SeqRange,
        events: u64,
    },
    /// They are nobody's, or those of retired events.
    Nobodys(SeqRange),
    LeftOut(LeftOut),
}

/// Events that cannot be read now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) range: SeqRange,
    /// At most.
    pub(super) events: u64,
    /// The id in the name of the file that they are in.
    pub(super) segment: Option<u64>,
    /// The system's reason.
    pub(super) why: Arc<str>,
}

/// What came of reading, not of an event: that is `delivery`'s `Outcome`.
pub(super) struct Outcome {
    pub(super) job: Job,
    pub(super) found: Vec<Found>,
    /// In these segments something is missing.
    pub(super) damaged: Vec<u64>,
    /// Reading stopped before the limit because of this.
    pub(super) failure: Option<Failure>,
}

/// Why a read stopped; later events wait for it.
pub(super) struct Failure {
    pub(super) segment: Option<u64>,
    pub(super) why: Arc<str>,
    /// A resource was missing (descriptors, memory): not the file's fault.
    pub(super) is_passing: bool,
}

pub(super) fn read(mut job: Job, storage: &dyn Storage, retired: &SeqSet) -> Outcome {
    let mut findings = Findings::default();
    let mut failure = None;
    let mut errors = 0;
    while findings.bytes < job.bytes_max
        && !(job.late.is_some() && errors >= LATE_ERRORS_MAX)
        && findings.left_out < job.left_out_max
        && !job.rest.is_empty()
        && failure.is_none()
    {
        let limit = job.rest.end;
        match job.reader.advance(storage, &job.segments, retired, limit) {
            Ok(Step::Gap(gap)) if gap.missing == Missing::Unreadable => {
                let why = reason(&job.segments, &gap).unwrap_or_else(|| job.why.clone());
                if job.on_failure == OnFailure::Wait {
                    reached!("what cannot be read is waited for");
                    job.reader.go_back_to(gap.range.first);
                    failure = Some(Failure {
                        segment: gap.segment,
                        why,
                        is_passing: false,
                    });
                } else {
                    let gap = job.count(gap);
                    findings.leave_out(&mut job.rest.first, &gap, why);
                }
            }
            Ok(Step::Gap(gap)) => {
                let gap = job.count(gap);
                findings.lose(&mut job.rest.first, &gap);
            }
            Ok(Step::Frame) => {
                let frame = job.reader.frame().expect("it was found just now");
                findings.take(&mut job.rest.first, &frame, job.reader.segment());
                let late = &mut job.late;
                *late = late.map(|late| late.saturating_sub(frame.take.into()));
            }
            Ok(Step::End) => {
                reached!("the disk is read to its end");
                findings.skip(&mut job.rest.first, limit);
            }
            Err(error) => {
                failure = job.fail(&error);
                errors += u32::from(failure.is_none());
            }
        }
    }
    Outcome {
        job,
        found: findings.found,
        damaged: findings.damaged,
        failure,
    }
}

/// What was found so far. `next` is the event to come.
#[derive(Default)]
struct Findings {
    found: Vec<Found>,
    damaged: Vec<u64>,
    bytes: usize,
    left_out: usize,
}

impl Findings {
    fn skip(&mut self, next: &mut Seq, end: Seq) {
        let skipped = SeqRange::new(*next, end);
        if !skipped.is_empty() {
            self.found.push(Found::Nobodys(skipped));
            *next = end;
        }
    }

    fn leave_out(&mut self, next: &mut Seq, gap: &Gap, why: Arc<str>) {
        self.skip(next, gap.range.first);
        *next = gap.range.end;
        self.left_out += 1;
        self.found.push(Found::LeftOut(LeftOut {
            range: gap.range,
            events: gap.events_max,
            segment: gap.segment,
            why,
        }));
    }

    fn lose(&mut self, next: &mut Seq, gap: &Gap) {
        // Else it is a write that never came to its end.
        if gap.missing == Missing::Lost {
            self.damaged.extend(gap.segment);
        }
        self.skip(next, gap.range.first);
        *next = gap.range.end;
        self.found.push(Found::Lost {
            range: gap.range,
            events: gap.events_max,
        });
    }

    /// Copies the events of a frame of this segment after those of the last chunk, or into a new
    /// one. What is none of them is lost.
    fn take(&mut self, next: &mut Seq, frame: &Frame<'_>, segment: Option<u64>) {
        let wanted = frame.wanted();
        self.skip(next, wanted.first);
        *next = wanted.end;
        let chunk = Chunk::of_frame(frame);
        self.bytes += chunk.bytes.len();
        let mut is_damaged = false;
        chunk.examine(|part| {
            let events = match part {
                Part::Events(events) => events,
                Part::Damage(range) => {
                    is_damaged = true;
                    let events = range.len();
                    self.found.push(Found::Lost { range, events });
                    return;
                }
            };
            if let Some(Found::Events(last)) = self.found.last_mut()
                && last.takes_in(&events)
            {
                return;
            }
            self.found.push(Found::Events(events));
        });
        if is_damaged {
            self.damaged.extend(segment);
        }
    }
}

impl Job {
    /// Counts a file's events once, even if left out in several ranges; damaged events are not
    /// counted so.
    fn count(&mut self, gap: Gap) -> Gap {
        let is_damage = gap.missing != Missing::Unreadable && gap.segment.is_some();
        let Some(late) = self.late.as_mut().filter(|_| !is_damage) else {
            return gap;
        };
        let events_max = gap.events_max.min(*late);
        *late -= events_max;
        Gap { events_max, ..gap }
    }

    /// Reading failed. `Some`: it is to be tried again before anything else is read.
    fn fail(&mut self, error: &io::Error) -> Option<Failure> {
        self.why = error.to_string().into();
        if !self.waits_for(error) {
            reached!("a read error is passed over");
            self.reader.skip_unread(error);
            return None;
        }
        reached!("a read that failed is to be tried again");
        Some(Failure {
            segment: self.reader.segment(),
            why: self.why.clone(),
            is_passing: ReadFailure::of(error) == ReadFailure::Passing,
        })
    }

    fn waits_for(&self, error: &io::Error) -> bool {
        self.on_failure != OnFailure::LeaveOut || ReadFailure::of(error) == ReadFailure::Passing
    }
}

/// Why the file with these events is not read at all, if it is not.
fn reason(segments: &SegmentList, gap: &Gap) -> Option<Arc<str>> {
    let mut unread = segments.unread.iter();
    let unread = unread.find(|unread| Some(unread.id) == gap.segment)?;
    Some(unread.why.to_string().into())
}
