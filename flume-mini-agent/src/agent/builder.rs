//! [`MiniAgentBuilder`]: an agent's settings.

use std::time::Duration;

use super::MiniAgent;
use super::error::StartError;
use super::plan::{Options, Plan, Simple, least_one};
#[cfg(feature = "compression")]
use crate::config::Compression;
#[cfg(feature = "http")]
use crate::config::HttpSourceConfig;
#[cfg(all(feature = "compression", feature = "tls"))]
use crate::config::Nesting;
#[cfg(feature = "tls")]
use crate::config::TlsConfig;
use crate::config::{
    AgentConfig, AvroSourceConfig, ChannelConfig, CollectSinkConfig, FileRollSinkConfig,
    LoggerSinkConfig, MemoryChannelConfig, NullSinkConfig, SinkConfig, SinkKind, SourceConfig,
    SourceKind, ThriftProtocol, ThriftSourceConfig,
};
use crate::sink::{SharedOutput, Sink};
use crate::source::avro::shared::ReplyMode;

/// Settings of a [`MiniAgent`], with Flume's defaults where Flume has them.
///
/// ```
/// use std::time::Duration;
///
/// use flume_mini_agent::{MiniAgent, ReplyMode, Sink};
///
/// let agent = MiniAgent::builder()
///     .bind("127.0.0.1:0")
///     .capacity(10_000)
///     .transaction_capacity(1_000)
///     .keep_alive(Duration::from_millis(200))
///     .reply_mode(ReplyMode::Sequential)
///     .sink(Sink::Null)
///     .start()?;
/// assert!(agent.url().starts_with("avro://127.0.0.1:"));
/// # Ok::<(), flume_mini_agent::StartError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct MiniAgentBuilder {
    address: String,
    source: SourceKind,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
    #[cfg(all(feature = "compression", feature = "tls"))]
    nesting: Nesting,
    channel: MemoryChannelConfig,
    sink: Sink,
    batch_size: Option<usize>,
    collect_max: usize,
    options: Options,
}

/// The sink's batch size unless set, Flume's default for its sinks.
const BATCH_SIZE: usize = 100;

impl Default for MiniAgentBuilder {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:0".to_owned(),
            source: AvroSourceConfig::new("", 0).into(),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(all(feature = "compression", feature = "tls"))]
            nesting: Nesting::default(),
            channel: MemoryChannelConfig::default(),
            sink: Sink::default(),
            batch_size: None,
            collect_max: 1_000_000,
            options: Options::default(),
        }
    }
}

impl MiniAgent {
    /// Settings for a new agent, at their defaults.
    pub fn builder() -> MiniAgentBuilder {
        MiniAgentBuilder::default()
    }
}

impl MiniAgentBuilder {
    /// Where the source listens, `HOST:PORT`. Default `127.0.0.1:0`: any free port, which the
    /// agent keeps over its restarts.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass literals and addresses alike"
    )]
    pub fn bind(mut self, address: impl ToString) -> Self {
        self.address = address.to_string();
        self
    }

    /// Has a Thrift source that speaks this protocol, in place of the Avro source.
    ///
    /// ```
    /// use flume_mini_agent::MiniAgent;
    /// use flume_mini_agent::config::ThriftProtocol;
    ///
    /// let agent = MiniAgent::builder().thrift(ThriftProtocol::Binary).start()?;
    /// assert!(agent.url().starts_with("thrift://127.0.0.1:"));
    /// # Ok::<(), flume_mini_agent::StartError>(())
    /// ```
    pub fn thrift(mut self, protocol: ThriftProtocol) -> Self {
        let mut config = ThriftSourceConfig::new("", 0);
        config.protocol = protocol;
        self.source = config.into();
        self
    }

    /// Has an HTTP source with Flume's JSON handler, in place of the Avro source. It takes requests at every
    /// path.
    ///
    /// ```
    /// let agent = flume_mini_agent::MiniAgent::builder().http().start()?;
    /// assert!(agent.url().starts_with("http://127.0.0.1:"));
    /// # Ok::<(), flume_mini_agent::StartError>(())
    /// ```
    #[cfg(feature = "http")]
    pub fn http(mut self) -> Self {
        self.source = HttpSourceConfig::new("", 0).into();
        self
    }

    /// Has an Avro source with `compression-type = deflate`.
    ///
    /// ```
    /// let agent = flume_mini_agent::MiniAgent::builder().deflate().start()?;
    /// assert!(agent.url().starts_with("avro+deflate://127.0.0.1:"));
    /// # Ok::<(), flume_mini_agent::StartError>(())
    /// ```
    #[cfg(feature = "compression")]
    pub fn deflate(mut self) -> Self {
        let mut config = AvroSourceConfig::new("", 0);
        config.compression = Compression::Deflate;
        self.source = config.into();
        self
    }

    /// Has the source speak TLS: with a [`TlsConfig`], or with PEM that holds its private key and its
    /// certificates, its own first.
    ///
    /// A client meets what these say: give those of another name, or that have expired, to see what it
    /// makes of them.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: impl Into<TlsConfig>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Which of TLS and compression is next to the socket of an Avro source that has both. Default:
    /// as Flume 1.10 and later.
    #[cfg(all(feature = "compression", feature = "tls"))]
    pub fn nesting(mut self, nesting: Nesting) -> Self {
        self.nesting = nesting;
        self
    }

    /// Events the channel holds. Default 100. Memory is used only for events that are there.
    pub fn capacity(mut self, events: usize) -> Self {
        self.channel.capacity = events;
        self
    }

    /// Events one transaction holds, so the largest batch a client may send. Default 100.
    pub fn transaction_capacity(mut self, events: usize) -> Self {
        self.channel.transaction_capacity = events;
        self
    }

    /// How long a batch waits for room in a full channel before it is answered `FAILED`.
    /// Default 3 s; zero fails at once.
    pub fn keep_alive(mut self, wait: Duration) -> Self {
        self.channel.keep_alive = wait;
        self
    }

    /// In which order requests of one connection are worked on. Default: as Flume 1.10 and later.
    pub fn reply_mode(mut self, mode: ReplyMode) -> Self {
        self.options.reply_mode = mode;
        self
    }

    /// Longest request in bytes; a longer one closes its connection. Default 16 MiB; of a Thrift
    /// source 16,384,000, which is libthrift's limit, and never more than that. It is also
    /// what one connection can make the agent hold, beside 512 KiB for reading; for the moment in
    /// which a request full of the smallest events is taken apart, up to twenty times as much.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.options.max_frame_bytes = bytes;
        self
    }

    /// Connections open at once; further ones are closed as they come. Default 1024.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.options.max_connections = connections;
        self
    }

    /// What becomes of the events. Default [`Sink::Collect`].
    pub fn sink(mut self, sink: Sink) -> Self {
        self.sink = sink;
        self
    }

    /// Events the sink takes in one transaction, at most. Default 100, or `transaction_capacity`
    /// if that is less.
    pub fn batch_size(mut self, events: usize) -> Self {
        self.batch_size = Some(events);
        self
    }

    /// Wait after the sink failed. Default 5 s, as in Flume.
    pub fn sink_backoff(mut self, wait: Duration) -> Self {
        self.options.sink_backoff = wait;
        self
    }

    /// Whether the sink takes nothing until [`MiniAgent::resume_sink`], so that the channel fills.
    pub fn sink_paused(mut self, paused: bool) -> Self {
        self.options.sinks_paused = paused;
        self
    }

    /// Events the collect sink keeps; with more it fails and the channel fills. Default 1,000,000.
    pub fn collect_max(mut self, events: usize) -> Self {
        self.collect_max = events;
        self
    }

    /// Decides which cases a fault with a probability strikes. Default 0, so that runs are alike.
    pub fn fault_seed(mut self, seed: u64) -> Self {
        self.options.fault_seed = seed;
        self
    }

    /// Where the control interface listens, `HOST:PORT`: events, counters, faults and reload over
    /// HTTP. Default: there is none. Only loopback addresses, see
    /// [`control_from_anywhere`](Self::control_from_anywhere).
    ///
    /// | request | |
    /// |---|---|
    /// | `GET /metrics` | the counters, in the shape of Flume's own monitoring |
    /// | `GET /events?from=0&limit=1000` | what the collect sink has received |
    /// | `DELETE /events` | forgets it |
    /// | `GET /api/v1/wait?n=1&timeout=5` | answers once so many events were received, 504 if not |
    /// | `GET /faults`, `PUT /faults`, `DELETE /faults` | rules such as `{"fault": "commit_then_drop", "nth_request": 3}`, and what they did |
    /// | `POST /reload` | as [`MiniAgent::restart`] |
    #[cfg(feature = "control")]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass literals and addresses alike"
    )]
    pub fn control(mut self, address: impl ToString) -> Self {
        self.options.control.address = Some(address.to_string());
        self
    }

    /// Whether the control interface may listen on addresses that others can reach. Whoever can
    /// reach it can do all it can do. Default `false`. Requests have to name it in their `Host`: by
    /// the address they come to, by a loopback name, or by the host given to
    /// [`control`](Self::control); others are answered 403, as those of web pages must not get in.
    #[cfg(feature = "control")]
    pub fn control_from_anywhere(mut self, anywhere: bool) -> Self {
        self.options.control.from_anywhere = anywhere;
        self
    }

    /// Starts the agent. When this returns, clients can connect.
    ///
    /// Waits for the agent's thread without the help of a runtime, so it may be called inside of
    /// one and outside.
    pub fn start(self) -> Result<MiniAgent, StartError> {
        self.check()?;
        let (plan, options) = self.describe();
        MiniAgent::start(plan, options)
    }

    /// The same as a configuration of one source, one channel and one sink.
    fn describe(self) -> (Plan, Options) {
        let batch_size = self.sink_batch_size();
        let mut options = self.options;
        let sink = match self.sink {
            Sink::Collect => SinkKind::Collect(CollectSinkConfig {
                max_events: self.collect_max,
                ..CollectSinkConfig::default()
            }),
            Sink::Null => SinkKind::Null(NullSinkConfig::default()),
            Sink::Logger { output } => {
                options.logger_output = Some(SharedOutput::new(output));
                SinkKind::Logger(LoggerSinkConfig::default())
            }
            Sink::FileRoll { directory } => {
                let mut file_roll = FileRollSinkConfig::new(directory);
                file_roll.roll_interval = None;
                SinkKind::FileRoll(file_roll)
            }
        };
        #[cfg_attr(
            not(feature = "tls"),
            expect(unused_mut, reason = "there is nothing to set")
        )]
        let mut source = self.source;
        #[cfg(feature = "tls")]
        match &mut source {
            SourceKind::Avro(avro) => {
                avro.tls = self.tls;
                #[cfg(feature = "compression")]
                {
                    avro.nesting = self.nesting;
                }
            }
            SourceKind::Thrift(thrift) => thrift.tls = self.tls,
            SourceKind::Http(http) => http.tls = self.tls,
            // The builder has no others.
            SourceKind::Netcat(_) => {}
        }
        let config = AgentConfig {
            name: "a1".to_owned(),
            channels: vec![ChannelConfig::new("c1", self.channel)],
            sources: vec![SourceConfig::new("r1", source, ["c1"])],
            sinks: vec![SinkConfig::new("k1", sink, "c1")],
            groups: Vec::new(),
        };
        let plan = Plan {
            config,
            simple: Some(Simple {
                address: self.address,
                batch_size,
            }),
        };
        (plan, options)
    }

    fn sink_batch_size(&self) -> usize {
        self.batch_size
            .unwrap_or(BATCH_SIZE.min(self.channel.transaction_capacity))
    }

    fn check(&self) -> Result<(), StartError> {
        let MemoryChannelConfig {
            capacity,
            transaction_capacity,
            ..
        } = self.channel;
        let batch_size = self.sink_batch_size();
        least_one([
            ("capacity", capacity),
            ("transaction_capacity", transaction_capacity),
            ("batch_size", batch_size),
        ])?;
        if transaction_capacity > capacity {
            return Err(StartError::TransactionOverCapacity {
                transaction_capacity,
                capacity,
            });
        }
        // Flume drops such a sink from the configuration; a test is better told.
        if batch_size > transaction_capacity {
            return Err(StartError::BatchOverTransaction {
                batch_size,
                transaction_capacity,
            });
        }
        self.options.check()
    }
}
