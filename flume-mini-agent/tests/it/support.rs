//! A raw client, and the bytes it sends: written out, never made by the code under test.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
#[cfg(feature = "file-channel")]
use std::path::Path;
use std::time::Duration;

use flume_mini_agent::MiniAgent;
#[cfg(feature = "file-channel")]
use flume_mini_agent::config::{FileChannelConfig, MemoryChannelConfig};

/// Long enough for any machine; reached only when a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The MD5 of Flume's protocol.
pub(crate) const MD5: &str = "86aadae2c45474c0fe93ffd0f2350a65";

/// A handshake as Flume's own clients make it, without a call: serial 9, 36 bytes.
pub(crate) const GREETING: &str = "00000009 00000001 00000024 86aadae2c45474c0fe93ffd0f2350a65 00
    86aadae2c45474c0fe93ffd0f2350a65 00 00 00";
/// Its answer: BOTH, nothing else.
pub(crate) const GREETING_OK: &str = "00000009 00000001 00000004 00000000";

/// `append`, no handshake: headers k=v, body "hi".
pub(crate) const APPEND: &str = "00000001 00000001 00000011 00 0c617070656e64 02026b027600 046869";
/// `appendBatch` of nothing.
pub(crate) const PROBE: &str = "00000002 00000001 0000000e 00 16617070656e644261746368 00";

/// Bytes from hexadecimal digits; blanks do not count.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .bytes()
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The later reply to `serial` with this status: empty handshake, `00`, `00` and the status.
pub(crate) fn status(serial: u32, status: &str) -> String {
    format!("{serial:08x} 00000003 00000000 00000001 00 00000002 00{status}")
}

/// `appendBatch` of `events` (up to 8,191) times the event without headers and the body "x".
pub(crate) fn batch(serial: u32, events: usize) -> Vec<u8> {
    let count = [((events * 2) & 0x7f) as u8 | 0x80, (events >> 6) as u8];
    let payload = [
        b"\x00\x16appendBatch".as_slice(),
        &count,
        &b"\x00\x02x".repeat(events),
        b"\x00",
    ]
    .concat();
    let mut frame = serial.to_be_bytes().to_vec();
    frame.extend(1_u32.to_be_bytes());
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame
}

/// A channel that fails at once when it is full.
#[cfg(feature = "file-channel")]
pub(crate) fn memory(capacity: usize) -> MemoryChannelConfig {
    let mut config = MemoryChannelConfig::default();
    config.capacity = capacity;
    config.transaction_capacity = capacity;
    config.keep_alive = Duration::ZERO;
    config
}

/// A channel that leaves little of its disk free.
#[cfg(feature = "file-channel")]
pub(crate) fn file(directory: &Path) -> FileChannelConfig {
    let mut config = FileChannelConfig::new(directory, directory);
    config.minimum_required_space = 1 << 20;
    config
}

/// Has a source store so many events.
#[cfg(feature = "file-channel")]
pub(crate) fn put(address: SocketAddr, events: usize) {
    let mut client = Client::greeted_at(address);
    client.send_bytes(&batch(1, events));
    client.expect(&status(1, "00"));
}

pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(agent: &MiniAgent) -> Self {
        Self::connect_to(agent.addr())
    }

    fn connect_to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self(socket)
    }

    /// Connected, and the handshake made.
    pub(crate) fn greeted(agent: &MiniAgent) -> Self {
        Self::greeted_at(agent.addr())
    }

    /// The same at one of many sources.
    pub(crate) fn greeted_at(address: SocketAddr) -> Self {
        let mut client = Self::connect_to(address);
        client.send(GREETING);
        client.expect(GREETING_OK);
        client
    }

    pub(crate) fn send(&mut self, digits: &str) {
        self.send_bytes(&hex(digits));
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Reads as many bytes as `digits` has and compares.
    pub(crate) fn expect(&mut self, digits: &str) {
        self.expect_bytes(&hex(digits));
    }

    pub(crate) fn expect_bytes(&mut self, expected: &[u8]) {
        let mut found = vec![0; expected.len()];
        self.0.read_exact(&mut found).unwrap();
        assert!(
            found == expected,
            "\n found {found:02x?}\nwanted {expected:02x?}"
        );
    }

    /// The next bytes, as many.
    pub(crate) fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut found = vec![0; bytes];
        self.0.read_exact(&mut found).unwrap();
        found
    }

    /// Reads as many bytes, whatever they are.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.0.read_exact(&mut vec![0; bytes]).unwrap();
    }

    /// The agent closes without another byte.
    pub(crate) fn expect_closed(&mut self) {
        match self.0.read(&mut [0; 64]) {
            Ok(0) => {}
            Ok(bytes) => panic!("{bytes} bytes came instead of the end"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    /// The agent closes with FIN, without another byte.
    pub(crate) fn expect_fin(&mut self) {
        assert_eq!(self.0.read(&mut [0; 64]).unwrap(), 0);
    }

    /// The agent closes with RST.
    pub(crate) fn expect_reset(&mut self) {
        let error = self.0.read(&mut [0; 64]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    /// The client has said all it will say.
    pub(crate) fn end(&mut self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Takes what there is to read until the end of the stream, read by read.
    pub(crate) fn read_to_end(&mut self) -> Vec<Vec<u8>> {
        let mut reads = Vec::new();
        loop {
            let mut buffer = [0; 64 * 1024];
            match self.0.read(&mut buffer).unwrap() {
                0 => return reads,
                bytes => reads.push(buffer[..bytes].to_vec()),
            }
        }
    }

    /// The connection still works: a probe is answered.
    pub(crate) fn expect_usable(&mut self) {
        self.send(PROBE);
        self.expect(&status(2, "00"));
    }
}

pub(crate) fn bodies(agent: &MiniAgent, events: usize) -> Vec<String> {
    let events = agent.wait_for(events, LIMIT).unwrap();
    let text =
        |event: &flume_mini_agent::Received| String::from_utf8_lossy(event.body()).into_owned();
    events.iter().map(text).collect()
}

/// The value of a counter, which is to be there.
#[cfg(any(feature = "file-channel", feature = "regex"))]
pub(crate) fn counter(agent: &MiniAgent, component: &str, name: &str) -> String {
    let json = agent.metrics_json();
    let (_, component) = json.split_once(&format!("\"{component}\":{{")).unwrap();
    let (component, _) = component.split_once('}').unwrap();
    let (_, value) = component.split_once(&format!("\"{name}\":\"")).unwrap();
    value.split_once('"').unwrap().0.to_owned()
}
