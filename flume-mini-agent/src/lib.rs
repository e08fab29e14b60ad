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
//! | a Thrift call cannot be read to its end, or is of the other protocol | the connection is closed without an answer, as by Flume |
//! | a Thrift message over 16,384,000 bytes is announced | the connection is closed; Flume waits for its bytes first |
//! | an Avro client or sink of Flume 1.9 meets TLS 1.3 | it drops what comes in one read with the first message of the handshake, and times out; so it does at Flume's own source if the network gathers packets. Exclude `TLSv1.3` at the source (`exclude-protocols`), or start the client with `-Djdk.tls.client.protocols=TLSv1.2` |
//! | 16 batches wait for room | further requests of all connections to the Avro source wait too, as with Flume's 16 caller threads; Thrift works on one call per connection |
//! | a request is not whole a minute after its first byte, or an answer not read within one | the connection is closed; an idle one stays |
//! | `max_connections` are open | further ones are closed at once |
//! | a memory channel holds less than a sink's batch | the sink takes what is there; in a configured agent it waits up to keep-alive for each event that is missing, as in Flume, unless it is a collect sink |
//! | the sink fails | its events go back to the channel, [`MiniAgent::sink_error`] tells why, the next try is after `sink_backoff` |
//! | a file channel's disk is full | `FAILED`, [`MiniAgent::channel_error`] tells why; sinks go on, and puts do when there is room |
//! | it gets another configuration | all parts stop and the new ones start; memory channels of the same name keep their events. If one cannot start, the former ones run again: [`MiniAgent::reconfigure`] |
//! | the agent stops | connections are closed; batches that wait for room are not committed; a commit under way on a disk is finished, unanswered; channel and received events stay for a start later |
//!
//! # Where it differs from Flume on purpose
//!
//! The same scenarios run on real Flume 1.9 and 1.11 and on this agent, and its `/metrics` is
//! compared with theirs counter by counter. What is left:
//!
//! | | Flume | here |
//! |---|---|---|
//! | a key store | JKS or PKCS12 | PEM; a start with another one is answered with the commands that make PEM of it |
//! | clients' certificates | only an HTTP source asks for them (`SslContextFactory.needClientAuth`) | Avro and Thrift sources can, too (`need-client-auth`, `truststore`) |
//! | a port that is taken, an unknown host, a file channel that cannot be opened | a line in the log; the rest runs | the agent does not start |
//! | mistakes in a configuration | overlooked | errors, unless it is read leniently |
//! | an empty channel | is looked at every 1 to 5 s after keep-alive | the next event wakes the sink |
//! | `OpenConnectionCount` | right once a minute | always right |
//! | counters of components that a reload removed | stay | go |
//! | the reason behind `FAILED:` (netcat) and a status 503 (http) | Java's | our own |
//! | JSON with comments, the prefix `)]}'`, `;` for `,`, `=` or `=>` for `:`, or headers as an array of pairs | is read | is bad syntax, 400 |
//!
//! # Faults
//!
//! [`MiniAgent::fault`] lets things go wrong on purpose: a [`Fault`] says what, on which side of
//! the commit; a [`FaultRule`] when. [`MiniAgent::requests`] tells for every request what was
//! answered and what was really stored, and a [`Ledger`] what of the sent events is lost,
//! doubled or out of order.
//!
//! `MiniAgentBuilder::control` (with the feature `control`) offers the same over HTTP, for services
//! that are not in Rust.
//!
//! # Several agents
//!
//! Any number run side by side and share nothing, so a test of failover is plain code:
//!
//! ```
//! use std::time::Duration;
//!
//! use flume_client::{Client, Event};
//! use flume_mini_agent::{Ledger, MiniAgent};
//!
//! let mut agents = [MiniAgent::builder().start()?, MiniAgent::builder().start()?];
//! let client = Client::builder().agents(agents.iter().map(MiniAgent::url)).build()?;
//! agents[0].stop();
//!
//! let event = Event::new("hi").header("id", "1");
//! client.append(event.clone())?.wait(Duration::from_secs(10))?;
//! agents[1].wait_for(1, Duration::from_secs(10))?;
//! // Of what all of them have; the order of arrival is known within an agent only.
//! let received = agents.iter().flat_map(MiniAgent::received);
//! Ledger::by_header(received, "id").assert_no_loss([&event]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Property files, and processes that are killed
//!
//! An agent can have as many components as Flume's property files describe: its configuration is a
//! [`config::AgentConfig`], and [`MiniAgent::configured`] starts it. With the feature `properties`
//! it can be read from such a file, as the command `flume agent` does. To see what `kill -9` does to
//! an agent, start `flume agent --name a1 --config FILE` with a file that names the port, wait until
//! it prints `listening on`, kill it, and start it again.
//!
//! Sources are `avro`, `netcat`, `thrift`, and with the feature `http` also `http` with Flume's JSON
//! handler. An agent made by [`MiniAgent::builder`] has an Avro source, or a Thrift source if
//! [`MiniAgentBuilder::thrift`] says so.
//! Channels are `memory`, and with the feature `file-channel` also `file`.
//!
//! # Features
//!
//! None is on unless asked for, so that a test's dev-dependency stays small.
//!
//! | feature | adds | costs |
//! |---|---|---|
//! | `compression` | `compression-type = deflate` of Avro sources and sinks | flate2, zlib-rs: 2 crates |
//! | `control` | the control interface: events, counters, faults and reload over HTTP | hyper, http-body-util, hyper-util, serde_json, base64 and what they need: 16 crates |
//! | `file-channel` | channels whose events outlive the process | no crate |
//! | `http` | the `http` source | hyper, http-body-util, hyper-util and what they need: 11 crates |
//! | `properties` | `config::ConfigReader`, which reads property files | no crate |
//! | `regex` | the interceptor `regex_filter` | regex-lite: 1 crate |
//! | `tls` | `ssl = true` of Avro, Thrift and HTTP sources | rustls, ring and what they need: 9 crates |
//!
//! A configuration can be built and read without the others. An agent that needs one that is not
//! there does not start, and [`StartError`] names it.

mod agent;
mod carrier;
mod channel;
mod clock;
pub mod config;
#[cfg(feature = "control")]
mod control;
mod counters;
mod fault;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod interceptor;
mod ledger;
mod log;
mod observed;
mod port;
mod processor;
mod random;
mod received;
mod runner;
mod selector;
mod sink;
mod sink_group;
mod source;
#[cfg(any(feature = "control", feature = "http"))]
mod web;

pub use agent::MiniAgent;
pub use agent::builder::MiniAgentBuilder;
pub use agent::configured::ConfiguredAgentBuilder;
pub use agent::engine::{Leftover, Reconfigured};
pub use agent::error::{ReconfigureError, StartError, WaitError};
pub use fault::engine::FaultHit;
pub use fault::guard::FaultGuard;
pub use fault::kind::Fault;
pub use fault::rule::{FaultRule, FaultRuleError};
pub use ledger::{Ledger, Loss};
pub use log::{Answered, ConnectionRecord, RequestRecord, Stored};
pub use observed::Stats;
pub use received::Received;
pub use sink::Sink;
pub use source::avro::shared::ReplyMode;

/// Compiles the README's examples, which would only repeat the documentation above.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
