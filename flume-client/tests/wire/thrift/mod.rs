//! Flume's Thrift codec against bytes of Flume's own Java classes, and hostile peers.

mod allocations;
mod golden;
mod hostile;
mod session;

use flume_client::wire::avro::datum::EventRef as Datum;
use flume_client::wire::thrift::Protocol;
use flume_client::wire::thrift::call::{Call, put_append_batch};
use flume_client::wire::thrift::event::EventRef;
use flume_client::wire::thrift::session::{ServerSession, SessionError};

use crate::messages::{OwnedEvent, hex};

const PROTOCOLS: [Protocol; 2] = [Protocol::Compact, Protocol::Binary];

#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnedRequest {
    seqid: i32,
    method: String,
    call: OwnedCall,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OwnedCall {
    Append(OwnedEvent),
    AppendBatch(Vec<OwnedEvent>),
    Unknown,
    /// The words of the error.
    Malformed(String),
}

/// A message as Java writes it, without its frame.
fn java(name: &str, form: &str) -> Vec<u8> {
    let prefix = format!("{name} {form} ");
    let mut lines = include_str!("java.txt").lines();
    let found = lines.find_map(|line| line.strip_prefix(&prefix));
    hex(found.unwrap_or_else(|| panic!("no bytes of {name}")))
}

/// The message in each form in which it may come, and the protocol by which it is read.
fn java_forms(name: &str) -> [(Protocol, Vec<u8>); 3] {
    [
        (Protocol::Compact, java(name, "compact")),
        (Protocol::Binary, java(name, "binary")),
        (Protocol::Binary, java(name, "old")),
    ]
}

/// The message in the form in which it is written.
fn java_form(name: &str, protocol: Protocol) -> Vec<u8> {
    java(name, &protocol.to_string())
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes(), message].concat()
}

/// Reads a call as an agent does, and every event of it in both ways.
fn read_call(protocol: Protocol, message: &[u8]) -> Result<OwnedRequest, SessionError> {
    let mut session = ServerSession::new(protocol);
    session.push(&framed(message));
    let request = session.poll()?.expect("a whole frame");
    let call = match request.call {
        Ok(Call::Append(event)) => OwnedCall::Append(owned(&event)),
        Ok(Call::AppendBatch(events)) => {
            let announced = events.len();
            let events: Vec<_> = events.map(|event| owned(&event)).collect();
            assert_eq!(events.len(), announced);
            OwnedCall::AppendBatch(events)
        }
        Ok(Call::Unknown) => OwnedCall::Unknown,
        Err(error) => OwnedCall::Malformed(error.to_string()),
    };
    Ok(OwnedRequest {
        seqid: request.seqid,
        method: String::from_utf8_lossy(request.method).into_owned(),
        call,
    })
}

fn owned(event: &EventRef<'_>) -> OwnedEvent {
    let headers = event.headers();
    let headers = headers.map(|(key, value)| (key.into_owned(), value.into_owned()));
    let found = OwnedEvent {
        headers: headers.collect(),
        body: event.body().into(),
    };
    let mut datum = Vec::new();
    event.put_datum(&mut datum);
    let stored = OwnedEvent::of(Datum::parse(&datum).unwrap());
    assert_eq!(found, stored, "the datum is another event");
    found
}

/// What a client sends for these events.
fn batch(protocol: Protocol, seqid: i32, events: &[OwnedEvent]) -> Vec<u8> {
    let mut datums = Vec::new();
    for event in events {
        event.put(&mut datums);
    }
    let mut out = Vec::new();
    let count = events.len() as u32;
    put_append_batch(&mut out, protocol, seqid, count, [datums.as_slice()]).unwrap();
    out
}

/// The events of Java's message `two`.
fn two_events() -> Vec<OwnedEvent> {
    vec![
        OwnedEvent::new(
            &[("host", "web-1"), ("key", "v\u{e4}rde")],
            b"GET /index.html",
        ),
        OwnedEvent::default(),
    ]
}
