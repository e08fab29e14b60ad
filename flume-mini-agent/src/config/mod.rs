//! An agent's configuration: Flume's property files, read and checked, or the same in code.
//!
//! ```
//! use flume_mini_agent::config::{AgentConfig, SourceKind};
//!
//! let text = "
//! a1.sources = r1
//! a1.channels = c1
//! a1.sinks = k1
//! a1.sources.r1.type = avro
//! a1.sources.r1.bind = 0.0.0.0
//! a1.sources.r1.port = ${env:PORT:-4141}
//! a1.sources.r1.channels = c1
//! a1.channels.c1.type = memory
//! a1.sinks.k1.type = logger
//! a1.sinks.k1.channel = c1
//! ";
//! let loaded = AgentConfig::reader("a1").read(text)?;
//! let SourceKind::Avro(avro) = &loaded.config.sources[0].kind else { unreachable!() };
//! assert_eq!(avro.port, 4141);
//! # Ok::<(), flume_mini_agent::config::ConfigError>(())
//! ```
//!
//! Nothing here opens a file, asks for the time or reads the environment: text goes in, a
//! configuration comes out.
//!
//! # What happens when...
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
//! | `properties` | the syntax of `java.util.Properties` |
//! | `substitute` | `${env:NAME}` |
//! | `entries`, `tree`, `section` | keys and values; by component; one component's, key by key |
//! | `channel`, `source`, `selector`, `interceptor`, `sink`, `group` | a type and its keys each |
//! | `types` | aliases and classes, and what is left out |
//! | `assembly`, `reader` | all components in Flume's order; strict or lenient |
//! | `agent` | the whole, and the builder |
//! | `java_order` | the order of Java's hash sets |
//! | `problem`, `nearest` | what is wrong and where; what was meant |
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod agent;
mod assembly;
mod channel;
mod entries;
mod group;
mod interceptor;
mod java_order;
mod nearest;
mod problem;
mod properties;
mod reader;
mod section;
mod selector;
mod sink;
mod source;
mod substitute;
mod tree;
mod types;

pub use self::agent::{AgentConfig, AgentConfigBuilder};
pub use self::channel::{ChannelConfig, ChannelKind, FileChannelConfig, MemoryChannelConfig};
pub use self::group::{
    FailoverConfig, LoadBalanceConfig, ProcessorConfig, Selection, SinkGroupConfig,
};
pub use self::interceptor::InterceptorConfig;
pub use self::problem::{ConfigError, Problem, ProblemKind, Severity};
pub use self::properties::{EscapeError, Properties, PropertiesError, Property};
pub use self::reader::{ConfigReader, Dropped, Loaded};
pub use self::selector::{MultiplexingConfig, SelectorConfig};
pub use self::sink::{
    AvroSinkConfig, CollectSinkConfig, FileRollSinkConfig, LoggerSinkConfig, NullSinkConfig,
    SinkConfig, SinkKind,
};
pub use self::source::{
    AvroSourceConfig, Compression, Encoding, HttpSourceConfig, NetcatSourceConfig, SourceConfig,
    SourceKind,
};
pub use self::tree::ComponentKind;
