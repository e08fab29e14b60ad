//! [`Door`]: a way to reach an agent, and what a source says there, in golden bytes.

use crate::hostile_servers::carrier::Kind;
use crate::wire;

/// A way to reach an agent.
#[derive(Debug)]
pub struct Door {
    /// What an address of it begins with.
    pub scheme: &'static str,
    /// What stands behind the address; only one dialect is to be tried.
    rest: &'static str,
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
    Http,
}

/// What means nothing in any protocol.
const JUNK: &[u8] = &[0x7f; 60_000];

/// All of them.
pub const DOORS: &[Door] = {
    use Kind::{Deflate, Tls};
    use Speech::{Avro, Http, ThriftBinary, ThriftCompact};
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
        door("http", "/", &[], Http),
        door("https", "/", &[Tls], Http),
    ]
};

const fn door(
    scheme: &'static str,
    rest: &'static str,
    layers: &'static [Kind],
    speech: Speech,
) -> Door {
    Door {
        scheme,
        rest,
        layers,
        speech,
    }
}

impl Door {
    /// The address of an agent that is there.
    #[must_use]
    pub fn url(&self, address: impl std::fmt::Display) -> String {
        let Self { scheme, rest, .. } = self;
        format!("{scheme}://{address}{rest}")
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

    /// Whether Avro is spoken.
    #[must_use]
    pub fn is_avro(&self) -> bool {
        self.speech == Speech::Avro
    }

    /// Whether HTTP is spoken.
    #[must_use]
    pub fn is_http(&self) -> bool {
        self.speech == Speech::Http
    }

    /// The answer to what a client says first.
    pub(super) fn welcome(&self) -> Vec<u8> {
        match self.speech {
            Speech::Avro => wire::both(0),
            _ => self.ok(0),
        }
    }

    /// OK, to the call of this number.
    pub(super) fn ok(&self, call: u32) -> Vec<u8> {
        let message = match self.speech {
            Speech::Avro => return wire::status(call, wire::OK),
            Speech::Http => return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
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

    /// An answer without sense: a whole one, about as long as one may be, or of HTTP a refusal that says
    /// it is far longer.
    pub(super) fn junk(&self) -> Vec<u8> {
        match self.speech {
            Speech::Http => self.frame(u32::MAX, JUNK),
            _ => self.frame(JUNK.len() as u32, JUNK),
        }
    }

    /// The beginning of an answer of 2 GiB.
    pub(super) fn two_gibibytes(&self) -> Vec<u8> {
        self.frame(i32::MAX as u32, JUNK)
    }

    /// A frame that says it has so many bytes.
    fn frame(&self, length: u32, message: &[u8]) -> Vec<u8> {
        let head: &[u8] = match self.speech {
            Speech::Avro => b"\0\0\0\x01\0\0\0\x01",
            Speech::ThriftCompact | Speech::ThriftBinary => b"",
            Speech::Http => {
                let head = format!("HTTP/1.1 503 Busy\r\nContent-Length: {length}\r\n\r\n");
                return [head.as_bytes(), message].concat();
            }
        };
        [head, &length.to_be_bytes(), message].concat()
    }

    /// Reads what a client sends at a time. `false`: it is no greeting, of which there is one for all
    /// connections together that HTTP needs.
    pub(super) fn read_message(&self, from: &mut impl std::io::Read) -> std::io::Result<bool> {
        match self.speech {
            Speech::Avro => drop(wire::read_frame(from)?),
            Speech::Http => return Ok(read_request(from)? == b"[]"),
            Speech::ThriftCompact | Speech::ThriftBinary => {
                let mut length = [0; 4];
                from.read_exact(&mut length)?;
                let length = u32::from_be_bytes(length).min(64 << 20);
                from.read_exact(&mut vec![0; length as usize])?;
            }
        }
        Ok(true)
    }
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url("HOST:PORT"))
    }
}

/// The body of a request whose length is told.
fn read_request(from: &mut impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|it| it.strip_prefix("content-length: "));
    let length = length.and_then(|it| it.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
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
