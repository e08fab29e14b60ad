//! [`Authority`]: who signs the certificates of a test.

use std::fs;
use std::path::PathBuf;

use flume_client::TlsOptions;
use flume_mini_agent::config::{Pem, TlsConfig};
use flume_mini_agent::{MiniAgent, MiniAgentBuilder};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// An authority, and a directory with what it signed.
pub(crate) struct Authority {
    home: TempDir,
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        fs::write(home.path().join("ca.pem"), &pem).unwrap();
        let issuer = Issuer::new(params, key);
        Self { home, issuer, pem }
    }

    /// A certificate for this name and its key, in PEM.
    pub(crate) fn sign(&self, name: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        certificate.pem() + &key.serialize_pem()
    }

    /// Puts one into a file.
    pub(crate) fn sign_into(&self, name: &str, file: &str) -> PathBuf {
        let path = self.home.path().join(file);
        let new = path.with_extension("new");
        fs::write(&new, self.sign(name)).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }

    pub(crate) fn trusted(&self) -> TlsOptions {
        TlsOptions::default().ca_file(self.home.path().join("ca.pem"))
    }

    /// Has an agent show a certificate for the address that it listens on.
    pub(crate) fn agent(&self, builder: MiniAgentBuilder) -> MiniAgent {
        let tls = TlsConfig::new(Pem::Bytes(self.sign("127.0.0.1").into()));
        builder.capacity(20_000).tls(tls).start().unwrap()
    }

    /// Has it ask for a client's certificate, too.
    pub(crate) fn asking_agent(&self, builder: MiniAgentBuilder) -> MiniAgent {
        let mut tls = TlsConfig::new(Pem::Bytes(self.sign("127.0.0.1").into()));
        tls.client_authorities = Some(Pem::Bytes(self.pem.clone().into()));
        builder.capacity(20_000).tls(tls).start().unwrap()
    }
}
