//! [`Stream`]: the bytes of a connection, both ways.

use std::io::IoSlice;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

#[cfg(any(feature = "compression", feature = "tls"))]
use super::layered::Layered;
use super::socket::Socket;
use crate::error::AgentError;
#[cfg(all(feature = "internals", feature = "tls"))]
use crate::tls::TlsFacts;

/// What carries the bytes of a connection to an agent.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Socket),
    #[cfg(any(feature = "compression", feature = "tls"))]
    Layered(Box<Layered>),
}

impl Stream {
    /// Sends as much as it takes, and says how many bytes. If that is none, the context is woken
    /// when it takes some.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, AgentError>> {
        match self {
            Self::Plain(socket) => socket.poll_send(context, slices).map_err(AgentError::Io),
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.poll_send(context, slices),
        }
    }

    /// Sends what layers took and keep back. If not all of it is gone, the context is woken when it
    /// can go on.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AgentError>> {
        let _ = &context;
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.poll_flush(context),
        }
    }

    /// Reads what has come; nothing if the peer has ended it.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), AgentError>> {
        match self {
            Self::Plain(socket) => socket.poll_read(context, buffer).map_err(AgentError::Io),
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.poll_read(context, buffer),
        }
    }

    /// What was agreed on by TLS.
    #[cfg(all(feature = "internals", feature = "tls"))]
    pub(super) fn tls_facts(&self) -> Option<TlsFacts<'_>> {
        match self {
            Self::Plain(_) => None,
            Self::Layered(layered) => layered.tls_facts(),
        }
    }

    /// See [`Socket::confirm`].
    pub(super) fn confirm(&self) {
        self.socket().confirm();
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(any(feature = "compression", feature = "tls"))]
            Self::Layered(layered) => layered.socket(),
        }
    }
}
