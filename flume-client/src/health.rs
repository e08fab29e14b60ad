//! [`Health`]: whether events flow, for whoever is asked by a load balancer or a pager.

use std::fmt;
use std::sync::Arc;

use crate::error::{AgentError, ClientThread};
use crate::spool::Trouble;
use crate::stats::Stats;

/// Whether events flow now, and what keeps them if they do not. Nothing is lost by any of this:
/// what was lost is in [`Stats::lost`].
///
/// Shown as text it is one line: `good`, or the problems.
#[derive(Clone, Debug, Default)]
#[must_use = "it says whether events flow"]
#[non_exhaustive]
pub struct Health {
    /// None if all is well.
    pub problems: Vec<Problem>,
}

/// What keeps events from flowing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Events cannot be stored.
    #[error("{unstored} events cannot be stored and wait in memory: {trouble}")]
    Spool {
        /// How many wait. With too many of them `append` hands events back.
        unstored: u64,
        /// Why.
        trouble: Arc<Trouble>,
    },
    /// A thread of the client panicked, which is a fault in this crate, and the client has ended.
    #[error("the client's thread {thread} panicked, and the client has ended: build another one")]
    Failed {
        /// The thread.
        thread: ClientThread,
    },
    /// No agent takes events.
    #[error(
        "no agent takes the {pending} events that wait; {}",
        last_error.as_ref().map_or_else(|| "none has been reached yet".to_owned(), ToString::to_string)
    )]
    NoAgent {
        /// How many wait.
        pending: u64,
        /// What the most preferred agent that failed said last.
        last_error: Option<Arc<AgentError>>,
    },
    /// This is not the client's process, but one forked from it: no event is taken here.
    #[error(
        "this process was forked from process {process}, whose client this is: build one after the fork"
    )]
    Forked {
        /// The client's process.
        process: u32,
    },
}

impl Health {
    /// Whether there is no problem.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// In a process that was forked from this one.
    pub(crate) fn forked(process: u32) -> Self {
        let problems = vec![Problem::Forked { process }];
        Self { problems }
    }

    pub(crate) fn of(stats: &Stats) -> Self {
        let failed = stats.failed.map(|thread| Problem::Failed { thread });
        let spool = stats.spool.as_ref().and_then(|spool| {
            let trouble = spool.trouble.clone()?;
            let unstored = spool.unstored;
            Some(Problem::Spool { unstored, trouble })
        });
        let is_served = stats.agents.iter().any(|agent| agent.connected);
        let has_failed = stats.agents.iter().any(|agent| agent.failures > 0);
        let is_stuck = stats.pending > 0 && !is_served && has_failed;
        let mut errors = stats.agents.iter();
        let agents = is_stuck.then(|| Problem::NoAgent {
            pending: stats.pending,
            last_error: errors.find_map(|agent| agent.last_error.clone()),
        });
        Self {
            problems: failed.into_iter().chain(spool).chain(agents).collect(),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_good() {
            return f.write_str("good");
        }
        let problems: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&problems.join("; "))
    }
}
