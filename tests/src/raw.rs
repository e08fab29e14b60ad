//! A connection that speaks in raw bytes, written independently of our codec so that both cannot
//! be wrong in the same way.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "only tests call this, and fail by a panic"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// MD5 of the protocol text that Flume's own classes carry.
pub const FLUME_MD5: &str = "86aadae2c45474c0fe93ffd0f2350a65";
/// The name `appendBatch` as an Avro string.
pub const APPEND_BATCH: &str = "16617070656e644261746368";
/// No call metadata, `appendBatch`, no events.
pub const EMPTY_BATCH: &str = "001661 7070656e644261746368 00";
/// The answer `OK` to a call after the handshake: no handshake, no metadata, no error, OK.
pub const OK: [&str; 3] = ["", "00", "0000"];
/// The same, FAILED.
pub const FAILED: [&str; 3] = ["", "00", "0002"];

/// The handshake with these MD5s, no protocol text and no metadata.
pub fn handshake(client_md5: &str, server_md5: &str) -> String {
    format!("{client_md5} 00 {server_md5} 00")
}

/// Hexadecimal digits as bytes; blanks are for the reader.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number as Avro writes it: zigzag, seven bits a byte, lowest first.
pub fn avro_long(number: u64) -> String {
    let mut rest = number << 1;
    let mut out = Vec::new();
    while rest > 0x7f {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
    hex(&out)
}

/// A client of an Avro source, one call at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    serial: u32,
}

impl Connection {
    /// A connection on which nothing was said yet.
    pub fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        Self {
            stream,
            serial: 0x0a0b_0c0d,
        }
    }

    /// A connection that has shaken hands.
    pub fn open_and_greet(addr: SocketAddr) -> Self {
        let mut connection = Self::open(addr);
        let ping = handshake(FLUME_MD5, FLUME_MD5) + "0000";
        assert_eq!(
            connection.call(&ping),
            ["00000000"],
            "the answer to a handshake alone"
        );
        connection
    }

    /// Sends one frame with `payload` as its only buffer and returns the answer's buffers.
    pub fn call(&mut self, payload: &str) -> Vec<String> {
        let payload = bytes(payload);
        let length = u32::try_from(payload.len()).unwrap();
        self.serial += 1;
        let mut frame = Vec::new();
        for number in [self.serial, 1, length] {
            frame.extend(number.to_be_bytes());
        }
        frame.extend(payload);
        self.stream.write_all(&frame).unwrap();

        assert_eq!(self.read_number(), self.serial, "the answer's serial");
        let buffers = self.read_number();
        (0..buffers)
            .map(|_| {
                let mut buffer = vec![0; usize::try_from(self.read_number()).unwrap()];
                self.stream.read_exact(&mut buffer).unwrap();
                hex(&buffer)
            })
            .collect()
    }

    /// Waits for the other side: true when it closes the connection, false when it sends.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    fn read_number(&mut self) -> u32 {
        let mut number = [0; 4];
        self.stream.read_exact(&mut number).unwrap();
        u32::from_be_bytes(number)
    }
}
