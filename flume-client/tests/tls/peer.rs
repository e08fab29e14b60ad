//! Certificates made for a test, and an agent's side of TLS in memory.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use flume_client::tls::{TlsError, TlsFile, TlsLayer, TlsMaterial, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion, version};

/// 2026-01-01 00:00:00 UTC
pub(crate) const NOW: u64 = 1_767_225_600;

/// The name that agents have here.
pub(crate) const HOST: &str = "collector-1.example";

#[derive(Debug)]
pub(crate) struct Clock(pub(crate) u64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            self.0,
        )))
    }
}

/// A certificate with its key.
pub(crate) struct Made {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
}

impl Made {
    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }
}

/// Whoever signs certificates.
pub(crate) struct Authority {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

/// What a certificate of these names says, of the years 2025 and 2026.
pub(crate) fn params(subject: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&it| it.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 12, 31);
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        Self {
            certificate,
            issuer,
        }
    }

    pub(crate) fn sign(&self, params: &CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { certificate, key }
    }

    /// An authority below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let issuer = Issuer::new(params, key);
        Self {
            certificate,
            issuer,
        }
    }

    pub(crate) fn agent(&self) -> Made {
        self.sign(&params("agent", &[HOST, "10.1.2.3"]))
    }
}

pub(crate) fn file(path: &str, bytes: impl AsRef<[u8]>) -> TlsFile {
    TlsFile {
        path: PathBuf::from(path),
        bytes: bytes.as_ref().to_vec(),
    }
}

/// Trust in this authority alone.
pub(crate) fn trusting(authority: &Authority) -> TlsMaterial {
    TlsMaterial {
        ca: Some(file("ca.pem", authority.certificate.pem())),
        ..TlsMaterial::default()
    }
}

/// And a client's certificate.
pub(crate) fn with_client(material: TlsMaterial, client: &Made) -> TlsMaterial {
    TlsMaterial {
        client: Some((
            file("client.pem", client.certificate.pem()),
            file("key.pem", client.key.serialize_pem()),
        )),
        ..material
    }
}

pub(crate) fn settings(material: &TlsMaterial) -> Arc<TlsSettings> {
    Arc::new(TlsSettings::of(material, Arc::new(Clock(NOW))).unwrap())
}

pub(crate) const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

pub(crate) const ONLY_12: &[&SupportedProtocolVersion] = &[&version::TLS12];

/// How an agent is set up.
pub(crate) struct Agent {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
    /// Whose certificates clients need.
    pub(crate) clients: Option<CertificateDer<'static>>,
}

impl Agent {
    pub(crate) fn of(made: &Made) -> Self {
        Self {
            chain: vec![made.der()],
            key: made.key_der(),
            versions: BOTH,
            clients: None,
        }
    }

    pub(crate) fn start(&self) -> ServerConnection {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(Clock(NOW)))
                .with_protocol_versions(self.versions)
                .unwrap();
        let verifier: Arc<dyn ClientCertVerifier> = match &self.clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone()).unwrap();
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .unwrap()
            }
        };
        let config = builder
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .unwrap();
        ServerConnection::new(Arc::new(config)).unwrap()
    }
}

/// What the agent has to send.
pub(crate) fn sent_by(agent: &mut ServerConnection) -> Vec<u8> {
    let mut coded = Vec::new();
    while agent.wants_write() {
        agent.write_tls(&mut coded).unwrap();
    }
    coded
}

/// Hands the agent what the client sends, and gives what it reads.
pub(crate) fn heard_by(agent: &mut ServerConnection, coded: &[u8]) -> Vec<u8> {
    let mut rest = coded;
    let mut heard = Vec::new();
    while !rest.is_empty() {
        agent.read_tls(&mut rest).unwrap();
        // What it does not like, the client gets to know.
        if agent.process_new_packets().is_err() {
            break;
        }
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = agent.reader().read(&mut buffer) {
            heard.extend_from_slice(&buffer[..length]);
        }
    }
    heard
}

/// Hands the client all of it.
pub(crate) fn decode_all(client: &mut TlsLayer, coded: &[u8]) -> Result<Vec<u8>, TlsError> {
    let mut plain = Vec::new();
    let mut rest = coded;
    while !rest.is_empty() {
        let taken = client.decode(rest, &mut plain)?;
        assert!(taken > 0, "it takes something of {} bytes", rest.len());
        rest = &rest[taken..];
    }
    Ok(plain)
}

/// Both sides talk until neither has anything to send. Gives what the agent read.
pub(crate) fn talk(
    client: &mut TlsLayer,
    agent: &mut ServerConnection,
) -> Result<Vec<u8>, TlsError> {
    let mut heard = Vec::new();
    loop {
        let mut coded = Vec::new();
        client.flush(&mut coded)?;
        heard.extend(heard_by(agent, &coded));
        let answer = sent_by(agent);
        if coded.is_empty() && answer.is_empty() {
            return Ok(heard);
        }
        if let Err(error) = decode_all(client, &answer) {
            // The agent is told.
            let mut alert = Vec::new();
            client.flush(&mut alert)?;
            heard_by(agent, &alert);
            return Err(error);
        }
    }
}

/// A client and an agent whose handshake is through.
pub(crate) fn connected(
    settings: &Arc<TlsSettings>,
    agent: &Agent,
) -> (TlsLayer, ServerConnection) {
    let mut client = TlsLayer::start(settings, HOST).unwrap();
    let mut agent = agent.start();
    talk(&mut client, &mut agent).unwrap();
    assert!(!client.is_handshaking());
    (client, agent)
}

/// The error of a handshake, and what the agent says of it.
pub(crate) fn refused(settings: &Arc<TlsSettings>, host: &str, agent: &Agent) -> TlsError {
    let mut client = TlsLayer::start(settings, host).unwrap();
    talk(&mut client, &mut agent.start()).unwrap_err()
}

/// The agent sends this.
pub(crate) fn answer(agent: &mut ServerConnection, plain: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    for piece in plain.chunks(16 << 10) {
        agent.writer().write_all(piece).unwrap();
        coded.extend(sent_by(agent));
    }
    coded
}
