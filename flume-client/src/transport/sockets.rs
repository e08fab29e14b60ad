//! [`Sockets`]: the network as it is, and which kind of connection an agent needs.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

#[cfg(feature = "tls")]
use super::certificates::Certificates;
use super::connection::Connection;
#[cfg(feature = "http")]
use super::http::HttpConnection;
use super::network::{Link, Network, Progress};
use super::tcp::Means;
use crate::clock;
use crate::config::Config;
use crate::delivery::{AgentId, Batch, CallId};
use crate::queue::Unacked;
use crate::reliability::PerLevel;
#[cfg(all(feature = "internals", feature = "tls"))]
use crate::tls::TlsFacts;

/// Sockets to the agents of a client.
#[derive(Clone)]
pub(crate) struct Sockets {
    config: Arc<Config>,
    means: Means,
}

impl Sockets {
    pub(crate) fn new(config: Arc<Config>, means: Means) -> Self {
        Self { config, means }
    }
}

impl Network for Sockets {
    type Link = AgentLink;

    fn now(&self) -> Instant {
        clock::now()
    }

    fn slept(&self) -> Duration {
        clock::slept()
    }

    #[cfg(feature = "tls")]
    fn certificates(&self) -> Option<Certificates> {
        self.means.tls.clone()
    }

    fn connect(&self, agent: AgentId, dialect: u32) -> Option<AgentLink> {
        let url = self.config.agents.get(agent.index())?.clone();
        #[cfg(feature = "http")]
        if let Some(http) = &self.config.http
            && let Some(target) = http.target(agent.index())
        {
            let limit = self.config.delivery.connect_timeout;
            let connection = HttpConnection::new((url, target.clone()), &self.means, limit);
            return Some(AgentLink::Requests(Box::new(connection)));
        }
        let connection = Connection::new((agent, url), dialect, &self.means, &self.config);
        Some(AgentLink::Stream(Box::new(connection)))
    }
}

/// A connection by what its agent speaks.
#[derive(Debug)]
pub(crate) enum AgentLink {
    /// Avro or Thrift.
    Stream(Box<Connection>),
    /// HTTP.
    #[cfg(feature = "http")]
    Requests(Box<HttpConnection>),
}

#[cfg(all(feature = "internals", feature = "tls"))]
impl AgentLink {
    /// What was agreed on by TLS, if the agent has it and its handshake is through. Of HTTP that is
    /// not known.
    pub(crate) fn tls_facts(&self) -> Option<TlsFacts<'_>> {
        match self {
            Self::Stream(connection) => connection.tls_facts(),
            #[cfg(feature = "http")]
            Self::Requests(_) => None,
        }
    }
}

impl Link for AgentLink {
    fn send(&mut self, call: CallId, batch: Batch) {
        match self {
            Self::Stream(connection) => connection.send(call, batch),
            #[cfg(feature = "http")]
            Self::Requests(connection) => connection.send(call, batch),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>, unacked: &PerLevel<Unacked>) -> Poll<Progress> {
        match self {
            Self::Stream(connection) => connection.poll(context, unacked),
            #[cfg(feature = "http")]
            Self::Requests(connection) => connection.poll(context, unacked),
        }
    }

    fn is_resolving(&self) -> bool {
        match self {
            Self::Stream(connection) => connection.is_resolving(),
            #[cfg(feature = "http")]
            Self::Requests(connection) => connection.is_resolving(),
        }
    }
}
