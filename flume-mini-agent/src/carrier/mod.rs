//! What carries a connection's bytes: the socket, and the layers on it.
//!
//! | file | holds |
//! |---|---|
//! | here | [`Carrier`]: which layers the connections of a source or sink have |
//! | [`stream`] | [`Stream`]: a connection, with layers or without |
//! | `layered` | bytes through the layers, in both directions |
//! | `layer` | a layer |
//! | `tls` | a source's TLS settings, as the library takes them |
//! | `sink_tls` | a sink's |

#[cfg(any(feature = "compression", feature = "tls"))]
mod layer;
#[cfg(any(feature = "compression", feature = "tls"))]
mod layered;
#[cfg(feature = "tls")]
mod sink_tls;
mod stream;
#[cfg(feature = "tls")]
mod tls;

use std::io;

use tokio::net::TcpStream;

#[cfg(feature = "compression")]
use flume_client::wire::deflate::Deflate;
#[cfg(any(feature = "compression", feature = "tls"))]
use layer::Layer;
#[cfg(any(feature = "compression", feature = "tls"))]
use layered::Layered;

#[cfg(all(feature = "compression", feature = "tls"))]
use crate::config::Nesting;
#[cfg(feature = "tls")]
pub(crate) use sink_tls::SinkTls;
pub(crate) use stream::Stream;
#[cfg(feature = "tls")]
pub(crate) use tls::{Reading, SourceTls};

/// Which layers the connections of a source or sink have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carrier {
    /// The level of compression, 0 to 9, if there is any.
    #[cfg(feature = "compression")]
    pub(crate) deflate: Option<u8>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
    #[cfg(all(feature = "compression", feature = "tls"))]
    pub(crate) nesting: Nesting,
}

/// TLS of a source or of a sink.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub(crate) enum Tls {
    Source(SourceTls),
    Sink(SinkTls),
}

impl Carrier {
    /// Puts the layers on a connection.
    ///
    /// # Errors
    ///
    /// If a key store that is read for each connection is not as it has to be any more, or if no
    /// certificate can be for the name of the next agent.
    #[cfg(any(feature = "compression", feature = "tls"))]
    pub(crate) fn put_on(&self, socket: TcpStream) -> io::Result<Stream> {
        let mut layers = Vec::new();
        #[cfg(feature = "compression")]
        if let Some(level) = self.deflate {
            layers.push(Layer::Deflate(Box::new(Deflate::new(level.into()))));
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            layers.push(match tls {
                Tls::Source(tls) => Layer::Accepted(Box::new(tls.accept()?)),
                Tls::Sink(tls) => Layer::Made(Box::new(tls.begin()?)),
            });
        }
        #[cfg(all(feature = "compression", feature = "tls"))]
        if self.nesting == Nesting::TlsOutside {
            layers.reverse();
        }
        if layers.is_empty() {
            return Ok(Stream::Plain(socket));
        }
        Ok(Stream::Layered(Box::new(Layered::new(socket, layers))))
    }

    /// There are none to put on.
    #[cfg(not(any(feature = "compression", feature = "tls")))]
    pub(crate) fn put_on(&self, socket: TcpStream) -> io::Result<Stream> {
        Ok(Stream::Plain(socket))
    }
}
