//! Sources: where events come in.
//!
//! | file | holds |
//! |---|---|
//! | here | [`Source`], one of any type |
//! | [`avro`], `http`, [`netcat`], [`thrift`] | a source each |
//! | [`intake`] | what a source is given, and what all but the Avro source do with a batch |
//! | [`listen`] | the accept loop of all |
//! | [`stream`] | how fast bytes go, and how a connection ends |

pub(crate) mod avro;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod intake;
pub(crate) mod listen;
pub(crate) mod netcat;
pub(crate) mod stream;
pub(crate) mod thrift;

use std::sync::Arc;

use tokio::net::TcpListener;

use avro::AvroSource;
#[cfg(feature = "http")]
use http::HttpSource;
use netcat::NetcatSource;
use thrift::ThriftSource;

/// A source of any type, from one start of the agent to its stop.
#[derive(Debug)]
pub(crate) enum Source {
    Avro(AvroSource),
    #[cfg(feature = "http")]
    Http(HttpSource),
    Netcat(NetcatSource),
    Thrift(ThriftSource),
}

impl Source {
    /// Accepts connections until dropped.
    pub(crate) async fn serve(self, listener: TcpListener, connections_max: usize) {
        match self {
            Self::Avro(source) => avro::serve(Arc::new(source), listener, connections_max).await,
            #[cfg(feature = "http")]
            Self::Http(source) => Arc::new(source).serve(listener, connections_max).await,
            Self::Netcat(source) => Arc::new(source).serve(listener, connections_max).await,
            Self::Thrift(source) => {
                thrift::serve(Arc::new(source), listener, connections_max).await;
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "http")]
mod tests;
