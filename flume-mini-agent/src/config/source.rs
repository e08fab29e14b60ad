//! [`SourceConfig`]: a source's settings.
//!
//! Sources: `configure` in Flume's `AvroSource`, `HTTPSource`, `NetcatSource` and
//! `SslContextAwareAbstractSource`. Not here: TLS and IP filters.

use super::interceptor::InterceptorConfig;
use super::problem::{Finding, ProblemKind};
use super::section::{Number, Section, bad_value};
use super::selector::{SelectorConfig, no_channel};
use super::types;

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
}

/// `type = http`, with Flume's JSON handler.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpSourceConfig {
    /// `bind`: the name or address to listen on, in a file `0.0.0.0` if not set.
    pub bind: String,
    /// `port`; 0 takes any free one.
    pub port: u16,
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

const TLS_KEYS: [&str; 7] = [
    "keystore",
    "keystore-password",
    "keystore-type",
    "exclude-protocols",
    "include-protocols",
    "exclude-cipher-suites",
    "include-cipher-suites",
];

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

    /// `channels` are those that the source's list comes to.
    pub(super) fn read(
        name: &str,
        section: &mut Section<'_>,
        channels: Vec<String>,
    ) -> Option<Self> {
        let kind = SourceKind::read(section);
        let mut selector_section = section.sub("selector.");
        let selector = SelectorConfig::read(&mut selector_section, &channels);
        section.absorb(selector_section, "this selector");
        let interceptors = InterceptorConfig::read_all(section);
        if kind.is_none() {
            section.ignore_rest();
        }
        Some(Self {
            name: name.to_owned(),
            kind: kind?,
            channels,
            selector,
            interceptors,
        })
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

    pub(super) fn type_name(&self) -> &'static str {
        match &self.kind {
            SourceKind::Avro(_) => "avro sources",
            SourceKind::Http(_) => "http sources",
            SourceKind::Netcat(_) => "netcat sources",
        }
    }
}

impl SourceKind {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let type_name = section.required("type");
        if type_name.is_empty() {
            return None;
        }
        match types::SOURCES.resolve(&type_name) {
            Ok("avro") => Some(Self::Avro(AvroSourceConfig::read(section))),
            Ok("http") => Some(Self::Http(HttpSourceConfig::read(section))),
            Ok(_) => Some(Self::Netcat(NetcatSourceConfig::read(section))),
            Err(problem) => {
                section.error("type", problem);
                None
            }
        }
    }
}

impl AvroSourceConfig {
    /// A source that listens here, with Flume's defaults.
    pub fn new(bind: impl Into<String>, port: u16) -> Self {
        Self {
            bind: bind.into(),
            port,
            compression: Compression::None,
        }
    }

    fn read(section: &mut Section<'_>) -> Self {
        let config = Self {
            bind: section.host("bind"),
            port: section.port("port"),
            compression: Compression::read(section),
        };
        section.no_effect(&["threads"], "Flume 1.11 does not use it either");
        section.left_out_if_true("ipFilter", "avro source setting");
        section.no_effect(&["ipFilterRules"], "ipFilter is not on");
        read_tls(section, "avro source setting");
        config
    }
}

impl HttpSourceConfig {
    /// A source that listens here.
    pub fn new(bind: impl Into<String>, port: u16) -> Self {
        Self {
            bind: bind.into(),
            port,
        }
    }

    fn read(section: &mut Section<'_>) -> Self {
        let handler = section.text_or("handler", types::JSON_HANDLER);
        if let Err(problem) = types::HANDLERS.resolve(&handler) {
            section.error("handler", problem);
        }
        section.no_effect_under("handler.", "the JSON handler has no settings");
        let jetty = [
            "QueuedThreadPool.",
            "HttpConfiguration.",
            "ServerConnector.",
            "SslContextFactory.",
        ];
        for prefix in jetty {
            section.no_effect_under(prefix, "it is a setting of Jetty, which is not in here");
        }
        read_tls(section, "http source setting");
        let bind = section.text_or("bind", "0.0.0.0");
        section.check_host("bind", &bind);
        Self {
            bind,
            port: section.port("port"),
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

    fn read(section: &mut Section<'_>) -> Self {
        Self {
            bind: section.host("bind"),
            port: section.port("port"),
            ack_every_event: section.flag("ack-every-event", true),
            max_line_length: section.count("max-line-length", Number::int(512, 1)),
            encoding: Encoding::read(section),
        }
    }
}

impl Compression {
    /// Whatever is not "deflate" is none, in Flume.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let value = section.text_or("compression-type", "none");
        if value.eq_ignore_ascii_case("deflate") {
            return Self::Deflate;
        }
        if !value.eq_ignore_ascii_case("none") {
            let problem = bad_value(&value, "none or deflate; Flume takes none");
            section.warning("compression-type", problem);
        }
        Self::None
    }
}

impl Encoding {
    fn read(section: &mut Section<'_>) -> Self {
        let value = section.text_or("encoding", "utf-8");
        match value.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Self::Utf8,
            "iso-8859-1" | "iso8859_1" | "iso8859-1" | "latin1" => Self::Latin1,
            "us-ascii" | "ascii" => Self::Ascii,
            _ => {
                let problem = bad_value(&value, "utf-8, iso-8859-1 or us-ascii in the mini-agent");
                section.error("encoding", problem);
                Self::Utf8
            }
        }
    }
}

fn read_tls(section: &mut Section<'_>, what: &'static str) {
    section.left_out_if_true("ssl", what);
    section.no_effect(&TLS_KEYS, "ssl is not on");
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
