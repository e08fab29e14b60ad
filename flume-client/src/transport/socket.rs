//! [`Socket`]: where the bytes of a connection leave this process.
//!
//! Sending raises no signal if the peer is gone. A vectored write to a socket whose peer has closed
//! it raises `SIGPIPE`, which ends a process that has not said otherwise, as services in C and C++
//! do. So it is sent as a message, which can be told not to: one call for many slices, as they lie
//! in memory, like a vectored write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::fork::NotInherited;

#[cfg(test)]
thread_local! {
    static SENDS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    static CONFIRMS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// How often this thread has asked the system to confirm what it got.
#[cfg(test)]
pub(super) fn confirms() -> u32 {
    CONFIRMS.get()
}

/// How often this thread has asked the system to send.
#[cfg(test)]
pub(super) fn sends() -> u32 {
    SENDS.get()
}

/// A socket that is connected to an agent. A forked process has none of it.
#[derive(Debug)]
pub(super) struct Socket(NotInherited<TcpStream>);

impl Socket {
    pub(super) fn of(socket: TcpStream) -> Self {
        Self(NotInherited::of(socket))
    }

    /// Sends as much as it takes, and says how many bytes. If that is none, the context is woken
    /// when it takes some.
    pub(super) fn poll_send(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self(socket) = self;
        loop {
            ready!(socket.poll_write_ready(context))?;
            #[cfg(test)]
            SENDS.set(SENDS.get() + 1);
            match socket.try_io(Interest::WRITABLE, || send(socket, slices)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Lets the system confirm now what it got. By itself it waits up to 40 ms for something to send
    /// that it can add that to. Agents up to Flume 1.9 (Netty 3) leave Nagle's algorithm on: while one
    /// answer is not confirmed they keep back all that follow (RFC 1122, 4.2.3.4). A system without
    /// this waits.
    pub(super) fn confirm(&self) {
        #[cfg(test)]
        CONFIRMS.set(CONFIRMS.get() + 1);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            // It is a wish: without it nothing is wrong but the time.
            let _ = rustix::net::sockopt::set_tcp_quickack(&*self.0, true);
        }
    }

    /// Reads what has come; nothing if the peer has ended it.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

#[cfg(unix)]
fn send(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::io::retry_on_intr;
    use rustix::net::{SendAncillaryBuffer, sendmsg};
    let mut nothing = SendAncillaryBuffer::default();
    Ok(retry_on_intr(|| {
        sendmsg(stream, slices, &mut nothing, NO_SIGNAL)
    })?)
}

#[cfg(all(unix, not(target_vendor = "apple")))]
const NO_SIGNAL: rustix::net::SendFlags = rustix::net::SendFlags::NOSIGNAL;

/// Sockets are made so that they raise none there.
#[cfg(all(unix, target_vendor = "apple"))]
const NO_SIGNAL: rustix::net::SendFlags = rustix::net::SendFlags::empty();

/// There are no signals.
#[cfg(not(unix))]
fn send(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    stream.try_write_vectored(slices)
}
