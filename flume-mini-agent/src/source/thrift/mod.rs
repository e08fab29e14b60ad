//! The Thrift source: Flume's `ThriftSource` as its clients see it.
//!
//! | file | holds |
//! |---|---|
//! | here | the listener |
//! | [`shared`] | [`ThriftSource`]: what its connections share |
//! | [`connection`] | one connection: calls in, answers out |
//! | [`call`] | what a call does to the channels, and what is told about it |
//! | [`reply`] | answers in frames, or broken by a fault |
//!
//! | a call | is answered |
//! |---|---|
//! | stored, or an `appendBatch` of nothing | OK |
//! | that a channel does not take | FAILED |
//! | under which something else goes wrong | `TApplicationException` 6 (internal error) |
//! | of another method | 1 (unknown method) |
//! | whose arguments lack a field | 7 (protocol error); the next call ends the connection |
//! | that ends in the middle, or speaks the other protocol | not at all: the connection ends |
//!
//! The calls of a connection are worked on one at a time, in order, as libthrift's
//! `TThreadedSelectorServer` does. Bounds: connections, bytes of a message, and the calls of all
//! connections that are worked on at once, if `threads` is set. Not here: Kerberos.

mod call;
mod connection;
mod reply;
mod shared;

use std::sync::Arc;

use tokio::net::TcpListener;

use super::listen;
use connection::Connection;

pub(crate) use shared::{NAME, ThriftSource};

/// Accepts connections until dropped.
pub(crate) async fn serve(
    source: Arc<ThriftSource>,
    listener: TcpListener,
    connections_max: usize,
) {
    let connect = |stream, peer| Connection::new(Arc::clone(&source), stream, peer).run();
    let carried = (listener, source.carrier.clone());
    listen::serve(carried, connections_max, &source.intake.observed, connect).await;
}
