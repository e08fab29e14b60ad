//! The end of a client: by [`Client::close`](crate::Client::close), by a guard, or by a drop.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use super::spools::Spools;
use crate::config::{CommonHeaders, Overflow};
use crate::own_thread;
use crate::queue::{Intake, Request, Ticket, Waited, oneshot, wakeup};
use crate::stats::report::Report;

/// A blocking wait lasts this much longer than its timeout; then it reads the counters itself.
/// Longer than `FINISH_TIMEOUT` of the sender (500 ms), so the sender's own report comes first.
const GRACE: Duration = Duration::from_secs(1);
/// How long dropping the last clone goes on sending.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// Closes the client when the last clone of it goes.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) intake: Arc<Intake>,
    pub(super) overflow: Overflow,
    pub(super) spools: Option<Spools>,
    pub(super) headers: Option<CommonHeaders>,
    /// If it has a driver in the place of a thread, what that is told.
    pub(super) driver: Option<Arc<Farewell>>,
}

/// How a client with a driver was dropped, for the driver to tell what was lost by it.
#[derive(Debug, Default)]
pub(super) struct Farewell(OnceLock<Dropped>);

#[derive(Clone, Copy, Debug)]
struct Dropped {
    lost_before: u64,
    timeout: Duration,
}

impl Farewell {
    /// Tells it, if the client was dropped and something was lost since.
    pub(super) fn tell(&self, report: &Report) {
        if let Some(dropped) = self.0.get() {
            let lost = report.lost.total().saturating_sub(dropped.lost_before);
            tell_loss_by_drop(report, lost, dropped.timeout);
        }
    }
}

impl Handle {
    pub(super) fn close(&self, timeout: Duration) -> Ticket<Report> {
        let (promise, ticket) = oneshot();
        self.intake.request(|_| Request::Close { timeout, promise });
        ticket
    }

    /// What is given an answer within `timeout`, and a little.
    pub(super) fn answer<T>(&self, ticket: Ticket<T>, timeout: Duration) -> Answer<T> {
        Answer {
            ticket,
            limit: timeout.saturating_add(GRACE),
            is_bounded: self.driver.is_none(),
        }
    }

    fn report(&self) -> Report {
        Report::of(&self.intake.stats())
    }

    /// Closes, waits for that, and tells what was lost by it. With a driver that is for the driver to
    /// do: it may be this very thread that drives.
    fn close_loudly(&self, timeout: Duration) {
        if self.intake.forked_from().is_some() {
            return;
        }
        let lost_before = self.report().lost.total();
        if let Some(driver) = &self.driver {
            // Of several, the first one tells.
            let _ = driver.0.set(Dropped {
                lost_before,
                timeout,
            });
            drop(self.close(timeout));
            return;
        }
        let ticket = self.close(timeout);
        if !own_thread::may_wait() {
            // A caller's waker drops the client: its thread cannot wait for itself.
            return;
        }
        let report = match ticket.wait(timeout.saturating_add(GRACE)) {
            Waited::Done(report) => report,
            Waited::Gone | Waited::TimedOut => self.report(),
        };
        let lost = report.lost.total() - lost_before;
        tell_loss_by_drop(&report, lost, timeout);
    }
}

fn tell_loss_by_drop(report: &Report, lost: u64, timeout: Duration) {
    let when = format!("the client was dropped: no agent took them within {timeout:?}");
    tell_loss(
        report,
        lost,
        &when,
        "Client::close waits longer and reports",
    );
}

/// Says in a line on stderr what was lost, and what is not decided, if there is anything to say.
pub(super) fn tell_loss(report: &Report, lost: u64, when: &str, advice: &str) {
    let pending = report.pending;
    if lost + pending == 0 {
        return;
    }
    let cause = report.last_error.as_ref();
    let cause = cause.map(|error| format!(" ({error})")).unwrap_or_default();
    let events = if lost == 1 {
        "event was"
    } else {
        "events were"
    };
    let what = match pending {
        0 => format!("{lost} {events} lost"),
        1 => format!("{lost} {events} lost and 1 is undecided"),
        _ => format!("{lost} {events} lost and {pending} are undecided"),
    };
    // With stderr closed there is nobody to tell.
    let _ = writeln!(
        io::stderr(),
        "flume-client: {what} when {when}{cause}; {advice}"
    );
}

/// Something that a driver is to answer, if there is one.
#[derive(Debug)]
pub(super) struct Answer<T> {
    ticket: Ticket<T>,
    /// It comes within this time, or never.
    limit: Duration,
    /// Whoever gives it has a thread of its own, or a thread bounds the wait.
    is_bounded: bool,
}

impl<T: Send + 'static> Answer<T> {
    pub(super) fn wait(&self) -> Waited<T> {
        self.ticket.wait(self.limit)
    }

    /// A future must end also if the driver is not polled any more, when nobody else would wake it: so
    /// a thread waits, `flume-wait`, which ends with the wait.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Waited<T>> {
        let polled = self.ticket.poll(context);
        if polled.is_ready() || std::mem::replace(&mut self.is_bounded, true) {
            return polled;
        }
        let (promise, bounded) = oneshot();
        let (ticket, limit) = (std::mem::replace(&mut self.ticket, bounded), self.limit);
        // Without a thread the promise is dropped, and the future ends early, by the counters.
        let _ = own_thread::spawn("flume-wait", move || {
            if let Waited::Done(value) = ticket.wait(limit) {
                wakeup::wake(promise.fulfil(value));
            }
        });
        self.ticket.poll(context)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close_loudly(DROP_TIMEOUT);
    }
}

/// Closes a client when it is dropped: see [`Client::close_on_drop`](crate::Client::close_on_drop).
#[derive(Debug)]
#[must_use = "dropped at once, it closes the client at once"]
pub struct CloseGuard {
    pub(super) handle: Arc<Handle>,
    pub(super) timeout: Duration,
}

impl Drop for CloseGuard {
    fn drop(&mut self) {
        self.handle.close_loudly(self.timeout);
    }
}

/// The future of [`Client::close`](crate::Client::close). The close goes on whether it is awaited
/// or not.
#[derive(Debug)]
#[must_use = "the report says whether events were lost"]
pub struct Close {
    pub(super) handle: Arc<Handle>,
    pub(super) answer: Answer<Report>,
}

impl Close {
    /// The same for a plain thread, which it blocks until the report is there: a little longer
    /// than the time given to [`Client::close`](crate::Client::close) at the most.
    pub fn wait(self) -> Report {
        self.report(&self.answer.wait())
    }

    fn report(&self, waited: &Waited<Report>) -> Report {
        match waited {
            Waited::Done(report) => report.clone(),
            Waited::Gone | Waited::TimedOut => self.handle.report(),
        }
    }
}

impl Future for Close {
    type Output = Report;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Report> {
        let this = self.get_mut();
        let polled = this.answer.poll(context);
        polled.map(|waited| this.report(&waited))
    }
}
