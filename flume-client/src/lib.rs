//! Client SDK for Apache Flume agents.

pub mod delivery;
pub mod error;
pub mod event;
pub mod reliability;
pub mod stats;
pub mod wire;

mod client;
mod config;
mod intake;
mod receipt;
mod store;
mod ticket;
mod transport;
mod worker;

pub use client::{Client, Close, Flush, Ready, Report};
pub use config::{AgentUrl, AgentUrlError, ClientBuilder};
pub use delivery::{Backoff, WindowMode};
pub use error::{AgentError, AppendBatchError, AppendError, BuildError, DeliveryError, FlushError};
pub use event::Event;
pub use receipt::{Ack, Delivered, Receipt};
pub use reliability::Reliability;
pub use stats::Stats;
