//! [`BuildError`]: a client could not be set up.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "http")]
use super::http::HttpOptionsError;
use crate::agent_url::{AgentUrl, AgentUrlError};
use crate::event::HeaderFault;
use crate::spool::DirectoryError;
#[cfg(feature = "tls")]
use crate::tls::TlsSettingsError;

/// A client could not be set up.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No agent was named.
    #[error("no agent was given; add one with agent(\"avro://HOST:PORT\")")]
    NoAgent,
    /// An agent's address cannot be read.
    #[error(transparent)]
    AgentUrl(#[from] AgentUrlError),
    /// An agent was named twice. It would be tried twice, and rest twice, for nothing.
    #[error("the agent {0} is given twice; leave one out")]
    AgentTwice(AgentUrl),
    /// An agent has a weight, and agents do not share.
    #[error(
        "{agent} has weight {weight}, but failover gives all to one agent: let agents share by \
         selection(Selection::RoundRobin), or leave the weight out"
    )]
    NothingToShare {
        /// The agent.
        agent: AgentUrl,
        /// Its weight.
        weight: u32,
    },
    /// A number is outside its range.
    #[error("{setting} is {value}; it must lie between {min} and {max}")]
    OutOfRange {
        /// The builder's method.
        setting: &'static str,
        /// The value given.
        value: u64,
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// A time is so short that nothing could ever succeed within it, or that what happens so often
    /// would keep a processor busy.
    #[error("{setting} is {value:?}; give it at least a millisecond")]
    TooShort {
        /// The builder's method.
        setting: &'static str,
        /// The value given.
        value: Duration,
    },
    /// The longest rest of an agent is shorter than the shortest.
    #[error("backoff has a cap of {cap:?} and a floor of {floor:?}: the cap is the longest rest")]
    CapBelowFloor {
        /// The longest.
        cap: Duration,
        /// The shortest.
        floor: Duration,
    },
    /// End-to-end, and no directory for the spool.
    #[error("end-to-end needs a directory for its spool; name one with spool(\"DIRECTORY\")")]
    NoSpool,
    /// The spool's directory has no name.
    #[error(
        "spool was given an empty path: name a directory, or leave spool out to keep events in memory"
    )]
    EmptySpool,
    /// A setting of the spool, and no spool.
    #[error(
        "{setting} is set, and there is no spool: name its directory with spool(\"DIRECTORY\")"
    )]
    NothingToSet {
        /// The builder's method.
        setting: &'static str,
    },
    /// End-to-end, and the oldest events are to be dropped.
    #[error("end-to-end keeps what it took: choose an overflow policy other than DropOldest")]
    DropsStored,
    /// There are options for TLS, and no agent has it.
    #[cfg(feature = "tls")]
    #[error("tls is set, and no agent has it: give one as avro+tls://HOST:PORT")]
    NothingToEncrypt,
    /// An agent without TLS has a name for its certificate.
    #[cfg(feature = "tls")]
    #[error(
        "{agent} has a server_name, and no certificate: let its address begin with avro+tls://, or \
         leave the name out"
    )]
    NameWithoutTls {
        /// The agent.
        agent: AgentUrl,
    },
    /// TLS cannot be set up: a file is not what it should be.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsSettingsError),
    /// There are options for requests, and no agent takes some.
    #[cfg(feature = "http")]
    #[error("http is set, and no agent speaks it: give one as http://HOST:PORT/PATH")]
    NothingToRequest,
    /// Requests over HTTP cannot be made as they should be.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Http(#[from] HttpOptionsError),
    /// The spool's directory cannot be used.
    #[error(transparent)]
    Spool(#[from] DirectoryError),
    /// The spool's directory cannot be listed.
    #[error("the spool {} cannot be opened: {source}", directory.display())]
    SpoolUnreadable {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A header for every event breaks a limit of events, or all of them together do.
    #[error("the headers for every event cannot be used: {fault}")]
    Header {
        /// The limit.
        fault: HeaderFault,
    },
    /// Every event was to carry the host's name.
    #[error("this host has no name: give one with header(\"host\", NAME)")]
    NoHostName,
    /// The client's thread or its runtime could not be started.
    #[error("the client's thread could not be started: {0}")]
    Thread(#[source] io::Error),
}
