//! [`Input`] and [`Output`]: what the core is told in a step, and what it answers.

use super::batch::Batch;
use super::outcome::Outcome;
use super::settings::{AgentId, AgentSet, CallId, Epoch, Time};
use crate::reliability::Reliability;
use crate::seq::{Seq, SeqRange};

/// What happened outside.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Events were accepted; they take the next sequence numbers.
    Append {
        /// Whose sequence numbers: each level has its own.
        level: Reliability,
        /// For each event, its size and those of the events before it in this input, added up.
        ends: &'a [u32],
    },
    /// No events have the sequence numbers from here up to `next`: they were lost or retired
    /// before. The open batch is closed.
    Skip {
        /// Whose.
        level: Reliability,
        /// The sequence number of the next event.
        next: Seq,
    },
    /// The events from here up to `next` cannot be had now. Those after them go first; the open
    /// batch is closed.
    Leave {
        /// Whose.
        level: Reliability,
        /// The sequence number of the next event.
        next: Seq,
    },
    /// Events that were left out have come. They go before those after them.
    Insert {
        /// Whose.
        level: Reliability,
        /// The first one's sequence number.
        first: Seq,
        /// As in `Append`.
        ends: &'a [u32],
    },
    /// No events have these sequence numbers, which were left out.
    Forget {
        /// Whose.
        level: Reliability,
        /// The numbers.
        range: SeqRange,
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
        /// The call.
        call: CallId,
        /// What the agent says of the batch.
        answer: Answer,
    },
    /// A call came to nothing, of a connection that gets no more calls. Those that are under way on it
    /// may still be answered.
    Failed {
        /// The connection.
        epoch: Epoch,
        /// The call.
        call: CallId,
        /// Whether it was begun to be sent: then the agent may have it.
        is_sent: bool,
    },
    /// A connection attempt failed, or a connection ended, for whatever reason.
    Closed {
        /// The connection.
        epoch: Epoch,
        /// This call and those after it were not begun to be written. `None`: all were.
        unsent_from: Option<CallId>,
        /// How.
        ending: Ending,
    },
    /// Somebody waits for every event of a level below a number; they may not have come yet. Their
    /// batch does not linger: it is closed as soon as a connection has nothing under way, else with
    /// the next answer, so that those who wait share batches.
    Await {
        /// The level.
        level: Reliability,
        /// The number after that of the last of them.
        upto: Seq,
    },
    /// Close the open batch of each level now.
    Flush,
    /// Give up the oldest events of a level that wait, until `bytes` of them are gone or none wait.
    /// Those in flight stay.
    Shed {
        /// The level.
        level: Reliability,
        /// Bytes of events.
        bytes: u64,
    },
    /// Give up everything of a level that is pending, and end all connections. What others have in
    /// flight waits again.
    Abandon {
        /// The level.
        level: Reliability,
    },
    /// Another connection is to take the place of each one to these agents, as of one that is old, and
    /// of each attempt that began before this: what they are made with has changed.
    Renew {
        /// Whose.
        agents: AgentSet,
    },
    /// The machine was suspended: peers' clocks went on, so connections are as good as gone, and rests
    /// are over.
    Woke,
    /// Time has passed.
    Tick,
}

/// What an agent says of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Committed,
    /// It does not, or nobody knows: it is to be tried again later.
    Refused {
        /// No earlier than after this, as the agent asks for; of a longer one than
        /// [`REST_MAX`](Self::REST_MAX), that.
        after: Time,
    },
    /// Likewise, and the events may be the reason. From the fifth time on that the batch is refused
    /// it is halved, so that an event of which no agent can make anything stands alone at the end.
    Doubtful {
        /// Bytes of the first half of its events, [`Batch::half`] of them.
        half_bytes: u32,
    },
    /// It has nothing of it, and never will: the events are the reason. Another agent is asked; then
    /// the batch is halved; a single event that each agent finds unacceptable is lost.
    Unacceptable {
        /// Likewise.
        half_bytes: u32,
    },
    /// It has nothing of it, and takes none of this client before a person has mended something.
    Blocked,
}

impl Answer {
    /// The longest that an agent can ask to be left alone, a fifth more or less.
    pub const REST_MAX: Time = Time::from_secs(300);
    /// A refusal by an agent that asks for nothing more.
    pub const REFUSED: Self = Self::Refused { after: Time::ZERO };
}

/// How a connection ended, or an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It broke, or there was none: that may pass by itself.
    Broken,
    /// The handshake came to nothing, as it does if the agent speaks another dialect: the next one is
    /// tried at once, if there is one. After the last it is as if it broke.
    Misspoken,
    /// The handshake was answered by something that is no agent, or none of ours: if that happens
    /// twice in a row, only a person can mend it.
    Foreign,
}

/// What to do outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to an agent and begin the handshake.
    Connect {
        /// The agent.
        agent: AgentId,
        /// The attempt's number.
        epoch: Epoch,
        /// Which of its dialects is to be spoken, from 0.
        dialect: u32,
    },
    /// Send a batch.
    Send {
        /// The connection.
        epoch: Epoch,
        /// The call.
        call: CallId,
        /// The batch.
        batch: Batch,
    },
    /// Close a connection or give up an attempt. Nothing more is expected from it.
    Disconnect {
        /// The agent.
        agent: AgentId,
        /// The connection.
        epoch: Epoch,
        /// Why.
        cause: Disconnect,
    },
    /// Another connection took the place of this one: it gets no more calls, and is closed when its
    /// last one is answered. Nothing is to be done.
    Drain {
        /// The connection.
        epoch: Epoch,
    },
    /// Events are retired and can be forgotten.
    Retire {
        /// Their level.
        level: Reliability,
        /// Their sequence numbers.
        range: SeqRange,
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
    /// No answer to the handshake within the greeting timeout.
    HandshakeTimeout,
    /// No answer to a call within the request timeout.
    RequestTimeout,
    /// The peer answered a call that is not in flight.
    UnknownCall(CallId),
    /// A preferred agent took over, with its first acknowledgement.
    Spare,
    /// Nothing was sent on it for a while, and nothing waits.
    Idle,
    /// It is old or to be renewed, and a new one took its place, or nothing waits.
    Aged,
    /// The machine was suspended.
    Woke,
    /// The client closes.
    Closing,
}
