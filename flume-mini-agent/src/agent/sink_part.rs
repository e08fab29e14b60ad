//! Sinks and their runners, made from their configuration.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::carried;
use super::error::StartError;
use super::plan::{Plan, Shared};
use crate::channel::Channel;
use crate::config::{
    AgentConfig, AvroSinkConfig, ProcessorConfig, Selection, SinkConfig, SinkGroupConfig, SinkKind,
};
use crate::counters::SinkCounters;
use crate::runner::{Pace, SinkRunner};
use crate::sink::SinkWriter;
use crate::sink::avro::{AvroSink, AvroSinkSettings};
use crate::sink::collect::Collect;
use crate::sink::file_roll::FileRoll;
use crate::sink::logger::Logger;
use crate::sink::null::Null;
use crate::sink::worker::{SinkWorker, Work};
use crate::sink_group::{Failover, LoadBalance, Order, Processor};

/// Wait after the first of several empty turns of a sink group, as in Flume.
const EMPTY_TURN_STEP: Duration = Duration::from_secs(1);

pub(super) fn sink_worker(
    plan: &Plan,
    config: &SinkConfig,
    channel: Arc<Channel>,
    counters: Option<Arc<SinkCounters>>,
    shared: &Shared,
) -> Result<SinkWorker, StartError> {
    // The collect sink is ours: it hands over what is there at once, too.
    let waits = !matches!(config.kind, SinkKind::Collect(_));
    let (label, batch_size, waits) = match &plan.simple {
        Some(simple) => {
            let label = format!("the {} sink", type_name(&config.kind));
            (label, simple.batch_size, false)
        }
        None => (format!("sink {}", config.name), config.batch_size(), waits),
    };
    let work = match &config.kind {
        SinkKind::Avro(avro) => Work::Send(Box::new(avro_sink(&config.name, avro)?)),
        kind => Work::Write(writer(kind, shared).map_err(|source| {
            let sink = label.clone();
            StartError::Sink { sink, source }
        })?),
    };
    let batch = (batch_size, waits);
    Ok(SinkWorker::new(label, channel, batch, work, counters))
}

/// One for each group, in the order of the groups, then one for each sink without a group.
pub(super) fn runners(
    config: &AgentConfig,
    mut sinks: HashMap<&str, SinkWorker>,
    shared: &Shared,
) -> Vec<SinkRunner> {
    let sink_backoff = shared.options.sink_backoff;
    let pace = Pace {
        step: EMPTY_TURN_STEP.min(sink_backoff),
        max: sink_backoff,
    };
    let runner = |members, processor| {
        let of_all = (Arc::clone(&shared.observed), Arc::clone(&shared.gate));
        SinkRunner::new(members, processor, pace, of_all)
    };
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

/// The sink's type in a Flume configuration.
pub(super) fn type_name(sink: &SinkKind) -> &'static str {
    match sink {
        SinkKind::Avro(_) => "avro",
        SinkKind::Collect(_) => "collect",
        SinkKind::FileRoll(_) => "file_roll",
        SinkKind::Logger(_) => "logger",
        SinkKind::Null(_) => "null",
    }
}

/// Flume's logger and null sinks count nothing.
pub(super) fn counted(sink: &SinkKind) -> bool {
    !matches!(sink, SinkKind::Logger(_) | SinkKind::Null(_))
}

fn writer(kind: &SinkKind, shared: &Shared) -> io::Result<Box<dyn SinkWriter>> {
    Ok(match kind {
        SinkKind::Collect(config) => Box::new(Collect::new(
            Arc::clone(&shared.observed),
            config.max_events,
        )),
        SinkKind::FileRoll(config) => Box::new(FileRoll::open(config.clone())?),
        SinkKind::Logger(config) => {
            let output: Box<dyn Write + Send> = match &shared.options.logger_output {
                Some(output) => Box::new(output.clone()),
                None => Box::new(io::stdout()),
            };
            Box::new(Logger::new(output, config.max_bytes_to_log))
        }
        SinkKind::Null(_) | SinkKind::Avro(_) => Box::new(Null),
    })
}

fn avro_sink(name: &str, config: &AvroSinkConfig) -> Result<AvroSink, StartError> {
    let carrier = carried::of_sink(name, config)?;
    Ok(AvroSink::new(AvroSinkSettings {
        hostname: config.hostname.clone(),
        port: config.port,
        carrier,
        connect_timeout: config.connect_timeout,
        request_timeout: config.request_timeout,
        reset_connection_interval: config.reset_connection_interval,
    }))
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
