//! One connection of the Avro source.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use flume_client::wire::avro::frame::FrameDecoder;
use flume_client::wire::avro::rpc::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::responder::{self, Content};
use super::{AvroSource, CallKind, CallSize, IN_FLIGHT_MAX, ReplyMode, Verdict, reply};
use crate::agent::tally::Gauge;
use crate::processor::Delivery;

/// Least and most bytes read at once. The size grows while reads fill it.
const READ_BYTES_MIN: usize = 8 * 1024;
const READ_BYTES_MAX: usize = 512 * 1024;

/// The connection's state. Its loop reads, answers every whole frame, and writes all the answers
/// at once; calls that must wait for room in the channel report back through `finished`.
pub(super) struct Connection {
    source: Arc<AvroSource>,
    socket: TcpStream,
    decoder: FrameDecoder,
    read_bytes: usize,
    established: bool,
    /// A frame read but not begun, for want of a permit.
    next: Option<Frame>,
    permit: Option<OwnedSemaphorePermit>,
    replies: Vec<u8>,
    finished_sender: mpsc::Sender<Finished>,
    finished: mpsc::Receiver<Finished>,
    _open: Gauge,
}

struct Frame {
    serial: i32,
    payload: Bytes,
}

/// A call whose events wait for room in the channel.
struct Waiting {
    source: Arc<AvroSource>,
    serial: i32,
    handshake: Vec<u8>,
    call: CallSize,
    delivery: Delivery,
    gauge: Gauge,
}

/// A call that waited, and its answer.
struct Finished {
    serial: i32,
    handshake: Vec<u8>,
    reply: Reply,
}

/// What a connection cannot go on without.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Bytes,
    Permit,
}

/// What happened next.
enum Turn {
    Read(usize),
    Permit(OwnedSemaphorePermit),
    Finished(Finished),
}

impl Connection {
    pub(super) fn new(source: Arc<AvroSource>, socket: TcpStream) -> Self {
        let (finished_sender, finished) = mpsc::channel(IN_FLIGHT_MAX);
        source.tally.count(|stats| stats.connections_opened += 1);
        let open = Gauge::up(&source.tally, |stats| &mut stats.connections_open);
        Self {
            decoder: FrameDecoder::new(source.limits),
            read_bytes: READ_BYTES_MIN,
            established: false,
            next: None,
            permit: None,
            replies: Vec::new(),
            finished_sender,
            finished,
            source,
            socket,
            _open: open,
        }
    }

    /// Serves until the peer closes, breaks the framing or is gone: nobody is left to tell why.
    pub(super) async fn run(mut self) {
        // Without it replies to small requests wait for the peer's delayed acknowledgement.
        let _ = self.socket.set_nodelay(true);
        while let Ok(true) = self.turn().await {}
    }

    /// Answers what has arrived and waits for more. `false` at the end of the stream.
    async fn turn(&mut self) -> io::Result<bool> {
        let need = self.answer_frames().await;
        self.write_replies().await?;
        let turn = match need? {
            Need::Bytes => self.read_or_finish().await?,
            Need::Permit => self.permit_or_finish().await?,
        };
        match turn {
            Turn::Read(bytes) => return Ok(bytes > 0),
            Turn::Permit(permit) => self.permit = Some(permit),
            Turn::Finished(finished) => {
                self.put_finished(&finished);
                while let Ok(finished) = self.finished.try_recv() {
                    self.put_finished(&finished);
                }
            }
        }
        Ok(true)
    }

    /// Works on whole frames until there is none, or none may be begun.
    async fn answer_frames(&mut self) -> io::Result<Need> {
        while let Some(frame) = self.next_frame()? {
            let permit = self.permit.take();
            let Some(permit) = permit.or_else(|| self.try_permit()) else {
                self.next = Some(frame);
                return Ok(Need::Permit);
            };
            let Some(waiting) = self.answer(frame) else {
                continue;
            };
            match self.source.mode {
                ReplyMode::Parallel => {
                    let sender = self.finished_sender.clone();
                    tokio::spawn(async move {
                        // A connection closed meanwhile misses the answer, but its events stay:
                        // a client that sends them again makes duplicates, as with Flume.
                        let _ = sender.send(waiting.finish().await).await;
                        drop(permit);
                    });
                }
                ReplyMode::Sequential => {
                    self.write_replies().await?;
                    let finished = waiting.finish().await;
                    self.put_finished(&finished);
                }
            }
        }
        Ok(Need::Bytes)
    }

    fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        if let Some(frame) = self.next.take() {
            return Ok(Some(frame));
        }
        match self.decoder.next_frame() {
            Ok(frame) => Ok(frame.map(|frame| Frame {
                serial: frame.serial,
                payload: Bytes::copy_from_slice(frame.payload),
            })),
            Err(error) => {
                self.source.tally.count(|stats| stats.frames_refused += 1);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.source.in_flight).try_acquire_owned().ok()
    }

    /// Answers a frame, or returns its call if that must wait for room in the channel.
    fn answer(&mut self, frame: Frame) -> Option<Waiting> {
        let Frame { serial, payload } = frame;
        let source = &self.source;
        let request = responder::read(&payload, &mut self.established, &source.protocols);
        let handshake = request.handshake;
        let verdict = match request.content {
            Content::Append(event) => {
                source.store(CallKind::Append, &payload, std::iter::once(Ok(event)))
            }
            Content::AppendBatch(events) => source.store(CallKind::AppendBatch, &payload, events),
            Content::Nonsense(reply) => Verdict::Answered(source.refuse(reply)),
            Content::Nothing => {
                source.tally.count(|stats| stats.requests += 1);
                reply::put_handshake(&mut self.replies, serial, &handshake);
                return None;
            }
        };
        match verdict {
            Verdict::Answered(reply) => {
                reply::put_reply(&mut self.replies, serial, &handshake, &reply);
                None
            }
            Verdict::MustWait(call, delivery) => Some(Waiting {
                gauge: Gauge::up(&source.tally, |stats| &mut stats.batches_waiting),
                source: Arc::clone(source),
                serial,
                handshake,
                call,
                delivery,
            }),
        }
    }

    fn put_finished(&mut self, finished: &Finished) {
        let Finished {
            serial,
            handshake,
            reply,
        } = finished;
        reply::put_reply(&mut self.replies, *serial, handshake, reply);
    }

    async fn write_replies(&mut self) -> io::Result<()> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let written = self.socket.write_all(&self.replies).await;
        self.replies.clear();
        // Lets the sink at what was committed before the next frames fill the channel.
        tokio::task::yield_now().await;
        written
    }

    async fn read_or_finish(&mut self) -> io::Result<Turn> {
        let buffer = self.decoder.buffer_mut();
        buffer.reserve(self.read_bytes);
        let room = buffer.capacity() - buffer.len();
        let mut read = pin!(self.socket.read_buf(buffer));
        let finished = &mut self.finished;
        let turn = poll_fn(|context| match finished.poll_recv(context) {
            Poll::Ready(Some(finished)) => Poll::Ready(Ok(Turn::Finished(finished))),
            _ => read.as_mut().poll(context).map_ok(Turn::Read),
        })
        .await?;
        if matches!(turn, Turn::Read(bytes) if bytes == room) {
            self.read_bytes = READ_BYTES_MAX.min(self.read_bytes * 2);
        }
        Ok(turn)
    }

    async fn permit_or_finish(&mut self) -> io::Result<Turn> {
        let mut permit = pin!(Arc::clone(&self.source.in_flight).acquire_owned());
        let finished = &mut self.finished;
        poll_fn(|context| match finished.poll_recv(context) {
            Poll::Ready(Some(finished)) => Poll::Ready(Ok(Turn::Finished(finished))),
            _ => permit
                .as_mut()
                .poll(context)
                .map_ok(Turn::Permit)
                .map_err(io::Error::other),
        })
        .await
    }
}

impl Waiting {
    /// Waits until all channels have decided.
    async fn finish(self) -> Finished {
        let result = self.delivery.finish().await;
        drop(self.gauge);
        Finished {
            serial: self.serial,
            handshake: self.handshake,
            reply: self.source.answer(self.call, result, 0),
        }
    }
}
