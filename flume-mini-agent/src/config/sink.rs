//! [`SinkConfig`]: a sink's settings.
//!
//! Sources: `configure` in Flume's `LoggerSink`, `NullSink`, `RollingFileSink`, `AbstractRpcSink`
//! and `NettyAvroRpcClient`.

use std::path::PathBuf;
use std::time::Duration;

use super::channel::ChannelConfig;
use super::problem::{Finding, ProblemKind, bad_value};
use super::source::Compression;
use super::tls::{Nesting, SinkTlsConfig};

/// A sink: its name, its settings and the channel it takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkConfig {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SinkKind,
    /// The channel it takes events from.
    pub channel: String,
}

/// The types of sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkKind {
    /// `type = avro`: passes events on to another agent.
    Avro(AvroSinkConfig),
    /// `type = collect`: keeps events for tests. No Flume has it.
    Collect(CollectSinkConfig),
    /// `type = file_roll`: writes bodies to files.
    FileRoll(FileRollSinkConfig),
    /// `type = logger`: writes a line per event.
    Logger(LoggerSinkConfig),
    /// `type = null`: drops events.
    Null(NullSinkConfig),
}

/// `type = avro`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AvroSinkConfig {
    /// `hostname` of the next agent.
    pub hostname: String,
    /// `port` of the next agent.
    pub port: u16,
    /// `batch-size`, in events: 100.
    pub batch_size: usize,
    /// `connect-timeout`, in milliseconds: 20,000, and at least 1,000.
    pub connect_timeout: Duration,
    /// `request-timeout`, in milliseconds: 20,000, and at least 1,000.
    pub request_timeout: Duration,
    /// `reset-connection-interval`, in seconds: 0, never.
    pub reset_connection_interval: Option<Duration>,
    /// `compression-type`: none.
    pub compression: Compression,
    /// `compression-level`, 0 to 9: 6.
    pub compression_level: u8,
    /// `ssl`: none.
    pub tls: Option<SinkTlsConfig>,
    /// Where there are both: `nesting`, which is the mini-agent's own, `zlib-outside` (as Flume 1.10
    /// and later) or `tls-outside`. It has to be that of the next agent.
    pub nesting: Nesting,
}

/// `type = collect`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectSinkConfig {
    /// `batchSize`, in events: 100.
    pub batch_size: usize,
    /// `maxEvents` that are kept: 1,000,000. With more the sink fails and the channel fills.
    pub max_events: usize,
}

/// `type = file_roll`, with the text serializer and the default path manager.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileRollSinkConfig {
    /// `sink.directory`; it must exist.
    pub directory: PathBuf,
    /// `sink.rollInterval`, in seconds: 30; 0 is never.
    pub roll_interval: Option<Duration>,
    /// `sink.batchSize`, in events: 100.
    pub batch_size: usize,
    /// `sink.serializer.appendNewline`: true.
    pub append_newline: bool,
    /// `sink.pathManager.prefix` of file names: empty.
    pub prefix: String,
    /// `sink.pathManager.extension` of file names, without a dot: empty.
    pub extension: String,
}

/// `type = logger`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggerSinkConfig {
    /// `maxBytesToLog` of a body: 16.
    pub max_bytes_to_log: usize,
}

/// `type = null`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NullSinkConfig {
    /// `batchSize`, in events: 100.
    pub batch_size: usize,
}

impl SinkConfig {
    /// A sink that takes from this channel.
    pub fn new(
        name: impl Into<String>,
        kind: impl Into<SinkKind>,
        channel: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            channel: channel.into(),
        }
    }

    /// Events taken in one transaction, at most. The logger takes one.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        match &self.kind {
            SinkKind::Avro(sink) => sink.batch_size,
            SinkKind::Collect(sink) => sink.batch_size,
            SinkKind::FileRoll(sink) => sink.batch_size,
            SinkKind::Logger(_) => 1,
            SinkKind::Null(sink) => sink.batch_size,
        }
    }

    /// Flume's rule for the sink and its channel.
    pub(super) fn check(&self, prefix: &str, channel: &ChannelConfig) -> Option<Finding> {
        let (batch_size, transaction_capacity) =
            (self.batch_size(), channel.transaction_capacity());
        let kind = ProblemKind::BatchOverTransaction {
            batch_size,
            transaction_capacity,
            channel: channel.name.clone(),
        };
        let key = format!("{prefix}{}", self.batch_size_key());
        if batch_size == 0 {
            return Some(Finding::error(key, bad_value("0", "at least 1")));
        }
        (batch_size > transaction_capacity).then(|| Finding::error(key, kind))
    }

    pub(super) fn batch_size_key(&self) -> &'static str {
        match &self.kind {
            SinkKind::Avro(_) => "batch-size",
            SinkKind::FileRoll(_) => "sink.batchSize",
            SinkKind::Collect(_) | SinkKind::Logger(_) | SinkKind::Null(_) => "batchSize",
        }
    }
}

impl AvroSinkConfig {
    /// A sink to this agent, with Flume's defaults.
    pub fn new(hostname: impl Into<String>, port: u16) -> Self {
        Self {
            hostname: hostname.into(),
            port,
            batch_size: 100,
            connect_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(20),
            reset_connection_interval: None,
            compression: Compression::None,
            compression_level: 6,
            tls: None,
            nesting: Nesting::ZlibOutside,
        }
    }
}

impl Default for CollectSinkConfig {
    fn default() -> Self {
        Self {
            batch_size: 100,
            max_events: 1_000_000,
        }
    }
}

impl FileRollSinkConfig {
    /// A sink into this directory, with Flume's defaults.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            roll_interval: Some(Duration::from_secs(30)),
            batch_size: 100,
            append_newline: true,
            prefix: String::new(),
            extension: String::new(),
        }
    }
}

impl Default for LoggerSinkConfig {
    fn default() -> Self {
        Self {
            max_bytes_to_log: 16,
        }
    }
}

impl Default for NullSinkConfig {
    fn default() -> Self {
        Self { batch_size: 100 }
    }
}

impl From<AvroSinkConfig> for SinkKind {
    fn from(config: AvroSinkConfig) -> Self {
        Self::Avro(config)
    }
}

impl From<CollectSinkConfig> for SinkKind {
    fn from(config: CollectSinkConfig) -> Self {
        Self::Collect(config)
    }
}

impl From<FileRollSinkConfig> for SinkKind {
    fn from(config: FileRollSinkConfig) -> Self {
        Self::FileRoll(config)
    }
}

impl From<LoggerSinkConfig> for SinkKind {
    fn from(config: LoggerSinkConfig) -> Self {
        Self::Logger(config)
    }
}

impl From<NullSinkConfig> for SinkKind {
    fn from(config: NullSinkConfig) -> Self {
        Self::Null(config)
    }
}
