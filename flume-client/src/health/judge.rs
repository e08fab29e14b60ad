//! The judgement: from the counters of one moment to what is wrong.

use std::sync::Arc;
use std::time::Duration;

use super::{Health, Problem, RECENTLY, STALLED_AFTER, STUCK_AFTER};
use crate::delivery::BLOCKED_MAX;
use crate::error::AgentError;
use crate::stats::{AgentStats, SpoolStats, Stats};

/// What else the judgement depends on: settings of the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) linger: Duration,
    /// An agent's longest rest.
    pub(crate) rest_max: Duration,
    /// No agent's certificate is checked.
    #[cfg(feature = "dangerous-trust-any-certificate")]
    pub(crate) trusts_any: bool,
}

impl Health {
    pub(crate) fn of(stats: &Stats, limits: Limits) -> Self {
        let failing: Vec<&AgentStats> = stats
            .agents
            .iter()
            .filter(|agent| limits.is_failing(agent))
            .collect();
        let spool = stats.spool.as_ref().and_then(|spool| {
            let trouble = spool.trouble.clone()?;
            Some(Problem::Spool {
                unstored: spool.unstored,
                delivered_unstored: spool.delivered_unstored,
                trouble,
            })
        });
        let has_no_agent = stats.pending > 0 && failing.len() == stats.agents.len();
        let no_agent = has_no_agent.then(|| Problem::NoAgent {
            pending: stats.pending,
            last_error: last_error(&failing),
        });
        let is_explained = has_no_agent || spool.is_some();
        let progress = if is_explained {
            None
        } else {
            limits.progress(stats, &failing)
        };
        let agents = failing.iter().filter_map(|agent| {
            Some(Problem::Agent {
                agent: agent.agent.clone(),
                failing_for: agent.failing_for?,
                error: agent.last_error.clone()?,
            })
        });
        let unreadable = stats.spool.iter().flat_map(|spool| spool.unreadable.iter());
        let unreadable = unreadable.cloned();
        let unreadable = unreadable.map(|unreadable| Problem::Unreadable { unreadable });
        let failed = stats.failed.map(|thread| Problem::Failed { thread });
        let closed = (stats.closed && failed.is_none()).then_some(Problem::Closed);
        let mut problems: Vec<Problem> = [failed, closed, spool, no_agent, progress]
            .into_iter()
            .chain([full(stats, &failing), losing(stats, &failing)])
            .flatten()
            .chain(unreadable)
            .chain(agents)
            .collect();
        #[cfg(feature = "tls")]
        problems.extend(
            stats
                .tls_trouble
                .as_ref()
                .map(|error| Problem::Certificates {
                    error: error.clone(),
                }),
        );
        #[cfg(feature = "dangerous-trust-any-certificate")]
        problems.extend(limits.trusts_any.then_some(Problem::Unchecked));
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.status()));
        Self { problems }
    }

    /// After how long time alone can change what [`of`](Self::of) says of the same counters.
    pub(crate) fn changes_after(stats: &Stats, limits: Limits) -> Option<Duration> {
        let timing = &stats.timing;
        let until = |since: Option<Duration>, limit: Duration| {
            let left = limit.checked_sub(since?)?;
            (!left.is_zero()).then_some(left)
        };
        let waits = [
            until(stalled_for(stats), limits.stalled_after()),
            until(stuck_for(stats), STUCK_AFTER),
        ];
        let waits = waits.into_iter().filter(|_| stats.pending > 0).flatten();
        let agents = stats
            .agents
            .iter()
            .filter(|agent| agent.failing_for.is_some());
        let agents = agents.filter_map(|agent| until(agent.last_failure, limits.known_for(agent)));
        let recent = [
            until(timing.no_room, RECENTLY),
            until(timing.lost, RECENTLY),
        ];
        waits
            .chain(agents)
            .chain(recent.into_iter().flatten())
            .min()
    }
}

impl Limits {
    fn stalled_after(self) -> Duration {
        STALLED_AFTER + self.linger
    }

    /// How long a failure says something of an agent that was not tried since.
    fn known_for(self, agent: &AgentStats) -> Duration {
        let error = agent.last_error.as_ref();
        let rest_max = match error.is_some_and(|error| error.is_foreign()) {
            true => self.rest_max.max(BLOCKED_MAX),
            false => self.rest_max,
        };
        RECENTLY.max(rest_max * 2)
    }

    fn is_failing(self, agent: &AgentStats) -> bool {
        let is_known = |ago| ago < self.known_for(agent);
        agent.failing_for.is_some() && agent.last_failure.is_some_and(is_known)
    }

    /// What is wrong with the pace at which events are acknowledged.
    fn progress(self, stats: &Stats, failing: &[&AgentStats]) -> Option<Problem> {
        let unreadable = stats
            .spool
            .as_ref()
            .map_or(0, SpoolStats::unreadable_events);
        let pending = stats.pending.saturating_sub(unreadable);
        if pending == 0 {
            return None;
        }
        let last_error = last_error(failing);
        if let Some(waited) = stalled_for(stats).filter(|waited| *waited >= self.stalled_after()) {
            return Some(Problem::Stalled {
                pending,
                waited,
                last_error,
            });
        }
        let waited = stuck_for(stats).filter(|waited| *waited >= STUCK_AFTER)?;
        Some(Problem::Stuck { waited, last_error })
    }
}

/// How long events have waited and none was acknowledged.
fn stalled_for(stats: &Stats) -> Option<Duration> {
    let oldest = stats.timing.oldest_pending?;
    Some(stats.timing.delivered.map_or(oldest, |ago| ago.min(oldest)))
}

/// How long the oldest event has been that.
fn stuck_for(stats: &Stats) -> Option<Duration> {
    let oldest = stats.timing.oldest_pending?;
    Some(stats.timing.advanced.map_or(oldest, |ago| ago.min(oldest)))
}

fn full(stats: &Stats, failing: &[&AgentStats]) -> Option<Problem> {
    let ago = stats.timing.no_room.filter(|ago| *ago < RECENTLY)?;
    Some(Problem::Full {
        full: stats.refused.full,
        spool_full: stats.refused.spool_full,
        ago,
        last_error: last_error(failing),
    })
}

fn losing(stats: &Stats, failing: &[&AgentStats]) -> Option<Problem> {
    let ago = stats.timing.lost.filter(|ago| *ago < RECENTLY)?;
    Some(Problem::Losing {
        lost: stats.lost,
        ago,
        last_error: last_error(failing),
    })
}

fn last_error(failing: &[&AgentStats]) -> Option<Arc<AgentError>> {
    failing.iter().find_map(|agent| agent.last_error.clone())
}
