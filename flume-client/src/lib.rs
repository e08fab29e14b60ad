//! Client for Apache Flume agents: events are batched, acknowledged, retried and failed over, and
//! the service that appends them never waits for the network.
//!
//! Not related to the channel crate named `flume`.
//!
//! ```no_run
//! use std::time::Duration;
//! use flume_client::{Client, Event};
//!
//! let client = Client::builder()
//!     .agent("avro://collector-1:4141")
//!     .agent("avro://collector-2:4141")
//!     .build()?;
//! let receipt = client.append(Event::new("order 17 placed").header("host", "web-1"))?;
//! let ack = receipt.wait(Duration::from_secs(5))?;
//! println!("acknowledged by {}", ack.agent);
//! let report = client.close(Duration::from_secs(5)).wait();
//! println!("{} delivered, {} lost", report.delivered, report.lost.total());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A tour
//!
//! - [`Event`]: a body of bytes with string headers.
//! - [`Client`]: takes events into a bounded buffer; its own thread delivers them. Set up with
//!   [`ClientBuilder`], which lists every setting with its default and its cost.
//! - [`Receipt`]: tells, to a future or a plain thread, when an event is stored, and what became
//!   of it.
//! - [`Stats`]: counters that balance at every moment; no event is lost without a reason counted.
//! - [`Health`]: whether events flow, judged by what agents acknowledge. [`Change`]: what a client
//!   says by itself, through the `log` crate and [`ClientBuilder::on_change`].
//! - [`Reliability`]: how hard the client tries.
//! - [`error`]: few types, by what the caller can do.
//! - [`event_id`]: the header by which a consumer tells copies.
//! - [`fork`]: how a process finds that it was forked.
//!
//! # Features
//!
//! | feature | adds | costs |
//! |---|---|---|
//! | `compression` | agents at `avro+deflate://`, sources with `compression-type = deflate` | `flate2` with `zlib-rs`, 2 crates |
//! | `avro-body` | events whose body is a value of yours in Avro, by your schema | the crates `apache-avro` and `serde`, 46 in all |
//! | `test` | the module `test`: a client that keeps its events in memory, for tests of services | nothing: name it among the `dev-dependencies` |
//! | `metrics` | the module `metrics`: what a client counts, for the crate `metrics` | that crate and two more; nothing while events are delivered |
//! | `serde` | [`Health`] can be serialised | the crate `serde_core` |
//! | `http` | agents at `http://`, HTTP sources, and [`ClientBuilder`]'s method `http` | `reqwest` and what it needs, 56 crates in all; with `tls`, 2 more |
//! | `tls` | agents at `avro+tls://`, `thrift+tls://` and, with `http`, `https://`, sources with `ssl = true`, and [`ClientBuilder`]'s method `tls` | `rustls`, `ring` and `rustls-native-certs`, 11 crates in all; a C compiler for `ring` |
//! | `dangerous-trust-any-certificate` | an option of `tls` to check no agent's certificate, for tests | `tls` |
//! | `internals` | the modules `agent_url` (the parts of an address), `wire` (Flume's Avro RPC and Thrift in both directions), `delivery` (the state machine of batches and agents), `spool` (the files), `probe` (a connection that only asks whether an agent answers), `tls` (with the feature of that name: TLS over bytes) and `seq` (the numbers of events), for agents, tools and simulators | they are no part of what a version promises, and may change in any release |
//! | `hallway` | `internals`, and the module `hallway` (all that lies between callers and agents), for simulators | the same, and a tenth more to compile |
//!
//! None changes what the client does. Cargo enables a feature for all crates of a build, so in a
//! test beside `flume-mini-agent`, which uses `internals`, those modules are there without being
//! asked for: name the feature where you use them, or better, do not.
//!
//! # What an acknowledgement means
//!
//! An agent that answers `OK` has committed the events to every required channel of its source.
//! That is all Flume tells: whether they survive the agent's crash depends on those channels, and
//! nothing comes back from the end of a flow. Delivery is at least once: an event whose
//! acknowledgement was lost is sent again. With [`Reliability::BestEffort`] it is at most once.
//!
//! # What happens when...
//!
//! | | then |
//! |---|---|
//! | no agent can be reached | events wait; when the buffer is full, [`Client::append`] hands them back |
//! | an agent refuses, breaks or is silent | it rests, the next one in order takes over, the batch is sent again |
//! | a preferred agent comes back | it is tried while the other works on, and takes over |
//! | the process ends | what is pending is lost, unless there is a [spool](ClientBuilder::spool). [`Client::close`] gives it time, dropping the client a second; in a `static` [nothing is dropped](Client#the-end-of-a-client) |
//! | the process forks | the parent's client works on; in the child nothing is taken, nothing waits, and the spool's lock is let go. Build a client after the fork |
//! | something goes wrong, or is over | the client says so, once: see [`Change`] |
//! | the disk is full or fails | events wait in memory; after two seconds, or when the client is closed, agents get them from there, which [`stats::SpoolStats::delivered_unstored`] counts; [`Client::health`] tells |

#[cfg(feature = "avro-body")]
pub mod avro_body;
pub mod error;
pub mod event;
pub mod event_batch;
pub mod event_id;
pub mod fork;
pub mod health;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod reliability;
pub mod stats;
#[cfg(feature = "test")]
pub mod test;

#[cfg(feature = "internals")]
pub mod agent_url;
#[cfg(not(feature = "internals"))]
#[expect(
    unnameable_types,
    unreachable_pub,
    unused_imports,
    reason = "for those who enable `internals`"
)]
mod agent_url;
#[cfg(feature = "internals")]
pub mod delivery;
#[cfg(not(feature = "internals"))]
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "for those who enable `internals`"
)]
mod delivery;
#[cfg(feature = "hallway")]
pub mod hallway;
#[cfg(feature = "internals")]
pub mod probe;
#[cfg(feature = "internals")]
pub mod seq;
#[cfg(not(feature = "internals"))]
#[expect(unreachable_pub, reason = "for those who enable `internals`")]
mod seq;
#[cfg(feature = "internals")]
pub mod spool;
#[cfg(not(feature = "internals"))]
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "for those who enable `internals`"
)]
mod spool;
#[cfg(all(feature = "tls", feature = "internals"))]
pub mod tls;
#[cfg(all(feature = "tls", not(feature = "internals")))]
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "for those who enable `internals`"
)]
mod tls;
#[cfg(feature = "internals")]
pub mod wire;
#[cfg(not(feature = "internals"))]
#[expect(
    dead_code,
    unnameable_types,
    unreachable_pub,
    reason = "for those who enable `internals`"
)]
mod wire;

mod client;
#[cfg_attr(
    not(feature = "hallway"),
    expect(unreachable_pub, reason = "for those who enable `hallway`")
)]
mod clock;
mod committer;
mod config;
mod debug;
pub mod own_thread;
mod queue;
mod random;
mod sender;
#[cfg(situations)]
pub mod situations;
#[cfg(not(situations))]
mod situations;
mod transport;

pub use agent_url::{AgentUrl, AgentUrlError};
pub use client::{Client, ClientBuilder, Close, CloseGuard, Driver, Flush, Ready};
#[cfg(feature = "tls")]
pub use config::TlsOptions;
pub use config::{AgentOptions, Overflow, SyncMode, host_name};
#[cfg(feature = "http")]
pub use config::{HttpOptions, Secret};
#[doc(inline)]
pub use delivery::{Backoff, Selection, WindowMode};
#[doc(inline)]
pub use error::{
    AgentError, AppendBatchError, AppendError, BuildError, ClientThread, DeliveryError, FlushError,
    StoreError,
};
#[doc(inline)]
pub use event::Event;
#[doc(inline)]
pub use event_batch::{EventBatch, HeaderBlock, HeaderPlace};
pub use health::change::Change;
#[doc(inline)]
pub use health::{Health, Problem, Status};
pub use own_thread::is_own_thread;
pub use queue::{Ack, Delivered, Receipt, Stored};
#[doc(inline)]
pub use reliability::Reliability;
#[doc(inline)]
pub use spool::{ForeignOwner, NetworkFileSystem};
#[doc(inline)]
pub use stats::Stats;
#[doc(inline)]
pub use stats::fill::Fill;
pub use stats::report::Report;
#[cfg(feature = "tls")]
#[doc(inline)]
pub use tls::TlsError;

/// Compiles the README's examples, which would only repeat the documentation above.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// What may change in any release is out of reach without its feature.
///
/// ```compile_fail,E0603
/// use flume_client::delivery::Core;
/// ```
/// ```compile_fail,E0603
/// use flume_client::spool::Directory;
/// ```
/// ```compile_fail,E0603
/// use flume_client::wire::avro;
/// ```
#[cfg(all(doctest, not(feature = "internals")))]
struct Internals;
