//! What a request says: handshake and call, as Avro's `Responder` reads them. No IO here.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use flume_client::wire::avro::datum::{EventRef, Reader};
use flume_client::wire::avro::handshake::{
    FLUME_PROTOCOL_HASH, HandshakeRequest, HandshakeResponse, Match, PROTOCOL_TEXT,
    PROTOCOL_TEXT_HASH, ProtocolHash,
};
use flume_client::wire::avro::rpc::{Call, Events, Reply};

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
    fn answer(&self, request: &HandshakeRequest<'_>) -> HandshakeResponse<'static> {
        let known = self.knows(request);
        let matched = match (known, request.server_hash == FLUME_PROTOCOL_HASH) {
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

/// A request, read as far as its message name.
pub(super) struct Request<'a> {
    /// The answer to its handshake; empty if it had none.
    pub(super) handshake: Vec<u8>,
    pub(super) content: Content<'a>,
}

/// What is asked for beyond the handshake.
pub(super) enum Content<'a> {
    /// Nothing: the handshake was refused, or came with an empty message name.
    Nothing,
    /// To store one event.
    Append(EventRef<'a>),
    /// To store an array of events.
    AppendBatch(Events<'a>),
    /// Something that cannot be understood; this is the answer.
    Nonsense(Reply),
}

/// Reads a request. `established` tells whether an earlier one on the connection brought the
/// handshake, and learns it from this one.
pub(super) fn read<'a>(
    payload: &'a [u8],
    established: &mut bool,
    protocols: &Protocols,
) -> Request<'a> {
    let mut reader = Reader::new(payload);
    let mut handshake = Vec::new();
    if !*established {
        let Ok(request) = HandshakeRequest::read(&mut reader) else {
            let content = Content::Nonsense(end_of_file());
            return Request { handshake, content };
        };
        let response = protocols.answer(&request);
        response.put(&mut handshake);
        if response.matched == Match::None {
            let content = Content::Nothing;
            return Request { handshake, content };
        }
        *established = true;
    }
    let content = match Call::read(reader) {
        Ok(Call::HandshakeOnly) => Content::Nothing,
        Ok(Call::Append(event)) => Content::Append(event),
        Ok(Call::AppendBatch(events)) => Content::AppendBatch(events),
        Ok(Call::Unknown { name }) => Content::Nonsense(Reply::Error(format!(
            "org.apache.avro.AvroRuntimeException: No such remote message: {name}"
        ))),
        Err(_) => Content::Nonsense(end_of_file()),
    };
    Request { handshake, content }
}

/// The answer to bytes that end inside a value, and here to any others that cannot be read.
/// Java names some other faults differently, and takes a call with bytes behind it as if they
/// were not there; a client that sends such is better told.
pub(super) fn end_of_file() -> Reply {
    Reply::Error("java.io.EOFException".to_owned())
}
