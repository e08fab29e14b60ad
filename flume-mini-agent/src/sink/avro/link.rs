//! [`Link`]: one connection to another agent, its handshake made.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use flume_client::error::PeerText;
use flume_client::wire::avro::frame;
use flume_client::wire::avro::rpc::{self, Reply};
use flume_client::wire::avro::session::{Session, SessionError, SessionEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::carrier::{Carrier, Stream};
use crate::channel::StoredEvent;

/// An open connection without a call under way.
#[derive(Debug)]
pub(super) struct Link {
    stream: Stream,
    session: Session,
    last_serial: i32,
    /// Kept for its room.
    frame: Vec<u8>,
}

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("{0}")]
    Protocol(#[from] SessionError),
    #[error("it answered a call that was not made")]
    StrayReply,
    #[error("the batch is too large for a frame")]
    TooLarge,
    #[error("it answered FAILED")]
    Failed,
    #[error("it answered UNKNOWN")]
    Unknown,
    #[error("it answered with the error {0}")]
    Refused(PeerText),
}

/// Bytes read at once; replies are short.
const READ_BYTES: usize = 1024;

impl Link {
    /// Connects and makes the handshake.
    pub(super) async fn open(address: (&str, u16), carrier: &Carrier) -> Result<Self, LinkError> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let mut stream = carrier.put_on(socket)?;
        let (session, greeting) = Session::start();
        send(&mut stream, &greeting).await?;
        let mut link = Self {
            stream,
            session,
            last_serial: 0,
            frame: Vec::new(),
        };
        loop {
            match link.event().await? {
                SessionEvent::Open => return Ok(link),
                SessionEvent::Send(bytes) => send(&mut link.stream, &bytes).await?,
                SessionEvent::Reply { .. } => return Err(LinkError::StrayReply),
            }
        }
    }

    /// Whether the other side has neither closed nor said anything unasked.
    pub(super) async fn is_alive(&mut self) -> bool {
        let mut byte = [0];
        let mut read = pin!(self.stream.read(&mut byte));
        poll_fn(|context| Poll::Ready(read.as_mut().poll(context).is_pending())).await
    }

    /// Sends a batch and waits for its answer.
    pub(super) async fn append_batch(&mut self, events: &[StoredEvent]) -> Result<(), LinkError> {
        self.last_serial = self.last_serial.wrapping_add(1).max(1);
        self.put_frame(events)?;
        send(&mut self.stream, &self.frame).await?;
        match self.event().await? {
            SessionEvent::Reply { serial, reply } if serial == self.last_serial => match reply {
                Reply::Ok => Ok(()),
                Reply::Failed => Err(LinkError::Failed),
                Reply::Unknown => Err(LinkError::Unknown),
                Reply::Error(text) => Err(LinkError::Refused(text.as_str().into())),
            },
            _ => Err(LinkError::StrayReply),
        }
    }

    fn put_frame(&mut self, events: &[StoredEvent]) -> Result<(), LinkError> {
        let event_bytes = events.iter().map(|event| event.datum().len()).sum();
        let payload_bytes = rpc::append_batch_len(events.len(), event_bytes);
        let head = frame::head(self.last_serial, payload_bytes).ok_or(LinkError::TooLarge)?;
        self.frame.clear();
        self.frame.reserve(head.len() + payload_bytes);
        self.frame.extend_from_slice(&head);
        rpc::put_append_batch_start(&mut self.frame, events.len());
        for event in events {
            self.frame.extend_from_slice(event.datum());
        }
        self.frame.extend_from_slice(&rpc::APPEND_BATCH_END);
        debug_assert_eq!(self.frame.len(), head.len() + payload_bytes);
        Ok(())
    }

    async fn event(&mut self) -> Result<SessionEvent, LinkError> {
        loop {
            if let Some(event) = self.session.poll()? {
                return Ok(event);
            }
            let mut bytes = [0; READ_BYTES];
            let count = self.stream.read(&mut bytes).await?;
            let (read, _) = bytes.split_at(count);
            if read.is_empty() {
                return Err(LinkError::Closed);
            }
            self.session.push(read);
        }
    }
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
