//! [`Engine`]: the working parts of an agent, shared by its user and its control interface.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::builder::MiniAgentBuilder;
use super::error::StartError;
use super::log::Watch;
use super::port::Port;
use super::tally::{Board, Stats, Tally};
use super::worker::Worker;
use crate::channel::memory::MemoryLimits;
use crate::channel::{Channel, StoredEvent};
use crate::clock::millis_since_1970;
use crate::control::Console;
use crate::counters::SourceCounters;
use crate::fault::guard::FaultBoard;
use crate::metrics::{self, Metrics};
use crate::processor::ChannelProcessor;
use crate::runner::SinkRunner;
use crate::selector::Selector;
use crate::source::avro::{AvroSource, ReplyMode};

/// The name of the only source, as examples of Flume have it.
const SOURCE_NAME: &str = "r1";

/// An agent without its handle: everything that outlives a stop, and the worker while it runs.
#[derive(Debug)]
pub(super) struct Engine {
    worker: Mutex<Option<Worker>>,
    pub(super) port: Port,
    reply_mode: ReplyMode,
    max_frame_bytes: usize,
    max_connections: usize,
    pub(super) channel: Arc<Channel>,
    pub(super) source_counters: Arc<SourceCounters>,
    pub(super) tally: Arc<Tally>,
    pub(super) watch: Arc<Watch>,
    pub(super) runner: Arc<SinkRunner>,
}

impl Engine {
    /// A running engine.
    pub(super) fn start_first(builder: MiniAgentBuilder) -> Result<Self, StartError> {
        let (port, listener) =
            Port::listen_first(&builder.address).map_err(|source| StartError::Bind {
                address: builder.address.clone(),
                source,
            })?;
        let batch_size = builder.sink_batch_size();
        let limits = MemoryLimits {
            capacity: builder.capacity,
            transaction_capacity: builder.transaction_capacity,
            byte_slots: None,
        };
        let channel = Arc::new(Channel::memory("c1", limits, builder.keep_alive));
        let tally = Arc::new(Tally::default());
        let name = builder.sink.name();
        let writer = builder.sink.into_writer(&tally, builder.collect_max);
        let runner = SinkRunner::new(
            (Arc::clone(&channel), Arc::clone(&tally)),
            (name, writer),
            batch_size,
            builder.sink_backoff,
        );
        let engine = Self {
            worker: Mutex::new(None),
            port,
            reply_mode: builder.reply_mode,
            max_frame_bytes: builder.max_frame_bytes,
            max_connections: builder.max_connections,
            channel,
            source_counters: Arc::default(),
            tally,
            watch: Arc::new(Watch::new(builder.fault_seed)),
            runner: Arc::new(runner),
        };
        if builder.sink_paused {
            engine.runner.pause();
        }
        engine.start_worker(&mut engine.worker(), listener)?;
        Ok(engine)
    }

    /// Starts again after a stop.
    pub(super) fn start(&self) -> Result<(), StartError> {
        self.start_if_stopped(&mut self.worker())
    }

    pub(super) fn stop(&self) {
        self.stop_worker(&mut self.worker());
    }

    /// Stops if need be and starts, nobody in between.
    pub(super) fn restart(&self) -> Result<(), StartError> {
        let mut worker = self.worker();
        self.stop_worker(&mut worker);
        self.start_if_stopped(&mut worker)
    }

    pub(super) fn stats(&self, board: &Board) -> Stats {
        Stats {
            channel_size: self.channel.len() as u64,
            ..board.stats
        }
    }

    /// The received events, for who waits for a number of them. What was forgotten does not count.
    pub(super) fn wait_received<T>(
        &self,
        events: usize,
        timeout: Duration,
        found: impl Fn(&Board) -> T,
    ) -> Option<T> {
        self.tally.wait(timeout, |board| {
            // Counted last, so what a caller reads afterwards includes these events.
            let drained = board.stats.events_drained >= board.forgotten + events as u64;
            drained.then(|| found(board))
        })
    }

    fn start_if_stopped(&self, worker: &mut Option<Worker>) -> Result<(), StartError> {
        let address = || self.port.address().to_string();
        if worker.is_some() {
            return Err(StartError::Running { address: address() });
        }
        let listener = self.port.listen().map_err(|source| StartError::Bind {
            address: address(),
            source,
        })?;
        self.start_worker(worker, listener)
    }

    fn start_worker(
        &self,
        worker: &mut Option<Worker>,
        listener: TcpListener,
    ) -> Result<(), StartError> {
        self.runner.start().map_err(|source| StartError::Sink {
            sink: self.runner.name(),
            source,
        })?;
        let processor = ChannelProcessor::new(
            vec![Arc::clone(&self.channel)],
            Selector::replicating(1, &[]),
            Arc::clone(&self.tally),
        );
        let source = AvroSource::new(
            processor,
            (
                Arc::clone(&self.source_counters),
                Arc::clone(&self.tally),
                Arc::clone(&self.watch),
            ),
            self.reply_mode,
            self.max_frame_bytes,
        );
        let now = millis_since_1970();
        self.source_counters.start(now);
        self.channel.counters().start(now);
        let runner = Arc::clone(&self.runner);
        let started = Worker::start(listener, self.max_connections, source, runner)
            .map_err(|source| StartError::Thread { source })?;
        *worker = Some(started);
        Ok(())
    }

    fn stop_worker(&self, worker: &mut Option<Worker>) {
        if worker.take().is_some() {
            let now = millis_since_1970();
            self.source_counters.lifetime.stop(now);
            self.channel.counters().lifetime.stop(now);
        }
    }

    fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console for Engine {
    fn metrics(&self) -> Metrics {
        let source = metrics::source(&self.source_counters);
        let channel = metrics::channel(&self.channel);
        Metrics::from([
            (format!("SOURCE.{SOURCE_NAME}"), source),
            (format!("CHANNEL.{}", self.channel.name()), channel),
        ])
    }

    fn received(&self, from: usize, limit: usize) -> (Vec<StoredEvent>, usize) {
        self.tally.read(|board| {
            let events = board.collected.iter().skip(from).take(limit);
            (events.cloned().collect(), board.collected.len())
        })
    }

    fn forget(&self) {
        self.tally.forget();
    }

    fn wait(&self, events: usize, timeout: Duration) -> Option<usize> {
        self.wait_received(events, timeout, |board| {
            let received = board.stats.events_drained - board.forgotten;
            usize::try_from(received).unwrap_or(usize::MAX)
        })
    }

    fn faults(&self) -> &Arc<FaultBoard> {
        &self.watch.faults
    }

    fn reload(&self) -> Result<(), String> {
        self.restart().map_err(|error| error.to_string())
    }
}
