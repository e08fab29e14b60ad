//! Events as Avro writes them, and the calls that carry them; independent of our codec.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::raw::{APPEND_BATCH, Connection, avro_long, bytes, hex};

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
        [0, 1, 0, text @ ..] => Answer::Error(
            Reader(text)
                .string()
                .map(|text| String::from_utf8_lossy(&text).into_owned())
                .unwrap(),
        ),
        other => panic!("an answer nobody knows: {other:02x?}"),
    }
}

/// Reads a call's bytes from the front; `None` at their end.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    /// The events of the call that starts here. `Some(None)`: there was only a handshake.
    pub(crate) fn call(&mut self) -> Option<Option<Vec<Event>>> {
        assert_eq!(self.long()?, 0, "a call without metadata");
        match self.string()?.as_slice() {
            b"append" => Some(Some(vec![self.event()?])),
            b"appendBatch" => self.batch().map(Some),
            b"" => Some(None),
            other => panic!("a call of {:?}", String::from_utf8_lossy(other)),
        }
    }

    /// Skips the handshake that a client's first request starts with.
    pub(crate) fn handshake(&mut self) -> Option<()> {
        self.take(16)?;
        if self.long()? == 1 {
            self.string()?;
        }
        self.take(16)?;
        if self.long()? == 1 {
            assert_eq!(self.long()?, 0, "the number of entries in the metadata");
        }
        Some(())
    }

    fn batch(&mut self) -> Option<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            match self.long()? {
                0 => return Some(events),
                count => {
                    for _ in 0..count {
                        events.push(self.event()?);
                    }
                }
            }
        }
    }

    fn event(&mut self) -> Option<Event> {
        let mut headers = BTreeMap::new();
        loop {
            match self.long()? {
                0 => break,
                count => {
                    for _ in 0..count {
                        let name = String::from_utf8(self.string()?).unwrap();
                        headers.insert(name, String::from_utf8(self.string()?).unwrap());
                    }
                }
            }
        }
        let body = self.string()?;
        Some(Event { headers, body })
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.long()?).unwrap();
        self.take(length).map(<[u8]>::to_vec)
    }

    /// Never negative here: nobody writes blocks with their size.
    fn long(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                assert_eq!(number & 1, 0, "a number that is not negative");
                return Some(number >> 1);
            }
        }
        panic!("a number of more than 64 bits");
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}
