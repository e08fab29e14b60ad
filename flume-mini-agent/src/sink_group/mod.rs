//! Sink groups: which of a runner's sinks works next (Flume's sink processors).
//!
//! Pure: a [`Processor`] is told the time and what came of each sink's turn, and says what to do.
//! A round begins with [`Processor::begin`]; as long as the answer is [`Next::Try`], the sink's
//! outcome goes to [`Processor::report`]. A round may be given up in between.
//!
//! | processor | a round |
//! |---|---|
//! | default | the one sink |
//! | [`failover`] | a sink whose penalty is over, else the best live one, else the next |
//! | [`load_balance`] | sinks in turn or in random order, until one does not fail |
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod failover;
mod load_balance;
mod processor;

pub(crate) use failover::Failover;
pub(crate) use load_balance::{LoadBalance, Order};
pub(crate) use processor::Processor;

/// What came of a sink's turn, or of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Events were passed on; there may be more.
    Ready,
    /// The channel had no more.
    Backoff,
    /// The sink failed; its events are back in the channel.
    Failed,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Let this sink work.
    Try(usize),
    /// The round is over. Failed: no sink is left to try.
    Done(Outcome),
}
