//! [`TlsMaterial`]: the bytes of the files that TLS is set up from, and what is wrong with them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::SectionKind;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore};

use super::pem::{PemProblem, Section, sections};
use super::truststore::{TrustStore, TrustStoreError, shell_word};

/// A file as it was read.
#[derive(Clone)]
pub struct TlsFile {
    /// Where it is, for errors.
    pub path: PathBuf,
    /// What is in it, at most [`FILE_BYTES_MAX`](super::truststore::FILE_BYTES_MAX).
    pub bytes: Vec<u8>,
}

/// What TLS is set up from.
#[derive(Clone, Default)]
pub struct TlsMaterial {
    /// The system's root certificates, if they are trusted.
    pub system: Option<Arc<RootCertStore>>,
    /// The file of trusted certificates: PEM, DER, JKS or JCEKS.
    pub ca: Option<TlsFile>,
    /// The password of a Java trust store, to check that it is whole.
    pub ca_password: Option<String>,
    /// The client's certificates, its own first, and its key, in PEM. It may be one file.
    pub client: Option<(TlsFile, TlsFile)>,
    /// Without TLS 1.2.
    pub is_tls13_only: bool,
    /// Agents' certificates are not checked.
    #[cfg(feature = "dangerous-trust-any-certificate")]
    pub trusts_any: bool,
}

impl TlsMaterial {
    /// SHA-256 of all that is in files.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let client = self.client.iter();
        let client = client.flat_map(|(certificate, key)| [certificate, key]);
        for file in self.ca.iter().chain(client) {
            context.update(&(file.bytes.len() as u64).to_be_bytes());
            context.update(&file.bytes);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// What is trusted, as part of a sentence.
    pub(super) fn trusted(&self) -> String {
        match (&self.ca, &self.system) {
            (Some(file), None) => format!("the certificates in {:?}", file.path),
            (Some(file), Some(_)) => {
                format!("the certificates in {:?} and the system's", file.path)
            }
            (None, _) => "the system's trusted certificates".to_owned(),
        }
    }

    /// What looks at agents' certificates.
    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, TlsSettingsError> {
        #[cfg(feature = "dangerous-trust-any-certificate")]
        if self.trusts_any {
            return Ok(Arc::new(super::anyone::Anyone(Arc::clone(provider))));
        }
        let mut roots = self.system.as_deref().cloned();
        if let Some(file) = &self.ca {
            let roots = roots.get_or_insert_with(RootCertStore::empty);
            let added = add_certificates(file, self.ca_password.as_deref(), roots);
            added.map_err(|problem| problem.of(Role::Ca, &file.path))?;
        }
        let roots = roots.unwrap_or_else(RootCertStore::empty);
        let provider = Arc::clone(provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        match verifier.build() {
            Ok(verifier) => Ok(verifier),
            Err(_no_roots) => Err(TlsSettingsError::of_no_roots("")),
        }
    }

    /// The client's certificates with their key.
    pub(super) fn client_key(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Option<CertifiedKey>, TlsSettingsError> {
        let Some((certificate, key)) = &self.client else {
            return Ok(None);
        };
        let of_certificate = |problem: Problem| problem.of(Role::Certificate, &certificate.path);
        let of_key = |problem: Problem| problem.of(Role::Key, &key.path);
        let chain = chain(certificate).map_err(of_certificate)?;
        let (line, key_der) = private_key(key).map_err(of_key)?;
        match CertifiedKey::from_der(chain, key_der, provider) {
            Ok(client) => Ok(Some(client)),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                let certificate = certificate.path.clone();
                Err(of_key(Problem::OtherKey { line, certificate }))
            }
            Err(error @ Error::InvalidCertificate(_)) => {
                Err(of_certificate(Problem::Certificate {
                    entry: "its first certificate".to_owned(),
                    why: reason(error),
                }))
            }
            Err(_) => Err(of_key(Problem::UnknownKey { line })),
        }
    }
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.client.as_ref();
        f.debug_struct("TlsMaterial")
            .field("has_system", &self.system.is_some())
            .field("ca", &self.ca)
            .field("client", &client)
            .field("is_tls13_only", &self.is_tls13_only)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFile")
            .field("path", &self.path)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

fn add_certificates(
    file: &TlsFile,
    password: Option<&str>,
    roots: &mut RootCertStore,
) -> Result<(), Problem> {
    let TlsFile { path, bytes } = file;
    if bytes.is_empty() {
        return Err(Problem::Empty);
    }
    let mut add = |der: CertificateDer<'_>, entry: &dyn Fn() -> String| {
        roots.add(der.into_owned()).map_err(|error| {
            let (entry, why) = (entry(), reason(error));
            Problem::Certificate { entry, why }
        })
    };
    match TrustStore::read(path, bytes, password, sha1).map_err(Problem::Store)? {
        TrustStore::Der => add(bytes.as_slice().into(), &|| "it".to_owned()),
        TrustStore::Java(entries) if entries.is_empty() => Err(Problem::NoEntry),
        TrustStore::Java(entries) => entries.iter().try_for_each(|entry| {
            let alias = &entry.alias;
            add(entry.der.into(), &|| format!("the entry {alias:?}"))
        }),
        TrustStore::Pem => {
            let mut certificates = certificates(bytes)?.into_iter();
            certificates.try_for_each(|(line, der)| add(der, &|| certificate_at(line)))
        }
    }
}

/// The client's certificates.
fn chain(file: &TlsFile) -> Result<Vec<CertificateDer<'static>>, Problem> {
    check_pem(file, Role::Certificate)?;
    let certificates = certificates(&file.bytes)?;
    Ok(certificates.into_iter().map(|(_, der)| der).collect())
}

/// The certificates of a PEM file, at least one, with the lines where they begin.
fn certificates(bytes: &[u8]) -> Result<Vec<(usize, CertificateDer<'static>)>, Problem> {
    let sections = sections(bytes).map_err(Problem::Pem)?;
    let found = found(&sections);
    let certificates = sections.into_iter();
    let certificates = certificates.filter_map(|section| match section.content {
        Some((SectionKind::Certificate, der)) => Some((section.line, der.into())),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    match certificates.is_empty() {
        true => Err(Problem::Missing {
            what: "certificate",
            found,
        }),
        false => Ok(certificates),
    }
}

/// The one private key of a PEM file, and the line where it begins.
fn private_key(file: &TlsFile) -> Result<(usize, PrivateKeyDer<'static>), Problem> {
    check_pem(file, Role::Key)?;
    let sections = sections(&file.bytes).map_err(Problem::Pem)?;
    let found = found(&sections);
    if let Some(section) = sections.iter().find(|section| section.is_encrypted) {
        return Err(Problem::Encrypted { line: section.line });
    }
    let mut keys = sections.into_iter().filter_map(|section| {
        let (kind, der) = section.content?;
        let key = match kind {
            SectionKind::PrivateKey => PrivateKeyDer::Pkcs8(der.into()),
            SectionKind::RsaPrivateKey => PrivateKeyDer::Pkcs1(der.into()),
            SectionKind::EcPrivateKey => PrivateKeyDer::Sec1(der.into()),
            _ => return None,
        };
        Some((section.line, key))
    });
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        (Some((first, _)), Some((second, _))) => Err(Problem::SeveralKeys { first, second }),
        (None, _) => Err(Problem::Missing {
            what: "private key",
            found,
        }),
    }
}

/// Whether the client's file is PEM; if not, the error has the lines that make PEM of it.
fn check_pem(file: &TlsFile, role: Role) -> Result<(), Problem> {
    if file.bytes.is_empty() {
        return Err(Problem::Empty);
    }
    match TrustStore::read(&file.path, &file.bytes, None, sha1) {
        Ok(TrustStore::Pem) => Ok(()),
        Ok(TrustStore::Java(_)) => Err(Problem::NoKeyStore),
        Ok(TrustStore::Der) => Err(Problem::Der),
        Err(_) if role == Role::Key && file.bytes.starts_with(&[0x30]) => Err(Problem::Der),
        Err(error) => Err(Problem::Store(error)),
    }
}

/// Why a certificate of ours is none; the library speaks of a peer's.
fn reason(error: Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "it is damaged, or is no certificate".to_owned()
        }
        Error::InvalidCertificate(error) => error.to_string(),
        error => error.to_string(),
    }
}

fn certificate_at(line: usize) -> String {
    format!("the certificate that begins in line {line}")
}

/// What else is in a file, as part of a sentence.
fn found(sections: &[Section]) -> String {
    let Some(section) = sections.first() else {
        return "no section of PEM".to_owned();
    };
    let more = match sections.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("a section {} in line {}{more}", section.label, section.line)
}

fn sha1(pieces: &[&[u8]]) -> [u8; 20] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    for piece in pieces {
        context.update(piece);
    }
    let mut digest = [0; 20];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// TLS cannot be set up: a file is not what it should be. The message names it, the place in it,
/// and what to do.
pub struct TlsSettingsError {
    role: Role,
    path: PathBuf,
    problem: Problem,
}

impl TlsSettingsError {
    /// A file of trusted certificates, of the client's certificate or of its key cannot be read.
    pub(crate) fn of_file(role: Role, path: &Path, error: io::Error) -> Self {
        Problem::Unreadable(error).of(role, path)
    }

    /// Nothing is trusted; `why` is what the system said, if it did.
    pub(crate) fn of_no_roots(why: &str) -> Self {
        Problem::NoRoots(why.to_owned()).of(Role::System, Path::new(""))
    }

    /// It is no name that a certificate can be for.
    pub(crate) fn of_server_name(name: &str) -> Self {
        Problem::ServerName(name.to_owned()).of(Role::Setting, Path::new(""))
    }

    pub(super) fn of_library(error: Error) -> Self {
        Problem::Library(error).of(Role::Setting, Path::new(""))
    }
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Ca,
    Certificate,
    Key,
    System,
    Setting,
}

impl Role {
    fn what(self) -> &'static str {
        match self {
            Self::Ca => "trusted certificates",
            Self::Certificate => "the client's certificate",
            Self::Key => "the client's key",
            Self::System | Self::Setting => "",
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("it is empty")]
    Empty,
    #[error(transparent)]
    Store(TrustStoreError),
    #[error("the store has no entry")]
    NoEntry,
    #[error("{0}")]
    Pem(PemProblem),
    #[error("it has no {what}, but {found}")]
    Missing { what: &'static str, found: String },
    #[error("{entry} cannot be read: {why}")]
    Certificate { entry: String, why: String },
    #[error("it is DER, and PEM is needed")]
    Der,
    #[error("it is a Java trust store, which has no key")]
    NoKeyStore,
    #[error("the key that begins in line {line} is encrypted")]
    Encrypted { line: usize },
    #[error("it has two keys, in line {first} and in line {second}")]
    SeveralKeys { first: usize, second: usize },
    #[error("the key that begins in line {line} is damaged or of a kind that is not known")]
    UnknownKey { line: usize },
    #[error(
        "the key that begins in line {line} is not that of the first certificate in {certificate:?}"
    )]
    OtherKey { line: usize, certificate: PathBuf },
    #[error("no root certificate of the system was found{}{}", if .0.is_empty() { "" } else { ": " }, .0)]
    NoRoots(String),
    #[error("{0:?} is no name that a certificate can be for")]
    ServerName(String),
    #[error(transparent)]
    Library(Error),
}

impl Problem {
    fn of(self, role: Role, path: &Path) -> TlsSettingsError {
        TlsSettingsError {
            role,
            path: path.to_owned(),
            problem: self,
        }
    }

    /// What to do, as a sentence.
    fn advice(&self, role: Role, file: &str) -> String {
        match self {
            Self::Unreadable(_) => "Check its path and its permissions".to_owned(),
            Self::Empty | Self::NoEntry => "Check what should have written it".to_owned(),
            Self::Pem(_) => "Copy it again".to_owned(),
            Self::Missing { .. } => match role {
                Role::Key => {
                    "Give the file that has the key as the second one of client_certificate"
                }
                Role::Certificate => {
                    "Give the file that has the certificate as the first one of client_certificate"
                }
                _ => "Give the certificates of the authorities that sign the agents'",
            }
            .to_owned(),
            Self::Certificate { .. } => {
                format!("Look at it with `openssl x509 -in {file} -noout -text`")
            }
            Self::Der => match role {
                Role::Key => {
                    format!("Make PEM of it: `openssl pkey -inform der -in {file} -out key.pem`")
                }
                _ => {
                    format!("Make PEM of it: `openssl x509 -inform der -in {file} -out client.pem`")
                }
            },
            Self::NoKeyStore => "Give the client's certificate and its key, both in PEM".to_owned(),
            Self::Encrypted { .. } => format!(
                "Decrypt it, for a file that this user alone may read: `openssl pkey -in {file} -out \
                 key.pem`"
            ),
            Self::SeveralKeys { .. } => "Leave one of them out".to_owned(),
            Self::UnknownKey { .. } => format!(
                "RSA from 2048 bits on, ECDSA (P-256, P-384) and Ed25519 are known; look at it with \
                 `openssl pkey -in {file} -noout -text`"
            ),
            Self::OtherKey { certificate, .. } => format!(
                "Compare `openssl pkey -in {file} -pubout` with `openssl x509 -in {} -noout -pubkey`; \
                 the client's own certificate must be the first one",
                shell_word(&certificate.to_string_lossy())
            ),
            Self::NoRoots(_) => {
                "Install them (ca-certificates), or give a file by ca_file".to_owned()
            }
            Self::ServerName(_) => "Give a host's name or address, without a port".to_owned(),
            Self::Store(_) | Self::Library(_) => String::new(),
        }
    }
}

impl std::error::Error for TlsSettingsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

crate::debug::debug_is_the_message!(TlsSettingsError);

impl fmt::Display for TlsSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            role,
            path,
            problem,
        } = self;
        // What a trust store says names the file and the way out itself.
        if let Problem::Store(error) = problem {
            return error.fmt(f);
        }
        match role {
            Role::System | Role::Setting => write!(f, "TLS cannot be set up: {problem}")?,
            _ => write!(f, "cannot take {} from {path:?}: {problem}", role.what())?,
        }
        match problem.advice(*role, &shell_word(&path.to_string_lossy())) {
            advice if advice.is_empty() => Ok(()),
            advice => write!(f, ". {advice}"),
        }
    }
}
