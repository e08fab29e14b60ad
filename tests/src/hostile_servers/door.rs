//! [`Door`]: a way to reach an agent, and what a source says there, in golden bytes.

use crate::hostile_servers::carrier::Kind;
use crate::wire;

/// A way to reach an agent.
#[derive(Debug)]
pub struct Door {
    /// What an address of it begins with.
    pub scheme: &'static str,
    /// What stands behind the address, so that only one dialect is tried.
    query: &'static str,
    /// What is around its bytes, from the socket on.
    pub(super) layers: &'static [Kind],
    speech: Speech,
}

/// What is spoken inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Avro,
    ThriftCompact,
    ThriftBinary,
}

/// All of them.
pub const DOORS: &[Door] = {
    use Kind::{Deflate, Tls};
    use Speech::{Avro, ThriftBinary, ThriftCompact};
    &[
        door("avro", "", &[], Avro),
        door("avro+deflate", "", &[Deflate], Avro),
        door("avro+tls", "", &[Tls], Avro),
        door(
            "avro+tls+deflate",
            "?nesting=tls-outside",
            &[Tls, Deflate],
            Avro,
        ),
        door(
            "avro+tls+deflate",
            "?nesting=zlib-outside",
            &[Deflate, Tls],
            Avro,
        ),
        door("thrift", "?protocol=compact", &[], ThriftCompact),
        door("thrift", "?protocol=binary", &[], ThriftBinary),
        door("thrift+tls", "?protocol=compact", &[Tls], ThriftCompact),
    ]
};

const fn door(
    scheme: &'static str,
    query: &'static str,
    layers: &'static [Kind],
    speech: Speech,
) -> Door {
    Door {
        scheme,
        query,
        layers,
        speech,
    }
}

impl Door {
    /// The address of an agent that is there.
    #[must_use]
    pub fn url(&self, address: impl std::fmt::Display) -> String {
        let Self { scheme, query, .. } = self;
        format!("{scheme}://{address}{query}")
    }

    /// Whether its bytes are encrypted.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.layers.contains(&Kind::Tls)
    }

    /// Whether its bytes are compressed.
    #[must_use]
    pub fn has_deflate(&self) -> bool {
        self.layers.contains(&Kind::Deflate)
    }

    /// Whether Thrift is spoken.
    #[must_use]
    pub fn is_thrift(&self) -> bool {
        self.speech != Speech::Avro
    }

    /// The answer to what a client says first.
    pub(super) fn welcome(&self) -> Vec<u8> {
        match self.speech {
            Speech::Avro => wire::both(0),
            Speech::ThriftCompact | Speech::ThriftBinary => self.ok(0),
        }
    }

    /// OK, to the call of this number.
    pub(super) fn ok(&self, call: u32) -> Vec<u8> {
        let message = match self.speech {
            Speech::Avro => return wire::status(call, wire::OK),
            Speech::ThriftCompact => [
                b"\x82\x41".as_slice(),
                &varint(call),
                b"\x0bappendBatch\x05\0\0\0",
            ]
            .concat(),
            Speech::ThriftBinary => [
                b"\x80\x01\0\x02\0\0\0\x0bappendBatch".as_slice(),
                &call.to_be_bytes(),
                b"\x08\0\0\0\0\0\0\0",
            ]
            .concat(),
        };
        self.frame(message.len() as u32, &message)
    }

    /// A whole answer without sense, about as long as one may be.
    pub(super) fn junk(&self) -> Vec<u8> {
        self.frame(60_000, &[0x7f; 60_000])
    }

    /// The beginning of an answer of 2 GiB.
    pub(super) fn two_gibibytes(&self) -> Vec<u8> {
        self.frame(i32::MAX as u32, &[0; 64])
    }

    /// A frame that says it has so many bytes.
    fn frame(&self, length: u32, message: &[u8]) -> Vec<u8> {
        let head: &[u8] = match self.speech {
            Speech::Avro => b"\0\0\0\x01\0\0\0\x01",
            Speech::ThriftCompact | Speech::ThriftBinary => b"",
        };
        [head, &length.to_be_bytes(), message].concat()
    }

    /// Reads what a client sends at a time.
    pub(super) fn read_message(&self, from: &mut impl std::io::Read) -> std::io::Result<()> {
        if self.speech == Speech::Avro {
            return wire::read_frame(from).map(drop);
        }
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length).min(64 << 20);
        from.read_exact(&mut vec![0; length as usize])
    }
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url("HOST:PORT"))
    }
}

/// A number as Thrift's compact protocol has it: seven bits a byte, the low ones first.
fn varint(mut number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}
