//! How a client is set up: the builder, checked once, and the addresses of agents.

mod agent_url;
mod builder;

pub use agent_url::{AgentUrl, AgentUrlError};
pub use builder::ClientBuilder;
pub(crate) use builder::{Config, FOREVER};
