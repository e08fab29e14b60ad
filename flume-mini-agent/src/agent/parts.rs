//! [`Parts`] and [`ActiveParts`]: an agent's components, made from its configuration and wired.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::channel_part::{find, open_channel};
use super::error::StartError;
use super::kept::Kept;
use super::metrics::Metrics;
use super::plan::{Plan, Shared};
use super::sink_part::{counted, runners, sink_worker, type_name};
use super::source_part::{Serving, SourcePart};
use super::worker::Worker;
use crate::channel::Channel;
use crate::config::SinkKind;
use crate::counters::SinkCounters;
use crate::runner::SinkRunner;

/// What there is to see of an agent's components, made at each start and there until the next.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) plan: Plan,
    pub(super) channels: Vec<Arc<Channel>>,
    pub(super) sources: Vec<SourcePart>,
    pub(super) metrics: Metrics,
}

/// The parts that do something: sources and sinks. They run once.
pub(super) struct ActiveParts {
    sources: Vec<Serving>,
    runners: Vec<SinkRunner>,
}

impl Parts {
    /// Opens the channels, then the sinks, and claims the sources' ports last. If anything fails,
    /// everything is let go of.
    pub(super) fn make(
        plan: Plan,
        kept: &Kept,
        shared: &Shared,
    ) -> Result<(Self, ActiveParts), StartError> {
        let config = &plan.config;
        let mut channels = Vec::new();
        for channel in &config.channels {
            channels.push(Arc::new(open_channel(channel, &shared.recorder.faults)?));
        }
        let mut sinks = HashMap::new();
        let mut sink_counters = Vec::new();
        for sink in &config.sinks {
            let counters = counted(&sink.kind).then(Arc::<SinkCounters>::default);
            let channel = find(&channels, &sink.channel)?;
            let worker = sink_worker(&plan, sink, channel, counters.clone(), shared)?;
            sink_counters.extend(counters.map(|counters| (sink.name.clone(), counters)));
            sinks.insert(sink.name.as_str(), worker);
        }
        let mut active = ActiveParts {
            sources: Vec::new(),
            runners: runners(config, sinks, shared),
        };
        let mut sources = Vec::new();
        for source in &config.sources {
            let (part, serving) = SourcePart::make(source, &channels, &plan, (kept, shared))?;
            sources.push(part);
            active.sources.push(serving);
        }
        let source_counters = sources.iter().filter_map(SourcePart::counted).collect();
        let parts = Self {
            metrics: Metrics::new(source_counters, channels.clone(), sink_counters),
            plan,
            channels,
            sources,
        };
        Ok((parts, active))
    }

    /// What of them the next ones take over.
    pub(super) fn kept(&self) -> Kept {
        let ports = self.sources.iter().map(SourcePart::kept_port);
        Kept::new(self.channels.clone(), ports.collect())
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

impl ActiveParts {
    /// Lets the sources listen and starts the thread of all. If anything fails, nothing is left
    /// running.
    pub(super) fn run(self, connections_max: usize) -> Result<Worker, StartError> {
        let sources = self.sources.into_iter().map(Serving::listen);
        let sources = sources.collect::<Result<_, _>>()?;
        let started = Worker::start(sources, connections_max, self.runners);
        started.map_err(|source| StartError::Thread { source })
    }
}
