//! The agent's side of Avro RPC in golden bytes, written without our codec so that both cannot be
//! wrong in the same way. `tests/interop` holds real Flume to the same bytes.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "only tests call this, and fail by a panic"
)]

use std::io::{self, Read};

/// MD5 of the protocol text that Flume's own classes carry.
const FLUME_MD5: [u8; 16] = [
    0x86, 0xaa, 0xda, 0xe2, 0xc4, 0x54, 0x74, 0xc0, 0xfe, 0x93, 0xff, 0xd0, 0xf2, 0x35, 0x0a, 0x65,
];
/// MD5 of the protocol text that our client sends when it is asked for one.
const CLIENT_MD5: [u8; 16] = [
    0x30, 0xda, 0x54, 0x05, 0x9d, 0xf7, 0x2d, 0x95, 0x84, 0xb8, 0x67, 0xd5, 0x20, 0x2e, 0x20, 0x69,
];
/// No handshake reply, no metadata, no error, and the status.
const STATUS: [[&[u8]; 3]; 3] = [
    [b"", b"\0", b"\0\0"],
    [b"", b"\0", b"\0\x02"],
    [b"", b"\0", b"\0\x04"],
];
pub(crate) const OK: usize = 0;
pub(crate) const FAILED: usize = 1;
pub(crate) const UNKNOWN: usize = 2;

/// A frame of the Netty transport.
#[derive(Debug)]
pub struct Frame {
    /// Its serial number.
    pub serial: u32,
    /// Its buffers joined.
    pub payload: Vec<u8>,
}

/// Reads one frame.
///
/// # Errors
///
/// At the end of the connection.
pub fn read_frame(stream: &mut impl Read) -> io::Result<Frame> {
    let serial = read_number(stream)?;
    let buffers = read_number(stream)?;
    assert!(
        (1..=16_384).contains(&buffers),
        "a frame of {buffers} buffers"
    );
    let mut payload = Vec::new();
    for _ in 0..buffers {
        let length = read_number(stream)?;
        assert!(length <= 64 << 20, "a buffer of {length} bytes");
        let start = payload.len();
        payload.resize(start + length as usize, 0);
        stream.read_exact(&mut payload[start..])?;
    }
    Ok(Frame { serial, payload })
}

/// Reads one frame, with all that is around its payload.
///
/// # Errors
///
/// At the end of the connection.
pub(crate) fn read_frame_as_it_came(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    let mut read = |count: u32| {
        let start = frame.len();
        frame.resize(start + count as usize, 0);
        stream.read_exact(&mut frame[start..])?;
        Ok::<_, io::Error>(frame[start..].to_vec())
    };
    let number = |bytes: Vec<u8>| u32::from_be_bytes(bytes.try_into().unwrap());
    read(4)?;
    for _ in 0..number(read(4)?) {
        let length = number(read(4)?);
        assert!(length <= 64 << 20, "a buffer of {length} bytes");
        read(length)?;
    }
    Ok(frame)
}

fn read_number(stream: &mut impl Read) -> io::Result<u32> {
    let mut number = [0; 4];
    stream.read_exact(&mut number)?;
    Ok(u32::from_be_bytes(number))
}

fn frame(serial: u32, buffers: &[&[u8]]) -> Vec<u8> {
    let mut out = serial.to_be_bytes().to_vec();
    out.extend((buffers.len() as u32).to_be_bytes());
    for buffer in buffers {
        out.extend((buffer.len() as u32).to_be_bytes());
        out.extend(*buffer);
    }
    out
}

/// The answer to a call, by the index of its status.
pub(crate) fn status(serial: u32, status: usize) -> Vec<u8> {
    frame(serial, &STATUS[status])
}

/// The answer to a call that raised an exception.
pub(crate) fn error(serial: u32, text: &str) -> Vec<u8> {
    let mut result = b"\x01\0".to_vec();
    // Avro's number: doubled for its sign, seven bits a byte, the low ones first.
    let mut length = text.len() * 2;
    while length >= 0x80 {
        result.push(length as u8 | 0x80);
        length >>= 7;
    }
    result.push(length as u8);
    result.extend(text.as_bytes());
    frame(serial, &[b"", b"\0", &result])
}

/// The head of an answer of 2 GiB, and a little of it.
pub(crate) fn two_gibibytes(serial: u32) -> Vec<u8> {
    let mut out = serial.to_be_bytes().to_vec();
    out.extend(b"\0\0\0\x01\x7f\xff\xff\xff\0\0\0");
    out
}

/// Match BOTH: nothing more to say.
pub(crate) fn both(serial: u32) -> Vec<u8> {
    frame(serial, &[b"\0\0\0\0"])
}

/// Match CLIENT: the server's protocol is another one; it sends text and MD5.
pub(crate) fn client(serial: u32) -> Vec<u8> {
    frame(serial, &[&told(2)])
}

/// Match NONE: the server does not know the client's protocol.
pub(crate) fn none(serial: u32) -> Vec<u8> {
    frame(serial, &[&told(4)])
}

/// Match, a protocol text of 1,334 bytes as the real one, its MD5, no metadata.
fn told(matched: u8) -> Vec<u8> {
    let text = [b' '; 1334];
    [
        &[matched, 2, 0xec, 0x14],
        text.as_slice(),
        &[2],
        &FLUME_MD5,
        &[0],
    ]
    .concat()
}

/// Both sides are taken for Flume; no text, no metadata, no call.
pub(crate) fn assert_greeting(payload: &[u8]) {
    let expected = [&FLUME_MD5[..], &[0], &FLUME_MD5, &[0, 0, 0]].concat();
    assert_eq!(payload, expected, "the first greeting");
}

/// The second greeting tells the client's protocol.
pub(crate) fn assert_greeting_with_text(payload: &[u8]) {
    let start = [&CLIENT_MD5[..], &[2, 0xfa, 7], b"{\"protocol\""].concat();
    assert!(payload.starts_with(&start), "{payload:?}");
    let end = [&FLUME_MD5[..], &[0, 0, 0]].concat();
    assert!(payload.ends_with(&end), "{payload:?}");
}

/// An event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// In the order in which they came.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: Vec<u8>,
    /// Bytes it took on the wire.
    pub bytes: usize,
}

/// The events of an `appendBatch`. Panics on anything else.
pub(crate) fn read_batch(payload: &[u8]) -> Vec<Received> {
    let call = payload.strip_prefix(b"\0\x16appendBatch");
    let mut reader = Reader(call.expect("a call of appendBatch"));
    let events = reader.events();
    assert!(reader.0.is_empty(), "bytes behind the batch");
    events
}

/// Reads Avro from the front of bytes. Panics if they are something else.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    /// An array of events.
    pub fn events(&mut self) -> Vec<Received> {
        self.items(Self::event)
    }

    /// An event.
    pub fn event(&mut self) -> Received {
        let before = self.0.len();
        let headers = self.items(|reader| (reader.text(), reader.text()));
        let body = self.bytes();
        let bytes = before - self.0.len();
        Received {
            headers,
            body,
            bytes,
        }
    }

    /// The items of an array or a map, which come in blocks.
    fn items<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        loop {
            match self.long() {
                0 => return items,
                count => items.extend((0..count).map(|_| item(self))),
            }
        }
    }

    /// A string.
    pub fn text(&mut self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// Bytes, with their length before them.
    pub fn bytes(&mut self) -> Vec<u8> {
        let length = self.long();
        self.take(length)
    }

    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes.to_vec()
    }

    /// A number that is not negative.
    pub fn long(&mut self) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = self.0.split_first().expect("a number");
            self.0 = rest;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        assert_eq!(value & 1, 0, "a negative number");
        value >> 1
    }
}
