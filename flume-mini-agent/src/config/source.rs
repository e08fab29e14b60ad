//! [`SourceConfig`]: a source's settings.
//!
//! Sources: `configure` in Flume's `AvroSource`, `HTTPSource`, `NetcatSource`, `ThriftSource` and
//! `SslContextAwareAbstractSource`. Not here: IP filters.

use super::interceptor::InterceptorConfig;
use super::problem::{Finding, ProblemKind};
use super::selector::{SelectorConfig, no_channel};
use super::tls::{Nesting, TlsConfig};

/// A source: its name, its settings and where its events go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceConfig {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// Its channels, in the order in which Flume commits to them. Read from a file, that is the
    /// order of Java's hash sets: of `c1 c2 c3`, `c3` comes first.
    pub channels: Vec<String>,
    /// Which of the channels an event goes to.
    pub selector: SelectorConfig,
    /// What is done with each event first, in this order.
    pub interceptors: Vec<InterceptorConfig>,
}

/// The types of sources.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// `type = avro`.
    Avro(AvroSourceConfig),
    /// `type = http`.
    Http(HttpSourceConfig),
    /// `type = netcat`.
    Netcat(NetcatSourceConfig),
    /// `type = thrift`.
    Thrift(ThriftSourceConfig),
}

/// `type = avro`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AvroSourceConfig {
    /// `bind`: the name or address to listen on.
    pub bind: String,
    /// `port`; 0 takes any free one.
    pub port: u16,
    /// `compression-type`: none.
    pub compression: Compression,
    /// `ssl`: none.
    pub tls: Option<TlsConfig>,
    /// Where there are both: `nesting`, which is the mini-agent's own, `zlib-outside` (as Flume 1.10
    /// and later) or `tls-outside`.
    pub nesting: Nesting,
}

/// `type = http`, with Flume's JSON handler.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpSourceConfig {
    /// `bind`: the name or address to listen on, in a file `0.0.0.0` if not set.
    pub bind: String,
    /// `port`; 0 takes any free one.
    pub port: u16,
    /// `ssl`: none.
    pub tls: Option<TlsConfig>,
}

/// `type = netcat`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetcatSourceConfig {
    /// `bind`: the name or address to listen on.
    pub bind: String,
    /// `port`; 0 takes any free one.
    pub port: u16,
    /// `ack-every-event`: whether each line is answered with `OK`, true.
    pub ack_every_event: bool,
    /// `max-line-length`, in characters: 512.
    pub max_line_length: usize,
    /// `encoding`: UTF-8.
    pub encoding: Encoding,
}

/// `type = thrift`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThriftSourceConfig {
    /// `bind`: the name or address to listen on.
    pub bind: String,
    /// `port`; 0 takes any free one.
    pub port: u16,
    /// `threads`: calls that are worked on at once, of all connections together. 0, the default,
    /// is no bound but that of one call in each connection.
    pub threads: usize,
    /// `protocol`: compact.
    pub protocol: ThriftProtocol,
    /// `ssl`: none.
    pub tls: Option<TlsConfig>,
}

/// How Thrift's values are put as bytes. Nothing on the wire negotiates it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThriftProtocol {
    /// `TCompactProtocol`.
    #[default]
    Compact,
    /// `TBinaryProtocol`.
    Binary,
}

/// What is done with the bytes of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// One zlib stream per direction.
    Deflate,
}

/// How characters are written as bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// ISO-8859-1, one byte per character.
    Latin1,
    /// US-ASCII.
    Ascii,
}

impl SourceConfig {
    /// A source with a replicating selector and no interceptors.
    pub fn new<I>(name: impl Into<String>, kind: impl Into<SourceKind>, channels: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            name: name.into(),
            kind: kind.into(),
            channels: channels.into_iter().map(Into::into).collect(),
            selector: SelectorConfig::default(),
            interceptors: Vec::new(),
        }
    }

    /// Sets the selector.
    #[must_use]
    pub fn selector(mut self, selector: impl Into<SelectorConfig>) -> Self {
        self.selector = selector.into();
        self
    }

    /// Adds an interceptor behind those that are there.
    #[must_use]
    pub fn interceptor(mut self, interceptor: InterceptorConfig) -> Self {
        self.interceptors.push(interceptor);
        self
    }

    /// What a source built in code gets wrong.
    pub(super) fn check(&self, prefix: &str, known: &[String]) -> Vec<Finding> {
        let key = format!("{prefix}channels");
        let mut findings = Vec::new();
        if self.channels.is_empty() {
            findings.push(Finding::error(key.clone(), ProblemKind::Missing));
        }
        for (index, name) in self.channels.iter().enumerate() {
            if !known.contains(name) {
                findings.push(Finding::error(key.clone(), no_channel(name, known)));
            } else if self
                .channels
                .iter()
                .take(index)
                .any(|earlier| earlier == name)
            {
                let name = name.clone();
                findings.push(Finding::error(
                    key.clone(),
                    ProblemKind::ListedTwice { name },
                ));
            }
        }
        findings.extend(
            self.selector
                .check(&format!("{prefix}selector."), &self.channels),
        );
        findings
    }
}

impl AvroSourceConfig {
    /// A source that listens here, with Flume's defaults.
    pub fn new(bind: impl Into<String>, port: u16) -> Self {
        Self {
            bind: bind.into(),
            port,
            compression: Compression::None,
            tls: None,
            nesting: Nesting::ZlibOutside,
        }
    }
}

impl HttpSourceConfig {
    /// A source that listens here.
    pub fn new(bind: impl Into<String>, port: u16) -> Self {
        Self {
            bind: bind.into(),
            port,
            tls: None,
        }
    }
}

impl NetcatSourceConfig {
    /// A source that listens here, with Flume's defaults.
    pub fn new(bind: impl Into<String>, port: u16) -> Self {
        Self {
            bind: bind.into(),
            port,
            ack_every_event: true,
            max_line_length: 512,
            encoding: Encoding::Utf8,
        }
    }
}

impl ThriftSourceConfig {
    /// A source that listens here, with Flume's defaults.
    pub fn new(bind: impl Into<String>, port: u16) -> Self {
        Self {
            bind: bind.into(),
            port,
            threads: 0,
            protocol: ThriftProtocol::Compact,
            tls: None,
        }
    }
}

impl From<AvroSourceConfig> for SourceKind {
    fn from(config: AvroSourceConfig) -> Self {
        Self::Avro(config)
    }
}

impl From<HttpSourceConfig> for SourceKind {
    fn from(config: HttpSourceConfig) -> Self {
        Self::Http(config)
    }
}

impl From<NetcatSourceConfig> for SourceKind {
    fn from(config: NetcatSourceConfig) -> Self {
        Self::Netcat(config)
    }
}

impl From<ThriftSourceConfig> for SourceKind {
    fn from(config: ThriftSourceConfig) -> Self {
        Self::Thrift(config)
    }
}
