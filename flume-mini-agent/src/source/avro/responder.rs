//! What a request says: handshake and call, as Avro's `Responder` reads them. No IO here.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use flume_client::wire::avro::datum::{EventRef, Reader};
use flume_client::wire::avro::handshake::{
    FLUME_PROTOCOL_HASH, HandshakeRequest, HandshakeResponse, Match, PROTOCOL_TEXT,
    PROTOCOL_TEXT_HASH, ProtocolHash,
};
use flume_client::wire::avro::rpc::{Call, Events, Reply};

use crate::fault::Fault;

/// Client protocols remembered beyond our own two; a client with another one more must send its
/// text at every connection.
const PROTOCOLS_MAX: usize = 256;

/// The client protocols a source knows by their MD5, for as long as it runs.
#[derive(Debug, Default)]
pub(super) struct Protocols {
    learned: Mutex<BTreeSet<ProtocolHash>>,
}

impl Protocols {
    /// Answers a handshake. A protocol that comes with its text is believed under any MD5, as
    /// Avro does; the text is not read.
    fn answer(
        &self,
        request: &HandshakeRequest<'_>,
        fault: Option<&Fault>,
    ) -> HandshakeResponse<'static> {
        let known = self.knows(request) && fault != Some(&Fault::HandshakeNone);
        let server_known =
            request.server_hash == FLUME_PROTOCOL_HASH && fault != Some(&Fault::HandshakeClient);
        let matched = match (known, server_known) {
            (false, _) => Match::None,
            (true, false) => Match::Client,
            (true, true) => Match::Both,
        };
        let tell = matched != Match::Both;
        HandshakeResponse {
            matched,
            server_protocol: tell.then_some(PROTOCOL_TEXT),
            server_hash: tell.then_some(FLUME_PROTOCOL_HASH),
        }
    }

    fn knows(&self, request: &HandshakeRequest<'_>) -> bool {
        let hash = request.client_hash;
        if hash == FLUME_PROTOCOL_HASH || hash == PROTOCOL_TEXT_HASH {
            return true;
        }
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if request.client_protocol.is_some() && learned.len() < PROTOCOLS_MAX {
            learned.insert(hash);
        }
        request.client_protocol.is_some() || learned.contains(&hash)
    }
}

/// What became of a request's handshake.
pub(super) enum Greeting {
    /// There was none, or it is answered with this, and the rest of the request is a call.
    Call { handshake: Vec<u8>, payload: Bytes },
    /// It is answered with this, and the call is not made.
    Refused { handshake: Vec<u8> },
    /// It cannot be read.
    Nonsense { reply: Reply },
}

/// What is asked for beyond the handshake.
pub(super) enum Content<'a> {
    /// Nothing: the message name is empty.
    Nothing,
    /// To store one event.
    Append(EventRef<'a>),
    /// To store an array of events.
    AppendBatch(Events<'a>),
    /// Something that cannot be understood; this is the answer.
    Nonsense(Reply),
}

/// Reads a request's handshake. `established` tells whether an earlier one on the connection
/// brought it, and learns it from this one. `fault` is asked what is to go wrong with it.
pub(super) fn greet(
    payload: Bytes,
    established: &mut bool,
    protocols: &Protocols,
    fault: impl FnOnce() -> Option<Fault>,
) -> Greeting {
    let mut handshake = Vec::new();
    if *established {
        return Greeting::Call { handshake, payload };
    }
    let mut reader = Reader::new(&payload);
    let Ok(request) = HandshakeRequest::read(&mut reader) else {
        let reply = end_of_file();
        return Greeting::Nonsense { reply };
    };
    let response = protocols.answer(&request, fault().as_ref());
    response.put(&mut handshake);
    if response.matched == Match::None {
        return Greeting::Refused { handshake };
    }
    *established = true;
    let payload = payload.slice_ref(reader.rest());
    Greeting::Call { handshake, payload }
}

/// Reads a request behind its handshake, as far as its message name.
pub(super) fn read_call(payload: &[u8]) -> Content<'_> {
    match Call::read(Reader::new(payload)) {
        Ok(Call::HandshakeOnly) => Content::Nothing,
        Ok(Call::Append(event)) => Content::Append(event),
        Ok(Call::AppendBatch(events)) => Content::AppendBatch(events),
        Ok(Call::Unknown { name }) => Content::Nonsense(Reply::Error(format!(
            "org.apache.avro.AvroRuntimeException: No such remote message: {name}"
        ))),
        Err(_) => Content::Nonsense(end_of_file()),
    }
}

impl<'a> Content<'a> {
    /// Number of events that can be read.
    pub(super) fn event_count(&self) -> usize {
        self.events().count()
    }

    /// Whether one of the events has all these headers.
    pub(super) fn has_headers(&self, wanted: &[(String, String)]) -> bool {
        let has = |event: EventRef<'_>, (key, value): &(String, String)| {
            // Of a key that comes twice the last one counts.
            let values = event.headers().flatten().filter(|(other, _)| other == key);
            values.last().is_some_and(|(_, found)| found == value)
        };
        self.events()
            .any(|event| wanted.iter().all(|pair| has(event, pair)))
    }

    fn events(&self) -> impl Iterator<Item = EventRef<'a>> {
        let (one, many) = match self {
            Self::Append(event) => (Some(*event), None),
            Self::AppendBatch(events) => (None, Some(events.clone())),
            Self::Nothing | Self::Nonsense(_) => (None, None),
        };
        one.into_iter().chain(many.into_iter().flatten().flatten())
    }
}

/// The answer to bytes that end inside a value, and here to any others that cannot be read.
/// Java names some other faults differently, and takes a call with bytes behind it as if they
/// were not there; a client that sends such is better told.
pub(super) fn end_of_file() -> Reply {
    Reply::Error("java.io.EOFException".to_owned())
}
