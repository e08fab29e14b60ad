//! [`Health`]: whether events flow, for whoever is asked by a load balancer or a pager.
//!
//! Judged by progress, and purely: from one [`Stats`], whose [`Timing`](crate::stats::Timing) holds
//! all that is needed of the clock. A connection that stands is no sign of health; an
//! acknowledgement is.
//!
//! | problem | it is one when | status |
//! |---|---|---|
//! | [`NoAgent`](Problem::NoAgent) | events wait, and every agent has failed since it last acknowledged any | failing |
//! | [`Stalled`](Problem::Stalled) | events wait, and none was acknowledged for [`STALLED_AFTER`] and the linger time | failing |
//! | [`Full`](Problem::Full) | `append` found no room within the last [`RECENTLY`] | failing |
//! | [`Losing`](Problem::Losing) | events were lost within the last [`RECENTLY`] | failing |
//! | [`Spool`](Problem::Spool) | events cannot be stored | failing |
//! | [`Failed`](Problem::Failed) | a thread of the client panicked | failing |
//! | [`Closed`](Problem::Closed) | the client takes no more events | failing |
//! | [`Forked`](Problem::Forked) | this is a process that was forked from the client's | failing |
//! | [`Stuck`](Problem::Stuck) | others are acknowledged, and the oldest event has waited in vain for [`STUCK_AFTER`] | degraded |
//! | [`Unreadable`](Problem::Unreadable) | stored events cannot be read; those behind them are sent, or wait if the order is kept | degraded |
//! | [`Agent`](Problem::Agent) | one agent fails and others do not | degraded |
//!
//! A backlog that is being delivered is no problem, however old it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use crate::change::CALM_AFTER;
use crate::config::AgentUrl;
use crate::error::{AgentError, ClientThread};
use crate::spool::Trouble;
use crate::stats::{AgentStats, Lost, SpoolStats, Stats, UnreadableEvents};

/// Events wait and none was acknowledged for so long: 10 s, to which the linger time is added. It
/// is half the default request timeout, so an agent that hangs is told before it is given up.
pub const STALLED_AFTER: Duration = Duration::from_secs(10);
/// The oldest event is sent in vain for so long, while others are acknowledged: 60 s, twice the
/// longest rest of an agent by default.
pub const STUCK_AFTER: Duration = Duration::from_secs(60);
/// So long refusals and losses are told after the last of them, and a failure of an agent that was
/// not tried since (or twice its longest rest, if that is more): 60 s, so that nobody who asks once
/// a minute misses any.
pub const RECENTLY: Duration = Duration::from_secs(60);

/// Whether events flow now, and what keeps them if they do not. What was lost is in
/// [`Stats::lost`].
///
/// Shown as text it is one line: `good`, or the problems. With the feature `serde` it can be
/// serialised: `{"status": "failing", "problems": [{"kind": "no_agent", "message": "...", ...}]}`.
///
/// ```
/// use flume_client::{Client, health::Status};
///
/// /// For a load balancer. It waits for nothing, so async code can call it as it is.
/// async fn healthz(client: &Client) -> (u16, String) {
///     let health = client.health();
///     let code = if health.status() == Status::Failing { 503 } else { 200 };
///     (code, health.to_string())
/// }
///
/// let client = Client::builder().agent("avro://127.0.0.1:4141").build()?;
/// assert!(client.health().is_good()); // nothing waits, and nothing went wrong
/// # Ok::<(), flume_client::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it says whether events flow"]
#[non_exhaustive]
pub struct Health {
    /// The worst first. None if all is well.
    pub problems: Vec<Problem>,
}

/// How well events flow. The later is the worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Status {
    /// They flow, or there are none.
    #[default]
    Good,
    /// They flow, and something needs somebody's attention.
    Degraded,
    /// They do not flow, are handed back, or are lost.
    Failing,
}

/// What keeps events from flowing. See the [module](self) for when each one holds.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No agent takes events.
    #[error("no agent takes the {pending} events that wait{}", last(.last_error.as_ref()))]
    NoAgent {
        /// How many wait.
        pending: u64,
        /// What the most preferred agent said last.
        last_error: Option<Arc<AgentError>>,
    },
    /// Nothing is acknowledged.
    #[error(
        "{pending} events wait and none was acknowledged for {}{}",
        seconds(*.waited), last(.last_error.as_ref())
    )]
    Stalled {
        /// How many wait.
        pending: u64,
        /// How long.
        waited: Duration,
        /// What an agent said last.
        last_error: Option<Arc<AgentError>>,
    },
    /// Others are acknowledged, and the oldest event is not.
    #[error(
        "the oldest event has waited for {} while others were acknowledged: agents may refuse it{}",
        seconds(*.waited), last(.last_error.as_ref())
    )]
    Stuck {
        /// How long it has waited.
        waited: Duration,
        /// What an agent said last.
        last_error: Option<Arc<AgentError>>,
    },
    /// There is no room, and events are handed back.
    #[error(
        "there was no room for events {} ago: {full} times in the buffer and {spool_full} times in \
         the spool so far{}",
        seconds(*.ago), last(.last_error.as_ref())
    )]
    Full {
        /// How often the buffer was full, since the client was built.
        full: u64,
        /// How often the spool was full, since the client was built.
        spool_full: u64,
        /// How long ago the last time was.
        ago: Duration,
        /// What an agent said last.
        last_error: Option<Arc<AgentError>>,
    },
    /// Events are lost.
    #[error(
        "events were lost, the last {} ago, so far {}{}",
        seconds(*.ago), reasons(.lost), last(.last_error.as_ref())
    )]
    Losing {
        /// All since the client was built, by reason.
        lost: Lost,
        /// How long ago the last one was lost.
        ago: Duration,
        /// What an agent said last.
        last_error: Option<Arc<AgentError>>,
    },
    /// Events cannot be stored.
    #[error("{}: {trouble}{}", not_stored(*.unstored), sent_unstored(*.delivered_unstored))]
    Spool {
        /// How many wait. With too many of them `append` hands events back. If none waits, it is
        /// still tried every 2 s whether the disk takes events.
        unstored: u64,
        /// How many agents acknowledged so far that were never stored, because the disk did not take
        /// them in time.
        delivered_unstored: u64,
        /// Why.
        trouble: Arc<Trouble>,
    },
    /// A thread of the client panicked, which is a fault in this crate, and the client has ended.
    #[error("the client's thread {thread} panicked, and the client has ended: build another one")]
    Failed {
        /// The thread.
        thread: ClientThread,
    },
    /// The client was closed and takes no events.
    #[error("the client was closed and takes no more events")]
    Closed,
    /// One agent fails. If every one does, [`NoAgent`](Self::NoAgent) stands before them.
    #[error("{agent} takes no events: {error}")]
    Agent {
        /// The agent.
        agent: AgentUrl,
        /// How long it has failed, without an acknowledgement in between.
        failing_for: Duration,
        /// What it said last.
        error: Arc<AgentError>,
    },
    /// Stored events cannot be read.
    #[error(
        "{} cannot be read, so up to {} events in it wait: {}; they are sent when it can be",
        unreadable.file.display(),
        unreadable.events_max,
        unreadable.why
    )]
    Unreadable {
        /// Where they are, how many, and why.
        unreadable: UnreadableEvents,
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

/// What else the judgement depends on: settings of the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) linger: Duration,
    /// An agent's longest rest.
    pub(crate) rest_max: Duration,
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

    /// That of the worst problem.
    #[must_use]
    pub fn status(&self) -> Status {
        let each = self.problems.iter().map(Problem::status);
        each.max().unwrap_or_default()
    }

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
        let agents = agents.filter_map(|agent| until(agent.last_failure, limits.known_for()));
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
    fn known_for(self) -> Duration {
        RECENTLY.max(self.rest_max * 2)
    }

    fn is_failing(self, agent: &AgentStats) -> bool {
        let is_known = |ago| ago < self.known_for();
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

impl Problem {
    /// How bad it is.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Stuck { .. } | Self::Unreadable { .. } | Self::Agent { .. } => Status::Degraded,
            Self::NoAgent { .. }
            | Self::Stalled { .. }
            | Self::Full { .. }
            | Self::Losing { .. }
            | Self::Spool { .. }
            | Self::Failed { .. }
            | Self::Closed
            | Self::Forked { .. } => Status::Failing,
        }
    }

    /// Its name, for machines: the variant's in snake case.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoAgent { .. } => "no_agent",
            Self::Stalled { .. } => "stalled",
            Self::Stuck { .. } => "stuck",
            Self::Full { .. } => "full",
            Self::Losing { .. } => "losing",
            Self::Spool { .. } => "spool",
            Self::Failed { .. } => "failed",
            Self::Closed => "closed",
            Self::Forked { .. } => "forked",
            Self::Unreadable { .. } => "unreadable",
            Self::Agent { .. } => "agent",
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

impl Status {
    /// Its name, for machines: `good`, `degraded` or `failing`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn last(error: Option<&Arc<AgentError>>) -> String {
    error.map(|error| format!("; {error}")).unwrap_or_default()
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

fn not_stored(events: u64) -> String {
    match events {
        0 => "events cannot be stored".to_owned(),
        _ => format!("{events} events cannot be stored and wait in memory"),
    }
}

fn sent_unstored(events: u64) -> String {
    match events {
        0 => String::new(),
        _ => format!("; so far {events} were delivered from memory and never stored"),
    }
}

fn reasons(lost: &Lost) -> String {
    let counted = lost
        .by_reason()
        .into_iter()
        .filter(|(_, events)| *events > 0);
    let each: Vec<String> = counted
        .map(|(reason, events)| format!("{events} {reason}"))
        .collect();
    each.join(", ")
}

#[cfg(feature = "serde")]
mod serial {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_core::ser::{Serialize, SerializeMap, Serializer};

    use super::{Health, Problem, Status};

    impl Serialize for Status {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }

    impl Serialize for Health {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry("status", &self.status())?;
            map.serialize_entry("problems", &self.problems)?;
            map.end()
        }
    }

    /// `kind`, `status`, `message`, and the numbers; times in seconds.
    impl Serialize for Problem {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("kind", self.kind())?;
            map.serialize_entry("status", &self.status())?;
            map.serialize_entry("message", &self.to_string())?;
            match self {
                Self::NoAgent { pending, .. } => map.serialize_entry("pending", pending)?,
                Self::Stalled {
                    pending, waited, ..
                } => {
                    map.serialize_entry("pending", pending)?;
                    put_time(&mut map, "waited_seconds", *waited)?;
                }
                Self::Stuck { waited, .. } => put_time(&mut map, "waited_seconds", *waited)?,
                Self::Full {
                    full,
                    spool_full,
                    ago,
                    ..
                } => {
                    map.serialize_entry("full", full)?;
                    map.serialize_entry("spool_full", spool_full)?;
                    put_time(&mut map, "ago_seconds", *ago)?;
                }
                Self::Losing { lost, ago, .. } => {
                    map.serialize_entry("lost", &BTreeMap::from(lost.by_reason()))?;
                    put_time(&mut map, "ago_seconds", *ago)?;
                }
                Self::Spool {
                    unstored,
                    delivered_unstored,
                    ..
                } => {
                    map.serialize_entry("unstored", unstored)?;
                    map.serialize_entry("delivered_unstored", delivered_unstored)?;
                }
                Self::Failed { .. } | Self::Closed | Self::Forked { .. } => {}
                Self::Unreadable { unreadable } => {
                    map.serialize_entry("file", &unreadable.file.display().to_string())?;
                    map.serialize_entry("events_max", &unreadable.events_max)?;
                }
                Self::Agent {
                    agent, failing_for, ..
                } => {
                    map.serialize_entry("agent", &agent.to_string())?;
                    put_time(&mut map, "failing_seconds", *failing_for)?;
                }
            }
            map.end()
        }
    }

    fn put_time<M: SerializeMap>(
        map: &mut M,
        key: &'static str,
        time: Duration,
    ) -> Result<(), M::Error> {
        map.serialize_entry(key, &time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{SpoolStats, Timing};

    const LIMITS: Limits = Limits {
        linger: Duration::from_millis(20),
        rest_max: Duration::from_secs(30),
    };

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    /// Two agents that have not failed, and events that were taken a second ago.
    fn stats() -> Stats {
        let agents = ["avro://a:1", "avro://b:1"].map(|url| AgentStats::new(url.parse().unwrap()));
        Stats {
            pending: 10,
            agents: agents.into(),
            timing: Timing {
                oldest_pending: seconds(1),
                ..Timing::default()
            },
            ..Stats::default()
        }
    }

    fn fail(agent: &mut AgentStats, ago: u64) {
        agent.connected = true;
        agent.failing_for = seconds(ago + 5);
        agent.last_failure = seconds(ago);
        agent.last_error = Some(Arc::new(AgentError::Refused { status: "FAILED" }));
    }

    #[track_caller]
    fn check(stats: &Stats, status: Status, problems: &[(&str, &str)]) {
        let health = Health::of(stats, LIMITS);
        let found = health.problems.iter().map(Problem::kind);
        let expected: Vec<_> = problems.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(found.collect::<Vec<_>>(), expected, "{health}");
        assert_eq!(health.status(), status);
        for (problem, (_, words)) in health.problems.iter().zip(problems) {
            assert!(problem.to_string().contains(words), "{problem}");
        }
    }

    #[test]
    fn events_that_came_just_now_are_no_problem_nor_is_an_old_backlog_that_moves() {
        check(&Stats::default(), Status::Good, &[]);
        check(&stats(), Status::Good, &[]);
        let mut stats = stats();
        stats.timing.oldest_pending = seconds(24 * 3600);
        stats.timing.delivered = seconds(0);
        stats.timing.advanced = seconds(0);
        check(&stats, Status::Good, &[]);
    }

    #[test]
    fn a_connection_that_stands_is_no_progress() {
        let mut stats = stats();
        for agent in &mut stats.agents {
            fail(agent, 1);
        }
        let agents = [
            ("agent", "avro://a:1 takes no events"),
            ("agent", "avro://b:1"),
        ];
        let no_agent = (
            "no_agent",
            "no agent takes the 10 events that wait; the agent refused",
        );
        check(&stats, Status::Failing, &[no_agent, agents[0], agents[1]]);
        // Nobody waits for them.
        stats.pending = 0;
        check(&stats, Status::Degraded, &agents);
    }

    #[test]
    fn one_agent_that_fails_beside_one_that_works_degrades_until_that_is_old_news() {
        let mut stats = stats();
        fail(&mut stats.agents[0], 59);
        check(
            &stats,
            Status::Degraded,
            &[("agent", "refused a batch with FAILED")],
        );
        stats.agents[0].last_failure = seconds(60);
        check(&stats, Status::Good, &[]);
    }

    #[test]
    fn nothing_acknowledged_for_a_while_is_a_stall_though_nothing_has_failed() {
        let mut stats = stats();
        stats.timing.oldest_pending = Some(STALLED_AFTER + LIMITS.linger);
        check(
            &stats,
            Status::Failing,
            &[("stalled", "none was acknowledged for 10 s")],
        );
        stats.timing.delivered = seconds(300);
        check(&stats, Status::Failing, &[("stalled", "for 10 s")]);
        // Those that linger are not held up by anybody.
        let patient = Limits {
            linger: Duration::from_secs(60),
            ..LIMITS
        };
        assert!(Health::of(&stats, patient).is_good());
        stats.timing.delivered = seconds(9);
        check(&stats, Status::Good, &[]);
    }

    #[test]
    fn one_event_that_nobody_takes_is_told_though_all_others_are_acknowledged() {
        let mut stats = stats();
        stats.timing.oldest_pending = seconds(70);
        stats.timing.delivered = seconds(0);
        stats.timing.advanced = seconds(59);
        check(&stats, Status::Good, &[]);
        stats.timing.advanced = seconds(60);
        check(
            &stats,
            Status::Degraded,
            &[("stuck", "waited for 60 s while others")],
        );
    }

    #[test]
    fn want_of_room_and_losses_are_told_for_a_minute() {
        let mut stats = stats();
        stats.refused.full = 360;
        stats.timing.no_room = seconds(59);
        check(
            &stats,
            Status::Failing,
            &[("full", "360 times in the buffer")],
        );
        stats.timing.no_room = seconds(60);
        stats.lost.unreachable = 7;
        stats.lost.shed = 2;
        stats.timing.lost = seconds(3);
        let words = "the last 3 s ago, so far 7 unreachable, 2 shed";
        check(&stats, Status::Failing, &[("losing", words)]);
        stats.timing.lost = seconds(60);
        check(&stats, Status::Good, &[]);
    }

    #[test]
    fn a_disk_that_does_not_store_is_told_and_explains_what_stands_still() {
        let mut stats = stats();
        stats.timing.oldest_pending = seconds(100);
        stats.spool = Some(SpoolStats {
            unstored: 10,
            trouble: Some(Arc::new(Trouble::DiskFull)),
            ..SpoolStats::default()
        });
        let words = "10 events cannot be stored and wait in memory: the spool's disk is full";
        check(&stats, Status::Failing, &[("spool", words)]);
        // They were delivered all the same, and it is still full.
        let spool = stats.spool.as_mut().unwrap();
        (spool.unstored, spool.delivered_unstored) = (0, 10);
        (stats.pending, stats.timing.oldest_pending) = (0, None);
        let words = "; so far 10 were delivered from memory and never stored";
        check(&stats, Status::Failing, &[("spool", words)]);
        let words = "events cannot be stored: the spool's disk is full";
        check(&stats, Status::Failing, &[("spool", words)]);
    }

    #[test]
    fn a_client_that_was_closed_is_not_good() {
        let stats = Stats {
            closed: true,
            ..Stats::default()
        };
        check(
            &stats,
            Status::Failing,
            &[("closed", "takes no more events")],
        );
    }

    #[test]
    fn time_changes_a_verdict_when_it_is_said_to_and_not_before() {
        let mut stats = stats();
        stats.timing.delivered = seconds(2);
        stats.timing.lost = seconds(3);
        fail(&mut stats.agents[1], 59);
        let mut now = Duration::ZERO;
        let mut seen = Vec::new();
        loop {
            let health = Health::of(&stats, LIMITS);
            let kinds: Vec<_> = health.problems.iter().map(Problem::kind).collect();
            seen.push((now.as_secs(), kinds.join(" ")));
            let Some(after) = Health::changes_after(&stats, LIMITS) else {
                break;
            };
            // A moment before, nothing is different.
            let early = later(&stats, after - Duration::from_nanos(1));
            let health_then = Health::of(&early, LIMITS);
            assert_eq!(
                health_then.problems.len(),
                health.problems.len(),
                "at {now:?}"
            );
            stats = later(&stats, after);
            now += after;
        }
        let expected = [
            (0, "losing agent"),
            (1, "losing"),
            (9, "losing stalled"),
            (57, "stalled"),
            (59, "stalled"),
        ];
        let seen: Vec<_> = seen
            .iter()
            .map(|(at, kinds)| (*at, kinds.as_str()))
            .collect();
        let sorted = |kinds: &str| {
            let mut kinds: Vec<_> = kinds.split(' ').map(str::to_owned).collect();
            kinds.sort();
            kinds
        };
        assert_eq!(seen.len(), expected.len(), "{seen:?}");
        for ((at, kinds), (expected_at, expected)) in seen.iter().zip(expected) {
            assert_eq!(
                (*at, sorted(kinds)),
                (expected_at, sorted(expected)),
                "{seen:?}"
            );
        }
    }

    /// The same counters, some time later.
    fn later(stats: &Stats, by: Duration) -> Stats {
        let mut stats = stats.clone();
        let Timing {
            oldest_pending,
            advanced,
            delivered,
            lost,
            no_room,
        } = &mut stats.timing;
        let agents = stats.agents.iter_mut();
        let agents = agents.flat_map(|agent| [&mut agent.failing_for, &mut agent.last_failure]);
        let times = [oldest_pending, advanced, delivered, lost, no_room];
        times
            .into_iter()
            .chain(agents)
            .flatten()
            .for_each(|time| *time += by);
        stats
    }

    #[cfg(feature = "serde")]
    #[test]
    fn it_is_serialised_with_names_numbers_and_words() {
        let mut stats = stats();
        stats.lost.unreachable = 7;
        stats.timing.lost = seconds(3);
        fail(&mut stats.agents[0], 1);
        let health = serde_json::to_value(Health::of(&stats, LIMITS)).unwrap();
        assert_eq!(health["status"], "failing");
        let [losing, agent] = health["problems"].as_array().unwrap().as_slice() else {
            panic!("two problems: {health}");
        };
        assert_eq!(losing["kind"], "losing");
        assert_eq!(losing["ago_seconds"], 3.0);
        assert_eq!(losing["lost"]["unreachable"], 7);
        assert_eq!(agent["kind"], "agent");
        assert_eq!(agent["status"], "degraded");
        assert_eq!(agent["agent"], "avro://a:1");
        assert_eq!(agent["failing_seconds"], 6.0);
        assert!(
            agent["message"]
                .as_str()
                .unwrap()
                .starts_with("avro://a:1 takes no events")
        );
        let good = serde_json::to_string(&Health::default()).unwrap();
        assert_eq!(good, r#"{"status":"good","problems":[]}"#);
    }
}
