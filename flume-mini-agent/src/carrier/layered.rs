//! [`Layered`]: a socket with layers on it.
//!
//! Held of a connection are, beside what each layer needs for itself, what waits for the socket
//! ([`CODED_BYTES_MAX`] and what one write adds to it), and for each layer what one read brings and
//! what it makes of that at once: some 150 KiB.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flume_client::wire::layers::Layers;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::layer::Layer;

/// While more than this waits for the socket, nothing more is taken.
const CODED_BYTES_MAX: usize = 64 * 1024;
/// Bytes taken at once.
const PLAIN_BYTES_MAX: usize = 16 * 1024;
/// Bytes read from the socket at once.
const READ_BYTES: usize = 16 * 1024;

/// A socket with layers on it.
#[derive(Debug)]
pub(crate) struct Layered {
    socket: TcpStream,
    layers: Layers<Layer>,
    /// What waits for the socket.
    coded: Vec<u8>,
    /// Of it, what was written.
    written: usize,
    /// What came and was not asked for yet.
    plain: Vec<u8>,
    /// Of it, what was given away.
    given: usize,
    /// The layers have said that nothing more will come.
    is_closing: bool,
}

impl Layered {
    pub(super) fn new(socket: TcpStream, layers: Vec<Layer>) -> Self {
        Self {
            socket,
            layers: Layers::new(layers),
            coded: Vec::new(),
            written: 0,
            plain: Vec::new(),
            given: 0,
            is_closing: false,
        }
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    pub(super) fn client_certificate(&self) -> Option<&[u8]> {
        self.layers.iter().find_map(Layer::client_certificate)
    }

    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.given == self.plain.len() {
            self.plain.clear();
            self.given = 0;
            let is_more = self.layers.decode(&mut self.plain);
            // What a layer has to answer, it answers by itself, also to what it cannot read.
            if self.waiting() < CODED_BYTES_MAX {
                self.layers.flush(&mut self.coded)?;
            }
            let written = self.poll_write_coded(context);
            if is_more? {
                continue;
            }
            if let Poll::Ready(Err(error)) = written {
                return Poll::Ready(Err(error));
            }
            // A peer that reads none of the answers is not read either.
            if self.waiting() >= CODED_BYTES_MAX {
                return Poll::Pending;
            }
            if ready!(self.poll_receive(context))? == 0 {
                return Poll::Ready(self.layers.iter().try_for_each(Layer::ended));
            }
        }
        let plain = self.plain.get(self.given..).unwrap_or_default();
        let count = plain.len().min(buffer.remaining());
        buffer.put_slice(plain.get(..count).unwrap_or_default());
        self.given += count;
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waiting() >= CODED_BYTES_MAX {
            ready!(self.poll_write_coded(context))?;
        }
        let piece = bytes.get(..PLAIN_BYTES_MAX).unwrap_or(bytes);
        self.layers.encode(piece, &mut self.coded)?;
        Poll::Ready(Ok(piece.len()))
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.layers.flush(&mut self.coded)?;
        self.poll_write_coded(context)
    }

    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closing {
            self.is_closing = true;
            self.layers.close(&mut self.coded)?;
        }
        ready!(self.poll_write_coded(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    /// Sends half of what the layers answer to what comes first.
    pub(super) async fn say_half(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_receive(context)).await?;
        self.layers.decode(&mut self.plain)?;
        self.layers.flush(&mut self.coded)?;
        let (half, _) = self.coded.split_at(self.coded.len() / 2);
        self.socket.write_all(half).await
    }

    /// Bytes that wait for the socket.
    fn waiting(&self) -> usize {
        self.coded.len() - self.written
    }

    fn poll_write_coded(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(waiting) = self.coded.get(self.written..).filter(|it| !it.is_empty()) {
            match ready!(Pin::new(&mut self.socket).poll_write(context, waiting))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.coded.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads for the layer next to the socket. 0: the peer has ended the stream.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer))?;
        self.layers.receive(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }
}
