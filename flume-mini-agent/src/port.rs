//! [`Port`]: an agent's address, kept while the agent is stopped.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use tokio::net::TcpSocket;

/// The address of an agent and a claim on its port.
///
/// A port that was free at the first start could be given to any other program while the agent is
/// stopped, most likely to another agent of the same test run. On Linux a socket that is bound
/// and does not listen keeps it: clients are refused, nobody is given the port by chance, and who
/// asks for it by number with `SO_REUSEADDR` gets it, this agent above all. Elsewhere the same
/// would keep the agent itself away, and there is no claim.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    _claim: Option<Arc<TcpSocket>>,
}

impl Port {
    /// Claims `address`, on which nobody listens.
    pub(crate) fn claim_free(address: &str) -> io::Result<Self> {
        let (port, listener) = Self::listen_first(address)?;
        stop_listening(&listener);
        Ok(port)
    }

    /// Claims `address` and listens on it.
    pub(crate) fn listen_first(address: &str) -> io::Result<(Self, TcpListener)> {
        let mut failed = None;
        for address in resolve(address)? {
            match Self::claim(address).and_then(|port| Ok((port.listen()?, port))) {
                Ok((listener, mut port)) => {
                    port.address = listener.local_addr()?;
                    return Ok((port, listener));
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::other("the name has no address")))
    }

    /// Listens on the address. The standard library sets `SO_REUSEADDR`, so this does not have to
    /// wait until the kernel has forgotten the connections of the last run.
    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        TcpListener::bind(self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn claim(address: SocketAddr) -> io::Result<Self> {
        if cfg!(not(target_os = "linux")) {
            return Ok(Self {
                address,
                _claim: None,
            });
        }
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            address: socket.local_addr()?,
            _claim: Some(Arc::new(socket)),
        })
    }
}

/// Ends listening, whoever else has the socket.
///
/// To close it is not enough: a process that another thread has just forked has a copy until it
/// becomes another program, and the port could not be listened on again meanwhile. Where a system
/// does not know this call for a listener, closing has to do.
#[cfg(unix)]
pub(crate) fn stop_listening(listener: &impl std::os::fd::AsFd) {
    let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
}

/// See above.
#[cfg(not(unix))]
pub(crate) fn stop_listening<L>(_: &L) {}

/// The addresses of `HOST:PORT`. That its host is not known is told apart from all that can go
/// wrong with an address: it is not found.
pub(crate) fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    match address.to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(error),
        Err(error) => {
            let text = format!("its host is not known: {error}");
            Err(io::Error::new(io::ErrorKind::NotFound, text))
        }
    }
}
