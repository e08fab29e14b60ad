//! [`TlsOptions`]: whom to trust and who to be at agents with TLS, and the files it is read from.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::time_provider::DefaultTimeProvider;

use super::bounds::{FOREVER, long_enough};
use crate::agent_url::AgentUrl;
use crate::delivery::AgentId;
use crate::error::BuildError;
use crate::tls::layer::server_name;
use crate::tls::material::Role;
use crate::tls::truststore::FILE_BYTES_MAX;
use crate::tls::{TlsFile, TlsMaterial, TlsSettings, TlsSettingsError};

/// How often the files are looked at while a connection is open, unless said otherwise.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// Whom to trust and who to be at agents with TLS, for [`ClientBuilder::tls`](crate::ClientBuilder::tls).
///
/// By default the system's root certificates are trusted, as they are when the client is built
/// (of the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, if they are set); an agent's
/// certificate has to be for the host of its address; and the client has no certificate of its own.
/// TLS 1.2 and 1.3 are spoken. An agent's certificate and its names are always checked: Flume's own
/// client checks no names.
///
/// ```no_run
/// use flume_client::{Client, TlsOptions};
///
/// let client = Client::builder()
///     .agent("avro+tls://collector-1.example:4141")
///     .tls(
///         TlsOptions::default()
///             .ca_file("/etc/flume/ca.pem")
///             .client_certificate("/etc/flume/orders.pem", "/etc/flume/orders.key"),
///     )
///     .build()?;
/// # Ok::<(), flume_client::BuildError>(())
/// ```
///
/// The files are read when the client is built, and an error of one is an error of
/// [`build`](crate::ClientBuilder::build). They are looked at again before each connection, and
/// [every 30 seconds](Self::check_every) while one is open, so new certificates need no restart: a new
/// connection takes the place of each old one, which ends with the last answer that is under way on it.
/// If new ones are bad, the old ones stay and no connection ends, and
/// [`health`](crate::Client::health) says so ([`Certificates`](crate::health::Problem::Certificates)).
/// Put a new file beside the old one and rename it, so that it is never seen half written. A relative
/// path is taken from the current directory as it is when the client is built; each file has at most
/// 16 MiB.
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use = "options do nothing until a builder has them"]
pub struct TlsOptions {
    ca: Ca,
    ca_password: Option<String>,
    /// The file of the certificates and that of the key.
    client: Option<(PathBuf, PathBuf)>,
    server_name: Option<String>,
    is_tls13_only: bool,
    check_every: Option<Duration>,
    #[cfg(feature = "dangerous-trust-any-certificate")]
    trusts_any: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Ca {
    #[default]
    System,
    File(PathBuf),
    SystemAndFile(PathBuf),
}

impl TlsOptions {
    /// Trusts the certificates in this file, and not the system's. It is PEM, one certificate in
    /// DER, or a Java trust store (JKS, JCEKS) without keys. An agent's own certificate may stand there
    /// if it signs itself and is no authority's, as `keytool -genkeypair` makes it.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Ca::File(path.into());
        self
    }

    /// Trusts the certificates in this file beside the system's. See [`ca_file`](Self::ca_file).
    pub fn system_and_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Ca::SystemAndFile(path.into());
        self
    }

    /// The password of a Java trust store, by which it is checked to be whole. Default none: it is read
    /// without this check, as by Java.
    pub fn ca_file_password(mut self, password: impl Into<String>) -> Self {
        self.ca_password = Some(password.into());
        self
    }

    /// Shows agents that ask for it this certificate, and proves that it has its key. Both are PEM,
    /// and may be one file; the client's own certificate is the first one, those of authorities
    /// between it and the root follow. The key is not encrypted. Default none. Of Flume's sources
    /// only HTTP asks, and it wants the client's address in the certificate.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client = Some((certificate.into(), key.into()));
        self
    }

    /// The name or address that agents' certificates have to be for, and that they are asked for (SNI,
    /// if it is a name). Default the host of the agent's address. One for an agent alone is
    /// [`AgentOptions::server_name`](crate::AgentOptions::server_name).
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Speaks TLS 1.3 alone. Default 1.2 too, which Flume on Java 8 needs.
    pub fn tls13_only(mut self) -> Self {
        self.is_tls13_only = true;
        self
    }

    /// While a connection with TLS is open, the files are looked at so often. Default 30 s, at least
    /// 1 ms. Each look reads them, on a thread of its own.
    pub fn check_every(mut self, interval: Duration) -> Self {
        self.check_every = Some(interval);
        self
    }

    /// Checks no agent's certificate: whoever is between can read and change all events. For tests
    /// with agents that have no certificate of worth; a [`ca_file`](Self::ca_file) with the agent's own
    /// one costs hardly more. `ca_file` and [`server_name`](Self::server_name) mean nothing then.
    #[cfg(feature = "dangerous-trust-any-certificate")]
    pub fn dangerous_trust_any_certificate(mut self) -> Self {
        self.trusts_any = true;
        self
    }

    /// The same, with paths that are right wherever the process may change to.
    fn with_absolute_paths(mut self) -> Result<Self, TlsSettingsError> {
        let absolute = |role: Role, path: &mut PathBuf| -> Result<(), TlsSettingsError> {
            let found = std::path::absolute(&*path);
            *path = found.map_err(|error| TlsSettingsError::of_file(role, path, error))?;
            Ok(())
        };
        if let Ca::File(path) | Ca::SystemAndFile(path) = &mut self.ca {
            absolute(Role::Ca, path)?;
        }
        if let Some((certificate, key)) = &mut self.client {
            absolute(Role::Certificate, certificate)?;
            absolute(Role::Key, key)?;
        }
        Ok(self)
    }

    fn trusts_any(&self) -> bool {
        #[cfg(feature = "dangerous-trust-any-certificate")]
        return self.trusts_any;
        #[cfg(not(feature = "dangerous-trust-any-certificate"))]
        false
    }
}

/// Without the password.
impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("ca", &self.ca)
            .field("has_ca_password", &self.ca_password.is_some())
            .field("client", &self.client)
            .field("server_name", &self.server_name)
            .field("is_tls13_only", &self.is_tls13_only)
            .field("check_every", &self.check_every)
            .field("trusts_any", &self.trusts_any())
            .finish()
    }
}

/// TLS of a client, checked.
#[derive(Clone, Debug)]
pub(crate) struct TlsConfig {
    options: TlsOptions,
    /// The system's root certificates, if they are trusted.
    system: Option<Arc<RootCertStore>>,
    /// For each agent, in order.
    server_names: Vec<String>,
    /// What the files said when the client was built.
    first: Arc<TlsSettings>,
}

impl TlsConfig {
    /// What the first connection is made with.
    pub(crate) fn first(&self) -> Arc<TlsSettings> {
        Arc::clone(&self.first)
    }

    /// Whom an agent's certificate has to be for.
    pub(crate) fn server_name(&self, agent: AgentId) -> Option<&str> {
        self.server_names.get(agent.index()).map(String::as_str)
    }

    /// How often the files are looked at while a connection is open.
    pub(crate) fn check_every(&self) -> Duration {
        self.options.check_every.unwrap_or(CHECK_EVERY)
    }

    /// Whether certificates are not checked, which health has to tell.
    #[cfg(feature = "dangerous-trust-any-certificate")]
    pub(crate) fn trusts_any(&self) -> bool {
        self.options.trusts_any()
    }

    /// Reads the files again: what the next connection is made with, `None` if they are what they
    /// were for `current`. It waits for the disk.
    ///
    /// # Errors
    ///
    /// The files cannot be used. `current` stays, and the error is to be told.
    pub(crate) fn look_again(
        &self,
        current: &TlsSettings,
    ) -> Result<Option<Arc<TlsSettings>>, TlsSettingsError> {
        let material = material(&self.options, self.system.clone())?;
        Ok(current.renewed(&material)?.map(Arc::new))
    }
}

/// TLS for these agents; `None` if none of them has it.
///
/// # Errors
///
/// The options cannot be used, or there are some and no agent has TLS.
pub(crate) fn tls_for(
    agents: &[AgentUrl],
    server_names: Vec<Option<String>>,
    options: Option<TlsOptions>,
) -> Result<Option<TlsConfig>, BuildError> {
    if !agents.iter().any(|agent| agent.scheme().is_tls()) {
        return match options {
            Some(_) => Err(BuildError::NothingToEncrypt),
            None => Ok(None),
        };
    }
    let mut options = options.unwrap_or_default().with_absolute_paths()?;
    if let Some(interval) = &mut options.check_every {
        long_enough("check_every", *interval)?;
        *interval = FOREVER.min(*interval);
    }
    let names = agents.iter().zip(server_names).map(|(agent, own)| {
        let common = || options.server_name.clone();
        own.or_else(common)
            .unwrap_or_else(|| agent.host().to_owned())
    });
    let server_names: Vec<_> = names.collect();
    for (agent, name) in agents.iter().zip(&server_names) {
        if agent.scheme().is_tls() && server_name(name).is_none() {
            return Err(TlsSettingsError::of_server_name(name).into());
        }
    }
    let system = match (&options.ca, options.trusts_any()) {
        (Ca::File(_), _) | (_, true) => None,
        (Ca::System | Ca::SystemAndFile(_), false) => Some(Arc::new(system_roots()?)),
    };
    let material = material(&options, system.clone())?;
    let first = TlsSettings::of(&material, Arc::new(DefaultTimeProvider))?;
    Ok(Some(TlsConfig {
        options,
        system,
        server_names,
        first: Arc::new(first),
    }))
}

/// The system's trusted certificates, those of them that can be read.
fn system_roots() -> Result<RootCertStore, TlsSettingsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(ToString::to_string);
        return Err(TlsSettingsError::of_no_roots(&why.unwrap_or_default()));
    }
    Ok(roots)
}

fn material(
    options: &TlsOptions,
    system: Option<Arc<RootCertStore>>,
) -> Result<TlsMaterial, TlsSettingsError> {
    let ca = match &options.ca {
        Ca::File(path) | Ca::SystemAndFile(path) if !options.trusts_any() => {
            Some(read(Role::Ca, path)?)
        }
        _ => None,
    };
    let client = match &options.client {
        Some((certificate, key)) => {
            Some((read(Role::Certificate, certificate)?, read(Role::Key, key)?))
        }
        None => None,
    };
    Ok(TlsMaterial {
        system,
        ca,
        ca_password: options.ca_password.clone(),
        client,
        is_tls13_only: options.is_tls13_only,
        #[cfg(feature = "dangerous-trust-any-certificate")]
        trusts_any: options.trusts_any,
    })
}

/// Reads a file, not more of it than is allowed.
fn read(role: Role, path: &Path) -> Result<TlsFile, TlsSettingsError> {
    let read = || {
        // Opening a pipe would wait for whoever writes to it, and it could be read once only.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut bytes = Vec::new();
        let limit = FILE_BYTES_MAX as u64 + 1;
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(TlsFile {
            path: path.to_owned(),
            bytes,
        }),
        Err(error) => Err(TlsSettingsError::of_file(role, path, error)),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    use super::*;

    /// A certificate that signs itself, and its key, in PEM.
    fn made(name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    struct Files(TempDir);

    impl Files {
        fn new() -> Self {
            Self(TempDir::new().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn put(&self, name: &str, text: &str) -> PathBuf {
            fs::write(self.path(name), text).unwrap();
            self.path(name)
        }

        fn put_client(&self, (certificate, key): &(String, String)) {
            self.put("client.pem", certificate);
            self.put("client.key", key);
        }

        fn options(&self) -> TlsOptions {
            TlsOptions::default()
                .ca_file(self.path("ca.pem"))
                .client_certificate(self.path("client.pem"), self.path("client.key"))
        }
    }

    fn agent(scheme: &str, host: &str) -> AgentUrl {
        AgentUrl::of_any(&format!("{scheme}://{host}:1"))
    }

    fn tls_of(agents: &[AgentUrl], options: TlsOptions) -> Result<TlsConfig, BuildError> {
        let names = vec![None; agents.len()];
        tls_for(agents, names, Some(options)).map(|tls| tls.expect("an agent has TLS"))
    }

    fn one_agent(options: TlsOptions) -> Result<TlsConfig, BuildError> {
        tls_of(&[agent("avro+tls", "a")], options)
    }

    #[test]
    fn options_without_an_agent_that_has_tls_are_an_error() {
        let plain = [agent("avro", "a")];
        assert!(tls_for(&plain, vec![None], None).unwrap().is_none());
        let error = tls_for(&plain, vec![None], Some(TlsOptions::default())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tls is set, and no agent has it: give one as avro+tls://HOST:PORT"
        );
    }

    #[test]
    fn an_agent_is_known_by_its_own_name_then_by_the_common_one_then_by_its_host() {
        let files = Files::new();
        let ca = files.put("ca.pem", &made("a").0);
        let options = TlsOptions::default().ca_file(ca);
        let agents = ["a", "b"].map(|host| agent("avro+tls", host));
        let names = |own: [Option<&str>; 2], options: TlsOptions| {
            let own = own.map(|name| name.map(str::to_owned)).to_vec();
            let tls = tls_for(&agents, own, Some(options)).unwrap().unwrap();
            [0, 1].map(|at| tls.server_name(AgentId::new(at)).unwrap().to_owned())
        };
        assert_eq!(names([None, None], options.clone()), ["a", "b"]);
        assert_eq!(names([None, Some("own")], options.clone()), ["a", "own"]);
        let options = options.server_name("common");
        assert_eq!(
            names([None, Some("own")], options.clone()),
            ["common", "own"]
        );
        let error = one_agent(options.server_name("a b:1")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "TLS cannot be set up: \"a b:1\" is no name that a certificate can be for. Give a host's \
             name or address, without a port"
        );
    }

    #[test]
    fn a_file_that_is_not_there_or_is_none_is_told() {
        let files = Files::new();
        let there = files.put("ca.pem", &made("a").0);
        let missing = files.path("missing.pem");
        for (options, what, path, why) in [
            (
                TlsOptions::default().ca_file(&missing),
                "trusted certificates",
                &missing,
                "No such file or directory (os error 2)",
            ),
            (
                TlsOptions::default()
                    .ca_file(&there)
                    .client_certificate(&there, &missing),
                "the client's key",
                &missing,
                "No such file or directory (os error 2)",
            ),
            (
                TlsOptions::default().ca_file(files.0.path()),
                "trusted certificates",
                &files.0.path().to_owned(),
                "it is no file",
            ),
        ] {
            let error = one_agent(options).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "cannot take {what} from {path:?}: {why}. Check its path and its permissions"
                )
            );
        }
    }

    #[test]
    fn files_that_are_renewed_are_taken_once_they_are_whole() {
        let files = Files::new();
        files.put("ca.pem", &made("a").0);
        let (old, new) = (made("old.example"), made("new.example"));
        files.put_client(&old);
        let tls = one_agent(files.options()).unwrap();
        let first = tls.first();
        let names = |settings: &TlsSettings| settings.client_certificate().unwrap().names.clone();
        assert_eq!(names(&first), ["old.example"]);
        assert!(tls.look_again(&first).unwrap().is_none());

        files.put("client.pem", &new.0);
        let error = tls.look_again(&first).unwrap_err().to_string();
        assert!(
            error.contains("is not that of the first certificate"),
            "{error}"
        );
        fs::remove_file(files.path("client.key")).unwrap();
        let error = tls.look_again(&first).unwrap_err().to_string();
        assert!(error.starts_with("cannot take the client's key"), "{error}");

        files.put_client(&new);
        let second = tls.look_again(&first).unwrap().expect("they are others");
        assert_eq!(names(&second), ["new.example"]);
        assert!(tls.look_again(&second).unwrap().is_none());
        files.put("ca.pem", &made("b").0);
        assert!(tls.look_again(&second).unwrap().is_some());
    }

    #[test]
    fn a_file_that_is_too_long_is_told_and_not_read_to_its_end() {
        let files = Files::new();
        let long = File::create(files.path("ca.pem")).unwrap();
        long.set_len(1 << 40).unwrap();
        let options = TlsOptions::default().ca_file(files.path("ca.pem"));
        let error = one_agent(options).unwrap_err().to_string();
        assert!(error.contains("more than the 16777216 allowed"), "{error}");
    }

    #[test]
    fn what_prints_options_shows_no_password() {
        let options = TlsOptions::default().ca_file_password("s3cret");
        assert!(!format!("{options:?}").contains("s3cret"));
    }

    #[cfg(feature = "dangerous-trust-any-certificate")]
    #[test]
    fn who_trusts_any_certificate_needs_none_to_trust() {
        let options = TlsOptions::default().ca_file("missing.pem");
        let tls = one_agent(options.dangerous_trust_any_certificate()).unwrap();
        assert!(tls.trusts_any());
    }
}
