//! The faults, and when they strike.

use super::time::{MS, Nanos, SECOND, log_uniform};

/// Everything that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    // For a while.
    /// Connections are refused.
    Refuse,
    /// The process dies and comes back: what is stored stays, what is in work may be either.
    Crash,
    /// A connection attempt is never answered.
    MuteConnect,
    /// A handshake is never answered.
    MuteHandshake,
    /// Calls are handled and not answered.
    MuteReplies,
    /// Something else listens at its port, and answers the handshake in its own way.
    Foreign,
    /// Messages both ways arrive when it is over.
    Hold,
    /// Messages both ways never arrive, and the connections they belong to are dead for good.
    Lose,
    /// Calls take many times longer.
    Slow,
    /// One call at a time.
    Sequential,
    /// The channel is not drained.
    Clog,
    /// Calls fail at random much more often.
    Flaky,
    // At a moment.
    /// The client's machine was suspended for a while, and wakes.
    Suspend,
    /// The agent closes its connections.
    Hangup,
    // For one handshake or call.
    /// The agent closes instead of answering the handshake.
    HandshakeHangup,
    /// The channel is full: FAILED after a delay.
    ChannelFull,
    /// FAILED, nothing stored.
    FailNone,
    /// FAILED, a part stored.
    FailPart,
    /// FAILED, all stored.
    FailAll,
    /// Stored, then the connection is closed.
    CommitHangup,
    /// The connection is closed before anything is stored.
    DropHangup,
    /// Stored; the answer carries the number of a call that is not in flight.
    WrongSerial,
    /// Stored and answered twice.
    DoubleReply,
    /// Stored and answered after the client's patience.
    LateReply,
    /// Stored and not answered.
    NoReply,
}

impl Fault {
    pub(super) const ALL: [Self; 25] = [
        Self::Refuse,
        Self::Crash,
        Self::MuteConnect,
        Self::MuteHandshake,
        Self::MuteReplies,
        Self::Foreign,
        Self::Hold,
        Self::Lose,
        Self::Slow,
        Self::Sequential,
        Self::Clog,
        Self::Flaky,
        Self::Suspend,
        Self::Hangup,
        Self::HandshakeHangup,
        Self::ChannelFull,
        Self::FailNone,
        Self::FailPart,
        Self::FailAll,
        Self::CommitHangup,
        Self::DropHangup,
        Self::WrongSerial,
        Self::DoubleReply,
        Self::LateReply,
        Self::NoReply,
    ];

    /// Those that a schedule starts.
    pub(super) const SCHEDULED: [Self; 14] = [
        Self::Refuse,
        Self::Crash,
        Self::MuteConnect,
        Self::MuteHandshake,
        Self::MuteReplies,
        Self::Foreign,
        Self::Hold,
        Self::Lose,
        Self::Slow,
        Self::Sequential,
        Self::Clog,
        Self::Flaky,
        Self::Suspend,
        Self::Hangup,
    ];

    /// Those that strike one call.
    pub(super) const OF_A_CALL: [Self; 9] = [
        Self::FailNone,
        Self::FailPart,
        Self::FailAll,
        Self::CommitHangup,
        Self::DropHangup,
        Self::WrongSerial,
        Self::DoubleReply,
        Self::LateReply,
        Self::NoReply,
    ];
}

/// How long a scheduled fault lasts: mostly moments, sometimes minutes.
pub(super) fn duration(rng: &mut fastrand::Rng) -> Nanos {
    match rng.u32(0..10) {
        0..=3 => log_uniform(rng, MS, SECOND),
        4..=7 => log_uniform(rng, 500 * MS, 20 * SECOND),
        _ => log_uniform(rng, 10 * SECOND, 300 * SECOND),
    }
}
