//! The key stores of agents, and what clients are to trust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "changeit";

/// Those of real Flumes, made by Java's own tool.
pub(crate) struct Keys {
    home: TempDir,
}

impl Keys {
    /// The only ones: making them takes Java a while.
    pub(crate) fn get() -> &'static Self {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(|| {
            let keys = Self {
                home: tempfile::tempdir().unwrap(),
            };
            let month = ["-validity", "30"];
            keys.make("agent", "SAN=ip:127.0.0.1,dns:localhost", &month);
            keys.make("other", "SAN=dns:other.example", &month);
            let expired = ["-startdate", "-10d", "-validity", "5"];
            keys.make("expired", "SAN=ip:127.0.0.1", &expired);
            let later = ["-startdate", "+5d", "-validity", "5"];
            keys.make("later", "SAN=ip:127.0.0.1", &later);
            keys.keytool(&[
                "-importcert",
                "-noprompt",
                "-alias",
                "agent",
                "-file",
                "agent.pem",
                "-storetype",
                "JKS",
                "-keystore",
                "trust.jks",
                "-storepass",
                PASSWORD,
            ]);
            keys.make_client();
            keys
        })
    }

    /// A key that signs itself, in `NAME.jks`, and its certificate in `NAME.pem`.
    fn make(&self, name: &str, names: &str, validity: &[&str]) {
        let (store, pem) = (format!("{name}.jks"), format!("{name}.pem"));
        let store = ["-keystore", &store, "-storepass", PASSWORD, "-alias", name];
        let pair = [
            "-genkeypair",
            "-keyalg",
            "EC",
            "-storetype",
            "JKS",
            "-ext",
            names,
        ];
        let subject = format!("CN={name}");
        let rest = ["-dname", &subject, "-keypass", PASSWORD];
        self.keytool(&[&pair[..], &store, validity, &rest].concat());
        self.keytool(&[&["-exportcert", "-rfc", "-file", &pem][..], &store].concat());
    }

    /// A client's certificate and its key, and `trusted.jks`, which trusts it. Flume's HTTP source wants the
    /// client's address in it.
    fn make_client(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.pem("client"), certificate.pem()).unwrap();
        fs::write(self.pem("client-key"), key.serialize_pem()).unwrap();
        let from = ["-importcert", "-noprompt", "-file", "client.pem"];
        let into = ["-keystore", "trusted.jks", "-storetype", "JKS"];
        let names = ["-alias", "client", "-storepass", PASSWORD];
        self.keytool(&[from, into, names].concat());
    }

    fn keytool(&self, arguments: &[&str]) {
        let mut keytool = Command::new("keytool");
        let output = keytool
            .args(arguments)
            .current_dir(self.home.path())
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    /// A key store, or `trust`, which trusts that of `agent`.
    pub(crate) fn jks(&self, name: &str) -> String {
        self.path(&format!("{name}.jks")).display().to_string()
    }

    /// The certificate of a key store.
    pub(crate) fn pem(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.pem"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

/// A key that signs itself for the address of agents, made without Java: its certificate in `ca`, both
/// in `both`.
pub(crate) struct PemKeys {
    pub(crate) ca: PathBuf,
    pub(crate) both: PathBuf,
    _home: TempDir,
}

impl PemKeys {
    pub(crate) fn get() -> &'static Self {
        static KEYS: OnceLock<PemKeys> = OnceLock::new();
        KEYS.get_or_init(Self::new)
    }

    /// Others with each call.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let [ca, both] = ["ca.pem", "both.pem"].map(|name| home.path().join(name));
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        fs::write(&ca, &certificate).unwrap();
        fs::write(&both, certificate + &key.serialize_pem()).unwrap();
        Self {
            ca,
            both,
            _home: home,
        }
    }
}

/// The certificates in a PEM file.
pub(crate) fn roots(pem: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(pem).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}

/// A client that trusts the certificates in a PEM file, and has none of its own.
pub(crate) fn client_trusting(pem: &Path) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(
        builder
            .with_root_certificates(roots(pem))
            .with_no_client_auth(),
    )
}
