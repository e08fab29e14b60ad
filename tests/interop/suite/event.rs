//! Events as Avro writes them, and the calls that carry them; independent of our codec.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use flume_tests::raw::{APPEND_BATCH, Connection, avro_long, bytes, hex};
use flume_tests::wire::{Reader, Received};

const APPEND: &str = "0c617070656e64";

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What an Avro source answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Ok,
    Failed,
    /// An RPC error with this text.
    Error(String),
}

impl Event {
    pub(crate) fn new(body: impl AsRef<[u8]>) -> Self {
        Self {
            headers: BTreeMap::new(),
            body: body.as_ref().to_vec(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn encoded(&self) -> String {
        let mut out = String::new();
        if !self.headers.is_empty() {
            out += &avro_long(self.headers.len() as u64);
            for (name, value) in &self.headers {
                out += &string(name.as_bytes());
                out += &string(value.as_bytes());
            }
        }
        out + "00" + &string(&self.body)
    }
}

impl From<Received> for Event {
    fn from(received: Received) -> Self {
        Self {
            headers: received.headers.into_iter().collect(),
            body: received.body,
        }
    }
}

/// Events without headers, one for each body.
pub(crate) fn events<T: AsRef<[u8]>>(bodies: impl IntoIterator<Item = T>) -> Vec<Event> {
    bodies.into_iter().map(Event::new).collect()
}

/// A client of an Avro source that waits for each answer.
pub(crate) struct Client(Connection);

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self(Connection::open_and_greet(addr))
    }

    pub(crate) fn append(&mut self, event: &Event) -> Answer {
        answer(&self.0.call(&format!("00 {APPEND} {}", event.encoded())))
    }

    /// Whether the agent has closed the connection. Waits for it, or fails.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.0.is_closed()
    }

    pub(crate) fn append_batch(&mut self, events: &[Event]) -> Answer {
        let count = match events.len() {
            0 => String::new(),
            count => avro_long(count as u64),
        };
        let items: String = events.iter().map(Event::encoded).collect();
        answer(&self.0.call(&format!("00 {APPEND_BATCH} {count}{items} 00")))
    }
}

fn string(text: &[u8]) -> String {
    avro_long(text.len() as u64) + &hex(text)
}

fn answer(buffers: &[String]) -> Answer {
    let reply = bytes(&buffers.concat());
    match reply.as_slice() {
        // No metadata, no error, the status.
        [0, 0, 0] => Answer::Ok,
        [0, 0, 2] => Answer::Failed,
        // No metadata, an error, of the union's first kind: a string.
        [0, 1, 0, text @ ..] => Answer::Error(Reader(text).text()),
        other => panic!("an answer nobody knows: {other:02x?}"),
    }
}

/// The events of the call that starts here; `None`: there was only a handshake.
pub(super) fn read_call(reader: &mut Reader) -> Option<Vec<Event>> {
    assert_eq!(reader.long(), 0, "a call without metadata");
    let events = match reader.text().as_str() {
        "append" => vec![reader.event()],
        "appendBatch" => reader.events(),
        "" => return None,
        other => panic!("a call of {other}"),
    };
    Some(events.into_iter().map(Event::from).collect())
}

/// Skips the handshake that a client's first request starts with.
pub(super) fn skip_handshake(reader: &mut Reader) {
    const MD5_BYTES: usize = 16;
    reader.take(MD5_BYTES);
    if reader.long() == 1 {
        reader.text();
    }
    reader.take(MD5_BYTES);
    if reader.long() == 1 {
        assert_eq!(reader.long(), 0, "the number of entries in the metadata");
    }
}
