//! [`Plan`], [`Options`] and [`Shared`]: what an agent is made from.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "control")]
use super::control_options::ControlOptions;
use super::error::StartError;
use crate::config::{AgentConfig, SourceConfig, SourceKind};
use crate::gate::Gate;
use crate::log::Recorder;
use crate::observed::Observed;
use crate::sink::SharedOutput;
use crate::source::avro::shared::ReplyMode;

/// What a configuration does not say.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) reply_mode: ReplyMode,
    pub(crate) max_frame_bytes: usize,
    pub(crate) max_connections: usize,
    /// Wait after a sink failed.
    pub(crate) sink_backoff: Duration,
    pub(crate) sinks_paused: bool,
    pub(crate) fault_seed: u64,
    #[cfg(feature = "control")]
    pub(crate) control: ControlOptions,
    /// Where logger sinks write, if not to standard output.
    pub(crate) logger_output: Option<SharedOutput>,
}

/// What an agent has for all its life, over its starts and stops.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) observed: Arc<Observed>,
    pub(crate) recorder: Arc<Recorder>,
    /// Of all sinks.
    pub(crate) gate: Arc<Gate>,
}

/// What parts are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) config: AgentConfig,
    /// Of an agent that was built without a configuration.
    pub(crate) simple: Option<Simple>,
}

/// What an agent of one source, one channel and one sink, most often of a test, has other than its
/// configuration says. Its sink is called by its type, and hands over at once what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Simple {
    /// Where the source listens.
    pub(crate) address: String,
    /// Events that the sink takes at once.
    pub(crate) batch_size: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reply_mode: ReplyMode::default(),
            max_frame_bytes: 16 * 1024 * 1024,
            max_connections: 1024,
            sink_backoff: Duration::from_secs(5),
            sinks_paused: false,
            fault_seed: 0,
            #[cfg(feature = "control")]
            control: ControlOptions::default(),
            logger_output: None,
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), StartError> {
        least_one([
            ("max_frame_bytes", self.max_frame_bytes),
            ("max_connections", self.max_connections),
        ])
    }
}

/// Names the first of these settings that is 0.
pub(crate) fn least_one<const N: usize>(
    settings: [(&'static str, usize); N],
) -> Result<(), StartError> {
    let zero = settings.into_iter().find(|(_, value)| *value == 0);
    zero.map_or(Ok(()), |(setting, _)| Err(StartError::Zero { setting }))
}

impl Shared {
    pub(crate) fn new(options: Options) -> Self {
        let gate = Gate::default();
        if options.sinks_paused {
            gate.pause();
        }
        Self {
            observed: Arc::new(Observed::default()),
            recorder: Arc::new(Recorder::new(options.fault_seed)),
            gate: Arc::new(gate),
            options,
        }
    }
}

impl Plan {
    pub(crate) fn of(config: AgentConfig) -> Self {
        Self {
            config,
            simple: None,
        }
    }

    /// Where a source of the configuration listens.
    pub(crate) fn address_of(&self, source: &SourceConfig) -> String {
        if let Some(simple) = &self.simple {
            return simple.address.clone();
        }
        let (bind, port) = match &source.kind {
            SourceKind::Avro(avro) => (&avro.bind, avro.port),
            SourceKind::Http(http) => (&http.bind, http.port),
            SourceKind::Netcat(netcat) => (&netcat.bind, netcat.port),
            SourceKind::Thrift(thrift) => (&thrift.bind, thrift.port),
        };
        format!("{bind}:{port}")
    }
}
