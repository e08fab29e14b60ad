//! What callers ask of the worker: to flush, and to close.

use std::task::Context;
use std::time::Duration;

use tokio::time::Instant;

use super::{Backlog, Worker};
use crate::client::Report;
use crate::config::FOREVER;
use crate::delivery::Input;
use crate::error::FlushError;
use crate::ticket::Promise;
use crate::wakeup;

/// Something a caller asks of the worker.
#[derive(Debug)]
pub(crate) enum Request {
    /// Send everything below `upto` now and say when it is done.
    Flush {
        upto: u64,
        timeout: Duration,
        promise: Promise<Result<(), FlushError>>,
    },
    /// Send what a process left that is gone.
    Adopt(Backlog),
    /// Take no more, send what is there, and end.
    Close {
        timeout: Duration,
        promise: Promise<Report>,
    },
}

pub(super) struct Flush {
    pub(super) upto: u64,
    pub(super) deadline: Instant,
    pub(super) promise: Promise<Result<(), FlushError>>,
}

pub(super) struct Closing {
    /// Sending ends then.
    deadline: Instant,
    /// Who waits for the report, each until then.
    promises: Vec<(Instant, Promise<Report>)>,
    /// Everything is sent, or time is up: the spool is being let go.
    finishing: bool,
}

/// How long after its deadline a close waits for the disk. What is being written then is reported
/// as pending; it is settled, and its receipts resolve, when the disk has answered.
const FINISH_TIMEOUT: Duration = Duration::from_millis(500);

impl Closing {
    /// When there is something to do next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.finishing {
            return self.promises.iter().map(|(until, _)| *until).min();
        }
        Some(self.deadline)
    }
}

impl Worker {
    pub(super) fn on_request(&mut self, request: Request) {
        match request {
            Request::Adopt(backlog) => return self.adopt(backlog),
            Request::Flush {
                upto,
                timeout,
                promise,
            } => {
                let deadline = deadline_after(timeout);
                self.flushes.push(Flush {
                    upto,
                    deadline,
                    promise,
                });
            }
            Request::Close { timeout, promise } => {
                let deadline = deadline_after(timeout);
                let closing = self.closing.get_or_insert_with(|| Closing {
                    deadline,
                    promises: Vec::new(),
                    finishing: false,
                });
                closing.deadline = closing.deadline.min(deadline);
                closing.promises.push((deadline + FINISH_TIMEOUT, promise));
                let deadline = closing.deadline;
                self.stop_adopted(deadline);
            }
        }
        self.own.step(Input::Flush);
    }

    /// Ends flushes that are through or out of time. `true`: something came in meanwhile.
    pub(super) fn end_flushes(&mut self) -> bool {
        let now = Instant::now();
        let watermark = self.own.core.watermark();
        let ended = |flush: &mut Flush| {
            flush.upto <= watermark || flush.deadline <= now || flush.promise.is_given_up()
        };
        let ended: Vec<Flush> = self.flushes.extract_if(.., ended).collect();
        if ended.is_empty() {
            return false;
        }
        let came_in = self.exchange();
        for flush in ended {
            let result = match flush.upto.saturating_sub(watermark) {
                0 => Ok(()),
                unfinished => Err(FlushError {
                    // Some of them may be acknowledged ahead of the watermark.
                    pending: unfinished.min(self.intake.lock().stats.own_pending()),
                    last_error: self.turn.last_error.clone(),
                    forked_from: None,
                    failed: None,
                }),
            };
            wakeup::wake(flush.promise.fulfil(result));
        }
        came_in
    }

    /// Whether the client is closed and nothing is left to do; gives up the rest at the deadline.
    pub(super) fn is_done(&mut self, context: &mut Context<'_>) -> bool {
        let Some(closing) = &mut self.closing else {
            return false;
        };
        if self.adopted.is_some() {
            return false;
        }
        let is_late = closing.deadline <= Instant::now();
        let is_idle = self.own.core.pending_events() == 0;
        let Some(feed) = &mut self.own.feed else {
            if is_late && !is_idle {
                self.own.step(Input::Abandon);
            }
            return is_late || is_idle;
        };
        if !closing.finishing {
            if !(is_late || is_idle && feed.is_through()) {
                return false;
            }
            // What is not acknowledged stays in the spool.
            closing.finishing = true;
            self.own.stop();
            self.own.disconnect();
        }
        let has_ended = self
            .own
            .feed
            .as_mut()
            .is_none_or(|feed| feed.finish(context));
        if !has_ended {
            self.report_early();
        }
        has_ended
    }

    /// Those who still wait get their answer when the client has ended: only then is it known.
    pub(super) fn hand_back_requests(&mut self) {
        let timeout = Duration::ZERO;
        let closing = self.closing.take().map(|closing| closing.promises);
        let closes = closing.into_iter().flatten();
        let closes = closes.map(|(_, promise)| Request::Close { timeout, promise });
        let flushes = self.flushes.drain(..).map(|flush| Request::Flush {
            upto: flush.upto,
            timeout,
            promise: flush.promise,
        });
        self.intake.hand_back(closes.chain(flushes));
    }

    /// Answers those who cannot wait for the disk any longer.
    fn report_early(&mut self) {
        let Some(closing) = &mut self.closing else {
            return;
        };
        let now = Instant::now();
        let is_late = |(until, _): &mut (Instant, Promise<Report>)| *until <= now;
        let late: Vec<_> = closing.promises.extract_if(.., is_late).collect();
        if late.is_empty() {
            return;
        }
        self.exchange();
        let report = Report::of(&self.intake.lock().snapshot());
        for (_, promise) in late {
            wakeup::wake(promise.fulfil(report.clone()));
        }
    }
}

fn deadline_after(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(FOREVER)
}
