//! Replies: a status, or an exception of Thrift's own.
//!
//! | message | fields |
//! |---|---|
//! | reply | 0: status, `i32` |
//! | exception (`TApplicationException`) | 1: text; 2: its kind, `i32` |

use std::fmt;

use super::reader::Reader;
use super::types::{Head, Kind, MessageKind};
use super::writer::Writer;
use super::{DecodeError, Protocol};

const STATUS: i16 = 0;
const TEXT: i16 = 1;
const KIND: i16 = 2;

/// An agent's answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Committed to every required channel.
    Ok,
    /// Not committed to every required channel, for whatever reason; some may have it.
    Failed,
    /// A status without meaning in Flume's code, treated like a failure.
    Error,
    /// Likewise.
    Unknown,
    /// The call raised an exception in the agent, or could not be made.
    Exception(Exception),
}

/// What a Thrift server tells of a call that it could not make (`TApplicationException`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// What went wrong.
    pub kind: ExceptionKind,
    /// The server's words.
    pub text: String,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        match self.text.as_str() {
            "" => Ok(()),
            text => write!(f, ": {text}"),
        }
    }
}

/// The kinds of `TApplicationException` that Flume's versions have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionKind {
    /// Not said, or another one than these.
    Unknown,
    /// The service has no such method: this is no Flume source.
    UnknownMethod,
    /// The message was no call.
    InvalidMessageType,
    /// A reply to another method.
    WrongMethodName,
    /// A reply to another call.
    BadSequenceId,
    /// The method returned nothing.
    MissingResult,
    /// The method threw: a channel or an interceptor, in Flume.
    InternalError,
    /// The arguments cannot be read, or a required field is missing.
    ProtocolError,
    /// A transform that the server does not know.
    InvalidTransform,
    /// Another protocol.
    InvalidProtocol,
    /// A kind of client that the server does not serve.
    UnsupportedClientType,
}

impl ExceptionKind {
    /// As they are numbered, from 0 on.
    const ALL: [(Self, &'static str); 11] = [
        (Self::Unknown, "unknown exception"),
        (Self::UnknownMethod, "unknown method"),
        (Self::InvalidMessageType, "invalid message type"),
        (Self::WrongMethodName, "wrong method name"),
        (Self::BadSequenceId, "bad sequence id"),
        (Self::MissingResult, "missing result"),
        (Self::InternalError, "internal error"),
        (Self::ProtocolError, "protocol error"),
        (Self::InvalidTransform, "invalid transform"),
        (Self::InvalidProtocol, "invalid protocol"),
        (Self::UnsupportedClientType, "unsupported client type"),
    ];

    fn of(number: i32) -> Self {
        let found = usize::try_from(number).ok();
        let found = found.and_then(|number| Self::ALL.get(number));
        found.map_or(Self::Unknown, |(kind, _)| *kind)
    }

    fn name(self) -> &'static str {
        Self::ALL.get(self as usize).map_or("", |(_, name)| name)
    }
}

impl Reply {
    /// Reads a reply and the sequence id of the call that it answers.
    ///
    /// # Errors
    ///
    /// If the message is no reply in this protocol, or one that Flume does not give.
    pub fn read(protocol: Protocol, message: &[u8]) -> Result<(i32, Self), DecodeError> {
        let mut reader = Reader::new(protocol, message);
        let head = reader.head()?;
        let reply = match head.kind {
            MessageKind::Reply => Self::status(&mut reader)?,
            MessageKind::Exception => Self::exception(&mut reader)?,
            kind @ (MessageKind::Call | MessageKind::OneWay) => {
                return Err(DecodeError::OtherMessage {
                    kind: kind as u8,
                    expected: "reply",
                });
            }
        };
        reader.end()?;
        Ok((head.seqid, reply))
    }

    /// Appends a frame with the reply to the call of this sequence id and method.
    pub fn put(&self, out: &mut Vec<u8>, protocol: Protocol, seqid: i32, method: &[u8]) {
        let kind = match self {
            Self::Exception(_) => MessageKind::Exception,
            _ => MessageKind::Reply,
        };
        let head = Head {
            kind,
            seqid,
            name: method,
        };
        let mut writer = Writer::begin(out, protocol, &head);
        match self {
            Self::Ok => put_status(&mut writer, 0),
            Self::Failed => put_status(&mut writer, 1),
            Self::Error => put_status(&mut writer, 2),
            Self::Unknown => put_status(&mut writer, 3),
            Self::Exception(Exception { kind, text }) => {
                writer.field(TEXT, Kind::Binary, 0);
                let put = writer.binary(start_of(text).as_bytes());
                put.expect("a text of this length fits into a frame");
                writer.field(KIND, Kind::I32, TEXT);
                writer.i32(*kind as i32);
            }
        }
        writer.end();
        writer.finish().expect("a reply is far below the limit");
    }

    fn status(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut status = None;
        reader.fields(|reader, field| {
            let is_status = field.id == STATUS && field.kind == Kind::I32;
            if is_status {
                status = Some(reader.i32("the status")?);
            }
            Ok(is_status)
        })?;
        match status.ok_or(DecodeError::Missing { what: "the status" })? {
            0 => Ok(Self::Ok),
            1 => Ok(Self::Failed),
            2 => Ok(Self::Error),
            3 => Ok(Self::Unknown),
            number => Err(DecodeError::UnknownStatus { number }),
        }
    }

    /// Both fields may be missing, as in libthrift.
    fn exception(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (mut text, mut kind) = (&[][..], 0);
        reader.fields(|reader, field| {
            match (field.id, field.kind) {
                (TEXT, Kind::Binary) => text = reader.binary("the exception's text")?,
                (KIND, Kind::I32) => kind = reader.i32("the exception's kind")?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self::Exception(Exception {
            kind: ExceptionKind::of(kind),
            text: String::from_utf8_lossy(text).into_owned(),
        }))
    }
}

/// Longest text that is written; a client reads no longer reply.
const TEXT_BYTES_MAX: usize = super::frame::REPLY_BYTES_MAX / 2;

fn start_of(text: &str) -> &str {
    let mut ends = (0..=TEXT_BYTES_MAX).rev();
    let start = ends.find_map(|end| text.get(..end.min(text.len())));
    start.unwrap_or_default()
}

fn put_status(writer: &mut Writer<'_>, status: i32) {
    writer.field(STATUS, Kind::I32, 0);
    writer.i32(status);
}
