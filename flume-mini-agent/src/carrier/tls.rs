//! [`SourceTls`]: a source's TLS settings, as the library takes them.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite, SupportedProtocolVersion,
};

use crate::config::{Pem, TlsConfig};

/// A source's TLS.
#[derive(Clone, Debug)]
pub(crate) struct SourceTls {
    settings: Arc<TlsConfig>,
    /// As it was at the start.
    ready: Arc<ServerConfig>,
    reading: Reading,
}

/// How often a key store is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// At the start.
    Once,
    /// And again for each connection, as Flume's Avro source does, and its Thrift source does not.
    EachConnection,
}

/// Why a source cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsProblem {
    #[error("cannot read {file}: {reason}")]
    Read { file: String, reason: io::Error },
    #[error(
        "{file} is a {kind} key store; make PEM of it: {}",
        pem_lines(file, kind)
    )]
    JavaKeyStore { file: String, kind: &'static str },
    #[error(
        "{file} is a {kind} store; make PEM of its certificates: `keytool -list -rfc -storetype {kind} \
         -keystore {file:?} > ca.pem`"
    )]
    JavaTrustStore { file: String, kind: &'static str },
    #[error(
        "{file} is not as needed: {reason}; it has to hold, in PEM, the source's private key and its \
         certificates, its own first"
    )]
    KeyStore { file: String, reason: String },
    #[error("{file} has no authority to check clients with: {reason}; give certificates in PEM")]
    Authorities { file: String, reason: String },
    #[error(
        "no {what} is left of those included ({included}) less those excluded; there are {known}"
    )]
    NothingLeft {
        what: &'static str,
        included: String,
        known: String,
    },
}

impl SourceTls {
    /// Reads all files.
    pub(crate) fn new(settings: &TlsConfig, reading: Reading) -> Result<Self, TlsProblem> {
        Ok(Self {
            ready: server_config(settings)?,
            settings: Arc::new(settings.clone()),
            reading,
        })
    }

    /// A connection's beginning.
    pub(super) fn accept(&self) -> io::Result<ServerConnection> {
        let config = match (self.reading, &self.settings.keystore) {
            (Reading::EachConnection, Pem::File(_)) => {
                server_config(&self.settings).map_err(io::Error::other)?
            }
            _ => Arc::clone(&self.ready),
        };
        ServerConnection::new(config).map_err(io::Error::other)
    }
}

fn server_config(settings: &TlsConfig) -> Result<Arc<ServerConfig>, TlsProblem> {
    let provider = Arc::new(provider(settings)?);
    let versions = versions(settings)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let key_store = |reason: String| TlsProblem::KeyStore {
        file: name(&settings.keystore),
        reason,
    };
    let builder = builder
        .with_protocol_versions(&versions)
        .map_err(|error| key_store(error.to_string()))?;
    let builder = match &settings.client_authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let verifier = verifier(authorities, &provider)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let (chain, key) = identity(&settings.keystore)?;
    let config = builder.with_single_cert(chain, key);
    let mut config = config.map_err(|error| key_store(error.to_string()))?;
    // No session is resumed, as connections live long; so there is nothing to give out for that.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The cipher suites that are asked for. Java's names of those of TLS 1.3 are without the version.
fn provider(settings: &TlsConfig) -> Result<CryptoProvider, TlsProblem> {
    let mut provider = rustls::crypto::ring::default_provider();
    let name = |suite: &SupportedCipherSuite| {
        let name = suite.suite().as_str().unwrap_or_default();
        name.replace("TLS13_", "TLS_")
    };
    let included = &settings.include_cipher_suites;
    let excluded = &settings.exclude_cipher_suites;
    let known: Vec<_> = provider.cipher_suites.iter().map(name).collect();
    provider
        .cipher_suites
        .retain(|suite| is_left(&name(suite), included, excluded));
    if provider.cipher_suites.is_empty() {
        return Err(nothing_left("cipher suite", included, &known));
    }
    Ok(provider)
}

fn versions(settings: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, TlsProblem> {
    let all = [
        ("TLSv1.3", &rustls::version::TLS13),
        ("TLSv1.2", &rustls::version::TLS12),
    ];
    let included = &settings.include_protocols;
    let left = all
        .iter()
        .filter(|(name, _)| is_left(name, included, &settings.exclude_protocols));
    let versions: Vec<_> = left.map(|(_, version)| *version).collect();
    if versions.is_empty() {
        let known = all.map(|(name, _)| name.to_owned());
        return Err(nothing_left("protocol", included, &known));
    }
    Ok(versions)
}

fn is_left(name: &str, included: &[String], excluded: &[String]) -> bool {
    let has = |names: &[String]| names.iter().any(|other| other == name);
    (included.is_empty() || has(included)) && !has(excluded)
}

fn nothing_left(what: &'static str, included: &[String], known: &[String]) -> TlsProblem {
    TlsProblem::NothingLeft {
        what,
        included: match included {
            [] => "all".to_owned(),
            names => names.join(" "),
        },
        known: known.join(" "),
    }
}

fn identity(
    pem: &Pem,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsProblem> {
    let bytes = bytes(pem)?;
    let problem = |reason: String| TlsProblem::KeyStore {
        file: name(pem),
        reason,
    };
    if let Some(kind) = java_key_store(&bytes) {
        let file = name(pem);
        return Err(TlsProblem::JavaKeyStore { file, kind });
    }
    let chain = CertificateDer::pem_slice_iter(&bytes);
    let chain = chain.collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| problem(error.to_string()))?;
    if chain.is_empty() {
        return Err(problem("it has no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes);
    let key = key.map_err(|error| problem(format!("no private key can be read ({error})")))?;
    Ok((chain, key))
}

fn verifier(
    authorities: &Pem,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsProblem> {
    let problem = |reason: String| TlsProblem::Authorities {
        file: name(authorities),
        reason,
    };
    let bytes = bytes(authorities)?;
    if let Some(kind) = java_key_store(&bytes) {
        let file = name(authorities);
        return Err(TlsProblem::JavaTrustStore { file, kind });
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| problem(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| problem(error.to_string()))?;
    }
    let provider = Arc::clone(provider);
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    verifier.build().map_err(|error| problem(error.to_string()))
}

fn bytes(pem: &Pem) -> Result<Cow<'_, [u8]>, TlsProblem> {
    match pem {
        Pem::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        Pem::File(path) => match fs::read(path) {
            Ok(bytes) => Ok(Cow::Owned(bytes)),
            Err(reason) => Err(TlsProblem::Read {
                file: name(pem),
                reason,
            }),
        },
    }
}

fn name(pem: &Pem) -> String {
    match pem {
        Pem::File(path) => path.display().to_string(),
        Pem::Bytes(_) => "the PEM in memory".to_owned(),
    }
}

/// What a store of Java's begins with.
fn java_key_store(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] => Some("JKS"),
        [0xce, 0xce, 0xce, 0xce, ..] => Some("JCEKS"),
        // A sequence of ASN.1.
        [0x30, 0x80..=0x84, ..] => Some("PKCS12"),
        _ => None,
    }
}

/// The commands that make PEM of a key store.
fn pem_lines(file: &str, kind: &str) -> String {
    match kind {
        "PKCS12" => format!("`openssl pkcs12 -in {file:?} -nodes -out keystore.pem`"),
        kind => format!(
            "`keytool -importkeystore -srcstoretype {kind} -srckeystore {file:?} -destkeystore \
             keystore.p12 -deststoretype PKCS12` and then `openssl pkcs12 -in keystore.p12 -nodes \
             -out keystore.pem`"
        ),
    }
}
