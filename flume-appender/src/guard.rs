//! [`Guard`]: how an appender fares, and its end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use flume_client::{Client, Problem, Report};

use crate::appender::Appender;
use crate::filter::Filter;
use crate::flush::{Flush, Goal};
use crate::level::Level;
use crate::panic_hook;
use crate::passes::{Stage, deadline_after, left_until};
use crate::stats::Stats;
use crate::stderr;

/// How long a drop looks whether agents take the rest of what is safe on the disk.
const LOOK: Duration = Duration::from_millis(100);

/// Ends the appender when it is dropped, and tells how it fares.
///
/// Keep it in `main`. Its drop takes no more records, hands on what is there, and waits for it: for
/// [`shutdown_timeout`](crate::Builder::shutdown_timeout) and a little longer at the most, also within a
/// runtime and while the thread panics. With a spool it returns as soon as everything is on the disk, if no agent
/// takes it: the next process delivers the rest. What is lost is told in a line on stderr.
///
/// In a process that was forked from the appender's, nothing waits and nothing is done.
#[derive(Debug)]
#[must_use = "dropped at once it ends the appender: keep it in main"]
pub struct Guard {
    appender: Option<Appender>,
    shutdown_timeout: Duration,
}

/// What became of all records.
#[derive(Clone, Debug)]
#[must_use = "it says whether anything was lost"]
#[non_exhaustive]
pub struct CloseReport {
    /// Records on their way to the client.
    pub records: Stats,
    /// Events from there on.
    pub events: Report,
    /// What kept events from flowing at the end, the worst of it: agents, or the disk.
    pub problem: Option<Problem>,
}

/// Something was lost, or is left in memory.
#[derive(Clone, thiserror::Error)]
#[error("{}", lost(.report))]
#[non_exhaustive]
pub struct Lost {
    /// What became of all records.
    pub report: Box<CloseReport>,
}

impl fmt::Debug for Lost {
    /// The message: it is what a `main` that returns the error prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn lost(report: &CloseReport) -> String {
    let records = report.records.total();
    let events = report.events.lost.total() + report.events.pending;
    let before = records.lost() - records.nested + records.captured;
    let parts = [
        (before, "records were lost before they became events"),
        (
            records.nested,
            "records were left out, logged from within too many other log calls",
        ),
        (events, "events were lost or are left in memory"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let cause = report.problem.as_ref().map(ToString::to_string);
    let last_error = || report.events.last_error.as_ref().map(ToString::to_string);
    let cause = cause.or_else(last_error);
    // What is too deep has its cause in itself.
    let cause = cause.filter(|_| before + events > 0);
    let cause = cause.map(|cause| format!(" ({cause})"));
    parts.join(", and ") + &cause.unwrap_or_default()
}

/// What keeps a client's events from flowing. That it was closed, and that it lost events, is told
/// without it.
fn problem_of(client: &Client) -> Option<Problem> {
    let mut problems = client.health().problems.into_iter();
    problems.find(|it| !matches!(it, Problem::Closed | Problem::Losing { .. }))
}

impl CloseReport {
    /// Whether nothing that was logged is lost: it is with an agent, or in the spool, or a hook said
    /// that it is not wanted.
    #[must_use]
    pub fn lost_nothing(&self) -> bool {
        let records = self.records.total();
        let events = &self.events;
        records.lost() + records.captured + events.lost.total() + events.pending == 0
    }

    /// The same as a result.
    ///
    /// # Errors
    ///
    /// If something is lost.
    pub fn into_result(self) -> Result<(), Lost> {
        if self.lost_nothing() {
            Ok(())
        } else {
            Err(Lost {
                report: Box::new(self),
            })
        }
    }
}

impl Guard {
    pub(crate) fn new(appender: Appender, shutdown_timeout: Duration) -> Self {
        Self {
            appender: Some(appender),
            shutdown_timeout,
        }
    }

    #[cfg(feature = "test")]
    pub(crate) fn appender(&self) -> Option<&Appender> {
        self.appender.as_ref()
    }

    /// Resolves when everything logged so far is acknowledged by an agent. `timeout` is seen to by the
    /// appender's thread: needs no runtime's clock.
    ///
    /// # Errors
    ///
    /// If it is not within `timeout`. Nothing is lost by that.
    pub fn flush(&self, timeout: Duration) -> Flush {
        self.begin(Goal::Acknowledged, timeout)
    }

    /// Resolves when everything logged so far is on the disk; without a spool, when it is
    /// acknowledged.
    ///
    /// # Errors
    ///
    /// If it is not within `timeout`. Nothing is lost by that.
    pub fn flush_stored(&self, timeout: Duration) -> Flush {
        self.begin(Goal::Stored, timeout)
    }

    fn begin(&self, goal: Goal, timeout: Duration) -> Flush {
        let appender = self.appender.as_ref().expect("it ends with the guard");
        appender.begin_flush(goal, timeout)
    }

    /// Takes only records of this level and of greater ones, from now on.
    pub fn set_level(&self, level: Level) {
        self.set_filter(Filter::of_level(level));
    }

    /// Takes only what this filter wants, from now on.
    pub fn set_filter(&self, filter: Filter) {
        if let Some(appender) = &self.appender {
            appender.set_filter(filter);
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let appender = self.appender.as_ref();
        appender.map(Appender::stats).unwrap_or_default()
    }

    /// Logs each panic from now on, as an ERROR with the target `panic`, its message, its place and its
    /// thread, and waits until that is stored, for 500 ms at the longest, also where a panic aborts the
    /// process. Then the hook that was there before is called. A panic of a thread of ours is left to
    /// that one. Without a spool it does not wait.
    ///
    /// Call it once: each call adds a hook.
    pub fn install_panic_hook(&self) {
        if let Some(appender) = &self.appender {
            panic_hook::install(appender);
        }
    }

    /// Takes no more records, hands on what is there for up to `timeout`, and ends the threads.
    pub fn close(mut self, timeout: Duration) -> Close {
        Close {
            step: match self.appender.take() {
                Some(appender) => Step::Records(Ending::begin(appender, timeout)),
                None => Step::Over,
            },
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(appender) = self.appender.take()
            && !appender.core().is_forked()
        {
            Ending::begin(appender, self.shutdown_timeout).drop_by(self.shutdown_timeout);
        }
    }
}

/// The future of [`Guard::close`]. The end has begun, whether it is awaited or not. If it is dropped
/// unawaited, records are still handed on, and the client goes on as long as something else holds it.
#[derive(Debug)]
#[must_use = "the report says whether anything was lost"]
pub struct Close {
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Until the records are with the client.
    Records(Ending),
    /// Until its events are delivered.
    Events(Appender, Closing),
    Over,
}

impl Close {
    /// The same for a plain thread, which it blocks for the time that was given and a little longer at
    /// the most.
    #[expect(clippy::panic, reason = "as any future")]
    pub fn wait(self) -> CloseReport {
        match self.step {
            Step::Records(ending) => ending.wait(),
            Step::Events(appender, closing) => closing.wait(&appender),
            Step::Over => panic!("it was awaited to its end before"),
        }
    }
}

impl Future for Close {
    type Output = CloseReport;

    #[expect(clippy::panic, reason = "as any future")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CloseReport> {
        let step = &mut self.get_mut().step;
        if let Step::Records(ending) = step {
            match ending.poll(context) {
                Some(closing) => *step = Step::Events(ending.appender.clone(), closing),
                None => return Poll::Pending,
            }
        }
        match step {
            Step::Events(appender, closing) => {
                let closed = Pin::new(&mut closing.close).poll(context);
                let closed = closed.map(|events| closing.report(appender, events));
                if closed.is_ready() {
                    *step = Step::Over;
                }
                closed
            }
            Step::Records(_) => Poll::Pending,
            Step::Over => panic!("it was polled after its end"),
        }
    }
}

/// A client that takes no more events.
#[derive(Debug)]
struct Closing {
    close: flume_client::Close,
    /// As it was before: afterwards there may be none who could have it.
    problem: Option<Problem>,
}

impl Closing {
    fn begin(client: &Client, timeout: Duration) -> Self {
        Self {
            problem: problem_of(client),
            close: client.close(timeout),
        }
    }

    fn wait(self, appender: &Appender) -> CloseReport {
        let Self { close, problem } = self;
        report(appender, close.wait(), problem)
    }

    fn report(&mut self, appender: &Appender, events: Report) -> CloseReport {
        report(appender, events, self.problem.take())
    }
}

fn report(appender: &Appender, events: Report, before: Option<Problem>) -> CloseReport {
    CloseReport {
        records: appender.stats(),
        events,
        problem: before.or_else(|| problem_of(appender.client())),
    }
}

/// An appender that takes no more records.
#[derive(Debug)]
struct Ending {
    appender: Appender,
    deadline: Instant,
    /// The last pass; none in a forked process.
    pass: Option<u64>,
}

impl Ending {
    fn begin(appender: Appender, timeout: Duration) -> Self {
        let core = appender.core();
        let pass = (!core.is_forked()).then(|| {
            core.close();
            core.passes.hurry_for_next()
        });
        Self {
            deadline: deadline_after(timeout),
            appender,
            pass,
        }
    }

    fn wait(self) -> CloseReport {
        let client = self.wait_for_records();
        Closing::begin(client, left_until(self.deadline)).wait(&self.appender)
    }

    /// Waits until the records are with the client, or given up.
    fn wait_for_records(&self) -> &Client {
        let passes = &self.appender.core().passes;
        if let Some(pass) = self.pass
            && !passes.wait(pass, Stage::Done, self.deadline)
        {
            self.appender.give_up();
            // It counts what it gives up, unless a layout holds it up.
            passes.wait(pass, Stage::Done, Instant::now() + LOOK);
        }
        self.appender.client()
    }

    fn poll(&self, context: &mut Context<'_>) -> Option<Closing> {
        let passes = &self.appender.core().passes;
        if let Some(pass) = self.pass {
            let waited = passes.poll(pass, Stage::Done, self.deadline, context.waker());
            if !waited? {
                self.appender.give_up();
            }
        }
        let client = self.appender.client();
        Some(Closing::begin(client, left_until(self.deadline)))
    }

    /// The end by a drop, which nobody waits for longer than it is of use.
    fn drop_by(self, timeout: Duration) {
        let client = self.wait_for_records();
        let stored = self.appender.core().passes.receipt();
        let is_stored = self.appender.has_spool()
            && stored.is_none_or(|receipt| receipt.wait_stored(left_until(self.deadline)).is_ok());
        if is_stored {
            // As long as agents take something, they may have the rest as well.
            let mut delivered = client.stats().delivered;
            while client
                .flush(LOOK.min(left_until(self.deadline)))
                .wait()
                .is_err()
            {
                let before = std::mem::replace(&mut delivered, client.stats().delivered);
                if before == delivered || left_until(self.deadline).is_zero() {
                    break;
                }
            }
        }
        let left = match is_stored {
            true => Duration::ZERO,
            false => left_until(self.deadline),
        };
        let report = Closing::begin(client, left).wait(&self.appender);
        if let Err(lost) = report.into_result() {
            stderr::say(&format!(
                "flume-appender: {lost} when the guard was dropped, within {timeout:?}; \
                 Guard::close waits longer and reports"
            ));
        }
    }
}
