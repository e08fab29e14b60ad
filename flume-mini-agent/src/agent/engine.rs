//! [`Engine`]: the working parts of an agent, shared by its user and its control interface.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::assembly::{self, Options, Parts};
use super::error::StartError;
use super::log::Watch;
use super::tally::{Board, Stats, Tally};
use super::worker::Worker;
use crate::channel::StoredEvent;
use crate::clock::millis_since_1970;
use crate::config::{AgentConfig, SinkKind};
use crate::control::Console;
use crate::fault::guard::FaultBoard;
use crate::source::avro::ReplyMode;

/// An agent without its handle: everything that outlives a stop, and the worker while it runs.
#[derive(Debug)]
pub(super) struct Engine {
    worker: Mutex<Option<Worker>>,
    pub(super) parts: Parts,
    reply_mode: ReplyMode,
    max_frame_bytes: usize,
    max_connections: usize,
    pub(super) tally: Arc<Tally>,
    pub(super) watch: Arc<Watch>,
    /// The types of the sinks, if none of them keeps events.
    pub(super) keeps_nothing: Option<String>,
}

impl Engine {
    /// A running engine.
    pub(super) fn start_first(config: &AgentConfig, options: &Options) -> Result<Self, StartError> {
        let tally = Arc::new(Tally::default());
        let parts = Parts::assemble(config, options, &tally)?;
        let kinds = || config.sinks.iter().map(|sink| &sink.kind);
        let keeps = kinds().any(|kind| matches!(kind, SinkKind::Collect(_)));
        let types: Vec<&str> = kinds().map(assembly::type_name).collect();
        let engine = Self {
            worker: Mutex::new(None),
            parts,
            reply_mode: options.reply_mode,
            max_frame_bytes: options.max_frame_bytes,
            max_connections: options.max_connections,
            tally,
            watch: Arc::new(Watch::new(options.fault_seed)),
            keeps_nothing: (!keeps).then(|| types.join(" and ")),
        };
        if options.sinks_paused {
            engine
                .parts
                .runners
                .iter()
                .for_each(|runner| runner.pause());
        }
        engine.start()?;
        Ok(engine)
    }

    /// Starts what is stopped.
    pub(super) fn start(&self) -> Result<(), StartError> {
        self.start_locked(&mut self.worker())
    }

    pub(super) fn stop(&self) {
        self.stop_locked(&mut self.worker());
    }

    /// Stops if need be and starts, nobody in between.
    pub(super) fn restart(&self) -> Result<(), StartError> {
        let mut worker = self.worker();
        self.stop_locked(&mut worker);
        self.start_locked(&mut worker)
    }

    pub(super) fn stats(&self, board: &Board) -> Stats {
        let sizes = self
            .parts
            .channels
            .iter()
            .map(|channel| channel.len() as u64);
        Stats {
            channel_size: sizes.sum(),
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

    /// Channels, then sinks, then sources; if one cannot start, those before it are stopped.
    fn start_locked(&self, worker: &mut Option<Worker>) -> Result<(), StartError> {
        if worker.is_some() {
            return Err(StartError::Running {
                address: self.parts.address().to_string(),
            });
        }
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
        let started = self.start_worker();
        if started.is_err() {
            self.parts.runners.iter().for_each(|runner| runner.stop());
        }
        *worker = Some(started?);
        Ok(())
    }

    fn start_worker(&self) -> Result<Worker, StartError> {
        let mut sources = Vec::new();
        for part in &self.parts.sources {
            let listener = part.listen()?;
            let source = part.source(
                (&self.tally, &self.watch),
                self.reply_mode,
                self.max_frame_bytes,
            );
            sources.push((source, listener));
        }
        let runners = self.parts.runners.clone();
        Worker::start(sources, self.max_connections, runners)
            .map_err(|source| StartError::Thread { source })
    }

    fn stop_locked(&self, worker: &mut Option<Worker>) {
        if worker.take().is_none() {
            return;
        }
        for runner in &self.parts.runners {
            runner.stop();
        }
        self.parts.metrics.stop(millis_since_1970());
    }

    fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console for Engine {
    fn metrics(&self) -> String {
        self.parts.metrics.json()
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
