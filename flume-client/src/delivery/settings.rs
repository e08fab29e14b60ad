//! [`Settings`]: what a core is built from.

use std::fmt;
use std::time::Duration;

use super::backoff::Backoff;
use super::window::WindowMode;

/// Time since a start that the driver chooses. It must never run backwards.
pub type Time = Duration;

/// An agent. Its id is never given to another one.
///
/// Today the id is the agent's position in [`Settings::agents`], from 0, because there are none but
/// those that the client was built with. Nobody but `select` may rely on that for which agent comes
/// before which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentId(u8);

impl AgentId {
    /// The agent that was given at this place.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        // There are no more than a set of them can hold, and each batch that waits holds one of these.
        Self(index as u8)
    }

    /// Where it stands in a list of all agents that there ever were.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Some of the agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentSet(u32);

impl AgentSet {
    /// As many as there can be: a batch that waits holds a set of them.
    pub const AGENTS_MAX: usize = 32;

    /// Whether this one is among them.
    #[must_use]
    pub const fn contains(self, agent: AgentId) -> bool {
        self.0 & Self::bit(agent) != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, agent: AgentId) -> Self {
        Self(self.0 | Self::bit(agent))
    }

    const fn bit(agent: AgentId) -> u32 {
        1 << (agent.0 % Self::AGENTS_MAX as u8)
    }
}

/// A call on a connection, which has a number of its own on it. Flume's protocols, Avro and Thrift,
/// carry 32 bits with a sign for it and give them back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(i32);

impl CallId {
    /// That of the first call on a connection, as in Java's client.
    pub const FIRST: Self = Self(1);

    /// The call that a peer calls so.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// As it travels.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// That of the call after this one.
    #[must_use]
    pub fn next(self) -> Self {
        self.0.checked_add(1).map_or(Self::FIRST, Self)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One connection attempt and the connection that came of it. Never used twice.
pub type Epoch = u64;

/// How agents of one priority share the batches. See
/// [`ClientBuilder::selection`](crate::ClientBuilder::selection).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// They do not: the first one that works gets all, in the order in which they were given.
    #[default]
    Failover,
    /// In turn, spread by smooth weighted round robin: of weights 2 and 1, the first one gets two
    /// batches of three, and never more than two in a row.
    RoundRobin,
    /// Each batch goes to one that is drawn, with chances by weight.
    Random,
}

/// What is known of an agent before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Agents of one group share the batches. A later group is used while no agent of those before
    /// it can be.
    pub group: u32,
    /// The share of the batches of its group, beside the weights of the others. At least 1.
    pub weight: u32,
    /// In how many ways its source may speak its protocol, which only trying them tells. At least 1.
    pub dialects: u32,
}

impl Rank {
    /// That of an agent which shares nothing with others, and has one dialect.
    #[must_use]
    pub const fn alone(group: u32) -> Self {
        Self {
            group,
            weight: 1,
            dialects: 1,
        }
    }

    /// Those of `agents` agents that share nothing: each is a group, in order of preference.
    #[must_use]
    pub fn in_order(agents: usize) -> Vec<Self> {
        let groups = 0..u32::try_from(agents).unwrap_or(u32::MAX);
        groups.map(Self::alone).collect()
    }
}

/// What a [`Core`](super::Core) is built from. See [`ClientBuilder`](crate::ClientBuilder) for the
/// meaning and the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of each agent, in order of preference: groups never go down.
    pub agents: Vec<Rank>,
    /// How the agents of a group share the batches.
    pub selection: Selection,
    /// Most connections to each. In the ordered mode one is enough.
    pub connections: u32,
    /// Most events of a batch.
    pub batch_events_max: u32,
    /// Most bytes of a batch, unless one event has more.
    pub batch_bytes_max: u32,
    /// The longest that an event waits for its batch to fill. One that somebody waits for does so
    /// only while the connection has calls under way ([`Input::Await`](super::Input::Await)).
    pub linger: Duration,
    /// Batches under way at once.
    pub window: WindowMode,
    /// For the look-up of a host name and connecting.
    pub connect_timeout: Duration,
    /// For the answer to a handshake.
    pub greeting_timeout: Duration,
    /// For the answer to a batch.
    pub request_timeout: Duration,
    /// How long an agent rests after a failure; also how long a batch that was not acknowledged
    /// waits.
    pub backoff: Backoff,
}

impl Settings {
    /// Most connections to an agent: no more than it may have calls.
    pub(super) fn connections_max(&self) -> u32 {
        match self.window {
            WindowMode::Adaptive { max } => self.connections.min(max).max(1),
            WindowMode::Ordered => 1,
        }
    }

    /// What the window of each of them is bounded by, so that the sum is within that of the agent.
    pub(super) fn link_window(&self) -> WindowMode {
        match self.window {
            WindowMode::Adaptive { max } => WindowMode::Adaptive {
                max: max / self.connections_max(),
            },
            WindowMode::Ordered => WindowMode::Ordered,
        }
    }
}
