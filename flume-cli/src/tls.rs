//! Whom to trust and who to be at agents with TLS.

#[cfg(feature = "tls")]
use std::path::PathBuf;

use clap::Args;
#[cfg(feature = "tls")]
use flume_client::TlsOptions;
use flume_client::{AgentError, AgentUrl, ClientBuilder};

/// The arguments about TLS.
#[cfg(feature = "tls")]
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS, for agents at avro+tls://, thrift+tls:// and https://")]
pub(crate) struct TlsArgs {
    /// Trust the certificates in this file and not the system's: PEM, DER, or a Java trust store
    #[arg(long, value_name = "FILE", env = "FLUME_CA")]
    ca: Option<PathBuf>,

    /// Show this certificate (PEM) to agents that ask for one
    #[arg(long, value_name = "FILE", env = "FLUME_CERT", requires = "key")]
    cert: Option<PathBuf>,

    /// Its key (PEM, not encrypted); may be in the same file
    #[arg(long, value_name = "FILE", env = "FLUME_KEY", requires = "cert")]
    key: Option<PathBuf>,

    /// The name that agents' certificates have to be for, instead of the host of the address
    #[arg(long, value_name = "NAME", env = "FLUME_SERVER_NAME")]
    server_name: Option<String>,

    /// Check no certificate: whoever is between can read and change all events
    #[arg(long, conflicts_with_all = ["ca", "server_name"])]
    insecure_trust_any_certificate: bool,
}

#[cfg(feature = "tls")]
impl TlsArgs {
    /// Gives a client of these agents what was given, if something was.
    pub(crate) fn apply(&self, builder: ClientBuilder, agents: &[AgentUrl]) -> ClientBuilder {
        let has_tls = agents.iter().any(|agent| agent.scheme().is_tls());
        match has_tls {
            true => builder.tls(self.options()),
            false => builder,
        }
    }

    fn options(&self) -> TlsOptions {
        let mut options = TlsOptions::default();
        if let Some(ca) = &self.ca {
            options = options.ca_file(ca);
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            options = options.client_certificate(cert, key);
        }
        if let Some(name) = &self.server_name {
            options = options.server_name(name);
        }
        match self.insecure_trust_any_certificate {
            true => options.dangerous_trust_any_certificate(),
            false => options,
        }
    }
}

/// Whether certificates or the like are the reason, so that a person has to mend something.
#[cfg(feature = "tls")]
pub(crate) fn is_untrusted(error: &AgentError) -> bool {
    matches!(error, AgentError::Tls(error) if error.is_lasting())
}

/// There are none in a build without TLS.
#[cfg(not(feature = "tls"))]
#[derive(Debug, Args)]
pub(crate) struct TlsArgs {}

#[cfg(not(feature = "tls"))]
impl TlsArgs {
    pub(crate) fn apply(&self, builder: ClientBuilder, _: &[AgentUrl]) -> ClientBuilder {
        builder
    }
}

#[cfg(not(feature = "tls"))]
pub(crate) fn is_untrusted(_: &AgentError) -> bool {
    false
}
