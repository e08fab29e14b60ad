//! A port that stays ours while nobody listens on it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpSocket;

/// A bound socket that does not listen: connections are refused, and the port goes to no one else.
/// A listener that sets `SO_REUSEADDR`, as std's does, can share it.
pub(crate) struct Port {
    socket: Option<TcpSocket>,
}

/// Sockets of tests that are done with their ports, or whose clients look for nobody there. A client
/// may live a while longer: what it sends is not to reach the agent of another test.
static FORMER: Mutex<VecDeque<TcpSocket>> = Mutex::new(VecDeque::new());
const FORMER_MAX: usize = 256;

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let socket = Some(socket);
        Self { socket }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        let socket = self.socket.as_ref().expect("it is there until the drop");
        socket.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
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
