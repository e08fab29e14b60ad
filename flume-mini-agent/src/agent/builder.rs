//! [`MiniAgentBuilder`]: an agent's settings.

use std::time::Duration;

use super::MiniAgent;
use super::assembly::{Options, Plan};
use super::error::StartError;
use crate::config::{
    AgentConfig, AvroSourceConfig, ChannelConfig, CollectSinkConfig, FileRollSinkConfig,
    LoggerSinkConfig, MemoryChannelConfig, NullSinkConfig, SinkConfig, SinkKind, SourceConfig,
};
use crate::sink::{SharedOutput, Sink};
use crate::source::avro::ReplyMode;

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
    capacity: usize,
    transaction_capacity: usize,
    keep_alive: Duration,
    reply_mode: ReplyMode,
    max_frame_bytes: usize,
    max_connections: usize,
    sink: Sink,
    batch_size: Option<usize>,
    sink_backoff: Duration,
    sink_paused: bool,
    collect_max: usize,
    fault_seed: u64,
    control: Option<String>,
    control_from_anywhere: bool,
}

/// The sink's batch size unless set, Flume's default for its sinks.
const BATCH_SIZE: usize = 100;

impl Default for MiniAgentBuilder {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:0".to_owned(),
            capacity: 100,
            transaction_capacity: 100,
            keep_alive: Duration::from_secs(3),
            reply_mode: ReplyMode::default(),
            max_frame_bytes: 16 * 1024 * 1024,
            max_connections: 1024,
            sink: Sink::default(),
            batch_size: None,
            sink_backoff: Duration::from_secs(5),
            sink_paused: false,
            collect_max: 1_000_000,
            fault_seed: 0,
            control: None,
            control_from_anywhere: false,
        }
    }
}

impl MiniAgentBuilder {
    /// Where the Avro source listens, `HOST:PORT`. Default `127.0.0.1:0`: any free port, which the
    /// agent keeps over its restarts.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass literals and addresses alike"
    )]
    pub fn bind(mut self, address: impl ToString) -> Self {
        self.address = address.to_string();
        self
    }

    /// Events the channel holds. Default 100. Memory is used only for events that are there.
    pub fn capacity(mut self, events: usize) -> Self {
        self.capacity = events;
        self
    }

    /// Events one transaction holds, so the largest batch a client may send. Default 100.
    pub fn transaction_capacity(mut self, events: usize) -> Self {
        self.transaction_capacity = events;
        self
    }

    /// How long a batch waits for room in a full channel before it is answered `FAILED`.
    /// Default 3 s; zero fails at once.
    pub fn keep_alive(mut self, wait: Duration) -> Self {
        self.keep_alive = wait;
        self
    }

    /// In which order requests of one connection are worked on. Default: as Flume 1.10 and later.
    pub fn reply_mode(mut self, mode: ReplyMode) -> Self {
        self.reply_mode = mode;
        self
    }

    /// Longest request in bytes; a longer one closes its connection. Default 16 MiB. It is also
    /// what one connection can make the agent hold, beside 512 KiB for reading; for the moment in
    /// which a request full of the smallest events is taken apart, up to twenty times as much.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.max_frame_bytes = bytes;
        self
    }

    /// Connections open at once; further ones are closed as they come. Default 1024.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
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
        self.sink_backoff = wait;
        self
    }

    /// Whether the sink takes nothing until [`MiniAgent::resume_sink`], so that the channel fills.
    pub fn sink_paused(mut self, paused: bool) -> Self {
        self.sink_paused = paused;
        self
    }

    /// Events the collect sink keeps; with more it fails and the channel fills. Default 1,000,000.
    pub fn collect_max(mut self, events: usize) -> Self {
        self.collect_max = events;
        self
    }

    /// Decides which cases a fault with a probability strikes. Default 0, so that runs are alike.
    pub fn fault_seed(mut self, seed: u64) -> Self {
        self.fault_seed = seed;
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
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass literals and addresses alike"
    )]
    pub fn control(mut self, address: impl ToString) -> Self {
        self.control = Some(address.to_string());
        self
    }

    /// Whether the control interface may listen on addresses that others can reach. Whoever can
    /// reach it can do all it can do. Default `false`. Requests have to name it in their `Host`: by
    /// the address they come to, by a loopback name, or by the host given to
    /// [`control`](Self::control); others are answered 403, as those of web pages must not get in.
    pub fn control_from_anywhere(mut self, anywhere: bool) -> Self {
        self.control_from_anywhere = anywhere;
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
        let channel = MemoryChannelConfig {
            capacity: self.capacity,
            transaction_capacity: self.transaction_capacity,
            keep_alive: self.keep_alive,
            ..MemoryChannelConfig::default()
        };
        let mut logger_output = None;
        let sink = match self.sink {
            Sink::Collect => SinkKind::Collect(CollectSinkConfig {
                max_events: self.collect_max,
                ..CollectSinkConfig::default()
            }),
            Sink::Null => SinkKind::Null(NullSinkConfig::default()),
            Sink::Logger { output } => {
                logger_output = Some(SharedOutput::new(output));
                SinkKind::Logger(LoggerSinkConfig::default())
            }
            Sink::FileRoll { directory } => {
                let mut file_roll = FileRollSinkConfig::new(directory);
                file_roll.roll_interval = None;
                SinkKind::FileRoll(file_roll)
            }
        };
        let config = AgentConfig {
            name: "a1".to_owned(),
            channels: vec![ChannelConfig::new("c1", channel)],
            sources: vec![SourceConfig::new(
                "r1",
                AvroSourceConfig::new("", 0),
                ["c1"],
            )],
            sinks: vec![SinkConfig::new("k1", sink, "c1")],
            groups: Vec::new(),
        };
        let options = Options {
            reply_mode: self.reply_mode,
            max_frame_bytes: self.max_frame_bytes,
            max_connections: self.max_connections,
            sink_backoff: self.sink_backoff,
            sinks_paused: self.sink_paused,
            fault_seed: self.fault_seed,
            control: self.control,
            control_from_anywhere: self.control_from_anywhere,
            reload: None,
            logger_output,
        };
        let plan = Plan {
            config,
            address: Some(self.address),
            batch_size: Some(batch_size),
        };
        (plan, options)
    }

    fn sink_batch_size(&self) -> usize {
        self.batch_size
            .unwrap_or(BATCH_SIZE.min(self.transaction_capacity))
    }

    fn check(&self) -> Result<(), StartError> {
        let least_one = [
            ("capacity", self.capacity),
            ("transaction_capacity", self.transaction_capacity),
            ("batch_size", self.sink_batch_size()),
            ("max_frame_bytes", self.max_frame_bytes),
            ("max_connections", self.max_connections),
        ];
        for (setting, value) in least_one {
            if value == 0 {
                return Err(StartError::Zero { setting });
            }
        }
        if self.transaction_capacity > self.capacity {
            return Err(StartError::TransactionOverCapacity {
                transaction_capacity: self.transaction_capacity,
                capacity: self.capacity,
            });
        }
        // Flume drops such a sink from the configuration; a test is better told.
        if self.sink_batch_size() > self.transaction_capacity {
            return Err(StartError::BatchOverTransaction {
                batch_size: self.sink_batch_size(),
                transaction_capacity: self.transaction_capacity,
            });
        }
        Ok(())
    }
}
