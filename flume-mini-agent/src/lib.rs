//! A small, faithful Apache Flume agent in your process, for tests and demos of code that talks
//! to Flume.
//!
//! [`MiniAgent`] is an Avro source, a memory channel and a sink, wired as in a Flume agent and
//! with the same rules: what is answered `OK` is committed to the channel, a full channel answers
//! `FAILED` after keep-alive, a batch larger than the channel's `transactionCapacity` is refused
//! however empty the channel is. Its answers are byte for byte those of Flume 1.9 and 1.11.
//!
//! ```
//! use std::time::Duration;
//!
//! use flume_client::{Client, Event};
//! use flume_mini_agent::MiniAgent;
//!
//! let agent = MiniAgent::builder().start()?;
//!
//! // Any Flume client will do; this is ours.
//! let client = Client::builder().agent(agent.url()).build()?;
//! client.append(Event::new("hi").header("k", "v"))?.wait(Duration::from_secs(5))?;
//!
//! let events = agent.wait_for(1, Duration::from_secs(5))?; // or wait_for_async(..).await?
//! assert_eq!(events, [Event::new("hi").header("k", "v")]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What happens when...
//!
//! | | then |
//! |---|---|
//! | the channel is full | a batch waits up to `keep_alive` for room and is then answered `FAILED` |
//! | a batch has more than `transaction_capacity` events | `FAILED` at once |
//! | a call cannot be read | an RPC error `java.io.EOFException`; the connection stays usable |
//! | a frame has no buffers, or is over `max_frame_bytes` | the connection is closed; Flume wedges on the first and buffers the second |
//! | 16 batches wait for room | further requests of all connections wait too, as with Flume's 16 caller threads |
//! | a request is not whole a minute after its first byte, or an answer not read within one | the connection is closed; an idle one stays |
//! | `max_connections` are open | further ones are closed at once |
//! | a memory channel holds less than a sink's batch | the sink takes what is there; in a configured agent it waits up to keep-alive for each event that is missing, as in Flume, unless it is a collect sink |
//! | the sink fails | its events go back to the channel, [`MiniAgent::sink_error`] tells why, the next try is after `sink_backoff` |
//! | a file channel's disk is full | `FAILED`, [`MiniAgent::channel_error`] tells why; sinks go on, and puts do when there is room |
//! | it gets another configuration | all parts stop and the new ones start; memory channels of the same name keep their events. If one cannot start, the former ones run again: [`MiniAgent::reconfigure`] |
//! | the agent stops | connections are closed, unanswered batches are not committed; channel and received events stay for a start later |
//!
//! # Where it differs from Flume on purpose
//!
//! The same scenarios run on real Flume 1.9 and 1.11 and on this agent, and its `/metrics` is
//! compared with theirs counter by counter. What is left:
//!
//! | | Flume | here |
//! |---|---|---|
//! | a port that is taken, an unknown host, a file channel that cannot be opened | a line in the log; the rest runs | the agent does not start |
//! | mistakes in a configuration | overlooked | errors, unless it is read leniently |
//! | an empty channel | is looked at every 1 to 5 s after keep-alive | the next event wakes the sink |
//! | `OpenConnectionCount` | right once a minute | always right |
//! | counters of components that a reload removed | stay | go |
//! | the reason behind `FAILED:` (netcat) and a status 503 (http) | Java's | our own |
//!
//! # Faults
//!
//! [`MiniAgent::fault`] lets things go wrong on purpose: a [`Fault`] says what, on which side of
//! the commit; a [`FaultRule`] when. [`MiniAgent::requests`] tells for every request what the
//! client was told and what was really stored, and a [`Ledger`] what of the sent events is lost,
//! doubled or out of order.
//!
//! [`MiniAgentBuilder::control`] offers the same over HTTP, for services that are not in Rust, and
//! [`Cluster`] starts several agents for one client.
//!
//! [`MiniAgentProcess`] is an agent in a process of its own, which can be killed.
//!
//! An agent's configuration as Flume's property files have it is in [`config`], and
//! [`MiniAgent::configured`] starts it. The command `flume agent` does so with a file.
//!
//! Sources are `avro`, `http` with Flume's JSON handler, and `netcat`.

mod agent;
mod channel;
mod clock;
pub mod config;
mod control;
mod counters;
mod fault;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod interceptor;
mod ledger;
mod process;
mod processor;
mod random;
mod received;
mod runner;
mod selector;
mod sink;
mod sink_group;
mod source;
mod web;

pub use agent::MiniAgent;
pub use agent::builder::MiniAgentBuilder;
pub use agent::cluster::Cluster;
pub use agent::configured::ConfiguredAgentBuilder;
pub use agent::engine::Leftover;
pub use agent::error::{ReconfigureError, StartError, WaitError};
pub use agent::log::{ConnectionRecord, RequestRecord, Stored, Told};
pub use agent::reload::Reconfigured;
pub use agent::tally::Stats;
pub use fault::Fault;
pub use fault::engine::FaultHit;
pub use fault::guard::FaultGuard;
pub use fault::rule::{FaultRule, FaultRuleError};
pub use ledger::{Ledger, Loss};
pub use process::MiniAgentProcess;
pub use process::builder::MiniAgentProcessBuilder;
pub use process::error::ProcessError;
pub use received::Received;
pub use sink::Sink;
pub use source::avro::ReplyMode;

/// Compiles the README's examples, which would only repeat the documentation above.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
