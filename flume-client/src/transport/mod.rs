//! Connections to agents: the only place that opens sockets.

mod connection;
mod names;
mod send;
mod tcp;

pub(crate) use connection::{Connection, Progress};
pub(crate) use names::Names;
pub(crate) use tcp::Means;
