//! [`Engine`]: the working parts of an agent, shared by its user and its control interface.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::assembly::{Options, Parts, Plan};
use super::error::StartError;
use super::heritage::Heritage;
use super::log::Watch;
use super::tally::{Board, Stats, Tally};
use super::worker::Worker;
use crate::channel::StoredEvent;
use crate::clock::millis_since_1970;
use crate::control::Console;
use crate::fault::guard::FaultBoard;

/// An agent without its handle: everything that outlives a stop, and the worker while it runs.
#[derive(Debug)]
pub(super) struct Engine {
    /// Held for as long as a start, a stop or a reload takes.
    worker: Mutex<Option<Worker>>,
    installed: Mutex<Installed>,
    options: Options,
    pub(super) tally: Arc<Tally>,
    pub(super) watch: Arc<Watch>,
}

/// Events that no sink had taken when the agent was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// The channel they are in.
    pub channel: String,
    /// How many there are.
    pub events: usize,
    /// Whether they are on disk and outlive the process.
    pub durable: bool,
}

/// The parts of the present configuration. Taken with the tally's lock held, never the other way
/// round.
#[derive(Debug)]
struct Installed {
    parts: Arc<Parts>,
    /// Over reloads, too.
    sinks_paused: bool,
}

impl Engine {
    /// A running engine.
    pub(super) fn start_first(plan: Plan, options: Options) -> Result<Self, StartError> {
        let tally = Arc::new(Tally::default());
        let watch = Arc::new(Watch::new(options.fault_seed));
        let inherited = (&Heritage::default(), &watch.faults);
        let parts = Parts::assemble(plan, &options, &tally, inherited)?;
        let engine = Self {
            worker: Mutex::new(None),
            installed: Mutex::new(Installed {
                parts: Arc::new(parts),
                sinks_paused: false,
            }),
            tally,
            watch,
            options,
        };
        if engine.options.sinks_paused {
            engine.pause();
        }
        engine.start_locked(&mut engine.worker())?;
        Ok(engine)
    }

    pub(super) fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.installed().parts)
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Puts these parts in the place of those before.
    pub(super) fn install(&self, parts: &Arc<Parts>) {
        let mut installed = self.installed();
        installed.parts = Arc::clone(parts);
        if installed.sinks_paused {
            // They do not run: nothing is waited for.
            parts.runners.iter().for_each(|runner| runner.pause());
        }
    }

    pub(super) fn pause(&self) {
        let mut installed = self.installed();
        installed.sinks_paused = true;
        let parts = Arc::clone(&installed.parts);
        drop(installed);
        parts.runners.iter().for_each(|runner| runner.pause());
    }

    pub(super) fn resume(&self) {
        let mut installed = self.installed();
        installed.sinks_paused = false;
        let runners = installed.parts.runners.iter();
        runners.for_each(|runner| runner.resume());
    }

    /// Starts what is stopped.
    pub(super) fn start(&self) -> Result<(), StartError> {
        self.start_again_locked(&mut self.worker())
    }

    pub(super) fn stop(&self) {
        self.stop_locked(&mut self.worker());
    }

    /// Stops if need be and starts, nobody in between.
    pub(super) fn restart(&self) -> Result<(), StartError> {
        let mut worker = self.worker();
        self.stop_locked(&mut worker);
        self.start_again_locked(&mut worker)
    }

    /// Stops the sources, gives the sinks time to empty the channels, stops all. Tells what is
    /// left.
    pub(super) fn drain(&self, timeout: Duration) -> Vec<Leftover> {
        let mut worker = self.worker();
        let parts = self.parts();
        if let Some(worker) = worker.as_mut() {
            worker.stop_sources();
            parts.runners.iter().for_each(|runner| runner.hurry());
            let drained: Vec<_> = parts.drained_channels().collect();
            let empty = |_: &Board| drained.iter().all(|it| it.unsettled() == 0).then_some(());
            // What is left after the time is told.
            let _ = self.tally.wait(timeout, empty);
        }
        self.stop_locked(&mut worker);
        let channels = parts.channels.iter();
        let left = channels.map(|channel| Leftover {
            channel: channel.name().to_owned(),
            events: channel.len(),
            durable: channel.is_file(),
        });
        left.filter(|left| left.events > 0).collect()
    }

    pub(super) fn stats(&self, board: &Board) -> Stats {
        let parts = self.parts();
        let sizes = parts.channels.iter().map(|channel| channel.len() as u64);
        Stats {
            channel_size: sizes.sum(),
            ..board.stats
        }
    }

    /// The received events, for who waits for a number of them, once they are there. What was
    /// forgotten does not count.
    pub(super) fn received<T>(
        events: usize,
        found: impl Fn(&Board) -> T,
    ) -> impl Fn(&Board) -> Option<T> {
        move |board| {
            // Counted last, so what a caller reads afterwards includes these events.
            let drained = board.stats.events_drained >= board.forgotten + events as u64;
            drained.then(|| found(board))
        }
    }

    /// Opens the channels that are on disk again, and starts.
    pub(super) fn start_again_locked(&self, worker: &mut Option<Worker>) -> Result<(), StartError> {
        if worker.is_none() {
            // One that runs is told so below.
            self.parts().reopen()?;
        }
        self.start_locked(worker)
    }

    /// Channels, then sinks, then sources; if one cannot start, those before it are stopped.
    pub(super) fn start_locked(&self, worker: &mut Option<Worker>) -> Result<(), StartError> {
        let parts = self.parts();
        if worker.is_some() {
            return Err(StartError::Running {
                address: parts.address().to_string(),
            });
        }
        parts.metrics.start(millis_since_1970());
        for (count, runner) in parts.runners.iter().enumerate() {
            let Err(error) = runner.start() else {
                continue;
            };
            let started = parts.runners.iter().take(count);
            started.for_each(|runner| runner.stop());
            return Err(StartError::Sink {
                sink: error.label,
                source: error.source,
            });
        }
        let started = self.start_worker(&parts);
        if started.is_err() {
            parts.runners.iter().for_each(|runner| runner.stop());
        }
        *worker = Some(started?);
        Ok(())
    }

    fn start_worker(&self, parts: &Parts) -> Result<Worker, StartError> {
        let mut sources = Vec::new();
        for part in &parts.sources {
            let listener = part.listen()?;
            let source = part.source(
                (&self.tally, &self.watch),
                self.options.reply_mode,
                self.options.max_frame_bytes,
            );
            sources.push((source, listener));
        }
        let runners = parts.runners.clone();
        Worker::start(sources, self.options.max_connections, runners)
            .map_err(|source| StartError::Thread { source })
    }

    pub(super) fn stop_locked(&self, worker: &mut Option<Worker>) {
        if worker.take().is_none() {
            return;
        }
        let parts = self.parts();
        parts.runners.iter().for_each(|runner| runner.stop());
        parts.metrics.stop(millis_since_1970());
    }

    pub(super) fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn installed(&self) -> MutexGuard<'_, Installed> {
        self.installed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console for Engine {
    fn metrics(&self) -> String {
        self.parts().metrics.json()
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

    fn keeps_nothing(&self) -> Option<String> {
        self.parts().keeps_nothing()
    }

    fn wait(&self, events: usize) -> Pin<Box<dyn Future<Output = usize> + Send + '_>> {
        Box::pin(self.tally.wait_async(Self::received(events, |board| {
            let received = board.stats.events_drained - board.forgotten;
            usize::try_from(received).unwrap_or(usize::MAX)
        })))
    }

    fn faults(&self) -> &Arc<FaultBoard> {
        &self.watch.faults
    }

    fn reload(&self) -> Result<String, String> {
        match &self.options.reload {
            Some(reload) => reload.run(),
            None => {
                let restarted = self.restart().map(|()| String::new());
                restarted.map_err(|error| error.to_string())
            }
        }
    }
}
