//! [`Turn`]: what a turn of one of the client's threads leads to.

use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There is more to do.
    Again,
    /// There is something to do then at the latest, if nobody wakes the thread before.
    Sleep { until: Option<Instant> },
    /// The client has ended.
    End,
}
