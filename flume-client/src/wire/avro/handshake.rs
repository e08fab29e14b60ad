//! Avro's handshake: who speaks which protocol, told by its MD5.
//!
//! | request part | bytes |
//! |---|---|
//! | client's MD5 | 16 |
//! | client's protocol text | `00`, or `02` and a string |
//! | MD5 the client expects of the server | 16 |
//! | metadata | `00`, or `02` and a map |
//!
//! | reply part | bytes |
//! |---|---|
//! | match | `00` BOTH, `02` CLIENT, `04` NONE |
//! | server's protocol text | `00`, or `02` and a string |
//! | server's MD5 | `00`, or `02` and 16 bytes |
//! | metadata | `00`, or `02` and a map |
//!
//! After CLIENT the call is executed and the connection is established; after NONE it is not, and
//! the client sends its protocol's text (Avro's specification, "Handshake"; `Responder.java`).

use super::DecodeError;
use super::datum::{Reader, put_bytes};

/// An MD5 over a protocol's text.
pub type ProtocolHash = [u8; 16];

/// The protocol of every released Flume: its text holds the licence comment of `flume.avdl`.
pub const FLUME_PROTOCOL_HASH: ProtocolHash = [
    0x86, 0xaa, 0xda, 0xe2, 0xc4, 0x54, 0x74, 0xc0, 0xfe, 0x93, 0xff, 0xd0, 0xf2, 0x35, 0x0a, 0x65,
];

/// The same protocol without the comment, for a peer that wants to read it.
pub const PROTOCOL_TEXT: &str = concat!(
    r#"{"protocol":"AvroSourceProtocol","namespace":"org.apache.flume.source.avro","types":["#,
    r#"{"type":"enum","name":"Status","symbols":["OK","FAILED","UNKNOWN"]},"#,
    r#"{"type":"record","name":"AvroFlumeEvent","fields":["#,
    r#"{"name":"headers","type":{"type":"map","values":"string"}},"#,
    r#"{"name":"body","type":"bytes"}]}],"messages":{"#,
    r#""append":{"request":[{"name":"event","type":"AvroFlumeEvent"}],"response":"Status"},"#,
    r#""appendBatch":{"request":[{"name":"events","type":{"type":"array","#,
    r#""items":"AvroFlumeEvent"}}],"response":"Status"}}}"#,
);

/// The MD5 of [`PROTOCOL_TEXT`].
pub const PROTOCOL_TEXT_HASH: ProtocolHash = [
    0x30, 0xda, 0x54, 0x05, 0x9d, 0xf7, 0x2d, 0x95, 0x84, 0xb8, 0x67, 0xd5, 0x20, 0x2e, 0x20, 0x69,
];

/// Most bytes of protocol text read from a peer.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most entries of a metadata map read from a peer.
const META_ENTRIES_MAX: u64 = 16;
/// Most bytes of one metadata key or value.
const META_BYTES_MAX: usize = 4 * 1024;

/// The client's half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeRequest<'a> {
    /// MD5 of the protocol the client speaks.
    pub client_hash: ProtocolHash,
    /// Its text, sent when the server did not know the MD5.
    pub client_protocol: Option<&'a str>,
    /// MD5 of the protocol the client expects the server to speak.
    pub server_hash: ProtocolHash,
}

impl HandshakeRequest<'static> {
    /// The first try: both sides are taken for released Flumes. Answered BOTH by 1.9 and 1.11.
    pub const FIRST: Self = Self {
        client_hash: FLUME_PROTOCOL_HASH,
        client_protocol: None,
        server_hash: FLUME_PROTOCOL_HASH,
    };

    /// The second try after NONE: our text, and the MD5 the server gave.
    #[must_use]
    pub fn with_text(server_hash: ProtocolHash) -> Self {
        Self {
            client_hash: PROTOCOL_TEXT_HASH,
            client_protocol: Some(PROTOCOL_TEXT),
            server_hash,
        }
    }
}

impl<'a> HandshakeRequest<'a> {
    /// Writes the request.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.client_hash);
        put_optional_text(out, self.client_protocol);
        out.extend_from_slice(&self.server_hash);
        out.push(0);
    }

    /// Reads a request.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let client_hash = *reader.take_array("client protocol MD5")?;
        let client_protocol = optional_text(reader, "client protocol")?;
        let server_hash = *reader.take_array("server protocol MD5")?;
        skip_optional_metadata(reader)?;
        Ok(Self {
            client_hash,
            client_protocol,
            server_hash,
        })
    }
}

/// How the server found the client's claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Both MD5s are right.
    Both,
    /// It knows the client's protocol; its own is another than the client thought.
    Client,
    /// It does not know the client's protocol and has not executed the call.
    None,
}

/// The server's half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeResponse<'a> {
    /// How the claims were found.
    pub matched: Match,
    /// The server's protocol, unless the match is [`Match::Both`].
    pub server_protocol: Option<&'a str>,
    /// Its MD5, likewise.
    pub server_hash: Option<ProtocolHash>,
}

impl<'a> HandshakeResponse<'a> {
    /// Writes the reply.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(match self.matched {
            Match::Both => 0,
            Match::Client => 2,
            Match::None => 4,
        });
        put_optional_text(out, self.server_protocol);
        match self.server_hash {
            Some(hash) => {
                out.push(2);
                out.extend_from_slice(&hash);
            }
            None => out.push(0),
        }
        out.push(0);
    }

    /// Reads a reply.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let what = "handshake match";
        let matched = match reader.long(what)? {
            0 => Match::Both,
            1 => Match::Client,
            2 => Match::None,
            index => return Err(DecodeError::UnknownIndex { what, index }),
        };
        let server_protocol = optional_text(reader, "server protocol")?;
        let what = "server protocol MD5";
        let server_hash = match reader.long(what)? {
            0 => None,
            1 => Some(*reader.take_array(what)?),
            index => return Err(DecodeError::UnknownIndex { what, index }),
        };
        skip_optional_metadata(reader)?;
        Ok(Self {
            matched,
            server_protocol,
            server_hash,
        })
    }
}

/// Passes over a metadata map, which Flume always leaves empty.
pub(crate) fn skip_metadata(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let what = "metadata";
    let mut room = META_ENTRIES_MAX;
    loop {
        let entries = reader.block(what, room)?;
        if entries == 0 {
            return Ok(());
        }
        room -= entries;
        for _ in 0..entries {
            reader.bytes(what, META_BYTES_MAX)?;
            reader.bytes(what, META_BYTES_MAX)?;
        }
    }
}

fn skip_optional_metadata(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let what = "handshake metadata";
    match reader.long(what)? {
        0 => Ok(()),
        1 => skip_metadata(reader),
        index => Err(DecodeError::UnknownIndex { what, index }),
    }
}

fn put_optional_text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            out.push(2);
            put_bytes(out, text.as_bytes());
        }
        None => out.push(0),
    }
}

fn optional_text<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
) -> Result<Option<&'a str>, DecodeError> {
    match reader.long(what)? {
        0 => Ok(None),
        1 => Ok(Some(reader.string(what, TEXT_BYTES_MAX)?)),
        index => Err(DecodeError::UnknownIndex { what, index }),
    }
}
