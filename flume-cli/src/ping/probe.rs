//! [`probe`]: one connection to one agent, by hand, so that each step can be timed and named.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use flume_client::wire::avro::frame;
use flume_client::wire::avro::rpc::{self, Reply};
use flume_client::wire::avro::session::{Session, SessionEvent};
use flume_client::{AgentError, AgentUrl};

/// What an agent answered, up to its first failure.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// Look-up and connecting.
    pub(super) connect: Option<Duration>,
    /// From the first byte sent to the answered handshake.
    pub(super) handshake: Option<Duration>,
    /// One for each empty batch that was answered OK.
    pub(super) round_trips: Vec<Duration>,
    pub(super) error: Option<AgentError>,
}

/// Connects, greets, and sends `count` empty batches, which change nothing in the agent.
/// `timeout` bounds connecting, and each answer.
pub(super) fn probe(agent: &AgentUrl, count: u32, timeout: Duration) -> Probe {
    let mut probe = Probe::default();
    probe.error = probe.run(agent, count, timeout).err();
    probe
}

impl Probe {
    fn run(&mut self, agent: &AgentUrl, count: u32, timeout: Duration) -> Result<(), AgentError> {
        let started = Instant::now();
        let stream = connect(agent, timeout)?;
        self.connect = Some(started.elapsed());
        let started = Instant::now();
        let mut link = Link::open(stream, timeout)?;
        self.handshake = Some(started.elapsed());
        for serial in 1..=count {
            let started = Instant::now();
            link.ping(serial as i32)?;
            self.round_trips.push(started.elapsed());
        }
        Ok(())
    }
}

/// Tries each address of the host until the time is over.
fn connect(agent: &AgentUrl, timeout: Duration) -> Result<TcpStream, AgentError> {
    let started = Instant::now();
    let mut failures = Vec::new();
    for address in resolve(agent, timeout)? {
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(AgentError::ConnectTimeout(timeout));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                return Err(AgentError::ConnectTimeout(timeout));
            }
            Err(error) => failures.push((address, error)),
        }
    }
    Err(AgentError::Connect(failures))
}

/// Looks the name up in a thread of its own: the system's resolver cannot be told a time-out.
fn resolve(agent: &AgentUrl, timeout: Duration) -> Result<Vec<SocketAddr>, AgentError> {
    if let Ok(address) = agent.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, agent.port())]);
    }
    let failed = |error| AgentError::Resolve {
        host: agent.host().to_owned(),
        error,
    };
    let (sender, found) = mpsc::sync_channel(1);
    let name = (agent.host().to_owned(), agent.port());
    let look_up = move || {
        let addresses = name.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody listens any more when the time was over.
        let _ = sender.send(addresses);
    };
    thread::Builder::new()
        .name("flume-dns".into())
        .spawn(look_up)
        .map_err(failed)?;
    match found.recv_timeout(timeout) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(failed(io::Error::new(
            ErrorKind::NotFound,
            "the name has no address",
        ))),
        Ok(addresses) => addresses.map_err(failed),
        Err(_) => Err(AgentError::ResolveTimeout {
            host: agent.host().to_owned(),
            waited: timeout,
        }),
    }
}

/// A connection whose handshake was answered.
struct Link {
    stream: TcpStream,
    session: Session,
    timeout: Duration,
}

impl Link {
    fn open(stream: TcpStream, timeout: Duration) -> Result<Self, AgentError> {
        let (session, greeting) = Session::start();
        let mut link = Self {
            stream,
            session,
            timeout,
        };
        let late = AgentError::HandshakeTimeout;
        link.write(&greeting, late).map_err(ended_early)?;
        loop {
            match link.answer(late).map_err(ended_early)? {
                SessionEvent::Send(greeting) => link.write(&greeting, late)?,
                SessionEvent::Open => return Ok(link),
                SessionEvent::Reply { serial, .. } => {
                    return Err(AgentError::UnexpectedSerial { serial });
                }
            }
        }
    }

    /// One empty batch and its answer.
    fn ping(&mut self, call: i32) -> Result<(), AgentError> {
        let length = rpc::append_batch_len(0, 0);
        let head = frame::head(call, length).expect("an empty batch is far below 2 GiB");
        let mut bytes = head.to_vec();
        rpc::put_append_batch_start(&mut bytes, 0);
        bytes.extend_from_slice(&rpc::APPEND_BATCH_END);
        let late = AgentError::RequestTimeout;
        self.write(&bytes, late)?;
        match self.answer(late)? {
            SessionEvent::Reply { serial, .. } if serial != call => {
                Err(AgentError::UnexpectedSerial { serial })
            }
            SessionEvent::Reply { reply, .. } => accepted(reply),
            SessionEvent::Send(_) | SessionEvent::Open => {
                unreachable!("a session greets and opens once")
            }
        }
    }

    fn write(&mut self, bytes: &[u8], late: fn(Duration) -> AgentError) -> Result<(), AgentError> {
        self.stream.set_write_timeout(Some(self.timeout))?;
        let written = self.stream.write_all(bytes);
        written.map_err(|error| self.read_error(error, late))
    }

    /// Reads until something follows from it. An agent that sends byte by byte gains no time.
    fn answer(&mut self, late: fn(Duration) -> AgentError) -> Result<SessionEvent, AgentError> {
        let started = Instant::now();
        let mut bytes = [0; 4096];
        loop {
            if let Some(event) = self.session.poll()? {
                return Ok(event);
            }
            let left = self.timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(late(self.timeout));
            }
            self.stream.set_read_timeout(Some(left))?;
            let read = match self.stream.read(&mut bytes) {
                Ok(0) => return Err(AgentError::ConnectionClosed),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.read_error(error, late)),
            };
            self.session.push(bytes.get(..read).unwrap_or_default());
        }
    }

    fn read_error(&self, error: io::Error, late: fn(Duration) -> AgentError) -> AgentError {
        match error.kind() {
            // Which of the two a socket's time-out gives differs between systems.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => late(self.timeout),
            _ => AgentError::Io(error),
        }
    }
}

/// What an end of the connection means before the handshake is answered.
fn ended_early(error: AgentError) -> AgentError {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error {
        AgentError::ConnectionClosed => AgentError::ClosedInHandshake,
        AgentError::Io(error)
            if matches!(
                error.kind(),
                BrokenPipe | ConnectionReset | ConnectionAborted
            ) =>
        {
            AgentError::ClosedInHandshake
        }
        error => error,
    }
}

fn accepted(reply: Reply) -> Result<(), AgentError> {
    match reply {
        Reply::Ok => Ok(()),
        Reply::Failed => Err(AgentError::Refused { status: "FAILED" }),
        Reply::Unknown => Err(AgentError::Refused { status: "UNKNOWN" }),
        Reply::Error(text) => Err(AgentError::Exception(text.as_str().into())),
    }
}
