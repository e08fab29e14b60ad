//! Connections to agents: the only place that opens sockets.

mod connection;
mod send;
mod tcp;

pub(crate) use connection::{Connection, Progress};
