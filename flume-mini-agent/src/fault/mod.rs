//! Scripted faults: what shall go wrong, when, and on which side of the commit.
//!
//! | file | holds |
//! |---|---|
//! | [`kind`] | [`Fault`], the kinds |
//! | [`rule`] | [`FaultRule`](rule::FaultRule): a kind with its conditions |
//! | [`engine`] | [`Faults`](engine::Faults): decides, given the time and what happens; no clock, no IO |
//! | `json` | rules as text |
//! | [`guard`] | [`FaultGuard`](guard::FaultGuard): a rule in force in an agent |
//!
//! What a fault does to a socket is the source's business, and to a disk the file channel's.

pub(crate) mod engine;
pub(crate) mod guard;
#[cfg(feature = "control")]
pub(crate) mod json;
pub(crate) mod kind;
pub(crate) mod rule;

pub(crate) use kind::Fault;
