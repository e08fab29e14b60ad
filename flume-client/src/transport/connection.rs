//! [`Connection`]: one connection to an agent that speaks Avro or Thrift, from look-up to its end.
//!
//! Moves bytes between the [`Stream`] and the [`Session`], and puts envelopes around the stored
//! events: one vectored write takes heads and event slices as they lie in memory.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::layer_plan::LayerPlan;
use super::network::{Link, Progress, Verdict};
use super::outbox::{Outbox, Outgoing};
use super::session::{Heard, Session};
use super::stream::Stream;
use super::tcp::{self, Means};
use crate::agent_url::AgentUrl;
use crate::config::Config;
use crate::delivery::{AgentId, Batch, CallId};
use crate::error::AgentError;
use crate::queue::Unacked;
use crate::reliability::PerLevel;
#[cfg(all(feature = "internals", feature = "tls"))]
use crate::tls::TlsFacts;

type Connecting = Pin<Box<dyn Future<Output = Result<Stream, AgentError>> + Send>>;

/// One connection or attempt. After [`Progress::Ended`] it must not be used again.
pub(crate) struct Connection {
    state: State,
    /// The agent's host name was looked up.
    resolved: Arc<AtomicBool>,
    session: Session,
    outbox: Outbox,
    /// Calls that were given to it and are not answered.
    unanswered: u32,
    /// The handshake was answered.
    is_open: bool,
    /// Bytes were read and nothing was written, since there was nothing to read last.
    is_unconfirmed: bool,
    /// The session may have more to say about bytes it has.
    unread: bool,
    /// A peer that answers and closes makes writing fail before its answers are read. They still
    /// count, so the connection goes on until reading ends, which follows at once.
    write_error: Option<io::Error>,
}

enum State {
    Connecting(Connecting),
    Connected(Stream),
}

/// Bytes read at once: replies are a few bytes each.
const READ_BYTES: usize = 4 * 1024;

impl Link for Connection {
    fn is_resolving(&self) -> bool {
        !self.resolved.load(Ordering::Relaxed)
    }

    fn send(&mut self, call: CallId, batch: Batch) {
        let envelope = self.session.envelope(call, &batch);
        self.unanswered += 1;
        self.outbox.push(Outgoing::call(call, batch, envelope));
    }

    fn poll(&mut self, context: &mut Context<'_>, unacked: &PerLevel<Unacked>) -> Poll<Progress> {
        match self.try_poll(context, unacked) {
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
}

impl Connection {
    /// An attempt. `dialect` is the number of one that the agent may speak, from 0.
    pub(crate) fn new(
        (id, agent): (AgentId, AgentUrl),
        dialect: u32,
        means: &Means,
        config: &Config,
    ) -> Self {
        let dialect = agent.dialects().get(dialect as usize).copied();
        let (session, greeting) = Session::start(&agent, dialect);
        let layers = LayerPlan::of((id, &agent), dialect, config);
        let resolved = Arc::<AtomicBool>::default();
        let timeout = config.delivery.connect_timeout;
        let (means, is_resolved) = (means.clone(), resolved.clone());
        let connecting = async move {
            let layers = layers.ready(&means).await?;
            let socket = tcp::connect(agent, means, timeout, is_resolved).await?;
            Ok(layers.around(socket))
        };
        Self {
            state: State::Connecting(Box::pin(connecting)),
            resolved,
            session,
            outbox: Outbox::starting_with(greeting),
            unanswered: 0,
            is_open: false,
            is_unconfirmed: false,
            unread: false,
            write_error: None,
        }
    }

    /// What was agreed on by TLS, if the agent has it and its handshake is through.
    #[cfg(all(feature = "internals", feature = "tls"))]
    pub(crate) fn tls_facts(&self) -> Option<TlsFacts<'_>> {
        match &self.state {
            State::Connecting(_) => None,
            State::Connected(stream) => stream.tls_facts(),
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
        unacked: &PerLevel<Unacked>,
    ) -> Result<Option<Progress>, AgentError> {
        let stream = match &mut self.state {
            State::Connecting(connecting) => match connecting.as_mut().poll(context) {
                Poll::Pending => return Ok(None),
                Poll::Ready(stream) => {
                    self.state = State::Connected(stream?);
                    return Ok(Some(Progress::Connected));
                }
            },
            State::Connected(stream) => stream,
        };
        // Answers first: what is sent because of them goes out in one write.
        loop {
            if let Some((call, error)) = self.outbox.unfit.pop_front() {
                self.unanswered = self.unanswered.saturating_sub(1);
                let verdict = Verdict::Unacceptable(error.into());
                return Ok(Some(Progress::Answered { call, verdict }));
            }
            if self.unread {
                if let Some(heard) = self.session.poll()? {
                    return self.on_heard(heard).map(Some);
                }
                self.unread = false;
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            match stream.poll_read(context, &mut buffer) {
                Poll::Pending if self.write_error.is_some() => return Ok(None),
                Poll::Pending => match self.outbox.write(stream, &self.session, context, unacked) {
                    Ok(_) if !self.outbox.unfit.is_empty() => continue,
                    Ok(has_sent) => {
                        let is_unconfirmed = std::mem::take(&mut self.is_unconfirmed);
                        if is_unconfirmed && !has_sent && self.unanswered > 0 {
                            stream.confirm();
                        }
                        return Ok(None);
                    }
                    Err(AgentError::Io(error)) if is_by_peer(&error) => {
                        self.write_error = Some(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                },
                Poll::Ready(read) => read?,
            }
            if buffer.filled().is_empty() {
                let error = self.write_error.take().map(AgentError::Io);
                return Err(error.unwrap_or(AgentError::ConnectionClosed));
            }
            self.session.push(buffer.filled());
            (self.unread, self.is_unconfirmed) = (true, true);
        }
    }

    fn on_heard(&mut self, heard: Heard) -> Result<Progress, AgentError> {
        match heard {
            Heard::Greeting(greeting) => {
                self.outbox.push(Outgoing::greeting(greeting));
                // The deadline for the handshake starts again: the peer is alive.
                Ok(Progress::Connected)
            }
            Heard::Open => {
                self.is_open = true;
                Ok(Progress::Opened)
            }
            // An answer to a call that is not fully written. Accepting it would free the bytes that
            // we still write.
            Heard::Answer { call, .. } if self.outbox.holds(call) => {
                Err(AgentError::UnexpectedSerial {
                    serial: call.number(),
                })
            }
            Heard::Answer { call, verdict } => {
                self.unanswered = self.unanswered.saturating_sub(1);
                Ok(Progress::Answered { call, verdict })
            }
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
            .field("outbox", &self.outbox.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};

    use super::super::names::Names;
    use super::super::socket::{confirms, sends};
    use super::*;
    use crate::client::Client;
    use crate::delivery::AgentSet;
    use crate::queue::Chunk;
    use crate::reliability::Reliability;
    use crate::seq::Seq;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn connect(url: &str) -> Connection {
        let config = Client::builder().agent(url).check().unwrap();
        let names = Names::start(&[], 0).unwrap();
        let means = Means::start(&config, names, None).unwrap();
        let agent = (AgentId::new(0), url.parse().unwrap());
        Connection::new(agent, 0, &means, &config)
    }

    #[test]
    fn a_connection_to_an_address_waits_for_no_name_server() {
        let mut connection = connect("avro://127.0.0.1:1");
        assert!(connection.is_resolving());
        runtime().block_on(std::future::poll_fn(|context| {
            let polled = connection.poll(context, &PerLevel::default());
            assert!(!connection.is_resolving(), "{polled:?}");
            Poll::Ready(())
        }));
    }

    const LEVEL: Reliability = Reliability::InMemory;

    /// Ten events of ten bytes each.
    fn events() -> PerLevel<Unacked> {
        let mut unacked = PerLevel::<Unacked>::default();
        unacked[LEVEL].add(Chunk {
            first: Seq::ZERO,
            bytes: vec![0; 100],
            ends: (1..=10).map(|event| 10 * event).collect(),
        });
        unacked
    }

    /// A call with one of them.
    fn send(connection: &mut Connection, number: i32) {
        let batch = Batch {
            level: LEVEL,
            first: Seq::ZERO.plus(number as u64),
            events: 1,
            bytes: 10,
            attempts: 1,
            rest_until: Duration::ZERO,
            tried: None,
            unfit: AgentSet::default(),
            half_bytes: 0,
        };
        connection.send(CallId::new(number), batch);
    }

    /// A frame with these buffers, as Netty's transport has it.
    fn frame(serial: i32, buffers: &[&[u8]]) -> Vec<u8> {
        let mut frame = serial.to_be_bytes().to_vec();
        frame.extend((buffers.len() as u32).to_be_bytes());
        for buffer in buffers {
            frame.extend((buffer.len() as u32).to_be_bytes());
            frame.extend(*buffer);
        }
        frame
    }

    fn ok(serial: i32) -> Vec<u8> {
        frame(serial, &[b"", b"\0", b"\0\0"])
    }

    /// Polls until something comes of it.
    fn progress(runtime: &Runtime, connection: &mut Connection) -> Progress {
        let unacked = events();
        runtime.block_on(std::future::poll_fn(|context| {
            connection.poll(context, &unacked)
        }))
    }

    /// Polls once; nothing comes of it.
    fn work(runtime: &Runtime, connection: &mut Connection) {
        let unacked = events();
        let polled = runtime.block_on(std::future::poll_fn(|context| {
            Poll::Ready(connection.poll(context, &unacked))
        }));
        assert!(polled.is_pending(), "{polled:?}");
    }

    /// A connection whose handshake is through, and the agent's end of it.
    fn open(runtime: &Runtime) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("avro://{}", listener.local_addr().unwrap());
        let mut connection = connect(&url);
        assert!(matches!(
            progress(runtime, &mut connection),
            Progress::Connected
        ));
        work(runtime, &mut connection);
        let (mut agent, _) = listener.accept().unwrap();
        let mut head = [0; 12];
        agent.read_exact(&mut head).unwrap();
        let [serial, count, length] =
            [0, 4, 8].map(|at| i32::from_be_bytes(head[at..at + 4].try_into().unwrap()));
        assert_eq!(count, 1, "buffers of the greeting");
        agent.read_exact(&mut vec![0; length as usize]).unwrap();
        agent.write_all(&frame(serial, &[&[0; 4]])).unwrap();
        assert!(matches!(
            progress(runtime, &mut connection),
            Progress::Opened
        ));
        (connection, agent)
    }

    #[test]
    fn all_calls_of_a_turn_leave_in_one_write_and_so_do_those_that_several_answers_make_room_for() {
        let runtime = runtime();
        let (mut connection, mut agent) = open(&runtime);
        let before = sends();
        for call in 1..=3 {
            send(&mut connection, call);
        }
        work(&runtime, &mut connection);
        assert_eq!(sends() - before, 1);

        agent.write_all(&[ok(1), ok(2), ok(3)].concat()).unwrap();
        for answered in 1..=3 {
            let progress = progress(&runtime, &mut connection);
            let Progress::Answered { call, .. } = progress else {
                unreachable!("{progress:?}");
            };
            assert_eq!(call.number(), answered);
            send(&mut connection, answered + 3);
        }
        assert_eq!(sends() - before, 1);
        work(&runtime, &mut connection);
        assert_eq!(sends() - before, 2);
    }

    #[test]
    fn an_answer_is_confirmed_at_once_if_others_are_to_come_and_nothing_is_sent() {
        let runtime = runtime();
        let (mut connection, mut agent) = open(&runtime);
        let before = confirms();
        let answer = |connection: &mut Connection, agent: &mut TcpStream, call: i32| {
            agent.write_all(&ok(call)).unwrap();
            let progress = progress(&runtime, connection);
            assert!(
                matches!(progress, Progress::Answered { .. }),
                "{progress:?}"
            );
        };
        for call in 1..=3 {
            send(&mut connection, call);
        }
        work(&runtime, &mut connection);
        answer(&mut connection, &mut agent, 1);
        assert_eq!(confirms(), before);
        work(&runtime, &mut connection);
        assert_eq!(confirms() - before, 1, "two more are to come");
        answer(&mut connection, &mut agent, 2);
        send(&mut connection, 4);
        work(&runtime, &mut connection);
        assert_eq!(confirms() - before, 1, "what is sent confirms");
        agent.write_all(&[ok(3), ok(4)].concat()).unwrap();
        progress(&runtime, &mut connection);
        progress(&runtime, &mut connection);
        work(&runtime, &mut connection);
        assert_eq!(confirms() - before, 1, "there are no more");
    }
}
