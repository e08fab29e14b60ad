//! One connection of the Avro source.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use flume_client::wire::avro::frame::FrameDecoder;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::coop;
use tokio::time::{Instant, timeout};

use super::call::{Call, Finished, count_reply};
use super::reply;
use super::responder::{self, Greeting};
use super::shared::{AvroSource, IN_FLIGHT_MAX, NAME, ReplyMode};
use crate::carrier::Stream;
use crate::counters;
use crate::fault::Fault;
use crate::fault::engine::Place;
use crate::log::{Answered, OpenConnection};
use crate::observed::Gauge;
use crate::source::stream::{
    End, Pace, READ_BYTES_MAX, READ_BYTES_MIN, REQUEST_TIMEOUT, ROOM_KEPT,
};

/// Bytes of answers that are written before more requests are looked at: short requests can have
/// long answers, and their peer need not read any.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// The connection's state. Its loop reads, answers every whole frame, and writes all the answers
/// at once; calls that must wait report back through `finished`.
pub(super) struct Connection {
    source: Arc<AvroSource>,
    stream: Stream,
    opened: OpenConnection,
    _counted: counters::OpenConnection,
    decoder: FrameDecoder,
    read_bytes: usize,
    received: u64,
    pace: Pace,
    established: bool,
    /// Since when a request is on its way; at first since the connection came.
    request_since: Option<Instant>,
    /// A frame read but not begun, for want of a permit.
    next: Option<Frame>,
    permit: Option<OwnedSemaphorePermit>,
    replies: Vec<u8>,
    finished_sender: mpsc::Sender<Finished>,
    finished: mpsc::Receiver<Finished>,
    /// Set when the connection is to end, and when it is to once the whole frames are answered.
    end: Option<End>,
    end_of_bytes: Option<End>,
    _open: Gauge,
}

struct Frame {
    serial: i32,
    payload: Bytes,
}

/// A call being worked on.
type Running = Pin<Box<dyn Future<Output = Finished> + Send>>;

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
    /// Nothing, for a while.
    Idle,
}

impl Connection {
    pub(super) fn new(source: Arc<AvroSource>, stream: Stream, peer: SocketAddr) -> Self {
        let (finished_sender, finished) = mpsc::channel(IN_FLIGHT_MAX);
        let opened = source.recorder.open(NAME, Some(peer));
        let open = Gauge::up(&source.observed, |stats| &mut stats.connections_open);
        source.observed.count(|stats| stats.connections_opened += 1);
        let mut pace = Pace::default();
        let fault = source.recorder.faults.on_connection(opened.number(), true);
        if let Some(fault) = &fault {
            pace.slow_down(fault);
        }
        Self {
            _counted: counters::OpenConnection::new(&source.counters),
            decoder: FrameDecoder::new(source.limits),
            read_bytes: READ_BYTES_MIN,
            received: 0,
            pace,
            established: false,
            request_since: Some(Instant::now()),
            next: None,
            permit: None,
            replies: Vec::new(),
            finished_sender,
            finished,
            end: fault.as_ref().and_then(End::of),
            end_of_bytes: None,
            source,
            stream,
            opened,
            _open: open,
        }
    }

    /// Serves until the peer closes, breaks the framing or is gone: nobody is left to tell why.
    pub(super) async fn run(mut self) {
        // Without it replies to small requests wait for the peer's delayed acknowledgement.
        let _ = self.stream.socket().set_nodelay(true);
        while self.end.is_none() {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            }
        }
        if let Some(end) = self.end {
            // A peer that is gone already needs no end.
            let _ = end.carry_out(&mut self.stream).await;
        }
    }

    /// Answers what has arrived and waits for more. `false` at the end of the stream.
    async fn turn(&mut self) -> io::Result<bool> {
        let need = self.answer_frames().await;
        self.write_replies().await?;
        let need = need?;
        if need == Need::Bytes && self.end.is_none() {
            self.end = self.end_of_bytes;
        }
        if self.end.is_some() {
            return Ok(false);
        }
        let turn = match need {
            Need::Bytes => self.read_or_finish().await?,
            Need::Permit => self.permit_or_finish().await?,
        };
        match turn {
            Turn::Read(0) => return Ok(false),
            Turn::Read(bytes) => {
                self.meet_bytes(bytes);
                self.pace.after_read(bytes).await;
            }
            Turn::Permit(permit) => self.permit = Some(permit),
            Turn::Idle => {
                *self.decoder.buffer_mut() = Vec::new();
                self.replies = Vec::new();
                self.read_bytes = READ_BYTES_MIN;
            }
            Turn::Finished(finished) => {
                self.deliver(finished);
                while let Ok(finished) = self.finished.try_recv() {
                    self.deliver(finished);
                }
            }
        }
        Ok(true)
    }

    /// Works on whole frames until there is none, or none may be begun.
    async fn answer_frames(&mut self) -> io::Result<Need> {
        while self.end.is_none()
            && let Some(frame) = self.next_frame()?
        {
            // Many short requests at once must not keep other connections waiting.
            coop::consume_budget().await;
            if self.replies.len() >= REPLY_BYTES_MAX {
                self.write_replies().await?;
            }
            let permit = self.permit.take();
            let Some(permit) = permit.or_else(|| self.try_permit()) else {
                self.next = Some(frame);
                return Ok(Need::Permit);
            };
            let Some(call) = self.begin(frame) else {
                continue;
            };
            let mut running: Running = Box::pin(call.run());
            match poll_fn(|context| Poll::Ready(running.as_mut().poll(context))).await {
                Poll::Ready(finished) => self.deliver(finished),
                Poll::Pending => self.wait_for(running, permit).await?,
            }
        }
        Ok(Need::Bytes)
    }

    /// A call could not be finished at once.
    async fn wait_for(&mut self, running: Running, permit: OwnedSemaphorePermit) -> io::Result<()> {
        match self.source.mode {
            ReplyMode::Parallel => {
                let sender = self.finished_sender.clone();
                tokio::spawn(async move {
                    // A connection closed meanwhile misses the answer, but its events stay:
                    // a client that sends them again makes duplicates, as with Flume.
                    let _ = sender.send(running.await).await;
                    drop(permit);
                });
            }
            ReplyMode::Sequential => {
                self.write_replies().await?;
                self.deliver(running.await);
            }
        }
        Ok(())
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
                self.source
                    .observed
                    .count(|stats| stats.frames_refused += 1);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.source.in_flight).try_acquire_owned().ok()
    }

    /// Notes a request and answers its handshake. Its call, if that may be made.
    fn begin(&mut self, frame: Frame) -> Option<Call> {
        let Frame { serial, payload } = frame;
        let source = &self.source;
        let log = &source.recorder.log;
        let request = log.begin(NAME, self.opened.number(), payload.len());
        source.observed.count(|stats| stats.requests += 1);
        let place = Place {
            connection: self.opened.number(),
            connection_bytes: self.received,
            request,
        };
        let fault = || source.recorder.faults.on_handshake(&place);
        let greeting = responder::greet(payload, &mut self.established, &source.protocols, fault);
        // Handshakes that come to nothing do not win their peer time.
        if self.established {
            self.request_since = None;
        }
        match greeting {
            Greeting::Call { handshake, payload } => Some(Call {
                source: Arc::clone(source),
                place,
                serial,
                handshake,
                payload,
            }),
            Greeting::Refused { handshake } => {
                log.answered(request, Answered::Handshake);
                reply::put_handshake(&mut self.replies, serial, &handshake);
                None
            }
            Greeting::Nonsense { reply } => {
                log.answered(request, reply::answered(&reply));
                source.observed.count(|stats| count_reply(stats, &reply));
                reply::put_reply(&mut self.replies, serial, &[], &reply);
                None
            }
        }
    }

    /// Puts the answer to a call where it will be written, or does to it what is to go wrong.
    fn deliver(&mut self, finished: Finished) {
        let Finished {
            request,
            serial,
            handshake,
            reply,
            fault,
        } = finished;
        if let Some(fault) = &fault {
            self.pace.slow_down(fault);
            // A call that is never answered ends nothing.
            if *fault != Fault::Hang {
                self.end = self.end.or(End::of(fault));
            }
        }
        let log = &self.source.recorder.log;
        match (reply, fault) {
            (Some(reply), Some(fault)) if fault.breaks_answer() => {
                log.answered(request, Answered::Broken);
                reply::put_broken(&mut self.replies, serial, &handshake, &reply, &fault);
            }
            (Some(reply), _) => {
                // In the log first, since who waits for a counter looks there next.
                log.answered(request, reply::answered(&reply));
                self.source
                    .observed
                    .count(|stats| count_reply(stats, &reply));
                reply::put_reply(&mut self.replies, serial, &handshake, &reply);
            }
            (None, None) => {
                log.answered(request, Answered::Handshake);
                reply::put_handshake(&mut self.replies, serial, &handshake);
            }
            (None, Some(_)) => {}
        }
    }

    /// Counts bytes just read, and cuts them off where a fault strikes among them.
    fn meet_bytes(&mut self, bytes: usize) {
        let before = self.received;
        self.received += bytes as u64;
        self.opened.identify(&self.stream);
        let faults = &self.source.recorder.faults;
        let Some((kept, fault)) = faults.on_bytes(self.opened.number(), (before, bytes)) else {
            return;
        };
        self.pace.slow_down(&fault);
        if let Some(end) = End::of(&fault) {
            let buffer = self.decoder.buffer_mut();
            buffer.truncate(buffer.len() - (bytes - kept));
            self.received = before + kept as u64;
            self.end_of_bytes = Some(end);
        }
    }

    async fn write_replies(&mut self) -> io::Result<()> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let written = self.pace.write(&mut self.stream, &self.replies).await;
        self.replies.clear();
        // Lets the sink at what was committed before the next frames fill the channel.
        tokio::task::yield_now().await;
        written
    }

    /// How long to wait for bytes, if not for ever, and whether it is the peer's fault if none come.
    fn patience(&mut self) -> Option<(Duration, bool)> {
        let greeted = self.established;
        if greeted && !self.decoder.is_mid_frame() {
            self.request_since = None;
            let large = self.decoder.buffer_mut().capacity() > READ_BYTES_MIN;
            return large.then_some((ROOM_KEPT, false));
        }
        let since = *self.request_since.get_or_insert_with(Instant::now);
        let left = REQUEST_TIMEOUT.saturating_sub(since.elapsed());
        (!self.pace.is_read_slowly()).then_some((left, true))
    }

    async fn read_or_finish(&mut self) -> io::Result<Turn> {
        let Some((limit, at_fault)) = self.patience() else {
            return self.read_or_finish_some_time().await;
        };
        match timeout(limit, self.read_or_finish_some_time()).await {
            Ok(turn) => turn,
            Err(_) if at_fault => Err(io::ErrorKind::TimedOut.into()),
            Err(_) => Ok(Turn::Idle),
        }
    }

    async fn read_or_finish_some_time(&mut self) -> io::Result<Turn> {
        let buffer = self.decoder.buffer_mut();
        buffer.reserve(self.read_bytes);
        let room = buffer.capacity() - buffer.len();
        let mut stream = (&mut self.stream).take(self.pace.read_bytes_max());
        let mut read = pin!(stream.read_buf(buffer));
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
