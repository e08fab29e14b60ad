//! [`TlsSettings`]: whom to trust and who to be, made of the bytes of files.
//!
//! Not here: the files. Who reads them gives the bytes, again and again: [`TlsSettings::renewed`]
//! tells whether they are others.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, version};

use super::certificate::Certificate;
use super::material::{TlsMaterial, TlsSettingsError};

/// Trust and identity, checked: what connections are made with.
pub struct TlsSettings {
    config: ClientConfig,
    verifier: Arc<dyn ServerCertVerifier>,
    client_certificate: Option<Certificate>,
    trusted: String,
    versions: &'static str,
    digest: [u8; 32],
}

impl TlsSettings {
    /// Checks all there is. `clock` tells when a certificate is looked at.
    ///
    /// # Errors
    ///
    /// A file is none of those that it should be, is damaged, or has the wrong thing in it; or nothing
    /// is trusted. The message names the file, the place in it, and what to do.
    pub fn of(
        material: &TlsMaterial,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, TlsSettingsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = material.verifier(&provider)?;
        let client = material.client_key(&provider)?;
        let (versions, told) = match material.is_tls13_only {
            true => (&[&version::TLS13][..], "1.3"),
            false => (&[&version::TLS13, &version::TLS12][..], "1.2 and 1.3"),
        };
        let builder = ClientConfig::builder_with_details(provider, clock)
            .with_protocol_versions(versions)
            .map_err(TlsSettingsError::of_library)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier));
        let client_certificate = client
            .as_ref()
            .and_then(|client| Certificate::read(client.cert.first()?));
        let mut config = match client {
            Some(client) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(client)))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Self {
            config,
            verifier,
            client_certificate,
            trusted: material.trusted(),
            versions: told,
            digest: material.digest(),
        })
    }

    /// What to go on with after the files were read again: `None` if they are what they were.
    ///
    /// # Errors
    ///
    /// As for [`of`](Self::of): the old ones are to be kept, and the error is to be told.
    pub fn renewed(&self, material: &TlsMaterial) -> Result<Option<Self>, TlsSettingsError> {
        if material.digest() == self.digest {
            return Ok(None);
        }
        let clock = Arc::clone(&self.config.time_provider);
        Self::of(material, clock).map(Some)
    }

    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub(super) fn verifier(&self) -> &dyn ServerCertVerifier {
        &*self.verifier
    }

    /// What is trusted, as part of a sentence.
    pub(super) fn trusted(&self) -> &str {
        &self.trusted
    }

    /// The versions of TLS that are spoken.
    pub(super) fn versions(&self) -> &'static str {
        self.versions
    }

    /// What the client's certificate says, if there is one.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&Certificate> {
        self.client_certificate.as_ref()
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("trusted", &self.trusted)
            .field("client_certificate", &self.client_certificate)
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}
