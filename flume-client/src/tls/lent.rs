//! [`LentTls`]: TLS for a library that makes its own connections.
//!
//! It gets settings of the TLS library, and what comes of its connections is told as for a
//! [`TlsLayer`](super::TlsLayer). It bounds what a peer takes for its part of the handshake itself, by the
//! TLS library's own limits.

use std::fmt;
use std::sync::Arc;

use rustls::{ClientConfig, Error, RootCertStore};

use super::error::{Kind, TlsError};
use super::layer::server_name_of;
use super::settings::TlsSettings;
use super::witness::Witness;

/// What connections of another library's are made with.
pub(crate) struct LentTls(Arc<Witness>);

impl LentTls {
    /// For an agent whose certificate has to be for `host`, a name or an address, whatever name the
    /// library asks the agent for.
    ///
    /// # Errors
    ///
    /// The host is no name that a certificate can have.
    pub(crate) fn of(settings: &Arc<TlsSettings>, host: &str) -> Result<Self, TlsError> {
        let name = server_name_of(host)?;
        Ok(Self(Arc::new(Witness::of(settings, host, name))))
    }

    /// What the library is to use.
    pub(crate) fn config(&self) -> ClientConfig {
        Witness::put_into(&self.0, self.0.settings())
    }

    /// For a library that has to be given something, and is not to use it.
    pub(crate) fn unused() -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .expect("the provider has suites for all versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    }

    /// What an error of a connection means.
    pub(crate) fn failed(&self, error: &Error) -> TlsError {
        TlsError::of_rustls(error.clone(), &self.0)
    }

    /// What it means that the peer closed the connection inside of the handshake.
    pub(crate) fn closed(&self) -> TlsError {
        match self.0.presented().is_empty() && !self.0.was_asked() {
            true => Kind::ClosedAtOnce.into(),
            false => TlsError::closed_in_handshake(&self.0),
        }
    }

    /// The peer closed the connection before it answered anything. With TLS 1.3 a client is through before
    /// the peer has looked at its certificate.
    pub(crate) fn closed_unanswered(&self) -> Option<TlsError> {
        let was_asked = self.0.was_asked();
        was_asked.then(|| TlsError::closed_in_handshake(&self.0))
    }
}

impl fmt::Debug for LentTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LentTls").field(&self.0.host()).finish()
    }
}
