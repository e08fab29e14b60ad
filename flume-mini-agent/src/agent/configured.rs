//! [`ConfiguredAgentBuilder`]: an agent of many components.

use std::io::Write;
use std::time::Duration;

use super::MiniAgent;
#[cfg(feature = "control")]
use super::control_options::ReloadHook;
use super::error::StartError;
use super::plan::{Options, Plan};
use crate::config::AgentConfig;
use crate::sink::SharedOutput;
use crate::source::avro::shared::ReplyMode;

/// An agent as a configuration describes it, and what no configuration of Flume says.
///
/// ```
/// use std::time::Duration;
///
/// use flume_client::{Client, Event};
/// use flume_mini_agent::MiniAgent;
/// use flume_mini_agent::config::{
///     AgentConfig, AvroSourceConfig, CollectSinkConfig, InterceptorConfig, MemoryChannelConfig,
///     NullSinkConfig, SourceConfig,
/// };
///
/// // Every event goes to both channels, with a header more.
/// let interceptor = InterceptorConfig::Static {
///     key: "via".to_owned(),
///     value: "a1".to_owned(),
///     preserve_existing: false,
/// };
/// let source = SourceConfig::new("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1", "c2"])
///     .interceptor(interceptor);
/// let config = AgentConfig::builder("a1")
///     .channel("c1", MemoryChannelConfig::default())
///     .channel("c2", MemoryChannelConfig::default())
///     .add_source(source)
///     .sink("k1", CollectSinkConfig::default(), "c1")
///     .sink("k2", NullSinkConfig::default(), "c2")
///     .build()?;
/// let agent = MiniAgent::configured(config).start()?;
///
/// let client = Client::builder().agent(agent.url()).build()?;
/// client.append(Event::new("hi"))?.wait(Duration::from_secs(5))?;
/// agent.wait_until(Duration::from_secs(5), |stats| stats.events_drained == 2)?;
/// assert_eq!(agent.received()[0].header_value("via"), Some("a1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct ConfiguredAgentBuilder {
    config: AgentConfig,
    options: Options,
}

impl MiniAgent {
    /// An agent of as many components as `config` has.
    pub fn configured(config: AgentConfig) -> ConfiguredAgentBuilder {
        ConfiguredAgentBuilder::new(config)
    }
}

impl ConfiguredAgentBuilder {
    fn new(config: AgentConfig) -> Self {
        Self {
            config,
            options: Options::default(),
        }
    }

    /// In which order Avro sources work on the requests of one connection. Default: as Flume 1.10
    /// and later.
    pub fn reply_mode(mut self, mode: ReplyMode) -> Self {
        self.options.reply_mode = mode;
        self
    }

    /// Longest request of an Avro or HTTP source in bytes; a longer one closes its connection, or
    /// is answered 413. Default 16 MiB. A connection can make the agent hold that much; for the
    /// moment in which a request full of the smallest events is taken apart, up to twenty times.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.options.max_frame_bytes = bytes;
        self
    }

    /// Connections that each source has open at once; further ones are closed as they come.
    /// Default 1024.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.options.max_connections = connections;
        self
    }

    /// Wait after a sink or a whole group failed. Default 5 s, as in Flume.
    pub fn sink_backoff(mut self, wait: Duration) -> Self {
        self.options.sink_backoff = wait;
        self
    }

    /// Whether no sink takes anything until [`MiniAgent::resume_sink`].
    pub fn sinks_paused(mut self, paused: bool) -> Self {
        self.options.sinks_paused = paused;
        self
    }

    /// Decides which cases a fault with a probability strikes. Default 0, so that runs are alike.
    pub fn fault_seed(mut self, seed: u64) -> Self {
        self.options.fault_seed = seed;
        self
    }

    /// Where logger sinks write. Default: standard output. A write that blocks stops the whole
    /// agent until it returns.
    pub fn logger_output(mut self, output: impl Write + Send + 'static) -> Self {
        self.options.logger_output = Some(SharedOutput::new(Box::new(output)));
        self
    }

    /// Where the control interface listens, see [`MiniAgentBuilder::control`]. Default: there is
    /// none.
    ///
    /// [`MiniAgentBuilder::control`]: crate::MiniAgentBuilder::control
    #[cfg(feature = "control")]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass literals and addresses alike"
    )]
    pub fn control(mut self, address: impl ToString) -> Self {
        self.options.control.address = Some(address.to_string());
        self
    }

    /// Whether the control interface may listen on addresses that others can reach. Default
    /// `false`.
    #[cfg(feature = "control")]
    pub fn control_from_anywhere(mut self, anywhere: bool) -> Self {
        self.options.control.from_anywhere = anywhere;
        self
    }

    /// What `POST /reload` of the control interface does instead of
    /// [`restart`](MiniAgent::restart): read a document again and hand it to
    /// [`reconfigure`](MiniAgent::reconfigure). It runs on a thread of the control interface, and
    /// the text it returns is the answer: 200, or 204 for an empty one, or 500 for an error.
    #[cfg(feature = "control")]
    pub fn on_reload(
        mut self,
        reload: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.options.control.reload = Some(ReloadHook::new(reload));
        self
    }

    /// Starts the channels, then the sinks, then the sources. When this returns, clients can
    /// connect; if anything could not start, nothing is left running or bound.
    pub fn start(self) -> Result<MiniAgent, StartError> {
        self.options.check()?;
        MiniAgent::start(Plan::of(self.config), self.options)
    }
}

impl std::fmt::Debug for ConfiguredAgentBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfiguredAgentBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
