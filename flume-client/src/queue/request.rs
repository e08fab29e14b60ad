//! [`Request`]: what callers, and the committer, ask of the sender.

use std::time::Duration;

use super::oneshot::Promise;
use super::opened_spool::OpenedSpool;
use crate::error::FlushError;
use crate::reliability::{PerLevel, Reliability};
use crate::seq::Seq;
use crate::stats::report::Report;

/// Something that a caller or the committer asks of the sender.
#[derive(Debug)]
pub(crate) enum Request {
    /// Send everything of each level below `upto` now and say when it is done.
    Flush {
        upto: PerLevel<Seq>,
        timeout: Duration,
        promise: Promise<Result<(), FlushError>>,
    },
    /// A level's events come from this spool from now on.
    Open {
        level: Reliability,
        spool: OpenedSpool,
    },
    /// Send the events of a dead process from its own directory.
    Adopt(OpenedSpool),
    /// Take no more, send what is there, and end.
    Close {
        timeout: Duration,
        promise: Promise<Report>,
    },
}
