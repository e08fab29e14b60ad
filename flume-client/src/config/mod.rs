//! How a client is set up: the builder, checked once, and the addresses of agents.

mod agent_url;
mod builder;
mod spool;

pub use agent_url::{AgentUrl, AgentUrlError};
pub use builder::{ClientBuilder, Overflow};
pub(crate) use builder::{Config, FOREVER};
pub(crate) use spool::SpoolConfig;
pub use spool::SyncMode;
