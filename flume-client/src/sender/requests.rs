//! What callers ask of the sender: to flush, and to close.

use std::time::{Duration, Instant};

use crate::config::FOREVER;
use crate::error::FlushError;
use crate::queue::Promise;
use crate::reliability::PerLevel;
use crate::seq::Seq;
use crate::stats::report::Report;

pub(super) struct Flush {
    /// Of each level.
    pub(super) upto: PerLevel<Seq>,
    pub(super) deadline: Instant,
    pub(super) promise: Promise<Result<(), FlushError>>,
}

pub(super) struct Closing {
    /// Sending ends then.
    pub(super) deadline: Instant,
    /// Who waits for the report, each until then.
    pub(super) promises: Vec<(Instant, Promise<Report>)>,
    /// Everything is sent, or time is up: the spool is being let go.
    pub(super) finishing: bool,
}

/// How long after its deadline a close waits for the disk. What is being written then is reported
/// as pending; it is settled, and its receipts resolve, when the disk has answered.
pub(super) const FINISH_TIMEOUT: Duration = Duration::from_millis(500);

impl Closing {
    /// When there is something to do next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.finishing {
            return self.promises.iter().map(|(until, _)| *until).min();
        }
        Some(self.deadline)
    }
}

pub(super) fn deadline_after(now: Instant, timeout: Duration) -> Instant {
    now + timeout.min(FOREVER)
}
