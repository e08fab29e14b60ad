//! [`Parts`]: an agent's components, made from its configuration and wired.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::StartError;
use super::heritage::Heritage;
use super::metrics::Metrics;
use super::port::resolve;
use super::reload::ReloadHook;
use super::source_part::SourcePart;
use super::tally::Tally;
use crate::channel::Channel;
use crate::channel::file::{FileSettings, FileStore};
use crate::channel::memory::MemoryLimits;
use crate::config::{
    AgentConfig, AvroSinkConfig, ChannelConfig, ChannelKind, Compression, FileChannelConfig,
    ProcessorConfig, Selection, SinkConfig, SinkGroupConfig, SinkKind, SourceConfig, SourceKind,
};
use crate::counters::SinkCounters;
use crate::fault::guard::FaultBoard;
use crate::runner::{Pace, SinkRunner};
use crate::sink::avro::{AvroSink, AvroSinkSettings};
use crate::sink::worker::{SinkWorker, Work};
use crate::sink::{SharedOutput, writer};
use crate::sink_group::{Failover, LoadBalance, Order, Processor};
use crate::source::avro::ReplyMode;

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
    /// Where the control interface listens, if there is to be one, and whether others may reach it.
    pub(crate) control: Option<String>,
    pub(crate) control_from_anywhere: bool,
    /// What `POST /reload` does, if not a restart.
    pub(crate) reload: Option<ReloadHook>,
    /// Where logger sinks write, if not to standard output.
    pub(crate) logger_output: Option<SharedOutput>,
}

/// What parts are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) config: AgentConfig,
    /// Where the sources listen, if not where the configuration says.
    pub(crate) address: Option<String>,
    /// Events every sink takes at once, if not as many as the configuration says.
    pub(crate) batch_size: Option<usize>,
}

/// The components of an agent. They outlive its stops.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) plan: Plan,
    pub(super) channels: Vec<Arc<Channel>>,
    pub(super) runners: Vec<Arc<SinkRunner>>,
    pub(super) sources: Vec<SourcePart>,
    pub(super) metrics: Arc<Metrics>,
}

/// Wait after the first of several empty turns of a sink group, as in Flume.
const EMPTY_TURN_STEP: Duration = Duration::from_secs(1);

impl Default for Options {
    fn default() -> Self {
        Self {
            reply_mode: ReplyMode::default(),
            max_frame_bytes: 16 * 1024 * 1024,
            max_connections: 1024,
            sink_backoff: Duration::from_secs(5),
            sinks_paused: false,
            fault_seed: 0,
            control: None,
            control_from_anywhere: false,
            reload: None,
            logger_output: None,
        }
    }
}

impl Plan {
    pub(crate) fn of(config: AgentConfig) -> Self {
        Self {
            config,
            address: None,
            batch_size: None,
        }
    }

    /// Where a source of the configuration listens.
    pub(crate) fn address_of(&self, source: &SourceConfig) -> String {
        let (bind, port) = match &source.kind {
            SourceKind::Avro(avro) => (&avro.bind, avro.port),
            SourceKind::Http(http) => (&http.bind, http.port),
            SourceKind::Netcat(netcat) => (&netcat.bind, netcat.port),
        };
        let address = self.address.clone();
        address.unwrap_or_else(|| format!("{bind}:{port}"))
    }
}

impl Options {
    /// The control interface's listener, if there is to be one.
    pub(super) fn control_listener(&self) -> Result<Option<TcpListener>, StartError> {
        let Some(address) = &self.control else {
            return Ok(None);
        };
        let bind = |source| StartError::Bind {
            address: address.clone(),
            source,
        };
        let addresses = resolve(address).map_err(bind)?;
        let local = addresses.iter().all(|address| address.ip().is_loopback());
        if !local && !self.control_from_anywhere {
            return Err(StartError::ControlReachable {
                address: address.clone(),
            });
        }
        TcpListener::bind(addresses.as_slice())
            .map(Some)
            .map_err(bind)
    }
}

impl Parts {
    /// Opens the channels, makes the sinks, and binds the sources last. If anything fails,
    /// everything is let go of.
    pub(super) fn assemble(
        plan: Plan,
        options: &Options,
        tally: &Arc<Tally>,
        (heritage, faults): (&Heritage, &Arc<FaultBoard>),
    ) -> Result<Self, StartError> {
        let config = &plan.config;
        let mut channels = Vec::new();
        for channel in &config.channels {
            channels.push(Arc::new(open_channel(channel, faults)?));
        }
        let mut sinks = BTreeMap::new();
        let mut sink_counters = Vec::new();
        for sink in &config.sinks {
            let counters = counted(&sink.kind).then(Arc::<SinkCounters>::default);
            let channel = find(&channels, &sink.channel)?;
            let worker = sink_worker(&plan, sink, channel, counters.clone(), (options, tally))?;
            sink_counters.extend(counters.map(|counters| (sink.name.clone(), counters)));
            sinks.insert(sink.name.as_str(), worker);
        }
        let runners = runners(config, sinks, options.sink_backoff, tally);
        let mut sources = Vec::new();
        for source in &config.sources {
            sources.push(SourcePart::assemble(
                source,
                &channels,
                &plan,
                (heritage, tally),
            )?);
        }
        let source_counters = sources.iter().filter_map(SourcePart::counted).collect();
        let metrics = Metrics::new(source_counters, channels.clone(), sink_counters);
        Ok(Self {
            plan,
            channels,
            runners,
            sources,
            metrics: Arc::new(metrics),
        })
    }

    /// Lets go of the file channels' directories.
    pub(super) fn close(&self) {
        self.channels.iter().for_each(|channel| channel.close());
    }

    /// Opens the file channels again. The parts are stopped.
    pub(super) fn reopen(&self) -> Result<(), StartError> {
        for channel in &self.channels {
            channel.reopen().map_err(|error| StartError::Channel {
                channel: channel.name().to_owned(),
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// The channels that some sink empties.
    pub(super) fn drained_channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        let sinks = &self.plan.config.sinks;
        let channels = self.channels.iter();
        channels.filter(|channel| sinks.iter().any(|sink| sink.channel == channel.name()))
    }

    /// The types of the sinks, if none of them keeps events.
    pub(super) fn keeps_nothing(&self) -> Option<String> {
        let kinds = || self.plan.config.sinks.iter().map(|sink| &sink.kind);
        let keeps = kinds().any(|kind| matches!(kind, SinkKind::Collect(_)));
        let types: Vec<&str> = kinds().map(type_name).collect();
        (!keeps).then(|| types.join(" and "))
    }

    /// Where the first source listens; `0.0.0.0:0` if there is none.
    pub(super) fn address(&self) -> SocketAddr {
        let first = self.sources.first();
        first.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |source| {
            source.port.address()
        })
    }
}

fn open_channel(config: &ChannelConfig, faults: &Arc<FaultBoard>) -> Result<Channel, StartError> {
    let name = config.name.as_str();
    match &config.kind {
        ChannelKind::Memory(memory) => {
            let limits = MemoryLimits {
                capacity: memory.capacity,
                transaction_capacity: memory.transaction_capacity,
                byte_slots: memory.byte_slots(),
            };
            Ok(Channel::memory(name, limits, memory.keep_alive))
        }
        ChannelKind::File(file) => {
            let opened = FileStore::open(file_settings(file), Arc::clone(faults));
            let channel = opened.map_err(|error| StartError::Channel {
                channel: name.to_owned(),
                reason: error.to_string(),
            })?;
            Ok(Channel::file(name, channel))
        }
    }
}

fn file_settings(config: &FileChannelConfig) -> FileSettings {
    let in_home = || {
        let home = std::env::home_dir().unwrap_or_default();
        home.join(".flume").join("file-channel").join("data")
    };
    let directory: PathBuf = config.data_dirs.first().cloned().unwrap_or_else(in_home);
    FileSettings {
        capacity: config.capacity,
        transaction_capacity: config.transaction_capacity,
        keep_alive: config.keep_alive,
        max_file_size: config.max_file_size,
        minimum_required_space: config.minimum_required_space,
        ..FileSettings::new(directory)
    }
}

/// The sink's type in a Flume configuration.
fn type_name(sink: &SinkKind) -> &'static str {
    match sink {
        SinkKind::Avro(_) => "avro",
        SinkKind::Collect(_) => "collect",
        SinkKind::FileRoll(_) => "file_roll",
        SinkKind::Logger(_) => "logger",
        SinkKind::Null(_) => "null",
    }
}

/// Flume's logger and null sinks count nothing.
fn counted(sink: &SinkKind) -> bool {
    !matches!(sink, SinkKind::Logger(_) | SinkKind::Null(_))
}

fn sink_worker(
    plan: &Plan,
    config: &SinkConfig,
    channel: Arc<Channel>,
    counters: Option<Arc<SinkCounters>>,
    (options, tally): (&Options, &Arc<Tally>),
) -> Result<SinkWorker, StartError> {
    let work = match &config.kind {
        SinkKind::Avro(avro) => Work::Send(Box::new(avro_sink(&config.name, avro)?)),
        kind => Work::Write(writer(kind, options.logger_output.as_ref(), tally)),
    };
    // The one sink of an agent built without names is called by its type.
    let label = match plan.address {
        Some(_) => format!("the {} sink", type_name(&config.kind)),
        None => format!("sink {}", config.name),
    };
    let batch_size = plan.batch_size.unwrap_or(config.batch_size());
    // The collect sink is ours, and an agent built without a configuration is for tests: they hand
    // over what there is at once.
    let waits = plan.address.is_none() && !matches!(config.kind, SinkKind::Collect(_));
    let batch = (batch_size, waits);
    Ok(SinkWorker::new(label, channel, batch, work, counters))
}

fn avro_sink(name: &str, config: &AvroSinkConfig) -> Result<AvroSink, StartError> {
    no_deflate("sink", name, config.compression)?;
    Ok(AvroSink::new(AvroSinkSettings {
        hostname: config.hostname.clone(),
        port: config.port,
        connect_timeout: config.connect_timeout,
        request_timeout: config.request_timeout,
        reset_connection_interval: config.reset_connection_interval,
    }))
}

/// One for each group, in the order of the groups, then one for each sink without a group.
fn runners(
    config: &AgentConfig,
    mut sinks: BTreeMap<&str, SinkWorker>,
    sink_backoff: Duration,
    tally: &Arc<Tally>,
) -> Vec<Arc<SinkRunner>> {
    let pace = Pace {
        step: EMPTY_TURN_STEP.min(sink_backoff),
        max: sink_backoff,
    };
    let runner =
        |members, processor| Arc::new(SinkRunner::new(members, processor, pace, Arc::clone(tally)));
    let mut runners = Vec::new();
    for group in &config.groups {
        let names = group.sinks.iter();
        let members = names
            .filter_map(|name| sinks.remove(name.as_str()))
            .collect();
        runners.push(runner(members, group_processor(group)));
    }
    for sink in &config.sinks {
        let alone = sinks.remove(sink.name.as_str());
        runners.extend(alone.map(|sink| runner(vec![sink], Processor::Default)));
    }
    runners
}

fn group_processor(group: &SinkGroupConfig) -> Processor {
    let place = |name: &String| group.sinks.iter().position(|sink| sink == name);
    match &group.processor {
        ProcessorConfig::Default => Processor::Default,
        ProcessorConfig::Failover(failover) => {
            let priorities = failover.priorities.iter();
            let sinks = priorities.filter_map(|(name, priority)| Some((place(name)?, *priority)));
            Processor::Failover(Failover::new(sinks, failover.max_penalty))
        }
        ProcessorConfig::LoadBalance(balance) => {
            let order = match balance.selection {
                Selection::RoundRobin => Order::RoundRobin { next_head: 0 },
                Selection::Random => Order::Random(fastrand::Rng::new()),
            };
            let backoff_max = balance.backoff.then_some(balance.max_backoff);
            Processor::LoadBalance(LoadBalance::new(group.sinks.len(), order, backoff_max))
        }
    }
}

pub(super) fn no_deflate(
    kind: &'static str,
    name: &str,
    compression: Compression,
) -> Result<(), StartError> {
    match compression {
        Compression::None => Ok(()),
        Compression::Deflate => Err(StartError::not_here(kind, name, "compression-type deflate")),
    }
}

/// A checked configuration has all the channels it names; one that was changed by hand may not.
pub(super) fn find(channels: &[Arc<Channel>], name: &str) -> Result<Arc<Channel>, StartError> {
    let found = channels.iter().find(|channel| channel.name() == name);
    found.cloned().ok_or_else(|| StartError::Channel {
        channel: name.to_owned(),
        reason: "the configuration has no such channel".to_owned(),
    })
}
