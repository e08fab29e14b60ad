//! Sources with TLS, against clients of the library rustls with certificates made here.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use flume_mini_agent::config::{
    AgentConfig, AvroSourceConfig, CollectSinkConfig, MemoryChannelConfig, SourceConfig,
    SourceKind, ThriftProtocol, ThriftSourceConfig, TlsConfig,
};
use flume_mini_agent::{Fault, MiniAgent, MiniAgentBuilder};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, StreamOwned};

use crate::certificates::Authority;
use crate::support::{APPEND, GREETING, GREETING_OK, LIMIT, batch, bodies, hex, status};

/// A client whose bytes are encrypted.
struct Encrypted<T: Read + Write>(StreamOwned<ClientConnection, T>);

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

impl Encrypted<TcpStream> {
    fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Self::over(connect(address), config)
    }
}

impl<T: Read + Write> Encrypted<T> {
    fn over(socket: T, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self(StreamOwned::new(connection, socket))
    }

    fn send(&mut self, digits: &str) -> io::Result<()> {
        self.0.write_all(&hex(digits))?;
        self.0.flush()
    }

    fn read(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut found = vec![0; bytes];
        self.0.read_exact(&mut found)?;
        Ok(found)
    }

    #[track_caller]
    fn expect(&mut self, digits: &str) {
        assert_eq!(self.read(hex(digits).len()).unwrap(), hex(digits));
    }

    /// Greets and sends an event.
    #[track_caller]
    fn append(&mut self) {
        self.send(GREETING).unwrap();
        self.expect(GREETING_OK);
        self.send(APPEND).unwrap();
        self.expect(&status(1, "00"));
    }

    /// Greets in vain.
    fn is_refused(&mut self) -> bool {
        let answered = self.send(GREETING).and_then(|()| self.read(1));
        answered.is_err()
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().unwrap()[0].clone()
    }
}

fn start(builder: MiniAgentBuilder) -> MiniAgent {
    builder.start().unwrap()
}

#[test]
fn avro_calls_are_answered_under_tls_and_the_certificate_is_the_key_stores() {
    let authority = Authority::new();
    let identity = authority.sign("localhost");
    let agent = start(MiniAgent::builder().tls(identity.pem));
    assert_eq!(agent.url(), format!("avro+tls://{}", agent.addr()));
    let mut client = Encrypted::connect(agent.addr(), &authority.client(None));
    client.append();
    assert_eq!(client.certificate(), identity.der);
    let version = client.0.conn.protocol_version();
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
    // A call of more than one record.
    client.0.write_all(&batch(2, 8_000)).unwrap();
    client.expect(&status(2, "02"));
    client.0.write_all(&batch(3, 90)).unwrap();
    client.expect(&status(3, "00"));
    assert_eq!(bodies(&agent, 91).len(), 91);
}

#[test]
fn a_thrift_source_speaks_tls_too() {
    let authority = Authority::new();
    let builder = MiniAgent::builder().thrift(ThriftProtocol::Compact);
    let agent = start(builder.tls(authority.sign("localhost").pem));
    assert_eq!(agent.url(), format!("thrift+tls://{}", agent.addr()));
    let mut client = Encrypted::connect(agent.addr(), &authority.client(None));
    client
        .send("00000018 82210106617070656e64 1c 1b01 88016b0176 18026869 00 00")
        .unwrap();
    client.expect("0000000e 82410106617070656e64 05000000");
    assert_eq!(bodies(&agent, 1), ["hi"]);
}

#[cfg(feature = "http")]
#[test]
fn an_http_source_speaks_tls_too() {
    use flume_mini_agent::config::HttpSourceConfig;

    let authority = Authority::new();
    let mut source = HttpSourceConfig::new("127.0.0.1", 0);
    source.tls = Some(TlsConfig::new(authority.sign("localhost").pem));
    let agent = configured(source);
    assert!(agent.url().starts_with("https://"));
    let mut client = Encrypted::connect(agent.addr(), &authority.client(None));
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 16\r\n\r\n[{\"body\":\"web\"}]";
    client.0.write_all(post.as_bytes()).unwrap();
    assert_eq!(client.read(15).unwrap(), b"HTTP/1.1 200 OK");
    assert_eq!(bodies(&agent, 1), ["web"]);
}

fn configured(source: impl Into<SourceKind>) -> MiniAgent {
    let config = AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .add_source(SourceConfig::new("r1", source, ["c1"]))
        .sink("k1", CollectSinkConfig::default(), "c1")
        .build();
    MiniAgent::configured(config.unwrap()).start().unwrap()
}

#[test]
fn clients_need_a_certificate_of_the_authorities_if_there_are_any() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut tls = TlsConfig::new(authority.sign("localhost").pem);
    tls.client_authorities = Some(authority.pem.clone().into());
    let agent = start(MiniAgent::builder().tls(tls));
    let none = authority.client(None);
    assert!(Encrypted::connect(agent.addr(), &none).is_refused());
    let foreign = authority.client(Some(&other.sign("client")));
    assert!(Encrypted::connect(agent.addr(), &foreign).is_refused());
    assert_eq!(agent.stats().requests, 0);
    let known = authority.client(Some(&authority.sign("client")));
    Encrypted::connect(agent.addr(), &known).append();
}

#[test]
fn who_speaks_tls_at_a_plain_source_or_not_at_one_with_tls_is_refused() {
    let authority = Authority::new();
    let encrypted = start(MiniAgent::builder().tls(authority.sign("localhost").pem));
    let mut plain = connect(encrypted.addr());
    plain.write_all(&hex(GREETING)).unwrap();
    let mut answer = Vec::new();
    // An alert, if the end does not overtake it.
    let read = plain.read_to_end(&mut answer);
    assert!(read.is_ok() || read.unwrap_err().kind() == ErrorKind::ConnectionReset);
    assert!(
        answer.is_empty() || answer.starts_with(&[0x15, 3]),
        "{answer:x?}"
    );
    let plain = start(MiniAgent::builder());
    assert!(Encrypted::connect(plain.addr(), &authority.client(None)).is_refused());
    assert_eq!(encrypted.stats().requests + plain.stats().requests, 0);
}

#[test]
fn protocols_and_cipher_suites_are_those_asked_for() {
    let authority = Authority::new();
    let mut tls = TlsConfig::new(authority.sign("localhost").pem);
    tls.exclude_protocols = vec!["SSLv3".into(), "TLSv1.3".into()];
    let suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    tls.include_cipher_suites = vec![suite.into()];
    let agent = start(MiniAgent::builder().tls(tls.clone()));
    let mut client = Encrypted::connect(agent.addr(), &authority.client(None));
    client.append();
    let version = client.0.conn.protocol_version();
    assert_eq!(version, Some(ProtocolVersion::TLSv1_2));
    let negotiated = client.0.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(negotiated.as_str(), Some(suite));
    tls.include_protocols = vec!["TLSv1".into()];
    let error = MiniAgent::builder().tls(tls).start().unwrap_err();
    assert_eq!(
        error.to_string(),
        "source r1 cannot speak TLS: no protocol is left of those included (TLSv1) less those \
         excluded; there are TLSv1.3 TLSv1.2"
    );
}

#[test]
fn avro_and_thrift_sources_read_their_key_store_for_each_connection() {
    let authority = Authority::new();
    let [first, second] = ["localhost", "localhost"].map(|name| authority.sign(name));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keystore.pem");
    fs::write(&path, &first.pem).unwrap();
    let tls = || Some(TlsConfig::new(path.as_path()));
    let mut avro = AvroSourceConfig::new("127.0.0.1", 0);
    avro.tls = tls();
    let mut thrift = ThriftSourceConfig::new("127.0.0.1", 0);
    thrift.tls = tls();
    let (avro, thrift) = (configured(avro), configured(thrift));
    let config = authority.client(None);
    let seen = |agent: &MiniAgent| {
        let mut client = Encrypted::connect(agent.addr(), &config);
        // The handshake.
        client.0.conn.complete_io(&mut client.0.sock).unwrap();
        client.certificate()
    };
    let mut open = Encrypted::connect(avro.addr(), &config);
    open.send(GREETING).unwrap();
    open.expect(GREETING_OK);
    assert_eq!([seen(&avro), seen(&thrift)], [first.der.clone(), first.der]);
    fs::write(&path, &second.pem).unwrap();
    assert_eq!(
        [seen(&avro), seen(&thrift)],
        [second.der.clone(), second.der]
    );
    // One that cannot be read ends new connections and no open one.
    fs::write(&path, "nothing").unwrap();
    for agent in [&avro, &thrift] {
        assert!(Encrypted::connect(agent.addr(), &config).is_refused());
    }
    open.send(APPEND).unwrap();
    open.expect(&status(1, "00"));
}

#[test]
fn a_key_store_of_javas_is_answered_with_the_lines_that_make_pem_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keystore.jks");
    let told = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let refused = MiniAgent::builder().tls(path.as_path()).start();
        let text = refused.unwrap_err().to_string();
        text.replace(&path.display().to_string(), "FILE")
    };
    assert_eq!(
        told(&hex("feedfeed 00000002 00000001")),
        "source r1 cannot speak TLS: FILE is a JKS key store; make PEM of it: `keytool \
         -importkeystore -srcstoretype JKS -srckeystore \"FILE\" -destkeystore keystore.p12 \
         -deststoretype PKCS12` and then `openssl pkcs12 -in keystore.p12 -nodes -out keystore.pem`"
    );
    assert_eq!(
        told(&hex("3082 0a2b 020103")),
        "source r1 cannot speak TLS: FILE is a PKCS12 key store; make PEM of it: `openssl pkcs12 \
         -in \"FILE\" -nodes -out keystore.pem`"
    );
    let authority = Authority::new();
    let told = told(authority.pem.as_bytes());
    assert!(told.contains("no private key can be read"), "{told}");
    let missing = MiniAgent::builder().tls(directory.path().join("none.pem"));
    let told = missing.start().unwrap_err().to_string();
    assert!(
        told.contains("cannot read") && told.contains("none.pem"),
        "{told}"
    );
}

#[test]
fn a_key_of_another_certificate_is_found_at_the_start() {
    let authority = Authority::new();
    let [one, other] = ["localhost", "localhost"].map(|name| authority.sign(name));
    let certificate = one.pem.split("-----BEGIN PRIVATE").next().unwrap();
    let pem = format!("{certificate}{}", other.key.serialize_pem());
    let told = MiniAgent::builder().tls(pem).start().unwrap_err();
    assert!(told.to_string().contains("the PEM in memory"), "{told}");
}

#[test]
fn an_end_is_told_before_the_connection_is_closed_unless_it_is_reset() {
    let authority = Authority::new();
    let agent = start(MiniAgent::builder().tls(authority.sign("localhost").pem));
    let config = authority.client(None);
    let mut ends = [Fault::CommitThenDrop, Fault::CommitThenReset].map(|fault| {
        let _fault = agent.fault(fault.nth_request(1));
        let mut client = Encrypted::connect(agent.addr(), &config);
        client.send(GREETING).unwrap();
        client.expect(GREETING_OK);
        client.send(APPEND).unwrap();
        client.0.read(&mut [0; 8])
    });
    assert_eq!(*ends[0].as_ref().unwrap(), 0);
    let reset = ends[1].as_mut().unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    assert_eq!(bodies(&agent, 2), ["hi", "hi"]);
}

/// What a client meets whose only connection is struck.
fn struck(agent: &MiniAgent, config: &Arc<ClientConfig>, fault: Fault) -> io::Error {
    let fault = agent.fault(fault);
    let mut client = Encrypted::connect(agent.addr(), config);
    let socket = &client.0.sock;
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let met = client.send(GREETING).and_then(|()| client.read(1));
    assert_eq!(fault.hits().len(), 1);
    met.unwrap_err()
}

#[test]
fn a_handshake_is_answered_with_an_alert_or_stops_half_way_if_that_is_the_fault() {
    let authority = Authority::new();
    let agent = start(MiniAgent::builder().tls(authority.sign("localhost").pem));
    let config = authority.client(None);
    let alert = struck(&agent, &config, Fault::TlsAlert).to_string();
    assert!(alert.contains("HandshakeFailure"), "{alert}");
    let stopped = struck(&agent, &config, Fault::HandshakeStops);
    let kinds = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
    assert!(kinds.contains(&stopped.kind()), "{stopped}");
    Encrypted::connect(agent.addr(), &config).append();
}

#[test]
fn what_is_stored_can_be_answered_with_an_untold_end_or_with_garbage() {
    let authority = Authority::new();
    let agent = start(MiniAgent::builder().tls(authority.sign("localhost").pem));
    let config = authority.client(None);
    let ends = [Fault::CommitThenCut, Fault::CommitThenGarbage].map(|fault| {
        let _fault = agent.fault(fault.nth_request(1));
        let mut client = Encrypted::connect(agent.addr(), &config);
        client.send(GREETING).unwrap();
        client.expect(GREETING_OK);
        client.send(APPEND).unwrap();
        client.read(1).unwrap_err().kind()
    });
    // The library tells an end without close_notify from one with it.
    assert_eq!(ends, [ErrorKind::UnexpectedEof, ErrorKind::InvalidData]);
    assert_eq!(bodies(&agent, 2), ["hi", "hi"]);
}

#[cfg(feature = "compression")]
mod nesting {
    use std::cell::RefCell;
    use std::rc::Rc;

    use flate2::Compression;
    use flate2::read::ZlibDecoder;
    use flate2::write::ZlibEncoder;
    use flume_mini_agent::config::Nesting;

    use super::*;
    use crate::support::Client;

    /// Both directions of a stream.
    struct Shared<T>(Rc<RefCell<T>>);

    impl<T> Clone for Shared<T> {
        fn clone(&self) -> Self {
            Self(Rc::clone(&self.0))
        }
    }

    impl<T: Read> Read for Shared<T> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.0.borrow_mut().read(bytes)
        }
    }

    impl<T: Write> Write for Shared<T> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.borrow_mut().flush()
        }
    }

    /// Compressed, and flushed with each write.
    struct Deflated<T: Read + Write> {
        requests: ZlibEncoder<Shared<T>>,
        answers: ZlibDecoder<Shared<T>>,
    }

    impl<T: Read + Write> Deflated<T> {
        fn over(stream: T) -> Self {
            let shared = Shared(Rc::new(RefCell::new(stream)));
            Self {
                requests: ZlibEncoder::new(shared.clone(), Compression::new(6)),
                answers: ZlibDecoder::new(shared),
            }
        }
    }

    impl<T: Read + Write> Read for Deflated<T> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.answers.read(bytes)
        }
    }

    impl<T: Read + Write> Write for Deflated<T> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.requests.write_all(bytes)?;
            self.requests.flush()?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.requests.flush()
        }
    }

    fn agent(authority: &Authority, nesting: Nesting) -> MiniAgent {
        let pem = authority.sign("localhost").pem;
        let builder = MiniAgent::builder().deflate().tls(pem);
        let agent = start(builder.nesting(nesting));
        assert_eq!(agent.url(), format!("avro+tls+deflate://{}", agent.addr()));
        agent
    }

    #[test]
    fn tls_lies_in_compression_as_in_flume_1_10_and_later() {
        let authority = Authority::new();
        let agent = agent(&authority, Nesting::ZlibOutside);
        let compressed = Deflated::over(connect(agent.addr()));
        let mut client = Encrypted::over(compressed, &authority.client(None));
        client.append();
        client.0.write_all(&batch(2, 90)).unwrap();
        client.expect(&status(2, "00"));
        assert_eq!(bodies(&agent, 91).len(), 91);
    }

    #[test]
    fn compression_lies_in_tls_as_in_flume_up_to_1_9() {
        let authority = Authority::new();
        let agent = agent(&authority, Nesting::TlsOutside);
        let encrypted = Encrypted::connect(agent.addr(), &authority.client(None));
        let mut client = Deflated::over(encrypted.0);
        client.write_all(&hex(GREETING)).unwrap();
        let mut answer = vec![0; hex(GREETING_OK).len()];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, hex(GREETING_OK));
        client.write_all(&batch(2, 90)).unwrap();
        let mut answer = vec![0; hex(&status(2, "00")).len()];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, hex(&status(2, "00")));
        assert_eq!(bodies(&agent, 90).len(), 90);
    }

    #[test]
    fn the_other_nesting_is_refused() {
        let authority = Authority::new();
        let agent = agent(&authority, Nesting::TlsOutside);
        let compressed = Deflated::over(connect(agent.addr()));
        assert!(Encrypted::over(compressed, &authority.client(None)).is_refused());
        assert_eq!(agent.stats().requests, 0);
    }

    #[test]
    fn a_plain_client_is_refused_by_both() {
        let authority = Authority::new();
        for nesting in [Nesting::TlsOutside, Nesting::ZlibOutside] {
            let agent = agent(&authority, nesting);
            let mut client = Client::connect(&agent);
            client.send(GREETING);
            drop(client);
            agent
                .wait_until(LIMIT, |stats| {
                    stats.connections_opened == 1 && stats.connections_open == 0
                })
                .unwrap();
            assert_eq!(agent.stats().requests, 0);
        }
    }
}
