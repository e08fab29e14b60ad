//! One connection of the Thrift source.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use flume_client::wire::thrift::reply::{ExceptionKind, Reply};
use flume_client::wire::thrift::session::ServerSession;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};

use super::call::{Call, Finished};
use super::reply;
use super::shared::ThriftSource;
use crate::carrier::Stream;
use crate::source::intake;
use crate::source::stream::{End, READ_BYTES_MAX, READ_BYTES_MIN, REQUEST_TIMEOUT, ROOM_KEPT};

/// The connection's state. Its loop reads, and works on every whole call before it reads again.
pub(super) struct Connection {
    source: Arc<ThriftSource>,
    stream: Stream,
    opened: intake::Connection,
    session: ServerSession,
    read_bytes: usize,
    /// Since when a call is on its way.
    call_since: Option<Instant>,
    reply: Vec<u8>,
    /// Whether a call could not be read to its end. What libthrift has not read of it, it takes for
    /// the beginning of the next one.
    is_out_of_step: bool,
    /// Set when the connection is to end once the whole calls are answered.
    end_of_bytes: Option<End>,
}

impl Connection {
    pub(super) fn new(source: Arc<ThriftSource>, stream: Stream, peer: SocketAddr) -> Self {
        let (protocol, bytes_max) = (source.protocol, source.message_bytes_max);
        Self {
            opened: source.intake.open(peer),
            session: ServerSession::with_message_bytes_max(protocol, bytes_max),
            read_bytes: READ_BYTES_MIN,
            call_since: None,
            reply: Vec::new(),
            is_out_of_step: false,
            end_of_bytes: None,
            source,
            stream,
        }
    }

    /// Serves until one side ends the connection.
    pub(super) async fn run(mut self) {
        // Without it answers to small calls wait for the peer's delayed acknowledgement.
        let _ = self.stream.socket().set_nodelay(true);
        let end = match self.opened.end {
            Some(end) => end,
            None => match self.serve().await {
                Ok(end) => end,
                Err(_) => return,
            },
        };
        // A peer that is gone already needs no end.
        let _ = end.carry_out(&mut self.stream).await;
    }

    async fn serve(&mut self) -> io::Result<End> {
        loop {
            while let Some(call) = self.next_call()? {
                if self.is_out_of_step {
                    return Ok(End::Close);
                }
                if let Some(end) = self.answer(call).await? {
                    return Ok(end);
                }
            }
            if let Some(end) = self.end_of_bytes {
                return Ok(end);
            }
            match self.read().await? {
                0 => return Ok(End::Close),
                bytes => {
                    self.meet_bytes(bytes);
                    self.opened.pace.after_read(bytes).await;
                }
            }
        }
    }

    /// The next whole call.
    ///
    /// # Errors
    ///
    /// Where Flume closes the connection without an answer.
    fn next_call(&mut self) -> io::Result<Option<Call>> {
        match self.session.poll() {
            Ok(request) => Ok(request.as_ref().map(Call::of)),
            Err(error) => {
                let observed = &self.source.intake.observed;
                observed.count(|stats| stats.frames_refused += 1);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Works on a call and answers it. How the connection is to end, if it is.
    async fn answer(&mut self, call: Call) -> io::Result<Option<End>> {
        self.call_since = None;
        let (seqid, method) = (call.seqid, call.method.clone());
        let Finished { reply, end, fault } = {
            let _thread = match &self.source.threads {
                Some(threads) => Some(threads.acquire().await.map_err(io::Error::other)?),
                None => None,
            };
            call.run(&self.source, &self.opened).await
        };
        if let Some(fault) = &fault {
            self.opened.pace.slow_down(fault);
        }
        if let Some(reply) = reply {
            self.is_out_of_step = is_protocol_error(&reply);
            self.reply.clear();
            let of_call = (seqid, method.as_slice());
            let protocol = self.source.protocol;
            reply::put(&mut self.reply, protocol, of_call, &reply, fault.as_ref());
            let pace = self.opened.pace;
            pace.write(&mut self.stream, &self.reply).await?;
            // Lets the sink at what was committed before the next call fills the channel.
            tokio::task::yield_now().await;
        }
        Ok(end)
    }

    /// Counts bytes just read, and cuts them off where a fault strikes among them.
    fn meet_bytes(&mut self, bytes: usize) {
        self.opened.identify(&self.stream);
        let before = self.opened.received;
        let Some((kept, fault)) = self.source.intake.meet_bytes(&mut self.opened, bytes) else {
            return;
        };
        if let Some(end) = End::of(&fault) {
            let buffer = self.session.buffer_mut();
            buffer.truncate(buffer.len() - (bytes - kept));
            self.opened.received = before + kept as u64;
            self.end_of_bytes = Some(end);
        }
    }

    /// Reads what comes: the rest of a call within its time, and the next one whenever it comes.
    async fn read(&mut self) -> io::Result<usize> {
        if self.session.is_mid_call() {
            let since = *self.call_since.get_or_insert_with(Instant::now);
            if self.opened.pace.is_read_slowly() {
                return self.read_some_time().await;
            }
            return match timeout_at(since + REQUEST_TIMEOUT, self.read_some_time()).await {
                Ok(read) => read,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
        }
        self.call_since = None;
        if self.session.buffer_mut().capacity() > READ_BYTES_MIN {
            let room_until = Instant::now() + ROOM_KEPT;
            if let Ok(read) = timeout_at(room_until, self.read_some_time()).await {
                return read;
            }
            *self.session.buffer_mut() = Vec::new();
            self.read_bytes = READ_BYTES_MIN;
        }
        self.read_some_time().await
    }

    async fn read_some_time(&mut self) -> io::Result<usize> {
        let buffer = self.session.buffer_mut();
        buffer.reserve(self.read_bytes);
        let room = buffer.capacity() - buffer.len();
        let mut stream = (&mut self.stream).take(self.opened.pace.read_bytes_max());
        let bytes = stream.read_buf(buffer).await?;
        if bytes == room {
            self.read_bytes = READ_BYTES_MAX.min(self.read_bytes * 2);
        }
        Ok(bytes)
    }
}

/// Only calls that cannot be read are answered so: no fault gives this kind.
fn is_protocol_error(reply: &Reply) -> bool {
    matches!(reply, Reply::Exception(exception) if exception.kind == ExceptionKind::ProtocolError)
}
