//! What a proxy does with a connection.

use std::time::Duration;

/// What happens to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Each piece passes this much later, both ways.
    Delay(Duration),
    /// Nothing passes any more, either way, and nothing is closed: a black hole.
    Hold,
    /// The client's side is reset when the next answer comes.
    Reset,
    /// The client is told, when the next answer comes, that none comes any more. What it sends still
    /// passes.
    HalfClose,
    /// All passes byte by byte, each a packet of its own, both ways.
    Slices,
    /// One bit of each answer is flipped, drawn by this seed.
    FlippedBit(u64),
    /// Half of the next answer passes, and then the end of the connection.
    CutAnswer,
    /// Each answer is followed by the one before it.
    ReplayedAnswer,
    /// In the place of each answer as many other bytes come, drawn by this seed.
    Garbage(u64),
}

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Answers that pass as they came. The first one is that to the handshake.
    pub sound: usize,
    /// What happens from then on. `None`: nothing ever.
    pub fault: Option<Fault>,
}

/// A connection without a fault.
pub const SOUND: Plan = Plan {
    sound: 0,
    fault: None,
};

impl Fault {
    /// One that begins after so many sound answers.
    #[must_use]
    pub const fn after(self, sound: usize) -> Plan {
        Plan {
            sound,
            fault: Some(self),
        }
    }
}

impl Plan {
    /// What happens after so many answers.
    pub(super) fn fault_after(&self, answers: usize) -> Option<Fault> {
        self.fault.filter(|_| answers >= self.sound)
    }
}
