//! Shared pieces of the cross-crate tests: real Apache Flume agents and Flume's own Java client,
//! started, driven and stopped from Rust; agents that follow a script, processes to kill and small
//! disks.
//!
//! Those of real Flume need Java 17 and Maven; [`require_java`] says so and lets a test leave early.
//! The first use of a Flume version resolves its jars into the target directory (about 40 s with
//! an empty Maven repository); later uses, also from other processes, find them there.
//!
//! They do not know how our client works, on purpose: it is the measure, not the thing measured.
//!
//! [`real_kill`] kills a sender and a real agent again and again, and looks for every event.
//!
//! [`proxy`] spoils what passes between a client and an agent. [`TlsBridge`] puts TLS on one side of
//! it.
//!
//! [`Chain`] puts a real or a small agent between two small ones and tells their story.
//!
//! [`sim`], [`spool_sim`] and [`hallway_sim`] are other things: the delivery core in virtual time,
//! without Java or sockets, the spool on a simulated disk, and all that lies between callers and
//! agents with both. [`spool_kill`] has a real disk, and processes to kill.

mod alone;
mod chain;
mod child;
mod command;
pub mod crafted;
pub mod door_faults;
mod error;
pub mod fuzz;
pub mod hallway_sim;
pub mod hostile;
pub mod hostile_servers;
mod java;
mod java_clients;
mod java_program;
mod java_sdk;
mod launch_mode;
pub mod long_run;
mod median;
mod memory;
mod metrics;
mod port;
mod ports;
#[cfg(unix)]
pub mod proxy;
pub mod raw;
mod real_flume;
mod real_flume_builder;
pub mod real_kill;
mod rolled;
mod samples;
pub mod scripted;
pub mod sim;
#[cfg(target_os = "linux")]
pub mod small_disk;
pub mod spool_kill;
pub mod spool_sim;
mod tls_bridge;
mod wait;
pub mod wire;

#[cfg(unix)]
pub use alone::alone_as_nobody;
pub use alone::{alone, alone_under};
pub use chain::{Chain, Hop};
pub use child::{Child, Heard, Line};
pub use command::{flume_command, freeze, terminate};
pub use error::{HarnessError, Result};
pub use java::{Version, java_available, require_java};
pub use java_clients::JavaClients;
pub use java_program::run_java_program;
pub use java_sdk::{ClientType, JavaSdk, SdkRound, SdkRun};
pub use launch_mode::{Clashes, Reload};
pub use median::median;
pub use memory::{anonymous_bytes, resident_bytes, resident_bytes_max};
pub use metrics::Metrics;
pub use port::{NO_HOST, Port};
pub use ports::free_ports;
pub use real_flume::RealFlume;
pub use real_flume_builder::{Channel, RealFlumeBuilder, Sink};
pub use rolled::{rolled_files, rolled_lines};
pub use samples::sample_log;
pub use tls_bridge::TlsBridge;
pub use wait::wait_until;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
