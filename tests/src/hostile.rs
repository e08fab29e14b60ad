//! A thousand peers that mean no good, against an agent in a process of its own: what they cost it
//! in memory, and whether a good client is served meanwhile.
//!
//! Nothing here goes by the clock: a slow peer sends a byte in each round, and between the rounds
//! the good client's events must be acknowledged.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flume_client::{Client, Event};
use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::{
    AgentConfig, AvroSourceConfig, HttpSourceConfig, MemoryChannelConfig, NetcatSourceConfig,
    NullSinkConfig,
};

use crate::{Child, HarnessError, Heard, Result, resident_bytes, resident_bytes_max};

/// Hostile connections at once; an agent takes 1,024 for each of its sources.
pub const CONNECTIONS: usize = 1_000;
/// What one of them may cost the agent.
pub const BYTES_PER_CONNECTION_MAX: u64 = 256 * 1024;

/// Rounds in which each connection sends a piece.
const ROUNDS: usize = 10;
/// Events that the good client sends in each round.
const GOOD_EVENTS: usize = 20;
/// Connections that surely have room to wait for the agent; further ones would try again later.
const ACCEPTED_AT_ONCE: usize = 50;
/// What the agent that is measured has one of each of.
const SOURCES: [&str; 3] = ["avro", "http", "netcat"];
const LIMIT: Duration = Duration::from_secs(30);

/// A kind of peer.
#[derive(Debug)]
pub struct Peer {
    name: &'static str,
    /// The type of the source it comes to.
    pub source: &'static str,
    /// What it sends first, and then in every round.
    pieces: (Vec<u8>, Pieces),
}

#[derive(Debug)]
enum Pieces {
    /// Nothing more.
    Nothing,
    /// A byte of these, again from the start when they are used up.
    Bytes(Vec<u8>),
    /// All of these.
    Whole(Vec<u8>),
}

/// What a kind of peer did to an agent.
#[derive(Debug)]
pub struct Figures {
    /// The agent's resident memory before they came, and the most it ever was.
    pub resident_bytes: (u64, u64),
    /// Connections that the agent had ended when all was sent.
    pub ended: usize,
    /// Events of the good client that were acknowledged meanwhile: all.
    pub acknowledged: usize,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.name)
    }
}

impl Figures {
    /// Bytes that a connection cost.
    #[must_use]
    pub fn bytes_per_connection(&self) -> u64 {
        let (before, most) = self.resident_bytes;
        most.saturating_sub(before) / CONNECTIONS as u64
    }
}

/// All kinds.
#[must_use]
pub fn peers() -> Vec<Peer> {
    [avro_peers(), http_peers(), netcat_peers()]
        .into_iter()
        .flatten()
        .collect()
}

fn peer(source: &'static str, name: &'static str, first: &[u8], then: Pieces) -> Peer {
    Peer {
        name,
        source,
        pieces: (first.to_vec(), then),
    }
}

fn avro_peers() -> Vec<Peer> {
    use Pieces::{Bytes, Nothing, Whole};
    let peer = |name, first: &[u8], then| peer("avro", name, first, then);
    let for_ever = |frame: &[u8]| Whole(frame.repeat(2_000));
    let unknown = frame(&[[7; 16].as_slice(), &[0], &[7; 16], &[0, 0, 0]].concat());
    let greeting = frame(&greeting());
    let buffers = [0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff];
    let slow = Bytes(vec![0; 64]);
    vec![
        peer("one byte, then nothing", &[0], Nothing),
        peer("a byte at a time", &announced(1 << 20), slow),
        peer("16 MiB announced", &announced(1 << 24), Nothing),
        peer("2 GiB announced", &announced(i32::MAX), Nothing),
        peer("no buffers", &[0; 8], Nothing),
        peer("2^31 buffers", &buffers, Nothing),
        peer("handshakes of a stranger, unread", &[], for_ever(&unknown)),
        peer("handshakes, unread", &[], for_ever(&greeting)),
        peer("2^63 metadata", &greeting, for_ever(&frame(&LONG_MAX))),
        peer("2^63 events", &greeting, for_ever(&endless_batch())),
    ]
}

fn http_peers() -> Vec<Peer> {
    let peer = |name, first: &[u8], then| peer("http", name, first, then);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000000\r\n";
    let post = [head.as_slice(), b"\r\n[{"].concat();
    let header = b"X-Endless: and so on and so on\r\n";
    let slow = Pieces::Bytes(header.to_vec());
    let endless = Pieces::Whole(header.repeat(400));
    vec![
        peer("one byte, then nothing", b"P", Pieces::Nothing),
        peer("a byte of a head at a time", head, slow),
        peer("a head without end", head, endless),
        peer(
            "a byte of a body at a time",
            &post,
            Pieces::Bytes(b"\"".to_vec()),
        ),
    ]
}

fn netcat_peers() -> Vec<Peer> {
    let peer = |name, first: &[u8], then| peer("netcat", name, first, then);
    let lines = Pieces::Whole(b"a\n".repeat(500));
    vec![
        peer("one byte, then nothing", b"a", Pieces::Nothing),
        peer(
            "a byte of a line at a time",
            b"",
            Pieces::Bytes(b"a".to_vec()),
        ),
        peer("lines, unread", b"", lines),
    ]
}

/// Lets [`CONNECTIONS`] of such peers at an agent that is started from `program`, the binary of
/// [`serve`].
///
/// # Errors
///
/// When the agent does not start, or does not serve its good client.
pub fn measure(program: &Path, peer: &Peer) -> Result<Figures> {
    raise_file_limit();
    let agent = Agent::start(program)?;
    let client = Client::builder().agent(format!("avro://{}", agent.address("avro")?));
    let client = client.linger(Duration::from_millis(1)).build();
    let client = client.map_err(|e| HarnessError::doing("the good client", e))?;
    deliver(&client, 2_000)?;
    let before = resident_bytes(agent.process.id())?;
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        if number % ACCEPTED_AT_ONCE == 0 {
            deliver(&client, 1)?;
        }
        connections.push(Connection::open(agent.address(peer.source)?)?);
    }
    let mut send_to_all = |bytes: &[u8], length: usize| {
        connections.iter_mut().for_each(|it| it.send(bytes, length));
    };
    let (first, then) = &peer.pieces;
    send_to_all(first, first.len());
    let mut acknowledged = 0;
    for _ in 0..ROUNDS {
        match then {
            Pieces::Nothing => {}
            Pieces::Bytes(bytes) => send_to_all(bytes, 1),
            Pieces::Whole(bytes) => send_to_all(bytes, bytes.len()),
        }
        deliver(&client, GOOD_EVENTS)?;
        acknowledged += GOOD_EVENTS;
    }
    Ok(Figures {
        ended: connections.iter().filter(|it| it.has_ended()).count(),
        resident_bytes: (before, resident_bytes_max(agent.process.id())?),
        acknowledged,
    })
}

/// The agent that is measured: tells its addresses on standard output and runs until standard
/// input ends.
///
/// # Errors
///
/// When it does not start.
pub fn serve() -> Result<()> {
    let mut memory = MemoryChannelConfig::default();
    memory.capacity = 10_000;
    memory.transaction_capacity = 1_000;
    let config = AgentConfig::builder("a1")
        .channel("c1", memory)
        .source("avro", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .source("http", HttpSourceConfig::new("127.0.0.1", 0), ["c1"])
        .source("netcat", NetcatSourceConfig::new("127.0.0.1", 0), ["c1"])
        .sink("k1", NullSinkConfig::default(), "c1");
    let config = config.build();
    let config = config.map_err(|e| HarnessError::doing("the configuration", e))?;
    let agent = MiniAgent::configured(config).start();
    let agent = agent.map_err(|e| HarnessError::doing("the agent", e))?;
    for source in SOURCES {
        let port = agent.addr_of(source).map_or(0, |address| address.port());
        println!("{source} 127.0.0.1:{port}");
    }
    let ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    ended.map_err(|e| HarnessError::doing("standard input", e))?;
    Ok(())
}

/// The process of [`serve`].
struct Agent {
    process: Child,
    addresses: Vec<(String, SocketAddr)>,
}

impl Agent {
    fn start(program: &Path) -> Result<Self> {
        let process = Child::start(Command::new(program).arg("agent"))?;
        let mut addresses = Vec::new();
        let deadline = Instant::now() + LIMIT;
        while addresses.len() < SOURCES.len() {
            let heard = process.hear(deadline);
            let Heard::Line(line) = heard else {
                return Err(HarnessError::new(format!(
                    "no address of the agent: {heard:?}"
                )));
            };
            let address = line
                .text
                .split_once(' ')
                .and_then(|(name, address)| Some((name.to_owned(), address.parse().ok()?)));
            addresses.extend(address);
        }
        Ok(Self { process, addresses })
    }

    fn address(&self, source: &str) -> Result<SocketAddr> {
        let found = self.addresses.iter().find(|(name, _)| name == source);
        let address = found.map(|(_, address)| *address);
        address.ok_or_else(|| HarnessError::new(format!("the agent has no source {source}")))
    }
}

fn deliver(client: &Client, events: usize) -> Result<()> {
    let mut receipts = Vec::new();
    for _ in 0..events {
        let appended = client.append_within(Event::new([b'x'; 100]), LIMIT);
        receipts.push(appended.map_err(|e| HarnessError::doing("the good client", e))?);
    }
    for receipt in receipts {
        let outcome = receipt.wait(LIMIT);
        outcome.map_err(|e| HarnessError::doing("the good client's event", e))?;
    }
    Ok(())
}

/// A hostile connection.
struct Connection {
    /// `None` once the agent has ended it.
    socket: Option<TcpStream>,
    /// Where in the bytes that are sent again and again the next one is.
    next: usize,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let doing = |e| HarnessError::doing(format!("a connection to {address}"), e);
        let socket = TcpStream::connect_timeout(&address, LIMIT).map_err(doing)?;
        socket.set_nodelay(true).map_err(doing)?;
        socket.set_nonblocking(true).map_err(doing)?;
        Ok(Self {
            socket: Some(socket),
            next: 0,
        })
    }

    /// Sends the next `length` of `bytes`, as far as that goes without a wait.
    fn send(&mut self, bytes: &[u8], length: usize) {
        let Some(socket) = &mut self.socket else {
            return;
        };
        let rest = bytes.get(self.next..).unwrap_or_default();
        let piece = rest.get(..length).unwrap_or(rest);
        match socket.write(piece) {
            Ok(sent) if self.next + sent < bytes.len() => self.next += sent,
            Ok(_) => self.next = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.socket = None,
        }
    }

    fn has_ended(&self) -> bool {
        match self.socket.as_ref().map(|socket| socket.peek(&mut [0])) {
            None | Some(Ok(0)) => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// A frame of one buffer.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    [
        [0, 0, 0, 9, 0, 0, 0, 1].as_slice(),
        &length.to_be_bytes(),
        payload,
    ]
    .concat()
}

/// The head of a frame that is to come.
fn announced(bytes: i32) -> Vec<u8> {
    [[0, 0, 0, 9, 0, 0, 0, 1].as_slice(), &bytes.to_be_bytes()].concat()
}

/// A handshake as Flume's clients make it, with an empty call.
fn greeting() -> Vec<u8> {
    const MD5: u128 = 0x86aa_dae2_c454_74c0_fe93_ffd0_f235_0a65;
    let md5 = MD5.to_be_bytes();
    [md5.as_slice(), &[0], &md5, &[0, 0, 0]].concat()
}

/// The greatest number as Avro writes it.
const LONG_MAX: [u8; 10] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];

/// A frame with `appendBatch` of an array that says it is endless and has one event.
fn endless_batch() -> Vec<u8> {
    frame(&[b"\0\x16appendBatch".as_slice(), &LONG_MAX, b"\0\x02x"].concat())
}

/// As many open files as the system allows; if those are too few, connecting tells.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    }
}
