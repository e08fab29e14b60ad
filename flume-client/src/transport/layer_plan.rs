//! [`LayerPlan`]: what an agent's address puts around its socket.

#[cfg(any(feature = "compression", feature = "tls"))]
use super::layered::{Layer, Layered};
use super::socket::Socket;
use super::stream::Stream;
use super::tcp::Means;
#[cfg(all(feature = "compression", feature = "tls"))]
use crate::agent_url::Nesting;
use crate::agent_url::{AgentUrl, Dialect};
use crate::config::Config;
use crate::delivery::AgentId;
use crate::error::AgentError;
#[cfg(feature = "tls")]
use crate::tls::TlsLayer;
#[cfg(feature = "compression")]
use crate::wire::deflate::Deflate;

/// What is to be around a socket, as the agent's address and the dialect say.
#[derive(Debug)]
pub(super) struct LayerPlan {
    #[cfg(feature = "compression")]
    compression_level: Option<u32>,
    /// Whom the agent's certificate has to be for.
    #[cfg(feature = "tls")]
    server_name: Option<String>,
    /// TLS is not next to the socket.
    #[cfg(all(feature = "compression", feature = "tls"))]
    is_zlib_outside: bool,
}

/// The same, made: from the one next to the socket on.
#[derive(Debug)]
pub(super) struct Ready(#[cfg(any(feature = "compression", feature = "tls"))] Vec<Layer>);

impl LayerPlan {
    pub(super) fn of(
        (id, agent): (AgentId, &AgentUrl),
        dialect: Option<Dialect>,
        config: &Config,
    ) -> Self {
        let _ = (id, agent, dialect, config);
        Self {
            #[cfg(feature = "compression")]
            compression_level: (agent.scheme().is_deflated()).then_some(config.compression_level),
            #[cfg(feature = "tls")]
            server_name: agent.scheme().is_tls().then(|| {
                let name = config.tls.as_ref().and_then(|tls| tls.server_name(id));
                name.unwrap_or(agent.host()).to_owned()
            }),
            #[cfg(all(feature = "compression", feature = "tls"))]
            is_zlib_outside: dialect == Some(Dialect::Nesting(Nesting::ZlibOutside)),
        }
    }

    /// Makes them, with certificates as they are at the moment.
    pub(super) async fn ready(&self, means: &Means) -> Result<Ready, AgentError> {
        let _ = means;
        #[cfg(any(feature = "compression", feature = "tls"))]
        let mut layers = Vec::new();
        #[cfg(feature = "tls")]
        if let Some(name) = &self.server_name {
            let certificates = means.tls.as_ref();
            let certificates = certificates.expect("there are some if there is such an agent");
            let settings = certificates.look().await;
            layers.push(Layer::Tls(Box::new(TlsLayer::start(&settings, name)?)));
        }
        #[cfg(feature = "compression")]
        if let Some(level) = self.compression_level {
            layers.push(Layer::Deflate(Box::new(Deflate::new(level))));
        }
        #[cfg(all(feature = "compression", feature = "tls"))]
        if self.is_zlib_outside {
            layers.reverse();
        }
        Ok(Ready(
            #[cfg(any(feature = "compression", feature = "tls"))]
            layers,
        ))
    }
}

impl Ready {
    /// The bytes of a connection that this socket carries.
    pub(super) fn around(self, socket: Socket) -> Stream {
        #[cfg(any(feature = "compression", feature = "tls"))]
        if !self.0.is_empty() {
            return Stream::Layered(Box::new(Layered::new(socket, self.0)));
        }
        Stream::Plain(socket)
    }
}
