//! A port that stays ours while nobody listens on it.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A bound socket that does not listen: connections are refused, and the port goes to no one else.
/// A listener that sets `SO_REUSEADDR`, as std's does, can share it.
pub(crate) struct Port {
    socket: TcpSocket,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self { socket }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("avro://{}", self.addr())
    }
}
