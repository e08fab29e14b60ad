//! The Avro source: Flume's `AvroSource` as its clients see it.
//!
//! | file | holds |
//! |---|---|
//! | here | the listener |
//! | [`shared`] | [`AvroSource`]: what its connections share |
//! | [`connection`] | one connection: frames in, replies out, in which order |
//! | [`call`] | what a call does to the channels, and what is told about it |
//! | [`responder`] | handshake and call, read from a payload; no IO |
//! | [`reply`] | replies in frames, cut into buffers as Java cuts them, or broken by a fault |
//!
//! Bounds: connections, bytes of a frame, and [`IN_FLIGHT_MAX`](shared::IN_FLIGHT_MAX) requests
//! being worked on at once; what comes beyond that stays in the sockets. Not here: `ipFilter`.

mod call;
mod connection;
mod reply;
mod responder;
pub(crate) mod shared;

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::source::listen;
use connection::Connection;

pub(crate) use shared::{AvroSource, NAME};

/// Accepts connections until dropped.
pub(crate) async fn serve(source: Arc<AvroSource>, listener: TcpListener, connections_max: usize) {
    let connect = |stream, peer| {
        let connection = Connection::new(Arc::clone(&source), stream, peer);
        connection.run()
    };
    let carried = (listener, source.carrier.clone());
    listen::serve(carried, connections_max, &source.observed, connect).await;
}
