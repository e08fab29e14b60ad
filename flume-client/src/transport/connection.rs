//! [`Connection`]: one connection to an agent, from look-up to its end.
//!
//! Moves bytes between the socket and the pure [`Session`], and frames batches around the stored
//! events: one vectored write takes frame heads and event slices as they lie in memory.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::send::poll_send;
use super::tcp::{self, Means};
use crate::config::AgentUrl;
use crate::delivery::Batch;
use crate::error::AgentError;
use crate::fork::NotInherited;
use crate::store::Store;
use crate::wire::avro::frame;
use crate::wire::avro::rpc::{self, Reply};
use crate::wire::avro::session::{Session, SessionEvent};

/// What came of a connection.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The connection stands and the handshake is on its way.
    Connected,
    /// The handshake was answered.
    Opened,
    /// A call was answered.
    Replied { serial: i32, reply: Reply },
    /// It is over. Calls from `unsent_from` on were not begun to be written.
    Ended { error: AgentError, unsent_from: i32 },
}

type Connecting = Pin<Box<dyn Future<Output = Result<TcpStream, AgentError>> + Send>>;

/// One connection or attempt. After [`Progress::Ended`] it must not be used again.
pub(crate) struct Connection {
    socket: Socket,
    /// The agent's name was looked up.
    resolved: Arc<AtomicBool>,
    session: Session,
    outbox: Outbox,
    /// The handshake was answered.
    is_open: bool,
    /// The session may have more to say about bytes it has.
    unread: bool,
    /// A peer that answers and closes makes writing fail before its answers are read. They still
    /// count, so the connection goes on until reading ends, which follows at once.
    write_error: Option<io::Error>,
}

enum Socket {
    Connecting(Connecting),
    Connected(NotInherited<TcpStream>),
}

/// Most slices handed to one write.
const SLICES_MAX: usize = 64;
/// Bytes read at once: replies are a few bytes each.
const READ_BYTES: usize = 4 * 1024;

impl Connection {
    pub(crate) fn new(agent: AgentUrl, means: &Means, connect_timeout: Duration) -> Self {
        let (session, greeting) = Session::start();
        let resolved = Arc::<AtomicBool>::default();
        let connecting = tcp::connect(agent, means.clone(), connect_timeout, resolved.clone());
        Self {
            socket: Socket::Connecting(Box::pin(connecting)),
            resolved,
            session,
            outbox: Outbox::starting_with(greeting),
            is_open: false,
            unread: false,
            write_error: None,
        }
    }

    /// Whether the name server has not answered yet.
    pub(crate) fn is_resolving(&self) -> bool {
        !self.resolved.load(Ordering::Relaxed)
    }

    /// Queues a batch. Call only after [`Progress::Opened`].
    pub(crate) fn send(&mut self, serial: i32, batch: Batch) {
        self.outbox.push(Outgoing::call(serial, batch));
    }

    /// Works until something comes of it or nothing more can be done now.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, store: &Store) -> Poll<Progress> {
        match self.try_poll(context, store) {
            Ok(Some(progress)) => Poll::Ready(progress),
            Ok(None) => Poll::Pending,
            Err(error) => {
                let error = match error {
                    AgentError::ConnectionClosed => self.closed(),
                    AgentError::Io(error) if is_by_peer(&error) && !self.is_open => self.closed(),
                    error => error,
                };
                let unsent_from = self.outbox.unsent_from();
                Poll::Ready(Progress::Ended { error, unsent_from })
            }
        }
    }

    /// The peer ended the connection.
    fn closed(&self) -> AgentError {
        match self.is_open {
            true => AgentError::ConnectionClosed,
            false => AgentError::ClosedInHandshake,
        }
    }

    fn try_poll(
        &mut self,
        context: &mut Context<'_>,
        store: &Store,
    ) -> Result<Option<Progress>, AgentError> {
        let stream = match &mut self.socket {
            Socket::Connecting(connecting) => match connecting.as_mut().poll(context) {
                Poll::Pending => return Ok(None),
                Poll::Ready(stream) => {
                    self.socket = Socket::Connected(NotInherited::of(stream?));
                    return Ok(Some(Progress::Connected));
                }
            },
            Socket::Connected(stream) => stream,
        };
        if self.write_error.is_none() {
            match self.outbox.write(stream, context, store) {
                Err(error) if !is_by_peer(&error) => return Err(error.into()),
                written => self.write_error = written.err(),
            }
        }
        loop {
            if self.unread {
                if let Some(event) = self.session.poll()? {
                    return self.on_event(event).map(Some);
                }
                self.unread = false;
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut **stream).poll_read(context, &mut buffer) {
                Poll::Pending => return Ok(None),
                Poll::Ready(read) => read?,
            }
            if buffer.filled().is_empty() {
                let error = self.write_error.take().map(AgentError::Io);
                return Err(error.unwrap_or(AgentError::ConnectionClosed));
            }
            self.session.push(buffer.filled());
            self.unread = true;
        }
    }

    fn on_event(&mut self, event: SessionEvent) -> Result<Progress, AgentError> {
        match event {
            SessionEvent::Send(greeting) => {
                self.outbox.push(Outgoing::greeting(greeting));
                // The deadline for the handshake starts again: the peer is alive.
                Ok(Progress::Connected)
            }
            SessionEvent::Open => {
                self.is_open = true;
                Ok(Progress::Opened)
            }
            // Its events could be forgotten while they are being written.
            SessionEvent::Reply { serial, .. } if self.outbox.holds(serial) => {
                Err(AgentError::UnexpectedSerial { serial })
            }
            SessionEvent::Reply { serial, reply } => Ok(Progress::Replied { serial, reply }),
        }
    }
}

/// Whether the peer ended the connection, so that reading ends too.
fn is_by_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionReset | ConnectionAborted
    )
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("session", &self.session)
            .field("outbox", &self.outbox.queue.len())
            .finish_non_exhaustive()
    }
}

/// Frames that are not wholly written, oldest first.
struct Outbox {
    queue: VecDeque<Outgoing>,
    /// Bytes of the first one that are written.
    written: usize,
}

/// A frame: bytes, then the events of a batch and the end of the call.
struct Outgoing {
    head: Vec<u8>,
    call: Option<(i32, Batch)>,
}

impl Outgoing {
    fn greeting(head: Vec<u8>) -> Self {
        Self { head, call: None }
    }

    fn call(serial: i32, batch: Batch) -> Self {
        let events = batch.events as usize;
        let length = rpc::append_batch_len(events, batch.bytes as usize);
        let frame_head = frame::head(serial, length).expect("a batch is far below 2 GiB");
        let mut head = Vec::with_capacity(frame_head.len() + rpc::APPEND_BATCH_START_BYTES_MAX);
        head.extend_from_slice(&frame_head);
        rpc::put_append_batch_start(&mut head, events);
        Self {
            head,
            call: Some((serial, batch)),
        }
    }

    fn len(&self) -> usize {
        let call = self.call.map_or(0, |(_, batch)| {
            batch.bytes as usize + rpc::APPEND_BATCH_END.len()
        });
        self.head.len() + call
    }

    fn slices<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = &'a [u8]> {
        let events = self
            .call
            .iter()
            .flat_map(|(_, batch)| store.slices(batch.first, batch.events));
        let end = self.call.iter().map(|_| rpc::APPEND_BATCH_END.as_slice());
        std::iter::once(self.head.as_slice())
            .chain(events)
            .chain(end)
    }
}

impl Outbox {
    fn starting_with(greeting: Vec<u8>) -> Self {
        Self {
            queue: VecDeque::from([Outgoing::greeting(greeting)]),
            written: 0,
        }
    }

    fn push(&mut self, outgoing: Outgoing) {
        self.queue.push_back(outgoing);
    }

    fn holds(&self, serial: i32) -> bool {
        self.queue
            .iter()
            .any(|outgoing| outgoing.call.is_some_and(|(held, _)| held == serial))
    }

    /// Serial number of the first call of which no byte is written.
    fn unsent_from(&self) -> i32 {
        let begun = usize::from(self.written > 0);
        let unsent = self
            .queue
            .iter()
            .skip(begun)
            .filter_map(|outgoing| outgoing.call);
        unsent.map(|(serial, _)| serial).min().unwrap_or(i32::MAX)
    }

    /// Writes until the socket takes no more.
    fn write(
        &mut self,
        stream: &TcpStream,
        context: &mut Context<'_>,
        store: &Store,
    ) -> io::Result<()> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            for (place, bytes) in slices.iter_mut().zip(self.unwritten(store)) {
                *place = IoSlice::new(bytes);
                count += 1;
            }
            let unwritten = slices.get(..count).unwrap_or_default();
            match poll_send(stream, context, unwritten) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.advance(written?),
            }
        }
        Ok(())
    }

    /// What is left to write, as it lies in memory.
    fn unwritten<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = &'a [u8]> {
        let outgoing = self.queue.iter();
        let mut written = self.written;
        outgoing
            .flat_map(|outgoing| outgoing.slices(store))
            .filter_map(move |bytes| {
                let start = written.min(bytes.len());
                written -= start;
                bytes.get(start..).filter(|rest| !rest.is_empty())
            })
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some(first) = self.queue.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_an_address_waits_for_no_name_server() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let timeout = Duration::from_secs(5);
        let means = Means {
            names: super::super::names::Names::start(&[], 0).unwrap(),
            spool: None,
        };
        let connect = |url: &str| Connection::new(url.parse().unwrap(), &means, timeout);
        let mut connection = connect("avro://127.0.0.1:1");
        assert!(connection.is_resolving());
        runtime.block_on(std::future::poll_fn(|context| {
            let polled = connection.poll(context, &Store::default());
            assert!(!connection.is_resolving(), "{polled:?}");
            Poll::Ready(())
        }));
    }
}
