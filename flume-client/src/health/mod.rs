//! [`Health`]: whether events flow, for a service that is asked by a load balancer or a pager.
//!
//! Judged by progress, and purely: from one [`Stats`](crate::Stats), whose
//! [`Timing`](crate::stats::Timing) holds all that is needed of the clock. A connection that stands
//! is no sign of health; an acknowledgement is.
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
//! | [`Unreadable`](Problem::Unreadable) | stored events cannot be read; those after them are sent, or wait if the order is kept | degraded |
//! | [`Agent`](Problem::Agent) | one agent fails and others do not | degraded |
//! | `Certificates` | the files of TLS were replaced by bad ones; those of before are in use | degraded |
//! | `Unchecked` | no agent's certificate is checked | degraded |
//!
//! A backlog that is being delivered is no problem, however old it is.

pub(crate) mod change;
mod judge;
#[cfg(feature = "serde")]
mod serial;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use change::CALM_AFTER;
pub(crate) use judge::Limits;

use crate::agent_url::AgentUrl;
use crate::debug::debug_is_the_message;
#[cfg(feature = "tls")]
use crate::error::TlsSettingsError;
use crate::error::{AgentError, ClientThread, SpoolError};
use crate::spool::FileName;
use crate::stats::{Lost, Passed, UnreadableEvents};

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
/// [`Stats::lost`](crate::Stats::lost).
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
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No agent's certificate is checked, for as long as the client lives.
    #[cfg(feature = "dangerous-trust-any-certificate")]
    #[error(
        "agents' certificates are not checked, so whoever is between can read and change all events: \
         give a ca_file and leave dangerous_trust_any_certificate out"
    )]
    Unchecked,
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
        trouble: Arc<SpoolError>,
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
    #[error("{agent} takes no events: {}", .error.said_of(.agent))]
    Agent {
        /// The agent.
        agent: AgentUrl,
        /// How long it has failed, without an acknowledgement in between.
        failing_for: Duration,
        /// What it said last.
        error: Arc<AgentError>,
    },
    /// Stored events cannot be read.
    #[error("{}", not_read(unreadable))]
    Unreadable {
        /// Where they are, how many, and why.
        unreadable: UnreadableEvents,
    },
    /// The files of [TLS](crate::TlsOptions) are bad now. What they said before stays in use, and no
    /// connection ends for it.
    #[cfg(feature = "tls")]
    #[error("the certificates of before stay in use: {error}")]
    Certificates {
        /// Which file, and what is wrong with it.
        error: Arc<TlsSettingsError>,
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

debug_is_the_message!(Problem);

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
}

impl Problem {
    /// How bad it is.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            #[cfg(feature = "dangerous-trust-any-certificate")]
            Self::Unchecked => Status::Degraded,
            #[cfg(feature = "tls")]
            Self::Certificates { .. } => Status::Degraded,
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
            #[cfg(feature = "dangerous-trust-any-certificate")]
            Self::Unchecked => "unchecked",
            #[cfg(feature = "tls")]
            Self::Certificates { .. } => "certificates",
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

fn not_read(unreadable: &UnreadableEvents) -> String {
    let UnreadableEvents {
        file,
        events_max: events,
        why,
        passed,
    } = unreadable;
    let name = file.file_name().and_then(|name| name.to_str());
    let which = match name.and_then(FileName::parse) {
        Some(_) => file.display().to_string(),
        None => format!("something in {}", file.display()),
    };
    let waiting = match passed {
        _ if *events == 0 => {
            return format!("{which} cannot be read: {why}; no event is known to wait for it");
        }
        Passed::Yes | Passed::Left => format!("so up to {events} events wait"),
        Passed::Retried | Passed::Awaited => {
            format!("so up to {events} events wait, those behind it among them")
        }
        Passed::NotYet => format!("and up to {events} events may be in it"),
    };
    format!("{which} cannot be read, {waiting}: {why}; they are sent when it can be")
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
