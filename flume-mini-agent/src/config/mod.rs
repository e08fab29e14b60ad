//! An agent's configuration: built in code, or with the feature `properties` read from one of
//! Flume's property files and checked.
//!
//! ```
//! use flume_mini_agent::config::{
//!     AgentConfig, AvroSourceConfig, LoggerSinkConfig, MemoryChannelConfig,
//! };
//!
//! let config = AgentConfig::builder("a1")
//!     .channel("c1", MemoryChannelConfig::default())
//!     .source("r1", AvroSourceConfig::new("0.0.0.0", 4141), ["c1"])
//!     .sink("k1", LoggerSinkConfig::default(), "c1")
//!     .build()?;
//! assert_eq!(config.sinks[0].channel, "c1");
//! # Ok::<(), flume_mini_agent::config::ConfigError>(())
//! ```
//!
//! Nothing here opens a file, asks for the time or reads the environment: text goes in, a
//! configuration comes out.
//!
//! # What happens when a property file is read, and...
//!
//! | | strict | lenient, as Flume |
//! |---|---|---|
//! | a key is unknown, empty or set twice | error | a note; empty values count as not set, of two the later counts |
//! | a number cannot be used | error | a note and the default, or the component is dropped: key by key as in Flume |
//! | a boolean is neither true nor false | error | a note; it is false |
//! | a component is listed and not configured | error | it is dropped |
//! | a component is configured and not listed | error | a note; it is ignored |
//! | a type is Flume's and not ours, or nobody's | error that says which | it is dropped; Flume stops at the latter |
//! | a channel is dropped | | so are its sinks, and sources that have no other |
//! | a sink's batch is larger than a transaction of its channel | error | the sink is dropped |
//! | a sink is in two groups | error | the first one has it, in the order of Java's hash sets |
//! | a sink in no group has the name of a group | error | it is dropped |
//! | a group's processor cannot be used | error | the group is dropped, and its sinks with it |
//! | a channel is used by nobody | error | it is dropped |
//! | a key is accepted and has no effect here | a note | a note |
//! | an escape is malformed, the agent is not there, nothing is left | error | error |
//!
//! # Files
//!
//! | file | holds |
//! |---|---|
//! | `channel`, `source`, `selector`, `interceptor`, `sink`, `group` | a component's settings each |
//! | `component` | the kinds of components |
//! | `agent` | the whole, and the builder |
//! | `problem`, `nearest` | what is wrong and where; what was meant |
//! | `reading` | the same from property files, feature `properties` |
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod agent;
mod channel;
mod component;
mod group;
mod interceptor;
mod nearest;
mod problem;
#[cfg(feature = "properties")]
mod reading;
mod selector;
mod sink;
mod source;
mod tls;

pub use self::agent::{AgentConfig, AgentConfigBuilder};
pub use self::channel::{ChannelConfig, ChannelKind, FileChannelConfig, MemoryChannelConfig};
pub use self::component::ComponentKind;
pub use self::group::{
    FailoverConfig, LoadBalanceConfig, ProcessorConfig, Selection, SinkGroupConfig,
};
pub use self::interceptor::InterceptorConfig;
pub use self::problem::{ConfigError, EscapeError, Problem, ProblemKind, Severity};
#[cfg(feature = "properties")]
pub use self::reading::{ConfigReader, Dropped, Loaded, Properties, PropertiesError, Property};
pub use self::selector::{MultiplexingConfig, SelectorConfig};
pub use self::sink::{
    AvroSinkConfig, CollectSinkConfig, FileRollSinkConfig, LoggerSinkConfig, NullSinkConfig,
    SinkConfig, SinkKind,
};
pub use self::source::{
    AvroSourceConfig, Compression, Encoding, HttpSourceConfig, NetcatSourceConfig, SourceConfig,
    SourceKind, ThriftProtocol, ThriftSourceConfig,
};
pub use self::tls::{Nesting, Pem, SinkTlsConfig, SinkTrust, TlsConfig};
