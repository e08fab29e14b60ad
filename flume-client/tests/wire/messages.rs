//! Messages as owned values: what the codec reads, in a form to compare and to write again.

use flume_client::Event;
use flume_client::wire::avro::DecodeError;
use flume_client::wire::avro::datum::{self, EventRef, Reader};
use flume_client::wire::avro::handshake::{
    HandshakeRequest, HandshakeResponse, Match, ProtocolHash,
};
use flume_client::wire::avro::rpc::{self, Call, Reply};

/// Where a payload stands in a conversation, which tells what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A handshake and a call.
    FirstCall,
    LaterCall,
    /// A handshake and nothing else.
    HandshakeReply,
    /// A handshake and a reply.
    FirstReply,
    LaterReply,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    FirstCall(Greeting, OwnedCall),
    LaterCall(OwnedCall),
    HandshakeReply(Answer),
    FirstReply(Answer, Reply),
    LaterReply(Reply),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) client_hash: ProtocolHash,
    pub(crate) client_protocol: Option<String>,
    pub(crate) server_hash: ProtocolHash,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) matched: Match,
    pub(crate) server_protocol: Option<String>,
    pub(crate) server_hash: Option<ProtocolHash>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedCall {
    HandshakeOnly,
    Append(OwnedEvent),
    AppendBatch(Vec<OwnedEvent>),
    Unknown(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnedEvent {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn read(kind: Kind, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        Ok(match kind {
            Kind::FirstCall => {
                let greeting = Greeting::read(&mut reader)?;
                Self::FirstCall(greeting, OwnedCall::read(reader)?)
            }
            Kind::LaterCall => Self::LaterCall(OwnedCall::read(reader)?),
            Kind::HandshakeReply => {
                let answer = Answer::read(&mut reader)?;
                reader.end()?;
                Self::HandshakeReply(answer)
            }
            Kind::FirstReply => {
                let answer = Answer::read(&mut reader)?;
                Self::FirstReply(answer, Reply::read(reader)?)
            }
            Kind::LaterReply => Self::LaterReply(Reply::read(reader)?),
        })
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::FirstCall(greeting, call) => {
                greeting.put(&mut out);
                call.put(&mut out);
            }
            Self::LaterCall(call) => call.put(&mut out),
            Self::HandshakeReply(answer) => answer.put(&mut out),
            Self::FirstReply(answer, reply) => {
                answer.put(&mut out);
                reply.put(&mut out);
            }
            Self::LaterReply(reply) => reply.put(&mut out),
        }
        out
    }
}

impl Greeting {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let request = HandshakeRequest::read(reader)?;
        Ok(Self {
            client_hash: request.client_hash,
            client_protocol: request.client_protocol.map(Into::into),
            server_hash: request.server_hash,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        let request = HandshakeRequest {
            client_hash: self.client_hash,
            client_protocol: self.client_protocol.as_deref(),
            server_hash: self.server_hash,
        };
        request.put(out);
    }
}

impl Answer {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let response = HandshakeResponse::read(reader)?;
        Ok(Self {
            matched: response.matched,
            server_protocol: response.server_protocol.map(Into::into),
            server_hash: response.server_hash,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        let response = HandshakeResponse {
            matched: self.matched,
            server_protocol: self.server_protocol.as_deref(),
            server_hash: self.server_hash,
        };
        response.put(out);
    }
}

impl OwnedCall {
    fn read(reader: Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match Call::read(reader)? {
            Call::HandshakeOnly => Self::HandshakeOnly,
            Call::Append(event) => Self::Append(OwnedEvent::of(event)),
            Call::AppendBatch(events) => {
                let events = events.map(|event| event.map(OwnedEvent::of));
                Self::AppendBatch(events.collect::<Result<_, _>>()?)
            }
            Call::Unknown { name } => Self::Unknown(name.into()),
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::HandshakeOnly => rpc::put_handshake_only(out),
            Self::Append(event) => {
                put_name(out, "append");
                event.put(out);
            }
            Self::AppendBatch(events) => {
                rpc::put_append_batch_start(out, events.len());
                for event in events {
                    event.put(out);
                }
                out.extend(rpc::APPEND_BATCH_END);
            }
            Self::Unknown(name) => put_name(out, name),
        }
    }
}

impl OwnedEvent {
    pub(crate) fn new(headers: &[(&str, &str)], body: &[u8]) -> Self {
        let owned = |(key, value): &(&str, &str)| (String::from(*key), String::from(*value));
        Self {
            headers: headers.iter().map(owned).collect(),
            body: body.into(),
        }
    }

    pub(crate) fn of(event: EventRef<'_>) -> Self {
        let headers: Vec<_> = event.headers().map(Result::unwrap).collect();
        Self::new(&headers, event.body())
    }

    /// The same through the client's own type, which sets header by header.
    pub(crate) fn to_event(&self) -> Event {
        let mut event = Event::new(&self.body);
        for (key, value) in &self.headers {
            event.set_header(key, value);
        }
        event
    }

    pub(crate) fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        datum::put_event(out, self.pairs(), &self.body);
    }
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(0);
    datum::put_bytes(out, name.as_bytes());
}

/// A frame of these buffers.
pub(crate) fn frame(serial: i32, buffers: &[&[u8]]) -> Vec<u8> {
    let mut out = serial.to_be_bytes().to_vec();
    out.extend((buffers.len() as i32).to_be_bytes());
    for buffer in buffers {
        out.extend((buffer.len() as i32).to_be_bytes());
        out.extend(*buffer);
    }
    out
}

/// Bytes from hex digits; white space is for the eye.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<_> = digits
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    assert!(digits.len().is_multiple_of(2), "half a byte");
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}
