//! [`Layered`]: a connection whose bytes are compressed or encrypted, or both.
//!
//! What a layer took counts as begun to be sent.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::socket::Socket;
use crate::error::AgentError;
#[cfg(all(feature = "internals", feature = "tls"))]
use crate::tls::TlsFacts;
#[cfg(feature = "tls")]
use crate::tls::TlsLayer;
#[cfg(feature = "compression")]
use crate::wire::deflate::Deflate;
use crate::wire::layers::{self, Layers};

/// While more than this waits for the socket, a layer takes no more. One that swells what it takes
/// (zlib, a few bytes of each 16 KiB) goes little beyond.
const CODED_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a layer takes at once.
const PLAIN_BYTES_MAX: usize = 16 * 1024;
/// Bytes read from the socket at once.
const READ_BYTES: usize = 4 * 1024;
/// Most bytes that a layer takes before something comes of them: twice what TLS may take for its
/// handshake. Looked at after each read. A peer may send such bytes without end, while no call is under
/// way whose time-out would end that.
const FRUITLESS_BYTES_MAX: usize = 256 * 1024;

/// What changes bytes on their way.
#[derive(Debug)]
pub(super) enum Layer {
    #[cfg(feature = "compression")]
    Deflate(Box<Deflate>),
    #[cfg(feature = "tls")]
    Tls(Box<TlsLayer>),
}

/// A socket and what is between it and the session.
#[derive(Debug)]
pub(super) struct Layered {
    socket: Socket,
    layers: Layers<Layer>,
    /// What waits for the socket.
    coded: Vec<u8>,
    /// Of it, what was sent.
    sent: usize,
    /// Of what was received, what no one took yet.
    plain: Vec<u8>,
}

impl Layered {
    pub(super) fn new(socket: Socket, layers: impl IntoIterator<Item = Layer>) -> Self {
        Self {
            socket,
            layers: Layers::new(layers),
            coded: Vec::new(),
            sent: 0,
            plain: Vec::new(),
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What was agreed on by TLS, if that is a layer and its handshake is through.
    #[cfg(all(feature = "internals", feature = "tls"))]
    pub(super) fn tls_facts(&self) -> Option<TlsFacts<'_>> {
        self.layers.iter().find_map(|layer| match layer {
            #[cfg(feature = "compression")]
            Layer::Deflate(_) => None,
            Layer::Tls(tls) => tls.facts(),
        })
    }

    /// Takes as much as it has room for, and says how many bytes.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, AgentError>> {
        if self.waiting() >= CODED_BYTES_MAX {
            ready!(self.poll_write(context))?;
        }
        let mut taken = 0;
        for slice in slices {
            for piece in slice.chunks(PLAIN_BYTES_MAX) {
                if self.waiting() >= CODED_BYTES_MAX {
                    return Poll::Ready(Ok(taken));
                }
                self.layers.encode(piece, &mut self.coded)?;
                taken += piece.len();
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Sends all that was taken.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AgentError>> {
        self.layers.flush(&mut self.coded)?;
        self.poll_write(context)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AgentError>> {
        while let Some(waiting) = self.coded.get(self.sent..).filter(|it| !it.is_empty()) {
            match ready!(self.socket.poll_send(context, &[IoSlice::new(waiting)]))? {
                0 => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                sent => self.sent += sent,
            }
        }
        self.coded.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Bytes that wait for the socket.
    fn waiting(&self) -> usize {
        self.coded.len() - self.sent
    }

    /// Reads what has come; nothing if the peer has ended it.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), AgentError>> {
        if self.plain.is_empty() {
            match ready!(self.poll_decode(context)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(Ok(())),
                Err(error) => {
                    // A layer may have a word for the peer about it.
                    let _ = self.poll_flush(context);
                    return Poll::Ready(Err(error));
                }
            }
        }
        let count = self.plain.len().min(buffer.remaining());
        buffer.put_slice(self.plain.get(..count).unwrap_or_default());
        self.plain.drain(..count);
        Poll::Ready(Ok(()))
    }

    /// Adds to `plain` what comes next. `false`: the peer has ended it.
    fn poll_decode(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, AgentError>> {
        while !self.layers.decode(&mut self.plain)? {
            let bytes = self.layers.fruitless();
            if bytes > FRUITLESS_BYTES_MAX {
                return Poll::Ready(Err(AgentError::Fruitless { bytes }));
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(self.socket.poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                let error = self.layers.iter().find_map(Layer::closed);
                return Poll::Ready(error.map_or(Ok(false), Err));
            }
            self.layers.receive(buffer.filled());
        }
        Poll::Ready(Ok(true))
    }
}

impl layers::Layer for Layer {
    type Error = AgentError;

    fn encode(&mut self, plain: &[u8], coded: &mut Vec<u8>) -> Result<(), AgentError> {
        match self {
            #[cfg(feature = "compression")]
            Self::Deflate(deflate) => deflate.encode(plain, coded)?,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.encode(plain, coded)?,
        }
        Ok(())
    }

    fn flush(&mut self, coded: &mut Vec<u8>) -> Result<(), AgentError> {
        match self {
            #[cfg(feature = "compression")]
            Self::Deflate(deflate) => deflate.flush(coded)?,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.flush(coded)?,
        }
        Ok(())
    }

    fn decode(&mut self, coded: &[u8], plain: &mut Vec<u8>) -> Result<usize, AgentError> {
        Ok(match self {
            #[cfg(feature = "compression")]
            Self::Deflate(deflate) => deflate.decode(coded, plain)?,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.decode(coded, plain)?,
        })
    }
}

impl Layer {
    /// What the end of what is below means to it.
    fn closed(&self) -> Option<AgentError> {
        match self {
            #[cfg(feature = "compression")]
            Self::Deflate(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.closed().map(AgentError::Tls),
        }
    }
}
