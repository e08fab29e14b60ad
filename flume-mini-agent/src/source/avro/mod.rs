//! The Avro source: Flume's `AvroSource` as its clients see it.
//!
//! | file | holds |
//! |---|---|
//! | here | the listener, and what a call does to the channels |
//! | [`connection`] | one connection: frames in, replies out, in which order |
//! | [`responder`] | handshake and call, read from a payload; no IO |
//! | [`reply`] | replies in frames, cut into buffers as Java cuts them |
//!
//! Bounds: connections, bytes of a frame, and [`IN_FLIGHT_MAX`] requests being worked on at once;
//! what comes beyond that stays in the sockets. Not here: TLS, deflate, `ipFilter`.

mod connection;
mod reply;
mod responder;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flume_client::wire::avro::DecodeError;
use flume_client::wire::avro::datum::EventRef;
use flume_client::wire::avro::frame::FrameLimits;
use flume_client::wire::avro::rpc::Reply;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::agent::tally::Tally;
use crate::channel::StoredEvent;
use crate::counters::SourceCounters;
use crate::processor::{ChannelProcessor, Delivery, ProcessError, Progress};
use connection::Connection;
use responder::Protocols;

/// Requests of one source that are worked on at once: Flume's Avro server has 16 caller threads,
/// shared by all connections. When all wait for room in the channel, nobody is answered.
pub(crate) const IN_FLIGHT_MAX: usize = 16;

/// Wait after a failed `accept`, which is most often a lack of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

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
    processor: ChannelProcessor,
    counters: Arc<SourceCounters>,
    tally: Arc<Tally>,
    mode: ReplyMode,
    limits: FrameLimits,
    in_flight: Arc<Semaphore>,
    protocols: Protocols,
}

/// The two calls. They differ in what is counted, and in what becomes of unusual errors.
#[derive(Clone, Copy, Debug)]
enum CallKind {
    Append,
    AppendBatch,
}

/// A call, as far as it is counted.
#[derive(Clone, Copy, Debug)]
struct CallSize {
    kind: CallKind,
    events: usize,
}

/// What became of a call's events at once.
enum Verdict {
    Answered(Reply),
    MustWait(CallSize, Delivery),
}

impl AvroSource {
    pub(crate) fn new(
        processor: ChannelProcessor,
        (counters, tally): (Arc<SourceCounters>, Arc<Tally>),
        mode: ReplyMode,
        max_frame_bytes: usize,
    ) -> Self {
        // Java's client cuts its payload into buffers of 8 KiB; room for twice as many.
        let buffers_max = FrameLimits::REQUEST.buffers_max.max(max_frame_bytes / 4096);
        Self {
            processor,
            counters,
            tally,
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
        let places = Arc::new(Semaphore::new(connections_max));
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.tally.count(|stats| stats.connections_refused += 1);
                continue;
            };
            let connection = Connection::new(Arc::clone(&self), socket);
            tokio::spawn(async move {
                connection.run().await;
                drop(place);
            });
        }
    }

    /// Gives the events of a call to the channels.
    ///
    /// All are read before any is refused, as Flume does: a call that cannot be read to its end
    /// is an error even if it is too large as well.
    fn store<'a>(
        &self,
        kind: CallKind,
        request: &Bytes,
        events: impl Iterator<Item = Result<EventRef<'a>, DecodeError>>,
    ) -> Verdict {
        let stored: Result<Vec<_>, _> = events
            .map(|event| event.map(|event| StoredEvent::new(request, &event)))
            .collect();
        let Ok(stored) = stored else {
            return Verdict::Answered(self.refuse(responder::end_of_file()));
        };
        let call = CallSize {
            kind,
            events: stored.len(),
        };
        self.counters.events_received.add(call.events);
        match kind {
            CallKind::Append => self.counters.appends_received.increment(),
            CallKind::AppendBatch => self.counters.batches_received.increment(),
        }
        match self.processor.begin(stored) {
            Progress::Done(result) => Verdict::Answered(self.answer(call, result, 1)),
            Progress::Waits(delivery) => {
                self.tally.count(|stats| stats.requests += 1);
                Verdict::MustWait(call, delivery)
            }
        }
    }

    /// The reply to a request that cannot be understood, counted.
    fn refuse(&self, reply: Reply) -> Reply {
        self.tally.count(|stats| {
            stats.requests += 1;
            stats.requests_refused += 1;
        });
        reply
    }

    /// The reply to a call whose events were delivered or not, counted. `requests` of them have
    /// not been counted before.
    fn answer(&self, call: CallSize, result: Result<(), ProcessError>, requests: u64) -> Reply {
        let reply = match (result, call.kind) {
            (Ok(()), _) => Reply::Ok,
            // Flume's `append` catches its ChannelException only, `appendBatch` everything.
            (Err(ProcessError::Other(error)), CallKind::Append) => Reply::Error(error),
            (Err(_), _) => Reply::Failed,
        };
        self.count(call, &reply);
        self.tally.count(|stats| {
            stats.requests += requests;
            match reply {
                Reply::Ok => {
                    stats.batches_ok += 1;
                    stats.events_accepted += call.events as u64;
                }
                Reply::Failed | Reply::Unknown => stats.batches_failed += 1,
                Reply::Error(_) => stats.requests_refused += 1,
            }
        });
        reply
    }

    fn count(&self, call: CallSize, reply: &Reply) {
        match reply {
            Reply::Ok => {
                self.counters.events_accepted.add(call.events);
                match call.kind {
                    CallKind::Append => self.counters.appends_accepted.increment(),
                    CallKind::AppendBatch => self.counters.batches_accepted.increment(),
                }
            }
            Reply::Failed | Reply::Unknown => self.counters.channel_write_fails.increment(),
            Reply::Error(_) => {}
        }
    }
}
