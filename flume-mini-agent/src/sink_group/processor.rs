//! [`Processor`]: the choice of any kind.

use std::time::Duration;

use super::failover::Failover;
use super::load_balance::LoadBalance;
use super::{Next, Outcome};

/// How a group chooses among its sinks.
#[derive(Debug)]
pub(crate) enum Processor {
    /// A group of one, or no group at all.
    Default,
    Failover(Failover),
    LoadBalance(LoadBalance),
}

impl Processor {
    /// Starts a round. `now` counts from any epoch.
    pub(crate) fn begin(&mut self, now: Duration) -> Next {
        match self {
            Self::Default => Next::Try(0),
            Self::Failover(failover) => failover.begin(now),
            Self::LoadBalance(balance) => balance.begin(now),
        }
    }

    /// Takes in what came of the sink that was to be tried.
    pub(crate) fn report(&mut self, outcome: Outcome, now: Duration) -> Next {
        match self {
            Self::Default => Next::Done(outcome),
            Self::Failover(failover) => failover.report(outcome, now),
            Self::LoadBalance(balance) => balance.report(outcome, now),
        }
    }
}
