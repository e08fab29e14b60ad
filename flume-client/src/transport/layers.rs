//! [`Layers`]: what an agent's address puts around its socket.

#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(any(feature = "compression", feature = "tls"))]
use super::layered::{Layer, Layered};
use super::socket::Socket;
use super::stream::Stream;
use super::tcp::Means;
#[cfg(all(feature = "compression", feature = "tls"))]
use crate::agent_url::Nesting;
use crate::agent_url::{AgentUrl, Dialect};
use crate::config::Config;
use crate::error::AgentError;
#[cfg(feature = "tls")]
use crate::tls::{TlsLayer, TlsSettings};
#[cfg(feature = "compression")]
use crate::wire::deflate::Deflate;

/// What is to be around a socket, as the agent's address and the dialect say.
#[derive(Debug)]
pub(super) struct Layers {
    #[cfg(feature = "compression")]
    compression_level: Option<u32>,
    #[cfg(feature = "tls")]
    tls: Option<(Arc<TlsSettings>, String)>,
    /// TLS is not next to the socket.
    #[cfg(all(feature = "compression", feature = "tls"))]
    is_zlib_outside: bool,
}

impl Layers {
    pub(super) fn of(
        agent: &AgentUrl,
        dialect: Option<Dialect>,
        means: &Means,
        config: &Config,
    ) -> Self {
        let _ = (agent, dialect, means, config);
        Self {
            #[cfg(feature = "compression")]
            compression_level: (agent.scheme().is_deflated()).then_some(config.compression_level),
            #[cfg(feature = "tls")]
            tls: agent.scheme().is_tls().then(|| {
                let settings = means.tls.clone();
                let settings = settings.expect("there are some if there is such an agent");
                (settings, agent.host().to_owned())
            }),
            #[cfg(all(feature = "compression", feature = "tls"))]
            is_zlib_outside: dialect == Some(Dialect::Nesting(Nesting::ZlibOutside)),
        }
    }

    /// The bytes of a connection that this socket carries.
    pub(super) fn around(&mut self, socket: Socket) -> Result<Stream, AgentError> {
        #[cfg(any(feature = "compression", feature = "tls"))]
        {
            let layers = self.layers()?;
            if !layers.is_empty() {
                return Ok(Stream::Layered(Box::new(Layered::new(socket, layers))));
            }
        }
        Ok(Stream::Plain(socket))
    }

    /// From the one next to the socket on.
    #[cfg(any(feature = "compression", feature = "tls"))]
    fn layers(&self) -> Result<Vec<Layer>, AgentError> {
        let mut layers = Vec::new();
        #[cfg(feature = "tls")]
        if let Some((settings, host)) = &self.tls {
            layers.push(Layer::Tls(Box::new(TlsLayer::start(settings, host)?)));
        }
        #[cfg(feature = "compression")]
        if let Some(level) = self.compression_level {
            layers.push(Layer::Deflate(Box::new(Deflate::new(level))));
        }
        #[cfg(all(feature = "compression", feature = "tls"))]
        if self.is_zlib_outside {
            layers.reverse();
        }
        Ok(layers)
    }
}
