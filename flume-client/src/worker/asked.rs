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
    pub(super) deadline: Instant,
    pub(super) promises: Vec<Promise<Report>>,
    /// Everything is sent, or time is up: the spool is being let go.
    pub(super) finishing: bool,
}

/// How long after its deadline a close waits for the committer.
const FINISH_TIMEOUT: Duration = Duration::from_millis(500);

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
                closing.promises.push(promise);
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
        if closing.finishing {
            return feed.finish(context) || is_late;
        }
        if !(is_late || is_idle && feed.is_through()) {
            return false;
        }
        // What is not acknowledged stays in the spool.
        closing.finishing = true;
        closing.deadline = Instant::now() + FINISH_TIMEOUT;
        let has_ended = feed.finish(context);
        self.own.stop();
        self.own.disconnect();
        has_ended
    }
}

fn deadline_after(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(FOREVER)
}
