//! [`Stream`]: a connection, with layers or without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[cfg(any(feature = "compression", feature = "tls"))]
use super::layered::Layered;

/// A connection. What is written must be flushed: layers keep bytes back.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    #[cfg(any(feature = "compression", feature = "tls"))]
    Layered(Box<Layered>),
}

impl Stream {
    /// The connection beneath all layers.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.socket(),
        }
    }

    /// The certificate that the peer showed in the handshake of TLS, in DER.
    pub(crate) fn client_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.client_certificate(),
        }
    }

    /// Sends half of what the layers answer to what comes first. Without layers that is nothing.
    pub(crate) async fn say_half(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.say_half().await,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.poll_shutdown(context),
        }
    }
}
