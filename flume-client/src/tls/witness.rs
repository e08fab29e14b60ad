//! [`Witness`]: what an agent presented and asked for, kept where the TLS library keeps nothing.
//!
//! The library forgets the certificates that it refuses, and does not tell whether it was asked for
//! one. Errors need both. The witness decides nothing but whose name counts: it hands each question to the
//! one that does.

use std::sync::{Arc, OnceLock};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    SignatureScheme,
};

use super::settings::TlsSettings;

/// Most certificates in a chain. Java takes ten by default.
pub(super) const CHAIN_MAX: usize = 32;

/// What one connection has seen.
#[derive(Debug)]
pub(super) struct Witness {
    settings: Arc<TlsSettings>,
    host: String,
    /// The same, as certificates have it.
    name: ServerName<'static>,
    presented: OnceLock<Vec<CertificateDer<'static>>>,
    asked: OnceLock<()>,
}

/// A chain has more certificates than anybody needs.
#[derive(Debug, thiserror::Error)]
#[error("the chain has {0} certificates, more than the {CHAIN_MAX} allowed")]
pub(super) struct LongChain(pub(super) usize);

impl Witness {
    pub(super) fn of(settings: &Arc<TlsSettings>, host: &str, name: ServerName<'static>) -> Self {
        Self {
            settings: Arc::clone(settings),
            name,
            host: host.to_owned(),
            presented: OnceLock::new(),
            asked: OnceLock::new(),
        }
    }

    /// The settings of one connection, which ask the witness.
    pub(super) fn put_into(this: &Arc<Self>, settings: &TlsSettings) -> ClientConfig {
        let mut config = settings.config().clone();
        // Named so by the library because any verifier can be put there. This one hands on.
        config
            .dangerous()
            .set_certificate_verifier(Arc::clone(this) as Arc<dyn ServerCertVerifier>);
        config.client_auth_cert_resolver = Arc::clone(this) as Arc<dyn ResolvesClientCert>;
        config
    }

    pub(super) fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// Whom the certificate has to be for.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The agent's certificates, its own first; none before they came.
    pub(super) fn presented(&self) -> &[CertificateDer<'static>] {
        self.presented.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether the agent asked for a certificate.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.get().is_some()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _asked_for: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let length = 1 + intermediates.len();
        let chain = std::iter::once(end_entity)
            .chain(intermediates)
            .take(CHAIN_MAX);
        self.presented
            .get_or_init(|| chain.map(|it| it.clone().into_owned()).collect());
        if length > CHAIN_MAX {
            let error = OtherError(Arc::new(LongChain(length)));
            return Err(CertificateError::Other(error).into());
        }
        self.settings.verifier().verify_server_cert(
            end_entity,
            intermediates,
            &self.name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = self.settings.verifier();
        verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = self.settings.verifier();
        verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.settings.verifier().supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.settings.verifier().requires_raw_public_keys()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.settings.verifier().root_hint_subjects()
    }
}

impl ResolvesClientCert for Witness {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked.get_or_init(|| ());
        let resolver = &self.settings.config().client_auth_cert_resolver;
        resolver.resolve(authorities, schemes)
    }

    fn has_certs(&self) -> bool {
        self.settings.config().client_auth_cert_resolver.has_certs()
    }
}
