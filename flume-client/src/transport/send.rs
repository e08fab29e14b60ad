//! Sending to a socket, with no signal for the process if the peer is gone.
//!
//! A vectored write to a socket whose peer has closed it raises `SIGPIPE`, which ends a process
//! that has not said otherwise, as services in C and C++ do. So it is sent as a message, which can
//! be told not to: one call for many slices, as they lie in memory, like a vectored write.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Sends as much as the socket takes, and says how many bytes. If that is none, the context is
/// woken when it takes some.
pub(super) fn poll_send(
    stream: &TcpStream,
    context: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(context))?;
        match stream.try_io(Interest::WRITABLE, || send(stream, slices)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
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
