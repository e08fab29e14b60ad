//! [`Network`] and [`Link`]: how the sender reaches agents, whatever they speak.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

#[cfg(feature = "tls")]
use super::certificates::Certificates;
use crate::delivery::{AgentId, Batch, CallId};
use crate::error::AgentError;
use crate::queue::Unacked;
use crate::reliability::PerLevel;

/// Makes connections to agents.
pub(crate) trait Network: Clone {
    /// One connection, or an attempt.
    type Link: Link;

    /// What time it is: an answer is as old as the moment when it is read, not as the turn in which
    /// that is.
    fn now(&self) -> Instant;

    /// For how long the machine was suspended since it was started, while this clock stood still.
    fn slept(&self) -> Duration {
        Duration::ZERO
    }

    /// What connections to agents with TLS are made with, if there is such an agent.
    #[cfg(feature = "tls")]
    fn certificates(&self) -> Option<Certificates> {
        None
    }

    /// Begins to connect to an agent, to speak this dialect of its protocol. `None`: there is none with
    /// this id.
    fn connect(&self, agent: AgentId, dialect: u32) -> Option<Self::Link>;
}

/// A connection to an agent, from look-up to its end. It is closed when it is dropped. What the
/// core knows of the agent is `delivery`'s `Link`.
pub(crate) trait Link {
    /// Queues a batch. Only after [`Progress::Opened`].
    fn send(&mut self, call: CallId, batch: Batch);

    /// Works until something comes of it or nothing more can be done now. Not to be called again
    /// after [`Progress::Ended`].
    fn poll(&mut self, context: &mut Context<'_>, unacked: &PerLevel<Unacked>) -> Poll<Progress>;

    /// Whether the name server has not answered yet.
    fn is_resolving(&self) -> bool;
}

/// What came of a connection.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The connection stands and the handshake is on its way.
    Connected,
    /// The handshake was answered.
    Opened,
    /// A call was answered.
    Answered { call: CallId, verdict: Verdict },
    /// A call came to nothing. No more are to be sent; those under way may still be answered.
    #[cfg(feature = "http")]
    Failed {
        call: CallId,
        error: AgentError,
        /// It was begun to be sent: the agent may have it.
        is_sent: bool,
    },
    /// It is over. Calls from `unsent_from` on were not begun to be written; `None`: all were.
    Ended {
        error: AgentError,
        unsent_from: Option<CallId>,
    },
}

/// What an agent says of a batch.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It has it.
    Committed,
    /// It does not, or nobody knows; others may be tried, and this one after so long again.
    Refused { error: AgentError, after: Duration },
    /// Likewise, and the events may be the reason.
    #[cfg(feature = "http")]
    Doubtful(AgentError),
    /// It does not, and never will: the events are the reason.
    Unacceptable(AgentError),
    /// It does not, and takes none of this client before a person has mended something.
    Blocked(AgentError),
}

impl Verdict {
    /// Refused by an agent that asks for nothing more.
    pub(crate) fn refused(error: AgentError) -> Self {
        let after = Duration::ZERO;
        Self::Refused { error, after }
    }
}
