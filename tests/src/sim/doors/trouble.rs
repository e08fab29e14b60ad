//! What may befall agents and calls.

use crate::sim::time::Nanos;

/// One agent.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    /// The dialect that it speaks.
    pub(super) speaks: u32,
    /// It does so until then.
    pub(super) trouble: Option<(Trouble, Nanos)>,
}

/// A fault that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No attempt succeeds.
    Down,
    /// It is silent.
    Mute,
    /// Something else answers.
    Foreign,
    /// It speaks no dialect that there is.
    Misspeaks,
    /// It refuses, and asks to be left alone for so many seconds.
    Refuses(u64),
    /// It takes nothing of this client.
    Blocks,
}

impl Trouble {
    pub(super) const ALL: [Self; 8] = [
        Self::Down,
        Self::Mute,
        Self::Foreign,
        Self::Misspeaks,
        Self::Refuses(0),
        Self::Refuses(30),
        Self::Refuses(3_600),
        Self::Blocks,
    ];
}

/// What befalls one call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Accident {
    Refused,
    Doubtful,
    Blocked,
    FailedSent,
    FailedUnsent,
    Ended,
    Silent,
    Stray,
}

impl Accident {
    pub(super) const ALL: [Self; 8] = [
        Self::Refused,
        Self::Doubtful,
        Self::Blocked,
        Self::FailedSent,
        Self::FailedUnsent,
        Self::Ended,
        Self::Silent,
        Self::Stray,
    ];
}

impl Agent {
    pub(super) fn new(speaks: u32) -> Self {
        Self {
            speaks,
            trouble: None,
        }
    }
}
