//! [`Layered`]: a connection whose bytes are compressed or encrypted, or both.
//!
//! A layer is pure: bytes in, bytes out. It may keep some back, so what is sent is flushed at the end
//! of what is ready, and what a layer took counts as begun to be sent.

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

/// While more than this waits for the socket, a layer takes no more. One that swells what it takes
/// (zlib, a few bytes of each 16 KiB) goes little beyond.
const CODED_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a layer takes at once.
const PLAIN_BYTES_MAX: usize = 16 * 1024;
/// Bytes read from the socket at once.
const READ_BYTES: usize = 4 * 1024;
/// Most bytes that a layer takes before something comes of them: twice what TLS may take for its
/// handshake. A peer may send empty blocks of zlib, or tickets of TLS, without end, and no call needs
/// to be under way whose time-out would end that.
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
    /// The first one is next to the socket.
    stages: Vec<Stage>,
    /// What waits for the socket.
    coded: Vec<u8>,
    /// Of it, what was sent.
    sent: usize,
    /// Of what was received, what no one took yet.
    plain: Vec<u8>,
}

/// A layer and what it has not decoded yet.
#[derive(Debug)]
struct Stage {
    layer: Layer,
    received: Vec<u8>,
    /// It may have more to say about what it took.
    is_unread: bool,
    /// Bytes that came since it last decoded some.
    fruitless: usize,
}

impl Layered {
    pub(super) fn new(socket: Socket, layers: impl IntoIterator<Item = Layer>) -> Self {
        let stages = layers.into_iter().map(|layer| Stage {
            layer,
            received: Vec::new(),
            is_unread: false,
            fruitless: 0,
        });
        Self {
            socket,
            stages: stages.collect(),
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
        self.stages.iter().find_map(|stage| match &stage.layer {
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
                encode(&mut self.stages, piece, &mut self.coded)?;
                taken += piece.len();
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Sends all that was taken.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AgentError>> {
        flush(&mut self.stages, &mut self.coded)?;
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
            let Self {
                socket,
                stages,
                plain,
                ..
            } = self;
            match ready!(poll_decode(socket, stages, context, plain)) {
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
}

/// Gives bytes to the innermost of these layers, and what comes of it to those around it.
fn encode(stages: &mut [Stage], plain: &[u8], coded: &mut Vec<u8>) -> Result<(), AgentError> {
    match stages.split_last_mut() {
        None => coded.extend_from_slice(plain),
        Some((inner, [])) => inner.layer.encode(plain, coded)?,
        Some((inner, outer)) => {
            let mut between = Vec::new();
            inner.layer.encode(plain, &mut between)?;
            encode(outer, &between, coded)?;
        }
    }
    Ok(())
}

/// Lets each layer give what it keeps back, from the innermost on.
fn flush(stages: &mut [Stage], coded: &mut Vec<u8>) -> Result<(), AgentError> {
    match stages.split_last_mut() {
        None => {}
        Some((inner, [])) => inner.layer.flush(coded)?,
        Some((inner, outer)) => {
            let mut between = Vec::new();
            inner.layer.flush(&mut between)?;
            encode(outer, &between, coded)?;
            flush(outer, coded)?;
        }
    }
    Ok(())
}

/// Adds to `plain` what the innermost of these layers reads next. `false`: the peer has ended it.
fn poll_decode(
    socket: &mut Socket,
    stages: &mut [Stage],
    context: &mut Context<'_>,
    plain: &mut Vec<u8>,
) -> Poll<Result<bool, AgentError>> {
    let Some((inner, outer)) = stages.split_last_mut() else {
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(socket.poll_read(context, &mut buffer))?;
        plain.extend_from_slice(buffer.filled());
        return Poll::Ready(Ok(!buffer.filled().is_empty()));
    };
    let before = plain.len();
    loop {
        if inner.is_unread {
            let decoded = inner.layer.decode(&inner.received, plain);
            if plain.len() > before {
                // What came before an error is sound; that is told again.
                inner.received.drain(..decoded.unwrap_or_default());
                inner.fruitless = 0;
                return Poll::Ready(Ok(true));
            }
            let taken = decoded?;
            inner.received.drain(..taken);
            inner.is_unread = taken > 0 && !inner.received.is_empty();
            continue;
        }
        let kept = inner.received.len();
        if !ready!(poll_decode(socket, outer, context, &mut inner.received))? {
            return Poll::Ready(inner.layer.closed().map_or(Ok(false), Err));
        }
        inner.is_unread = true;
        inner.fruitless += inner.received.len() - kept;
        if inner.fruitless > FRUITLESS_BYTES_MAX {
            let bytes = inner.fruitless;
            return Poll::Ready(Err(AgentError::Fruitless { bytes }));
        }
    }
}

impl Layer {
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
