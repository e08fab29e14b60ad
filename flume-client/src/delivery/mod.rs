//! Delivery as a pure state machine: what to batch, where to send it, when to try again.
//!
//! [`Core`] is told what happened and what time it is ([`Core::step`]), answers with what to do
//! ([`Core::next_output`]) and when it wants to be called at the latest ([`Core::deadline`]).
//! It sees sequence numbers and sizes, never an event's bytes. It has no clock, no sockets and no
//! randomness but its seed, so a simulator can run it through years of faults in seconds.
//!
//! | file | rule it holds |
//! |---|---|
//! | [`core`](self) | what happens after each failure |
//! | `select` | which agent is used next |
//! | `lane` | the events of one level; the levels take turns |
//! | `batch` | when a batch is closed |
//! | `agent` | one agent: how it fares, its rest after failures, its connections |
//! | `link` | one connection: its window, its calls in flight |
//! | `window` | how many calls may be in flight |
//! | `backoff` | how long to rest |
//! | `settings` | what a core is built from |
//! | `step` | what it is told, and what it answers |
//! | `outcome` | what became of events, and how many of each |
//!
//! This module is public with the feature `internals`, for drivers and simulators; it may change in
//! any release.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod agent;
mod backoff;
mod batch;
mod core;
mod lane;
mod link;
mod outcome;
mod select;
mod settings;
mod step;
mod window;

pub use self::agent::AgentState;
pub(crate) use self::agent::BLOCKED_MAX;
pub use self::backoff::Backoff;
pub use self::batch::Batch;
pub use self::core::Core;
pub use self::outcome::{Counters, Loss, Lost, Outcome};
pub use self::settings::{AgentId, AgentSet, CallId, Epoch, Rank, Selection, Settings, Time};
pub use self::step::{Answer, Disconnect, Ending, Input, Output};
pub use self::window::WindowMode;
