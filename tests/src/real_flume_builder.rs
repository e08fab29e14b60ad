//! The settings of a real agent, and the properties file they become.
//!
//! The agent is always `a1` with the avro source `r1`, the channel `c1` and the sink `k1`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::Version;

/// Room for the tests' bursts. Flume's own default for a memory channel is 100.
const CHANNEL_CAPACITY: usize = 10_000;
pub(crate) const HEAP_MB: usize = 512;
/// The class of [`Sink::WakefulNull`].
pub(crate) const WAKEFUL_NULL_SINK: &str = "WakefulNullSink";
/// The least the file channel accepts; its default of 500 MB fails on small test machines.
const FREE_BYTES_MIN: usize = 1 << 20;

/// Where an agent keeps events between its source and its sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Channel {
    /// On the heap: a killed agent loses them.
    Memory,
    /// In the agent's temporary directory: they survive [`RealFlume::kill`](crate::RealFlume::kill).
    File,
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::File => "file",
        }
    }
}

/// Where an agent's events end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sink {
    /// Nowhere.
    Null,
    /// Nowhere, by `interop/java/WakefulNullSink.java`: Flume's own sleeps for 1 to 5 s whenever it
    /// found less than a full batch, and a fast source fills the channel meanwhile.
    WakefulNull,
    /// One body per line in files that [`RealFlume::rolled_lines`](crate::RealFlume::rolled_lines) reads.
    FileRoll,
    /// There is no sink: the channel keeps the events.
    None,
}

/// Settings of a [`RealFlume`](crate::RealFlume); made by its
/// [`builder`](crate::RealFlume::builder).
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `start`"]
pub struct RealFlumeBuilder {
    pub(crate) version: Version,
    pub(crate) heap_mb: usize,
    pub(crate) jvm_options: Vec<String>,
    channel: Channel,
    capacity: usize,
    transaction_capacity: Option<usize>,
    pub(crate) sink: Sink,
    sink_batch: Option<usize>,
    properties: BTreeMap<String, String>,
}

impl RealFlumeBuilder {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            heap_mb: HEAP_MB,
            jvm_options: Vec::new(),
            channel: Channel::Memory,
            capacity: CHANNEL_CAPACITY,
            transaction_capacity: None,
            sink: Sink::Null,
            sink_batch: None,
            properties: BTreeMap::new(),
        }
    }

    /// The kind of channel; default [`Channel::Memory`].
    pub fn channel(mut self, channel: Channel) -> Self {
        self.channel = channel;
        self
    }

    /// How many events the channel holds; default 10,000. At least the transaction capacity.
    pub fn capacity(mut self, events: usize) -> Self {
        self.capacity = events;
        self
    }

    /// The largest batch the channel accepts; default Flume's own (memory 100, file 10,000).
    pub fn transaction_capacity(mut self, events: usize) -> Self {
        self.transaction_capacity = Some(events);
        self
    }

    /// The kind of sink; default [`Sink::Null`].
    pub fn sink(mut self, sink: Sink) -> Self {
        self.sink = sink;
        self
    }

    /// How many events the sink takes at once; default Flume's own (100).
    /// At most the transaction capacity.
    pub fn sink_batch(mut self, events: usize) -> Self {
        self.sink_batch = Some(events);
        self
    }

    /// The agent's largest heap (`-Xmx`); default 512 MB.
    pub fn heap_mb(mut self, megabytes: usize) -> Self {
        self.heap_mb = megabytes;
        self
    }

    /// An argument of the agent's Java, as `-Dname=value`.
    pub fn jvm_option(mut self, option: impl Into<String>) -> Self {
        self.jvm_options.push(option.into());
        self
    }

    /// A line of the properties file, for example `a1.sources.r1.compression-type`; replaces what
    /// the builder would have written for that key.
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }

    /// The agent's properties file, with `port` for its source and all its files under `dir`.
    pub(crate) fn properties(&self, port: u16, dir: &Path) -> String {
        let mut all = BTreeMap::new();
        let mut set = |key: &str, value: String| all.insert(format!("a1.{key}"), value);
        set("sources", "r1".to_owned());
        set("sources.r1.type", "avro".to_owned());
        set("sources.r1.bind", "127.0.0.1".to_owned());
        set("sources.r1.port", port.to_string());
        set("sources.r1.channels", "c1".to_owned());
        set("channels", "c1".to_owned());
        set("channels.c1.type", self.channel.name().to_owned());
        set("channels.c1.capacity", self.capacity.to_string());
        if let Some(events) = self.transaction_capacity {
            set("channels.c1.transactionCapacity", events.to_string());
        }
        if self.channel == Channel::File {
            set(
                "channels.c1.checkpointDir",
                dir.join("checkpoint").display().to_string(),
            );
            set(
                "channels.c1.dataDirs",
                dir.join("data").display().to_string(),
            );
            set(
                "channels.c1.minimumRequiredSpace",
                FREE_BYTES_MIN.to_string(),
            );
        }
        if self.sink != Sink::None {
            set("sinks", "k1".to_owned());
            set("sinks.k1.channel", "c1".to_owned());
        }
        if self.sink == Sink::Null {
            set("sinks.k1.type", "null".to_owned());
        }
        if self.sink == Sink::WakefulNull {
            set("sinks.k1.type", WAKEFUL_NULL_SINK.to_owned());
        }
        if self.sink == Sink::FileRoll {
            set("sinks.k1.type", "file_roll".to_owned());
            set("sinks.k1.sink.directory", rolled_dir(dir));
            set("sinks.k1.sink.rollInterval", "0".to_owned());
        }
        if let Some(events) = self.sink_batch {
            // The file_roll sink reads the first key, the null sink the second.
            set("sinks.k1.sink.batchSize", events.to_string());
            set("sinks.k1.batchSize", events.to_string());
        }
        all.extend(self.properties.clone());
        all.iter().fold(String::new(), |mut text, (key, value)| {
            writeln!(text, "{key} = {value}").expect("a String takes everything");
            text
        })
    }
}

/// The directory of the file_roll sink.
pub(crate) fn rolled_dir(dir: &Path) -> String {
    dir.join("rolled").display().to_string()
}
