//! [`Outcome`]: what became of an event (what came of a read is `sender/reading`'s).

use std::ops::Add;

use super::settings::AgentId;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An agent acknowledged it.
    Delivered {
        /// The agent.
        agent: AgentId,
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

/// Events that were taken and given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Best effort: no agent could be reached; never sent.
    pub unreachable: u64,
    /// Best effort: refused by an agent.
    pub rejected: u64,
    /// Sent and not acknowledged, refused or without an answer, and not sent again; they may be
    /// stored.
    pub unknown: u64,
    /// Never sent when the client was closed, nor stored.
    pub closed: u64,
    /// The oldest, given up for new ones: [`Overflow::DropOldest`](crate::Overflow::DropOldest).
    pub shed: u64,
    /// Were in the spool and cannot be read any more.
    pub corrupt: u64,
}

impl Lost {
    /// The counter of a reason.
    pub(crate) fn of(&mut self, loss: Loss) -> &mut u64 {
        match loss {
            Loss::Unreachable => &mut self.unreachable,
            Loss::Rejected => &mut self.rejected,
            Loss::Unknown => &mut self.unknown,
            Loss::Closed => &mut self.closed,
            Loss::Shed => &mut self.shed,
            Loss::Corrupt => &mut self.corrupt,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, events)| events).sum()
    }

    /// Each reason by its field's name, and how many events were lost for it.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        let Self {
            unreachable,
            rejected,
            unknown,
            closed,
            shed,
            corrupt,
        } = *self;
        [
            ("unreachable", unreachable),
            ("rejected", rejected),
            ("unknown", unknown),
            ("closed", closed),
            ("shed", shed),
            ("corrupt", corrupt),
        ]
    }
}

/// Of several clients together.
impl Add for Lost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            unreachable: self.unreachable + other.unreachable,
            rejected: self.rejected + other.rejected,
            unknown: self.unknown + other.unknown,
            closed: self.closed + other.closed,
            shed: self.shed + other.shed,
            corrupt: self.corrupt + other.corrupt,
        }
    }
}

/// Running totals of a [`Core`](super::Core) or one of its levels, in events unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Taken.
    pub accepted: u64,
    /// Acknowledged.
    pub delivered: u64,
    /// Given up, by reason.
    pub lost: Lost,
    /// Batches sent, retries included.
    pub batches: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Connection attempts.
    pub connects: u64,
}

impl Counters {
    /// All events that are retired.
    #[must_use]
    pub fn retired(&self) -> u64 {
        self.delivered + self.lost.total()
    }

    /// Counts events that are retired.
    pub(super) fn retire(&mut self, events: u32, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Delivered { .. } => &mut self.delivered,
            Outcome::Lost(loss) => self.lost.of(loss),
        };
        *counter += u64::from(events);
    }
}

/// Of several levels together.
impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            delivered: self.delivered + other.delivered,
            lost: self.lost + other.lost,
            batches: self.batches + other.batches,
            retries: self.retries + other.retries,
            connects: self.connects + other.connects,
        }
    }
}
