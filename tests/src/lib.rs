//! Shared pieces of the cross-crate tests: real Apache Flume agents and Flume's own Java client,
//! started, driven and stopped from Rust.
//!
//! The pieces need Java 17 and Maven; [`require_java`] says so and lets a test leave early.
//! The first use of a Flume version resolves its jars into the target directory (about 40 s with
//! an empty Maven repository); later uses, also from other processes, find them there.
//!
//! None of them knows how our client works, on purpose: it is the measure, not the thing measured.
//!
//! [`real_kill`] kills a sender and a real agent again and again, and looks for every event.
//!
//! [`Chain`] puts a real or a small agent between two small ones and tells their story.
//!
//! [`sim`] and [`spool_sim`] are other things: the delivery core in virtual time, without Java or
//! sockets, and the spool on a simulated disk. [`spool_kill`] has a real one, and processes to kill.

mod chain;
mod command;
pub mod crafted;
mod error;
pub mod fuzz;
pub mod hostile;
mod java;
mod java_clients;
mod java_program;
mod java_sdk;
mod launch_mode;
mod metrics;
mod ports;
mod real_flume;
mod real_flume_builder;
pub mod real_kill;
mod rolled;
mod samples;
pub mod sim;
pub mod spool_kill;
pub mod spool_sim;
mod wait;

pub use chain::{Chain, Hop};
pub use command::{flume_command, freeze, terminate};
pub use error::{HarnessError, Result};
pub use java::{Version, java_available, require_java};
pub use java_clients::JavaClients;
pub use java_program::run_java_program;
pub use java_sdk::{ClientType, JavaSdk, SdkRound, SdkRun};
pub use launch_mode::{Clashes, Reload};
pub use metrics::Metrics;
pub use ports::free_ports;
pub use real_flume::RealFlume;
pub use real_flume_builder::{Channel, RealFlumeBuilder, Sink};
pub use rolled::{rolled_files, rolled_lines};
pub use samples::sample_log;
pub use wait::wait_until;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
