//! [`Carrier`]: a socket and the layers around it, each of which can be made to say what no honest
//! peer says.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use flume_client::wire::deflate::Deflate;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::{
    ConnectionTrafficSecrets, ContentType, ProtocolVersion, ServerConfig, ServerConnection,
    SupportedCipherSuite,
};

/// What can be around a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// zlib streams.
    Deflate,
    /// TLS.
    Tls,
}

enum Layer {
    Deflate(Box<Deflate>),
    Tls(Box<ServerConnection>),
    /// TLS whose library has no say any more: records of any kind. Nothing is read from then on.
    Records(Box<Records>),
}

/// The writing side of TLS.
struct Records {
    encrypter: Box<dyn MessageEncrypter>,
    number: u64,
}

/// The agent's side of a connection. Reads as what is inside of its layers.
pub(super) struct Carrier<'a> {
    socket: TcpStream,
    /// From the socket on.
    layers: Vec<Layer>,
    plain: VecDeque<u8>,
    /// Called before each byte, if they are sent one by one.
    pub(super) pace: Option<&'a dyn Fn() -> io::Result<()>>,
}

impl Carrier<'_> {
    pub(super) fn new(socket: TcpStream, kinds: &[Kind], tls: Option<&Arc<ServerConfig>>) -> Self {
        let layer = |kind: &Kind| match kind {
            Kind::Deflate => Layer::Deflate(Box::new(Deflate::new(6))),
            Kind::Tls => {
                let config = tls.expect("a door with TLS has a certificate").clone();
                let connection = ServerConnection::new(config);
                Layer::Tls(Box::new(connection.expect("the configuration is sound")))
            }
        };
        Self {
            socket,
            layers: kinds.iter().map(layer).collect(),
            plain: VecDeque::new(),
            pace: None,
        }
    }

    /// Sends what an honest peer would.
    pub(super) fn say(&mut self, plain: &[u8]) -> io::Result<()> {
        let inside = self.layers.len();
        self.send(inside, plain.to_vec())
    }

    /// Sends bytes as if this layer had made them.
    pub(super) fn say_as(&mut self, kind: Kind, coded: &[u8]) -> io::Result<()> {
        let place = self.place(kind);
        self.send(place, coded.to_vec())
    }

    /// Takes the keys of TLS.
    pub(super) fn take_keys(&mut self) {
        let place = self.place(Kind::Tls);
        let Some(layer) = self.layers.get_mut(place) else {
            return;
        };
        *layer = match std::mem::replace(layer, Layer::Deflate(Box::new(Deflate::new(0)))) {
            Layer::Tls(connection) => Layer::Records(Box::new(Records::of(*connection))),
            other => other,
        };
    }

    /// Sends a message as if TLS's handshake went on, so many times. The keys were taken.
    pub(super) fn say_in_handshake(&mut self, message: &[u8], times: usize) -> io::Result<()> {
        let place = self.place(Kind::Tls);
        let Some(Layer::Records(records)) = self.layers.get_mut(place) else {
            unreachable!("the keys were taken");
        };
        let sealed = (0..times).flat_map(|_| records.seal(ContentType::Handshake, message));
        let sealed = sealed.collect();
        self.send(place, sealed)
    }

    /// Reads until the peer ends the connection.
    pub(super) fn read_to_end(&mut self) -> io::Result<()> {
        io::copy(&mut self.socket, &mut io::sink()).map(drop)
    }

    fn place(&self, kind: Kind) -> usize {
        let is = |layer: &Layer| (kind == Kind::Deflate) == matches!(layer, Layer::Deflate(_));
        let place = self.layers.iter().position(is);
        place.expect("the door has such a layer")
    }

    /// Lets all layers that are nearer to the socket than this place have the bytes.
    fn send(&mut self, place: usize, mut bytes: Vec<u8>) -> io::Result<()> {
        for layer in self.layers.iter_mut().take(place).rev() {
            bytes = layer.encode(&bytes);
        }
        let Some(pace) = self.pace else {
            return self.socket.write_all(&bytes);
        };
        bytes.iter().try_for_each(|byte| {
            pace()?;
            self.socket.write_all(&[*byte])
        })
    }
}

impl Read for Carrier<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.plain.is_empty() {
            let mut bytes = vec![0; 4096];
            let count = self.socket.read(&mut bytes)?;
            if count == 0 {
                return Ok(0);
            }
            bytes.truncate(count);
            for place in 0..self.layers.len() {
                let layer = self.layers.get_mut(place).expect("it is one of them");
                let (decoded, own) = layer.decode(&bytes)?;
                bytes = decoded;
                self.send(place, own)?;
            }
            self.plain.extend(bytes);
        }
        self.plain.read(buffer)
    }
}

impl Layer {
    fn encode(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        match self {
            Self::Deflate(deflate) => {
                let encoded = deflate.encode(plain, &mut coded);
                let flushed = encoded.and_then(|()| deflate.flush(&mut coded));
                flushed.expect("a compressor does not fail");
            }
            Self::Tls(connection) => {
                let written = connection.writer().write_all(plain);
                written.expect("pieces are small");
                put_records(connection, &mut coded);
            }
            Self::Records(records) => {
                let pieces = plain.chunks(16 * 1024);
                coded.extend(pieces.flat_map(|it| records.seal(ContentType::ApplicationData, it)));
            }
        }
        coded
    }

    /// What the bytes mean, and what the layer itself has to say to them.
    fn decode(&mut self, mut coded: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (mut plain, mut own) = (Vec::new(), Vec::new());
        match self {
            Self::Deflate(deflate) => loop {
                let before = plain.len();
                let taken = deflate.decode(coded, &mut plain);
                let taken = taken.map_err(io::Error::other)?;
                coded = coded.get(taken..).unwrap_or_default();
                if taken == 0 && plain.len() == before {
                    break;
                }
            },
            Self::Tls(connection) => {
                while !coded.is_empty() {
                    connection.read_tls(&mut coded)?;
                    let processed = connection.process_new_packets();
                    put_records(connection, &mut own);
                    let state = processed.map_err(io::Error::other)?;
                    let mut data = vec![0; state.plaintext_bytes_to_read()];
                    connection.reader().read_exact(&mut data)?;
                    plain.extend(data);
                }
            }
            Self::Records(_) => {}
        }
        Ok((plain, own))
    }
}

fn put_records(connection: &mut ServerConnection, coded: &mut Vec<u8>) {
    while connection.wants_write() {
        let written = connection.write_tls(coded);
        written.expect("memory takes all");
    }
}

impl Records {
    /// Only ChaCha20-Poly1305 is known, which [`super::tls`] lets a client choose alone.
    fn of(connection: ServerConnection) -> Self {
        let suite = connection.negotiated_cipher_suite();
        let secrets = connection.dangerous_extract_secrets();
        let (number, secrets) = secrets.expect("secrets may be taken").tx;
        let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else {
            unreachable!("there is one cipher");
        };
        let encrypter = match suite.expect("the handshake is through") {
            SupportedCipherSuite::Tls12(suite) => suite.aead_alg.encrypter(key, iv.as_ref(), &[]),
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
        };
        Self { encrypter, number }
    }

    fn seal(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(payload),
        };
        let sealed = self.encrypter.encrypt(message, self.number);
        self.number += 1;
        sealed.expect("a record is small").encode()
    }
}
