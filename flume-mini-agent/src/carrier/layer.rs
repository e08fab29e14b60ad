//! [`Layer`]: what changes bytes on their way. No IO here.

use std::io;
#[cfg(feature = "tls")]
use std::io::{Read, Write};

#[cfg(feature = "tls")]
use flume_client::tls::TlsLayer;
#[cfg(feature = "compression")]
use flume_client::wire::deflate::Deflate;
use flume_client::wire::layers;
#[cfg(feature = "tls")]
use rustls::ServerConnection;

/// A layer's state of one connection.
#[derive(Debug)]
pub(super) enum Layer {
    #[cfg(feature = "compression")]
    Deflate(Box<Deflate>),
    /// TLS of a connection that a client has made to us.
    #[cfg(feature = "tls")]
    Accepted(Box<ServerConnection>),
    /// TLS of a connection that we have made.
    #[cfg(feature = "tls")]
    Made(Box<TlsLayer>),
}

impl layers::Layer for Layer {
    type Error = io::Error;

    fn encode(&mut self, plain: &[u8], coded: &mut Vec<u8>) -> io::Result<()> {
        match self {
            #[cfg(feature = "compression")]
            Self::Deflate(deflate) => deflate.encode(plain, coded).map_err(invalid),
            #[cfg(feature = "tls")]
            Self::Accepted(tls) => {
                tls.writer().write_all(plain)?;
                put_records(tls, coded)
            }
            #[cfg(feature = "tls")]
            Self::Made(tls) => tls.encode(plain, coded).map_err(invalid),
        }
    }

    fn flush(&mut self, coded: &mut Vec<u8>) -> io::Result<()> {
        match self {
            #[cfg(feature = "compression")]
            Self::Deflate(deflate) => deflate.flush(coded).map_err(invalid),
            #[cfg(feature = "tls")]
            Self::Accepted(tls) => put_records(tls, coded),
            #[cfg(feature = "tls")]
            Self::Made(tls) => tls.flush(coded).map_err(invalid),
        }
    }

    fn decode(&mut self, coded: &[u8], plain: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            #[cfg(feature = "compression")]
            Self::Deflate(deflate) => deflate.decode(coded, plain).map_err(invalid),
            #[cfg(feature = "tls")]
            Self::Accepted(tls) => read_records(tls, coded, plain),
            #[cfg(feature = "tls")]
            Self::Made(tls) => tls.decode(coded, plain).map_err(invalid),
        }
    }

    fn close(&mut self) {
        match self {
            #[cfg(feature = "compression")]
            Self::Deflate(_) => {}
            #[cfg(feature = "tls")]
            Self::Accepted(tls) => tls.send_close_notify(),
            // A sink drops its connections without a word.
            #[cfg(feature = "tls")]
            Self::Made(_) => {}
        }
    }
}

impl Layer {
    /// What it means that the peer has ended the connection: an error if the layer knows why.
    pub(super) fn ended(&self) -> io::Result<()> {
        match self {
            #[cfg(feature = "compression")]
            Self::Deflate(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Accepted(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Made(tls) => tls.closed().map_or(Ok(()), |error| Err(invalid(error))),
        }
    }

    /// The certificate that a client showed, in DER.
    pub(super) fn client_certificate(&self) -> Option<&[u8]> {
        match self {
            #[cfg(feature = "compression")]
            Self::Deflate(_) => None,
            #[cfg(feature = "tls")]
            Self::Accepted(tls) => tls.peer_certificates()?.first().map(|it| &**it),
            #[cfg(feature = "tls")]
            Self::Made(_) => None,
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(feature = "tls")]
fn put_records(tls: &mut ServerConnection, coded: &mut Vec<u8>) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(coded)?;
    }
    Ok(())
}

#[cfg(feature = "tls")]
fn read_records(
    tls: &mut ServerConnection,
    coded: &[u8],
    plain: &mut Vec<u8>,
) -> io::Result<usize> {
    // Without bytes the library would take it for the end of the stream.
    if coded.is_empty() {
        return Ok(0);
    }
    let taken = tls.read_tls(&mut &*coded)?;
    let state = tls.process_new_packets().map_err(invalid)?;
    let bytes = state.plaintext_bytes_to_read() as u64;
    tls.reader().take(bytes).read_to_end(plain)?;
    // What comes after the peer's end means nothing, and is not to wait for anyone.
    Ok(match state.peer_has_closed() {
        true => coded.len(),
        false => taken,
    })
}

#[cfg(feature = "tls")]
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

    use super::layers::Layer as _;
    use super::*;

    /// A connection that is through its handshake, from both sides.
    fn connected() -> (ClientConnection, Layer) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider.clone());
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider);
        let server = server.with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let chain = vec![cert.der().clone()];
        let server = server.with_no_client_auth().with_single_cert(chain, key);
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let server = ServerConnection::new(Arc::new(server.unwrap())).unwrap();
        let mut server = Layer::Accepted(Box::new(server));
        while client.is_handshaking() || client.wants_write() {
            let (mut coded, mut plain) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.write_tls(&mut coded).unwrap();
            }
            give(&mut server, &coded, &mut plain);
            coded.clear();
            server.flush(&mut coded).unwrap();
            let mut coded = coded.as_slice();
            while !coded.is_empty() {
                client.read_tls(&mut coded).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        (client, server)
    }

    /// Has it take all of this.
    fn give(layer: &mut Layer, mut coded: &[u8], plain: &mut Vec<u8>) {
        while !coded.is_empty() {
            let taken = layer.decode(coded, plain).unwrap();
            assert_ne!(taken, 0, "{} bytes are left", coded.len());
            coded = &coded[taken..];
        }
    }

    #[test]
    fn what_comes_after_the_end_of_tls_is_taken_and_means_nothing() {
        let (mut client, mut server) = connected();
        client.writer().write_all(b"all").unwrap();
        client.send_close_notify();
        let (mut coded, mut plain) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut coded).unwrap();
        }
        coded.extend([0x17; 100]);
        give(&mut server, &coded, &mut plain);
        give(&mut server, &[0; 100_000], &mut plain);
        assert_eq!(plain, b"all");
    }
}
