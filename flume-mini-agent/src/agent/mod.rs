//! [`MiniAgent`]: starts, stops and inspects an agent.

mod assembly;
pub(crate) mod builder;
pub(crate) mod configured;
pub(crate) mod error;
mod host;
pub(crate) mod log;
mod metrics;
mod port;
mod source_part;
pub(crate) mod tally;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flume_client::Event;

use crate::clock::millis_since_1970;
use crate::config::{AgentConfig, SinkKind};
use crate::fault::engine::FaultHit;
use crate::fault::guard::FaultGuard;
use crate::fault::rule::FaultRule;
use crate::ledger::Ledger;
use crate::source::avro::{AvroSource, ReplyMode};
use assembly::{Options, Parts};
use builder::MiniAgentBuilder;
use configured::ConfiguredAgentBuilder;
use error::{StartError, WaitError};
use log::{ConnectionRecord, RequestRecord, Watch};
use tally::{Board, Stats, Tally};
use worker::Worker;

/// A Flume agent in this process: Avro source, memory channel, sink.
///
/// It works on a thread of its own and stops when dropped. Any number can run side by side. The
/// waits here block the calling thread; inside of a runtime with one thread only they keep a
/// client on that runtime from sending what they wait for.
///
/// ```
/// use std::time::Duration;
///
/// use flume_mini_agent::MiniAgent;
///
/// let mut agent = MiniAgent::builder().start()?;
/// let address = agent.addr();
/// assert_eq!(agent.url(), format!("avro://{address}"));
///
/// // Nobody sends anything here, so a wait tells what did arrive:
/// let error = agent.wait_for(1, Duration::ZERO).unwrap_err();
/// assert!(error.to_string().starts_with("0 of 1 events arrived within 0ns"));
///
/// // The agent goes down and comes back at the same address:
/// agent.stop();
/// agent.start_again()?;
/// assert_eq!(agent.addr(), address);
/// # Ok::<(), flume_mini_agent::StartError>(())
/// ```
#[derive(Debug)]
pub struct MiniAgent {
    worker: Option<Worker>,
    parts: Parts,
    reply_mode: ReplyMode,
    max_frame_bytes: usize,
    max_connections: usize,
    tally: Arc<Tally>,
    watch: Arc<Watch>,
    /// The types of the sinks, if none of them keeps events.
    keeps_nothing: Option<String>,
}

impl MiniAgent {
    /// Settings for a new agent, at their defaults.
    pub fn builder() -> MiniAgentBuilder {
        MiniAgentBuilder::default()
    }

    /// An agent of as many components as `config` has.
    pub fn configured(config: AgentConfig) -> ConfiguredAgentBuilder {
        ConfiguredAgentBuilder::new(config)
    }

    /// The address the source listens on, the first one if there are several. It stays the same
    /// over stops and starts. `0.0.0.0:0` if there is no source.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        let first = self.parts.sources.first();
        first.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |source| {
            source.port.address()
        })
    }

    /// The address of the source of this name. [`builder`](Self::builder) calls its own `r1`.
    #[must_use]
    pub fn addr_of(&self, source: &str) -> Option<SocketAddr> {
        let found = self.parts.sources.iter().find(|part| part.name == source);
        found.map(|part| part.port.address())
    }

    /// The address as clients take it: `avro://HOST:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("avro://{}", self.addr())
    }

    /// Stops the agent: the listener and all connections are closed when this returns.
    ///
    /// Batches that wait for room are not committed, and their clients get no answer. Events in
    /// the channel and events received stay. On Linux the port stays claimed, so that nobody gets it
    /// by chance. Stopping a stopped agent does nothing.
    pub fn stop(&mut self) {
        if self.worker.take().is_none() {
            return;
        }
        for runner in &self.parts.runners {
            runner.stop();
        }
        self.parts.metrics.stop(millis_since_1970());
    }

    /// Starts a stopped agent again, at its old address, with what it has received so far.
    ///
    /// The channel keeps its events too, as over a reload of Flume's configuration. Clients'
    /// protocols are forgotten, so each has to make its handshake anew.
    pub fn start_again(&mut self) -> Result<(), StartError> {
        if self.worker.is_some() {
            return Err(StartError::Running {
                address: self.addr().to_string(),
            });
        }
        self.start_parts()
    }

    /// [`stop`](Self::stop) and [`start_again`](Self::start_again).
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.stop();
        self.start_again()
    }

    /// Keeps the sink, or all of them, from taking events, so that channels fill. When this
    /// returns, no batch is in a sink's hands.
    pub fn pause_sink(&self) {
        for runner in &self.parts.runners {
            runner.pause();
        }
    }

    /// Lets the sinks take events again.
    pub fn resume_sink(&self) {
        for runner in &self.parts.runners {
            runner.resume();
        }
    }

    /// The events the collect sink has received, in the order in which it got them. Empty with any
    /// other sink.
    #[must_use]
    pub fn received(&self) -> Vec<Event> {
        self.tally.read(received)
    }

    /// Number of events the sink has received, whatever sink it is.
    #[must_use]
    pub fn received_count(&self) -> u64 {
        self.tally.read(|board| board.stats.events_drained)
    }

    /// Waits until the collect sink has received `events` events or more, and returns them all.
    pub fn wait_for(&self, events: usize, timeout: Duration) -> Result<Vec<Event>, WaitError> {
        if let Some(sinks) = &self.keeps_nothing {
            return Err(WaitError::nothing_kept(sinks));
        }
        let arrived = |board: &Board| {
            // Counted last, so what a caller reads afterwards includes these events.
            let drained = board.stats.events_drained >= events as u64;
            drained.then(|| received(board))
        };
        let found = self.tally.wait(timeout, arrived);
        found.ok_or_else(|| {
            self.tally
                .read(|board| WaitError::too_few(events, timeout, board, &self.stats_of(board)))
        })
    }

    /// Waits until `reached` says so of the counters, and returns them.
    pub fn wait_until(
        &self,
        timeout: Duration,
        mut reached: impl FnMut(&Stats) -> bool,
    ) -> Result<Stats, WaitError> {
        let found = self.tally.wait(timeout, |board| {
            let stats = self.stats_of(board);
            reached(&stats).then_some(stats)
        });
        found.ok_or_else(|| {
            self.tally
                .read(|board| WaitError::not_reached(timeout, board, &self.stats_of(board)))
        })
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.tally.read(|board| self.stats_of(board))
    }

    /// Events in the channel of this name now, less those that sinks have in their hands.
    /// [`builder`](Self::builder) calls its own `c1`.
    #[must_use]
    pub fn channel_size(&self, channel: &str) -> Option<usize> {
        let mut channels = self.parts.channels.iter();
        let found = channels.find(|candidate| candidate.name() == channel);
        found.map(|channel| channel.len())
    }

    /// All counters as Flume's `GET /metrics` prints them, numbers as strings. They begin anew at
    /// each start.
    ///
    /// ```
    /// let agent = flume_mini_agent::MiniAgent::builder().start()?;
    /// assert!(agent.metrics_json().contains(r#""ChannelCapacity":"100""#));
    /// # Ok::<(), flume_mini_agent::StartError>(())
    /// ```
    #[must_use]
    pub fn metrics_json(&self) -> String {
        self.parts.metrics.json()
    }

    /// The sink's last error, with what it means for its events. It stays after a later success.
    #[must_use]
    pub fn sink_error(&self) -> Option<String> {
        self.tally.read(|board| board.sink_error.clone())
    }

    /// Lets something go wrong, until the guard is dropped.
    ///
    /// Panics if the rule makes no sense, see [`FaultRule::check`].
    #[track_caller]
    pub fn fault(&self, rule: impl Into<FaultRule>) -> FaultGuard {
        let rule = rule.into();
        let checked = rule.check();
        assert!(checked.is_ok(), "{rule:?}: {checked:?}");
        self.watch.faults.guard(rule)
    }

    /// What went wrong by way of faults, in order: the latest 10,000.
    #[must_use]
    pub fn fault_hits(&self) -> Vec<FaultHit> {
        let faults = &self.watch.faults;
        faults.read(|faults| faults.hits().cloned().collect())
    }

    /// The requests, in the order of arrival, with what was told and what was stored: the latest
    /// 10,000, handshakes without a call included.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.watch.log.requests()
    }

    /// The [`requests`](Self::requests) that brought events.
    #[must_use]
    pub fn batches(&self) -> Vec<RequestRecord> {
        let mut requests = self.requests();
        requests.retain(|request| request.events > 0);
        requests
    }

    /// The connections, in the order in which they came: the latest 10,000.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionRecord> {
        self.watch.log.connections()
    }

    /// What the collect sink has received, as a ledger of events that carry their id in the
    /// header `name`.
    #[must_use]
    pub fn ledger(&self, name: impl Into<String>) -> Ledger<String> {
        Ledger::by_header(self.received(), name)
    }

    fn start(config: &AgentConfig, mut options: Options) -> Result<Self, StartError> {
        let tally = Arc::new(Tally::default());
        let parts = Parts::assemble(config, &mut options, &tally)?;
        let kinds = || config.sinks.iter().map(|sink| &sink.kind);
        let keeps = kinds().any(|kind| matches!(kind, SinkKind::Collect(_)));
        let types: Vec<&str> = kinds().map(assembly::type_name).collect();
        let mut agent = Self {
            worker: None,
            parts,
            reply_mode: options.reply_mode,
            max_frame_bytes: options.max_frame_bytes,
            max_connections: options.max_connections,
            tally,
            watch: Arc::new(Watch::new(options.fault_seed)),
            keeps_nothing: (!keeps).then(|| types.join(" and ")),
        };
        if options.sinks_paused {
            agent.pause_sink();
        }
        agent.start_parts()?;
        Ok(agent)
    }

    /// Channels, then sinks, then sources; if one cannot start, those before it are stopped.
    fn start_parts(&mut self) -> Result<(), StartError> {
        self.parts.metrics.start(millis_since_1970());
        for (count, runner) in self.parts.runners.iter().enumerate() {
            let Err(error) = runner.start() else {
                continue;
            };
            let started = self.parts.runners.iter().take(count);
            started.for_each(|runner| runner.stop());
            return Err(StartError::Sink {
                sink: error.label,
                source: error.source,
            });
        }
        let worker = self.start_worker();
        if worker.is_err() {
            self.parts.runners.iter().for_each(|runner| runner.stop());
        }
        self.worker = Some(worker?);
        Ok(())
    }

    fn start_worker(&mut self) -> Result<Worker, StartError> {
        let mut sources = Vec::new();
        for part in &mut self.parts.sources {
            let listener = part.listen()?;
            let shared = (
                Arc::clone(&part.counters),
                Arc::clone(&self.tally),
                Arc::clone(&self.watch),
            );
            let processor = Arc::clone(&part.processor);
            let source = AvroSource::new(processor, shared, self.reply_mode, self.max_frame_bytes);
            sources.push((source, listener));
        }
        let runners = self.parts.runners.clone();
        Worker::start(sources, self.max_connections, runners)
            .map_err(|source| StartError::Thread { source })
    }

    fn stats_of(&self, board: &Board) -> Stats {
        Stats {
            channel_size: self
                .parts
                .channels
                .iter()
                .map(|channel| channel.len() as u64)
                .sum(),
            ..board.stats
        }
    }
}

impl Drop for MiniAgent {
    fn drop(&mut self) {
        self.stop();
    }
}

fn received(board: &Board) -> Vec<Event> {
    let event = |stored: &crate::channel::StoredEvent| {
        Event::from_datum(stored.datum().to_vec())
            .expect("an event is stored only after it was read")
    };
    board.collected.iter().map(event).collect()
}
