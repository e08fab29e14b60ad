//! Addresses where nobody is.

#![expect(
    clippy::unwrap_used,
    reason = "only tests call this, and fail by a panic"
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpSocket;

/// A host that nobody has, and that no name server is asked for: a label has 63 letters at most. One
/// that may have it depends on the network, and on a server that may take its time.
pub const NO_HOST: &str =
    "a-label-of-more-than-sixty-three-letters-that-no-name-server-is-asked-for.invalid";

/// A port that stays ours while nobody listens on it: a bound socket that does not listen.
/// Connections are refused, and the port goes to no one else. A listener that sets `SO_REUSEADDR`,
/// as std's does, can share it.
#[derive(Debug)]
pub struct Port {
    socket: Option<TcpSocket>,
}

/// Sockets of tests that are done with their ports, or whose clients look for nobody there. A client
/// may live a while longer: what it sends is not to reach the agent of another test.
static FORMER: Mutex<VecDeque<TcpSocket>> = Mutex::new(VecDeque::new());
const FORMER_MAX: usize = 256;

impl Port {
    /// A free one.
    #[must_use]
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let socket = Some(socket);
        Self { socket }
    }

    /// Its address, on this machine only.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        let socket = self.socket.as_ref().expect("it is there until the drop");
        socket.local_addr().unwrap()
    }

    /// The same as a client takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("avro://{}", self.addr())
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut former = FORMER.lock().unwrap_or_else(PoisonError::into_inner);
        former.extend(self.socket.take());
        while former.len() > FORMER_MAX {
            former.pop_front();
        }
    }
}
