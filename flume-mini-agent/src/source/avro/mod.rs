//! The Avro source: Flume's `AvroSource` as its clients see it.
//!
//! | file | holds |
//! |---|---|
//! | here | the listener, and what a call does to the channel |
//! | [`connection`] | one connection: frames in, replies out, in which order |
//! | [`responder`] | handshake and call, read from a payload; no IO |
//! | [`reply`] | replies in frames, cut into buffers as Java cuts them |
//!
//! Bounds: connections, bytes of a frame, and [`IN_FLIGHT_MAX`] requests being worked on at once;
//! what comes beyond that stays in the sockets. Not here: TLS, deflate, interceptors, `ipFilter`.

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

use crate::agent::tally::{Stats, Tally};
use crate::channel::memory::Transaction;
use crate::channel::{Channel, StoredEvent};
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
    channel: Arc<Channel>,
    tally: Arc<Tally>,
    mode: ReplyMode,
    limits: FrameLimits,
    in_flight: Arc<Semaphore>,
    protocols: Protocols,
}

/// What became of a call's events at once.
enum Verdict {
    Answered { reply: Reply, events: usize },
    MustWait(Transaction<StoredEvent>),
}

impl AvroSource {
    pub(crate) fn new(
        channel: Arc<Channel>,
        tally: Arc<Tally>,
        mode: ReplyMode,
        max_frame_bytes: usize,
    ) -> Self {
        // Java's client cuts its payload into buffers of 8 KiB; room for twice as many.
        let buffers_max = FrameLimits::REQUEST.buffers_max.max(max_frame_bytes / 4096);
        Self {
            channel,
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

    /// Puts the events of a call into the channel, all or none.
    ///
    /// All are read before any is refused, as Flume does: a call that cannot be read to its end
    /// is an error even if it is too large as well. An empty batch touches no channel.
    fn store<'a>(
        &self,
        request: &Bytes,
        events: impl Iterator<Item = Result<EventRef<'a>, DecodeError>>,
    ) -> Verdict {
        let mut transaction = self.channel.begin();
        let mut refused = false;
        for event in events {
            let Ok(event) = event else {
                return Verdict::now(responder::end_of_file());
            };
            refused = refused || transaction.put(StoredEvent::new(request, &event)).is_err();
        }
        if refused {
            return Verdict::now(Reply::Failed);
        }
        let count = transaction.put_count();
        if count == 0 {
            return Verdict::now(Reply::Ok);
        }
        match self.channel.try_commit(transaction) {
            Ok(()) => Verdict::Answered {
                reply: Reply::Ok,
                events: count,
            },
            Err(back) if self.channel.waits_for_room() => Verdict::MustWait(back),
            Err(_) => Verdict::now(Reply::Failed),
        }
    }
}

impl Verdict {
    fn now(reply: Reply) -> Self {
        Self::Answered { reply, events: 0 }
    }
}

/// Counts a call by its answer.
fn count_reply(stats: &mut Stats, reply: &Reply, events: usize) {
    match reply {
        Reply::Ok => {
            stats.batches_ok += 1;
            stats.events_accepted += events as u64;
        }
        Reply::Failed | Reply::Unknown => stats.batches_failed += 1,
        Reply::Error(_) => stats.requests_refused += 1,
    }
}
