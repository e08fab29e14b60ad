//! [`Agent`]: a real Flume with one kind of source, a large memory channel and a null sink.

use std::path::PathBuf;
use std::process::Command;

use flume_client::{Client, ClientBuilder, TlsOptions};
use flume_tests::{RealFlume, Version};
use tempfile::TempDir;

use crate::contest::{self, Plan, Result};

const PASSWORD: &str = "changeit";
/// Of the Thrift source.
const THREADS: &str = "16";

/// A kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Avro,
    Deflate,
    Tls,
    Thrift,
    Http,
}

/// A real Flume, and what clients have to know of it.
pub(crate) struct Agent {
    pub(crate) flume: RealFlume,
    source: Source,
    keys: Option<Keys>,
}

impl Agent {
    pub(crate) fn start(version: Version, source: Source, plan: Plan) -> Result<Self> {
        let keys = (source == Source::Tls).then(Keys::make).transpose()?;
        let mut lines = match source {
            Source::Avro => vec![],
            Source::Deflate => vec![("compression-type", "deflate".to_owned())],
            // Without a bound it starts a thread for each call and ends none, until there are no more.
            Source::Thrift => vec![
                ("type", "thrift".to_owned()),
                ("threads", THREADS.to_owned()),
            ],
            Source::Http => vec![("type", "http".to_owned())],
            Source::Tls => vec![("ssl", "true".to_owned())],
        };
        if let Some(keys) = &keys {
            let store = keys.path("agent.jks").display().to_string();
            lines.push(("keystore", store));
            lines.push(("keystore-password", PASSWORD.to_owned()));
            lines.push(("keystore-type", "JKS".to_owned()));
        }
        let builder = contest::agent(version);
        let builder = lines.into_iter().fold(builder, |builder, (key, value)| {
            builder.property(format!("a1.sources.r1.{key}"), value)
        });
        let flume = plan.start(builder)?;
        Ok(Self {
            flume,
            source,
            keys,
        })
    }

    /// A client of it.
    pub(crate) fn client(&self) -> ClientBuilder {
        let scheme = match self.source {
            Source::Avro => "avro",
            Source::Deflate => "avro+deflate",
            Source::Tls => "avro+tls",
            Source::Thrift => "thrift",
            Source::Http => "http",
        };
        let client = Client::builder().agent(format!("{scheme}://{}", self.flume.addr()));
        match &self.keys {
            Some(keys) => client.tls(TlsOptions::default().ca_file(keys.path("agent.pem"))),
            None => client,
        }
    }

    /// What Java's client has to be told.
    pub(crate) fn java_settings(&self) -> Vec<String> {
        let settings: &[&str] = match self.source {
            Source::Deflate => &["compression-type=deflate"],
            // Over TLS 1.3 the client of 1.9 often loses the end of the handshake and waits 20 s.
            Source::Tls if self.flume.version() == Version::V1_9 => &[
                "ssl=true",
                "trust-all-certs=true",
                "exclude-protocols=TLSv1.3",
            ],
            Source::Tls => &["ssl=true", "trust-all-certs=true"],
            Source::Avro | Source::Thrift | Source::Http => &[],
        };
        settings.iter().map(ToString::to_string).collect()
    }
}

/// A key that signs itself, as Java's tool makes it.
struct Keys(TempDir);

impl Keys {
    fn make() -> Result<Self> {
        let keys = Self(tempfile::tempdir()?);
        let store = "-keystore agent.jks -storepass changeit -alias agent";
        keys.keytool(&format!(
            "-genkeypair -keyalg EC -storetype JKS -ext SAN=ip:127.0.0.1 -validity 30 -dname CN=agent \
             -keypass {PASSWORD} {store}"
        ))?;
        keys.keytool(&format!("-exportcert -rfc -file agent.pem {store}"))?;
        Ok(keys)
    }

    fn keytool(&self, words: &str) -> Result<()> {
        let mut keytool = Command::new("keytool");
        let keytool = keytool.args(words.split(' ')).current_dir(self.0.path());
        let output = keytool.output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("keytool {words}: {output:?}").into()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
