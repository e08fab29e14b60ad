//! [`Change`]: what a client says by itself, once per episode.
//!
//! An episode begins when [`Health`] finds a problem that it did not have, and ends when the problem
//! has been gone for [`CALM_AFTER`]. Pure: told the time.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Health, Problem};
use crate::agent_url::AgentUrl;

/// A problem that comes back within so long was never gone: 5 s. So an agent that fails now and then
/// is one episode, not one for each failure.
pub const CALM_AFTER: Duration = Duration::from_secs(5);

/// Something about a client's [health](crate::Client::health) changed.
///
/// It comes once when a problem begins and once when it has been over for
/// [`CALM_AFTER`](crate::health::CALM_AFTER), never per event: at most one a second, however bad
/// things are. What is [noted](Self::Noted) of a spool comes once, when the client starts or later,
/// when it is found. It goes
///
/// - to the `log` crate, with the target `flume_client`: as `warn` when a
///   problem begins and as `info` when it is over. `flume_client=off` in a logger's filter, or
///   leaving out that target, silences it; without a logger nothing is said, and costs nothing;
/// - to [`ClientBuilder::on_change`](crate::ClientBuilder::on_change).
///
/// Both are called from a thread of their own, which exists only while there is something to say. One
/// that blocks holds up nothing but later changes, of which 64 wait; beyond that the oldest are left
/// out, and their number is told.
///
/// A logger that ships its lines through this very client makes one event of each change. That ends:
/// what becomes of an event is no change. But a line that says that the client is full is refused by
/// it, so such a logger does well to leave the target `flume_client` out, or to write it elsewhere.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// There is a new problem.
    Began(Problem),
    /// A problem is over.
    Ended {
        /// As it was last; but of a [`Problem::Spool`] only those events count as delivered unstored
        /// that were so since the end of such a problem was told before.
        problem: Problem,
        /// How long it lasted.
        lasted: Duration,
    },
    /// Something about the spool that was found, and that is no problem of the client's: the
    /// operator of the directory should know. One of
    /// [`SpoolStats::notes`](crate::stats::SpoolStats::notes), told once.
    Noted(String),
    /// The listener was too slow for this many changes.
    LeftOut(u64),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began(problem) => problem.fmt(f),
            Self::Ended { problem, lasted } => {
                put_end(problem, f)?;
                write!(f, ", after {} s", lasted.as_secs())
            }
            Self::Noted(note) => f.write_str(note),
            Self::LeftOut(changes) => write!(
                f,
                "{changes} changes were left out, since whoever is told of them was too slow"
            ),
        }
    }
}

fn put_end(problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match problem {
        #[cfg(feature = "dangerous-trust-any-certificate")]
        Problem::Unchecked => f.write_str("agents' certificates are checked again"),
        #[cfg(feature = "tls")]
        Problem::Certificates { .. } => f.write_str("the files of TLS can be used again"),
        Problem::NoAgent { .. } => f.write_str("agents take events again, or none wait"),
        Problem::Stalled { .. } => f.write_str("events are acknowledged again, or none wait"),
        Problem::Stuck { .. } => f.write_str("the oldest event is done with"),
        Problem::Full { .. } => f.write_str("no event was handed back for a minute"),
        Problem::Losing { .. } => f.write_str("no event was lost for a minute"),
        Problem::Spool {
            delivered_unstored, ..
        } => {
            f.write_str("events can be stored again")?;
            match delivered_unstored {
                0 => Ok(()),
                events => write!(f, "; {events} were delivered from memory and never stored"),
            }
        }
        Problem::Failed { .. } | Problem::Closed | Problem::Forked { .. } => {
            f.write_str("the client takes events again")
        }
        Problem::Unreadable { .. } => f.write_str("all stored events can be read again"),
        Problem::Agent { agent, .. } => write!(f, "{agent} has not failed again"),
    }
}

/// The problems that have begun and are not told to be over.
#[derive(Debug, Default)]
pub(crate) struct Episodes {
    open: Vec<Episode>,
    /// Events that were delivered and never stored, of episodes that are over.
    unstored_before: u64,
}

#[derive(Debug)]
struct Episode {
    problem: Problem,
    began: Instant,
    /// When it was seen last.
    seen: Instant,
}

impl Episodes {
    /// What has changed, now that health is this.
    pub(crate) fn observe(&mut self, health: &Health, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        for problem in &health.problems {
            // The caller that closed the client knows.
            if matches!(problem, Problem::Closed) {
                continue;
            }
            let mut open = self.open.iter_mut();
            if let Some(known) = open.find(|open| key(&open.problem) == key(problem)) {
                known.problem = problem.clone();
                known.seen = now;
                continue;
            }
            changes.push(Change::Began(problem.clone()));
            self.open.push(Episode {
                problem: problem.clone(),
                began: now,
                seen: now,
            });
        }
        let is_over = |open: &mut Episode| now.saturating_duration_since(open.seen) >= CALM_AFTER;
        for mut episode in self.open.extract_if(.., is_over) {
            if let Problem::Spool {
                delivered_unstored, ..
            } = &mut episode.problem
            {
                let before = std::mem::replace(&mut self.unstored_before, *delivered_unstored);
                *delivered_unstored = delivered_unstored.saturating_sub(before);
            }
            changes.push(Change::Ended {
                lasted: episode.seen.saturating_duration_since(episode.began),
                problem: episode.problem,
            });
        }
        changes
    }

    /// When a problem that is gone will be over, if it does not come back.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let gone = self.open.iter().filter(|open| open.seen < now);
        gone.map(|open| open.seen + CALM_AFTER).min()
    }
}

/// What makes two problems the same one.
fn key(problem: &Problem) -> (&'static str, Option<&AgentUrl>) {
    let agent = match problem {
        Problem::Agent { agent, .. } => Some(agent),
        _ => None,
    };
    (problem.kind(), agent)
}

/// Whom to tell of changes besides the log.
#[derive(Clone, Default)]
pub(crate) struct OnChange(pub(crate) Option<Arc<Listener>>);

/// Code of the caller.
pub(crate) type Listener = dyn Fn(&Change) + Send + Sync;

impl fmt::Debug for OnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.0.as_ref().map(|_| "a function");
        f.debug_tuple("OnChange").field(&set).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::{AgentError, SpoolError};

    fn agent(name: &str, error: AgentError) -> Problem {
        Problem::Agent {
            agent: format!("avro://{name}:4141").parse().unwrap(),
            failing_for: Duration::from_secs(1),
            error: Arc::new(error),
        }
    }

    fn health(problems: impl Into<Vec<Problem>>) -> Health {
        let problems = problems.into();
        Health { problems }
    }

    fn said(changes: &[Change]) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_episode_is_told_at_its_beginning_and_its_end_and_never_between() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut episodes = Episodes::default();
        assert!(episodes.observe(&health([]), at(0)).is_empty());
        let closed = || agent("a", AgentError::ConnectionClosed);
        let began = said(&episodes.observe(&health([closed()]), at(1)));
        assert_eq!(
            began,
            ["avro://a:4141 takes no events: the agent closed the connection"]
        );
        let other = agent("b", AgentError::ConnectionClosed);
        assert_eq!(
            episodes
                .observe(&health([closed(), other.clone()]), at(2))
                .len(),
            1
        );
        // Another error of the same agent is the same episode, and so is one after a short while.
        let refused = agent("a", AgentError::Refused { status: "FAILED" });
        for second in 3..100 {
            let problems = match second % 4 {
                0 => vec![refused.clone(), other.clone()],
                _ => vec![other.clone()],
            };
            assert!(episodes.observe(&health(problems), at(second)).is_empty());
        }
        assert!(episodes.observe(&health([other.clone()]), at(100)).len() < 2);
        assert_eq!(episodes.deadline(at(100)), Some(at(101)));
        let ended = said(&episodes.observe(&health([other]), at(101)));
        assert_eq!(ended, ["avro://a:4141 has not failed again, after 95 s"]);
        assert_eq!(said(&episodes.observe(&health([]), at(106))).len(), 1);
        assert_eq!(episodes.deadline(at(107)), None);
    }

    #[test]
    fn what_was_delivered_and_never_stored_is_told_of_each_episode_by_itself() {
        let start = Instant::now();
        let mut episodes = Episodes::default();
        let mut ended = |at: u64, delivered_unstored: u64| {
            let at = start + Duration::from_secs(at);
            let spool = Problem::Spool {
                unstored: 0,
                delivered_unstored,
                trouble: Arc::new(SpoolError::DiskFull),
            };
            assert_eq!(episodes.observe(&health([spool]), at).len(), 1);
            let ended = said(&episodes.observe(&health([]), at + CALM_AFTER));
            ended.concat()
        };
        let end = "events can be stored again";
        assert_eq!(ended(0, 0), format!("{end}, after 0 s"));
        let unstored = |events| {
            format!("{end}; {events} were delivered from memory and never stored, after 0 s")
        };
        assert_eq!(ended(100, 7), unstored(7));
        assert_eq!(ended(200, 7), format!("{end}, after 0 s"));
        assert_eq!(ended(300, 9), unstored(2));
    }

    #[test]
    fn a_close_that_was_asked_for_is_no_news() {
        let mut episodes = Episodes::default();
        let changes = episodes.observe(&health([Problem::Closed]), Instant::now());
        assert!(changes.is_empty());
    }
}
