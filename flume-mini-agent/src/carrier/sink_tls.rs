//! [`SinkTls`]: a sink's TLS settings, as our client's TLS takes them.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flume_client::tls::{TlsFile, TlsLayer, TlsMaterial, TlsSettings, TlsSettingsError};
use rustls::time_provider::DefaultTimeProvider;

use crate::config::{Pem, SinkTlsConfig, SinkTrust};

/// A sink's TLS.
#[derive(Clone, Debug)]
pub(crate) struct SinkTls {
    settings: Arc<TlsSettings>,
    /// Whom the next agent's certificate has to be for.
    host: String,
}

/// Why a sink cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkTlsProblem {
    #[error("cannot read {file}: {reason}; check its path and its permissions")]
    Read { file: String, reason: io::Error },
    #[error("{0}")]
    Settings(#[from] TlsSettingsError),
    #[error(
        "exclude-protocols has TLSv1.3, which a sink cannot do without; exclude it at the next agent"
    )]
    Protocol,
    #[cfg(not(feature = "dangerous-trust-any-certificate"))]
    #[error(
        "trust-all-certs needs the feature `dangerous-trust-any-certificate` of flume-mini-agent"
    )]
    TrustsAny,
}

impl SinkTls {
    /// Reads the trust store. `host` is whom the next agent's certificate has to be for.
    pub(crate) fn new(config: &SinkTlsConfig, host: &str) -> Result<Self, SinkTlsProblem> {
        let is_excluded = |name: &str| config.exclude_protocols.iter().any(|it| it == name);
        if is_excluded("TLSv1.3") {
            return Err(SinkTlsProblem::Protocol);
        }
        let mut material = TlsMaterial {
            is_tls13_only: is_excluded("TLSv1.2"),
            ..TlsMaterial::default()
        };
        match &config.trust {
            SinkTrust::Store {
                truststore,
                password,
            } => {
                material.ca = Some(file(truststore)?);
                material.ca_password.clone_from(password);
            }
            SinkTrust::Any => trust_any(&mut material)?,
        }
        let settings = TlsSettings::of(&material, Arc::new(DefaultTimeProvider))?;
        Ok(Self {
            settings: Arc::new(settings),
            host: host.to_owned(),
        })
    }

    /// A connection's beginning.
    pub(super) fn begin(&self) -> io::Result<TlsLayer> {
        TlsLayer::start(&self.settings, &self.host).map_err(io::Error::other)
    }
}

fn file(truststore: &Pem) -> Result<TlsFile, SinkTlsProblem> {
    let (path, bytes) = match truststore {
        Pem::File(path) => {
            let bytes = fs::read(path).map_err(|reason| SinkTlsProblem::Read {
                file: path.display().to_string(),
                reason,
            })?;
            (path.clone(), bytes)
        }
        Pem::Bytes(bytes) => (PathBuf::from("the PEM in memory"), bytes.clone()),
    };
    Ok(TlsFile { path, bytes })
}

#[cfg(feature = "dangerous-trust-any-certificate")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
fn trust_any(material: &mut TlsMaterial) -> Result<(), SinkTlsProblem> {
    material.trusts_any = true;
    Ok(())
}

#[cfg(not(feature = "dangerous-trust-any-certificate"))]
fn trust_any(_: &mut TlsMaterial) -> Result<(), SinkTlsProblem> {
    Err(SinkTlsProblem::TrustsAny)
}
