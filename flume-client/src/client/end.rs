//! The end of a client: by [`Client::close`](crate::Client::close), by a guard, or by a drop.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::spools::Spools;
use crate::config::{CommonHeaders, Overflow};
use crate::own_thread;
use crate::queue::{Intake, Request, Ticket, Waited, oneshot};
use crate::stats::report::Report;

/// A blocking wait lasts this much longer than its timeout; then it reads the counters itself.
/// Longer than `FINISH_TIMEOUT` of the sender (500 ms), so the sender's own report comes first.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// How long dropping the last clone goes on sending.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// Closes the client when the last clone of it goes.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) intake: Arc<Intake>,
    pub(super) overflow: Overflow,
    pub(super) spools: Option<Spools>,
    pub(super) headers: Option<CommonHeaders>,
}

impl Handle {
    pub(super) fn close(&self, timeout: Duration) -> Ticket<Report> {
        let (promise, ticket) = oneshot();
        self.intake.request(|_| Request::Close { timeout, promise });
        ticket
    }

    fn report(&self) -> Report {
        Report::of(&self.intake.stats())
    }

    /// Closes, waits for that, and tells what was lost by it.
    fn close_loudly(&self, timeout: Duration) {
        if self.intake.forked_from().is_some() {
            return;
        }
        let lost_before = self.report().lost.total();
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
        if lost + report.pending > 0 {
            self.tell_loss(lost, report.pending, timeout);
        }
    }

    fn tell_loss(&self, lost: u64, pending: u64, timeout: Duration) {
        let cause = self.report().last_error;
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
            "flume-client: {what} when the client was dropped: no agent took them within \
             {timeout:?}{cause}; Client::close waits longer and reports"
        );
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
    pub(super) ticket: Ticket<Report>,
    pub(super) timeout: Duration,
}

impl Close {
    /// The same for a plain thread, which it blocks until the report is there: a little longer
    /// than the time given to [`Client::close`](crate::Client::close) at the most.
    pub fn wait(self) -> Report {
        let waited = self.ticket.wait(self.timeout.saturating_add(GRACE));
        self.report(&waited)
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
        self.ticket.poll(context).map(|waited| self.report(&waited))
    }
}
