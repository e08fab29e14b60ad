//! Reading events from the disk for a while, on a thread that may block.

use std::io;
use std::sync::Arc;

use crate::chunk::{Chunk, Part};
use crate::spool::{Frame, Gap, Missing, ReadFailure, Reader, Retired, SegmentList, Step, Storage};

/// Bytes read from the disk at once, but for the last frame.
const READ_BYTES: usize = 1024 * 1024;
/// Errors that a job of events that were left out passes over at once. A failing disk may take half
/// a minute for each, and live events that are on the disk wait meanwhile, as does a close.
const LATE_ERRORS_MAX: u32 = 4;

/// Which events are to be read, and how.
pub(super) struct Job {
    pub(super) reader: Reader,
    /// The event to come, and the one behind the last.
    pub(super) next: u64,
    pub(super) limit: u64,
    pub(super) segments: Arc<SegmentList>,
    pub(super) on_failure: OnFailure,
    /// Ranges that may be left out.
    pub(super) left_out_max: usize,
    /// They were left out before, and so many of them are still to come at most.
    pub(super) late: Option<u64>,
    /// Why reading failed last, for what is left out because of it.
    pub(super) why: Arc<str>,
}

/// What becomes of events that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// Those behind them wait for them.
    Wait,
    /// They are left out when reading them failed some times, and it is their file that fails.
    LeaveOutLater,
    /// They are left out.
    LeaveOut,
}

/// Sequence numbers in order, with what there is of their events.
pub(super) enum Found {
    Events(Chunk),
    /// They were in the spool and are not there any more; so many of them at most.
    Lost {
        first: u64,
        end: u64,
        events: u64,
    },
    /// They are nobody's, or those of events done with.
    Nobodys {
        first: u64,
        end: u64,
    },
    LeftOut(LeftOut),
}

/// Events that cannot be read now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) first: u64,
    pub(super) end: u64,
    /// So many at most.
    pub(super) events: u64,
    /// The id in the name of the file that they are in.
    pub(super) segment: Option<u64>,
    /// The system's reason.
    pub(super) why: Arc<str>,
}

/// What came of it.
pub(super) struct Outcome {
    pub(super) job: Job,
    pub(super) found: Vec<Found>,
    /// In these segments something is missing.
    pub(super) damaged: Vec<u64>,
    /// Reading stopped before the limit because of this.
    pub(super) failure: Option<Failure>,
}

/// Why events cannot be read, which are waited for.
pub(super) struct Failure {
    pub(super) segment: Option<u64>,
    pub(super) why: Arc<str>,
    /// It is for want of something, and no file's fault.
    pub(super) is_passing: bool,
}

pub(super) fn read(mut job: Job, storage: &dyn Storage, retired: &Retired) -> Outcome {
    let mut findings = Findings::default();
    let mut failure = None;
    let mut errors = 0;
    while findings.bytes < READ_BYTES
        && !(job.late.is_some() && errors >= LATE_ERRORS_MAX)
        && findings.left_out < job.left_out_max
        && job.next < job.limit
        && failure.is_none()
    {
        let step = job
            .reader
            .advance(storage, &job.segments, retired, job.limit);
        match step {
            Ok(Step::Gap(gap)) if gap.missing == Missing::Unreadable => {
                let why = reason(&job.segments, &gap).unwrap_or_else(|| job.why.clone());
                if job.on_failure == OnFailure::Wait {
                    job.reader.go_back_to(gap.first);
                    failure = Some(Failure {
                        segment: gap.segment,
                        why,
                        is_passing: false,
                    });
                } else {
                    let gap = job.count(gap);
                    findings.leave_out(&mut job.next, &gap, why);
                }
            }
            Ok(Step::Gap(gap)) => {
                let gap = job.count(gap);
                findings.lose(&mut job.next, &gap);
            }
            Ok(Step::Frame) => {
                let frame = job.reader.frame().expect("it was found just now");
                findings.take(&mut job.next, &frame, job.reader.segment());
                let late = &mut job.late;
                *late = late.map(|late| late.saturating_sub(frame.take.into()));
            }
            Ok(Step::End) => findings.skip(&mut job.next, job.limit),
            Err(error) => {
                job.why = error.to_string().into();
                if job.waits_for(&error) {
                    failure = Some(Failure {
                        segment: job.reader.segment(),
                        why: job.why.clone(),
                        is_passing: ReadFailure::of(&error) == ReadFailure::Passing,
                    });
                } else {
                    errors += 1;
                    job.reader.skip_unread(&error);
                }
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
    fn skip(&mut self, next: &mut u64, end: u64) {
        let first = *next;
        if first < end {
            self.found.push(Found::Nobodys { first, end });
            *next = end;
        }
    }

    fn leave_out(&mut self, next: &mut u64, gap: &Gap, why: Arc<str>) {
        self.skip(next, gap.first);
        *next = gap.end;
        self.left_out += 1;
        self.found.push(Found::LeftOut(LeftOut {
            first: gap.first,
            end: gap.end,
            events: gap.events_max,
            segment: gap.segment,
            why,
        }));
    }

    fn lose(&mut self, next: &mut u64, gap: &Gap) {
        // Else it is a write that never came to its end.
        if gap.missing == Missing::Lost {
            self.damaged.extend(gap.segment);
        }
        self.skip(next, gap.first);
        *next = gap.end;
        self.found.push(Found::Lost {
            first: gap.first,
            end: gap.end,
            events: gap.events_max,
        });
    }

    /// Copies the events of a frame of this segment behind those of the last chunk, or into a new
    /// one. What is none of them is lost.
    fn take(&mut self, next: &mut u64, frame: &Frame<'_>, segment: Option<u64>) {
        let first = frame.header.first + u64::from(frame.skip);
        self.skip(next, first);
        *next = first + u64::from(frame.take);
        let chunk = Chunk::of_frame(frame);
        self.bytes += chunk.bytes.len();
        let mut is_damaged = false;
        chunk.examine(|part| {
            let events = match part {
                Part::Events(events) => events,
                Part::Damage { first, end } => {
                    is_damaged = true;
                    let events = end - first;
                    self.found.push(Found::Lost { first, end, events });
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
    /// What a file can hold is counted once, also if its events were left out in several ranges.
    /// Damage is no such thing.
    fn count(&mut self, gap: Gap) -> Gap {
        let is_damage = gap.missing != Missing::Unreadable && gap.segment.is_some();
        let Some(late) = self.late.as_mut().filter(|_| !is_damage) else {
            return gap;
        };
        let events_max = gap.events_max.min(*late);
        *late -= events_max;
        Gap { events_max, ..gap }
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
