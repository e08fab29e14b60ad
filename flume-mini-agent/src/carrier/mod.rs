//! What carries a connection's bytes: the socket, and the layers on it.
//!
//! | file | holds |
//! |---|---|
//! | here | [`Carrier`]: which layers the connections of a source or sink have |
//! | [`stream`] | [`Stream`]: a connection, with layers or without |
//! | `layered` | bytes through the layers, in both directions |
//! | `layer` | a layer |

#[cfg(feature = "compression")]
mod layer;
#[cfg(feature = "compression")]
mod layered;
mod stream;

use std::io;

use tokio::net::TcpStream;

#[cfg(feature = "compression")]
use flume_client::wire::deflate::Deflate;
#[cfg(feature = "compression")]
use layer::Layer;
#[cfg(feature = "compression")]
use layered::Layered;

pub(crate) use stream::Stream;

/// Which layers the connections of a source or sink have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carrier {
    /// The level of compression, 0 to 9, if there is any.
    #[cfg(feature = "compression")]
    pub(crate) deflate: Option<u8>,
}

impl Carrier {
    /// Puts the layers on a connection.
    #[cfg(feature = "compression")]
    pub(crate) fn put_on(&self, socket: TcpStream) -> io::Result<Stream> {
        let mut layers = Vec::new();
        if let Some(level) = self.deflate {
            layers.push(Layer::Deflate(Box::new(Deflate::new(level.into()))));
        }
        if layers.is_empty() {
            return Ok(Stream::Plain(socket));
        }
        Ok(Stream::Layered(Box::new(Layered::new(socket, layers))))
    }

    /// There are none to put on.
    #[cfg(not(feature = "compression"))]
    pub(crate) fn put_on(&self, socket: TcpStream) -> io::Result<Stream> {
        Ok(Stream::Plain(socket))
    }
}
