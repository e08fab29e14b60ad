//! Delivery as a pure state machine: what to batch, where to send it, when to try again.
//!
//! [`Core`] is told what happened and what time it is ([`Core::step`]), answers with what to do
//! ([`Core::next_output`]) and when it wants to be called at the latest ([`Core::deadline`]).
//! It sees sequence numbers and sizes, never an event's bytes. It has no clock, no sockets and no
//! randomness but its seed, so a simulator can run it through years of faults in seconds.
//!
//! | file | rule it holds |
//! |---|---|
//! | [`core`](self) | which agent, what happens after each failure |
//! | `batch` | when a batch is closed |
//! | `link` | one agent: its connection, its calls in flight, its rest after failures |
//! | `window` | how many calls may be in flight |
//! | `backoff` | how long to rest |
//! | `acks` | which events are done with |
//!
//! This module is public with the feature `internals`, for drivers and simulators; it may change in
//! any release.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod acks;
mod backoff;
mod batch;
mod core;
mod link;
mod window;

use std::time::Duration;

pub use self::backoff::Backoff;
pub use self::batch::Batch;
pub use self::core::Core;
pub use self::window::WindowMode;

use crate::Reliability;

/// Time since an epoch of the driver's choice. It must never run backwards.
pub type Time = Duration;

/// Position of an agent in the failover order, from 0.
pub type AgentIndex = usize;

/// One connection attempt and the connection that came of it. Never used twice.
pub type Epoch = u64;

/// What a [`Core`] is built from. See [`ClientBuilder`](crate::ClientBuilder) for the meaning and
/// the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many there are.
    pub agents: usize,
    /// Most events of a batch.
    pub batch_events_max: u32,
    /// Most bytes of a batch, unless one event has more.
    pub batch_bytes_max: u32,
    /// The longest that an event waits for its batch to fill.
    pub linger: Duration,
    /// Batches under way at once.
    pub window: WindowMode,
    /// For the look-up of a name and connecting.
    pub connect_timeout: Duration,
    /// For the answer to a handshake or a batch.
    pub request_timeout: Duration,
    /// How long an agent rests.
    pub backoff: Backoff,
    /// What becomes of events that an agent did not take.
    pub reliability: Reliability,
}

/// What happened outside.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Events were accepted; they take the next sequence numbers.
    Append {
        /// For each event, its size and those of the events before it in this input, added up.
        ends: &'a [u32],
    },
    /// No events have the sequence numbers from here up to `next`: they were lost or done with
    /// before. The open batch is closed.
    Skip {
        /// The sequence number of the next event.
        next: u64,
    },
    /// The events from here up to `next` cannot be had now. Those behind them go first; the open
    /// batch is closed.
    Leave {
        /// The sequence number of the next event.
        next: u64,
    },
    /// Events that were left out have come. They go before those behind them.
    Insert {
        /// The first one's sequence number.
        first: u64,
        /// As in `Append`.
        ends: &'a [u32],
    },
    /// No events have these sequence numbers, which were left out.
    Forget {
        /// The first one.
        first: u64,
        /// The one behind the last.
        end: u64,
    },
    /// A connection stands and a handshake was sent; also when a second one is.
    Connected {
        /// The attempt.
        epoch: Epoch,
    },
    /// The handshake was answered; calls may be sent.
    Opened {
        /// The connection.
        epoch: Epoch,
    },
    /// A call was answered.
    Replied {
        /// The connection.
        epoch: Epoch,
        /// The call's serial number.
        serial: i32,
        /// Whether the agent committed the batch. Every other answer is a refusal.
        committed: bool,
    },
    /// A connection attempt failed, or a connection ended, for whatever reason.
    Closed {
        /// The connection.
        epoch: Epoch,
        /// Calls from this serial number on were not begun to be written.
        unsent_from: i32,
    },
    /// Close the open batch now.
    Flush,
    /// Give up the oldest events that wait, until they are so many bytes or none wait. Those in
    /// flight stay.
    Shed {
        /// Bytes of events.
        bytes: u64,
    },
    /// Give up everything that is pending.
    Abandon,
    /// Time has passed.
    Tick,
}

/// What to do outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to an agent and greet it.
    Connect {
        /// The agent.
        agent: AgentIndex,
        /// The attempt's name.
        epoch: Epoch,
    },
    /// Send a batch.
    Send {
        /// The connection.
        epoch: Epoch,
        /// The call's serial number.
        serial: i32,
        /// The batch.
        batch: Batch,
    },
    /// Close a connection or give up an attempt. Nothing more is expected from it.
    Disconnect {
        /// The agent.
        agent: AgentIndex,
        /// The connection.
        epoch: Epoch,
        /// Why.
        cause: Disconnect,
    },
    /// Events are done with and can be forgotten.
    Retire {
        /// The first one's sequence number.
        first: u64,
        /// How many.
        events: u32,
        /// Their bytes.
        bytes: u32,
        /// What became of them.
        outcome: Outcome,
    },
}

/// Why the core ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// No answer to the handshake within the request timeout.
    HandshakeTimeout,
    /// No answer to a call within the request timeout.
    RequestTimeout,
    /// The peer answered a call that is not in flight.
    UnexpectedSerial(i32),
    /// A preferred agent took over.
    Spare,
    /// The client closes.
    Closing,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An agent acknowledged it.
    Delivered {
        /// The agent.
        agent: AgentIndex,
    },
    /// It will not be sent again.
    Lost(Loss),
}

/// Why an event is lost. Each has a counter in [`Lost`](crate::stats::Lost).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Best effort: no agent could be reached. It was never sent.
    Unreachable,
    /// Best effort: an agent refused it. It may be stored in part of the agent's channels.
    Rejected,
    /// It was sent and no answer came. It may be stored.
    Unknown,
    /// The client was closed before it was sent.
    Closed,
    /// There was no room, and it was the oldest.
    Shed,
    /// It was in the spool and cannot be read any more. The core never sees such an event.
    Corrupt,
}

/// Running totals of a [`Core`], in events unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Taken.
    pub accepted: u64,
    /// Acknowledged.
    pub delivered: u64,
    /// Lost: no agent could be reached.
    pub unreachable: u64,
    /// Lost: an agent refused them.
    pub rejected: u64,
    /// Lost: sent and not acknowledged.
    pub unknown: u64,
    /// Lost: not sent when it was closed.
    pub closed: u64,
    /// Lost: given up for new ones.
    pub shed: u64,
    /// Batches sent, retries included.
    pub batches: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Connection attempts.
    pub connects: u64,
}

impl Counters {
    /// All events that are done with.
    #[must_use]
    pub fn retired(&self) -> u64 {
        self.delivered + self.unreachable + self.rejected + self.unknown + self.closed + self.shed
    }

    fn retire(&mut self, events: u32, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Delivered { .. } => &mut self.delivered,
            Outcome::Lost(Loss::Unreachable) => &mut self.unreachable,
            Outcome::Lost(Loss::Rejected) => &mut self.rejected,
            Outcome::Lost(Loss::Unknown) => &mut self.unknown,
            Outcome::Lost(Loss::Closed) => &mut self.closed,
            Outcome::Lost(Loss::Shed) => &mut self.shed,
            Outcome::Lost(Loss::Corrupt) => return,
        };
        *counter += u64::from(events);
    }
}
