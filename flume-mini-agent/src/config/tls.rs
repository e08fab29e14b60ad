//! [`TlsConfig`]: how a source's connections are encrypted. [`SinkTlsConfig`]: how a sink's are.
//!
//! Sources: Flume's `SslContextAwareAbstractSource`, `HTTPSource` with Jetty's `SslContextFactory`,
//! and `NettyAvroRpcClient`. What is in the files is looked at when the component starts.

use std::fmt;
use std::path::{Path, PathBuf};

/// A source's TLS: versions 1.3 and 1.2, with a certificate of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// `keystore`: the source's private key and its certificates, its own first, in PEM.
    pub keystore: Pem,
    /// The authorities that sign clients' certificates, in PEM. If they are set, a client has to
    /// present one of theirs: `SslContextFactory.needClientAuth` of an HTTP source; no Flume asks at
    /// its Avro and Thrift sources. In a file, `truststore`.
    pub client_authorities: Option<Pem>,
    /// `include-protocols`, as Java calls them (`TLSv1.2`, `TLSv1.3`): none is all.
    pub include_protocols: Vec<String>,
    /// `exclude-protocols`.
    pub exclude_protocols: Vec<String>,
    /// `include-cipher-suites`, as Java calls them (`TLS_AES_128_GCM_SHA256`): none is all.
    pub include_cipher_suites: Vec<String>,
    /// `exclude-cipher-suites`.
    pub exclude_cipher_suites: Vec<String>,
}

/// A sink's TLS: versions 1.3 and 1.2. It has no certificate of its own, as no Flume's sink has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkTlsConfig {
    /// Which certificates of the next agent are taken.
    pub trust: SinkTrust,
    /// `exclude-protocols`, as Java calls them. Of those that are spoken here only `TLSv1.2` can be
    /// excluded.
    pub exclude_protocols: Vec<String>,
}

/// Which certificates of the next agent a sink takes.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkTrust {
    /// Those that these sign, for the name or address that is the sink's `hostname`. Flume's sink
    /// takes them whatever name they are for.
    Store {
        /// `truststore`: PEM, or a JKS or JCEKS store of Java's. It has to be named: the system's
        /// authorities are not trusted.
        truststore: Pem,
        /// `truststore-password` of a Java store, by which it is checked to be whole; without one it
        /// is read without this check, as by Java.
        password: Option<String>,
    },
    /// `trust-all-certs = true`: all, whoever the next agent is. Needs the feature
    /// `dangerous-trust-any-certificate`.
    Any,
}

/// Certificates or keys in PEM.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pem {
    /// In this file. An Avro source reads its key store again for each connection, as Flume's does; so
    /// does a Thrift source, as Flume's does not.
    File(PathBuf),
    /// In memory.
    Bytes(Vec<u8>),
}

/// Which of two layers is next to the socket, where there is compression and TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nesting {
    /// Compression, with TLS in it: Flume 1.10 and later.
    #[default]
    ZlibOutside,
    /// TLS, with compression in it: Flume up to 1.9.
    TlsOutside,
}

impl TlsConfig {
    /// TLS with this key store, and otherwise Flume's defaults.
    pub fn new(keystore: impl Into<Pem>) -> Self {
        Self {
            keystore: keystore.into(),
            client_authorities: None,
            include_protocols: Vec::new(),
            exclude_protocols: Vec::new(),
            include_cipher_suites: Vec::new(),
            exclude_cipher_suites: Vec::new(),
        }
    }
}

impl SinkTlsConfig {
    /// TLS to agents whose certificates these sign.
    pub fn new(truststore: impl Into<Pem>) -> Self {
        Self {
            trust: SinkTrust::Store {
                truststore: truststore.into(),
                password: None,
            },
            exclude_protocols: Vec::new(),
        }
    }
}

impl<P: Into<Pem>> From<P> for TlsConfig {
    fn from(keystore: P) -> Self {
        Self::new(keystore)
    }
}

impl From<&Path> for Pem {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<PathBuf> for Pem {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<String> for Pem {
    /// The text itself, not the name of a file.
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

impl From<Vec<u8>> for Pem {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl fmt::Debug for SinkTrust {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store {
                truststore,
                password,
            } => f
                .debug_struct("Store")
                .field("truststore", truststore)
                .field("has_password", &password.is_some())
                .finish(),
            Self::Any => f.write_str("Any"),
        }
    }
}

impl fmt::Debug for Pem {
    /// There may be a private key in it, which is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Bytes(bytes) => write!(f, "Bytes(of {})", bytes.len()),
        }
    }
}
