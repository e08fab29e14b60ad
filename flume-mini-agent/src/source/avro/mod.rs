//! The Avro source: Flume's `AvroSource` as its clients see it.
//!
//! | file | holds |
//! |---|---|
//! | here | the listener |
//! | [`connection`] | one connection: frames in, replies out, in which order |
//! | [`call`] | what a call does to the channels, and what is told about it |
//! | [`responder`] | handshake and call, read from a payload; no IO |
//! | [`reply`] | replies in frames, cut into buffers as Java cuts them, or broken by a fault |
//!
//! Bounds: connections, bytes of a frame, and [`IN_FLIGHT_MAX`] requests being worked on at once;
//! what comes beyond that stays in the sockets. Not here: TLS, deflate, `ipFilter`.

mod call;
mod connection;
mod reply;
mod responder;

use std::sync::Arc;

use flume_client::wire::avro::frame::FrameLimits;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::agent::log::Watch;
use crate::agent::tally::Tally;
use crate::counters::SourceCounters;
use crate::processor::ChannelProcessor;
use crate::source::intake::Intake;
use crate::source::listen::serve;
use connection::Connection;
use responder::Protocols;

/// Requests of one source that are worked on at once: Flume's Avro server has 16 caller threads,
/// shared by all connections. When all wait for room in the channel, nobody is answered.
pub(crate) const IN_FLIGHT_MAX: usize = 16;

/// The source's type in a Flume configuration.
pub(crate) const NAME: &str = "avro";

/// In which order an Avro source works on the requests of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyMode {
    /// Each request on its own, as Flume 1.10 and later: a request that waits for room in the
    /// channel does not hold up later ones, and replies come out of order.
    #[default]
    Parallel,
    /// One at a time in the order of arrival, as Flume up to 1.9.
    Sequential,
}

/// What connections share, from one start of the agent to its stop.
#[derive(Debug)]
pub(crate) struct AvroSource {
    processor: Arc<ChannelProcessor>,
    counters: Arc<SourceCounters>,
    tally: Arc<Tally>,
    watch: Arc<Watch>,
    mode: ReplyMode,
    limits: FrameLimits,
    in_flight: Arc<Semaphore>,
    protocols: Protocols,
}

impl AvroSource {
    /// A source with what `intake` holds: its calls are counted and answered in their own way.
    pub(crate) fn new(intake: Intake, mode: ReplyMode, max_frame_bytes: usize) -> Self {
        // Java's client cuts its payload into buffers of 8 KiB; room for twice as many.
        let buffers_max = FrameLimits::REQUEST.buffers_max.max(max_frame_bytes / 4096);
        Self {
            processor: intake.processor,
            counters: intake.counters,
            tally: intake.tally,
            watch: intake.watch,
            mode,
            limits: FrameLimits {
                payload_bytes_max: max_frame_bytes,
                buffers_max,
            },
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            protocols: Protocols::default(),
        }
    }

    /// Accepts connections until dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, connections_max: usize) {
        let connect = |socket, peer| {
            let connection = Connection::new(Arc::clone(&self), socket, peer);
            connection.run()
        };
        serve(listener, connections_max, &self.tally, connect).await;
    }
}
