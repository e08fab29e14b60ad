//! [`Engine`]: the working parts of an agent, shared by its user and its control interface.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::{ReconfigureError, StartError};
use super::kept::Kept;
use super::parts::{ActiveParts, Parts};
use super::plan::{Options, Plan, Shared};
use super::worker::Worker;
use crate::clock::millis_since_1970;
use crate::config::AgentConfig;
use crate::observed::{ObservedState, Stats};

/// An agent without its handle: what runs, what there is to see of it and is kept when it ends, and
/// what it has for all its life.
#[derive(Debug)]
pub(super) struct Engine {
    /// What runs. Held for as long as a start, a stop or a reload takes.
    running: Mutex<Option<Worker>>,
    /// Of the latest start. Lock order: [`Observed`](crate::observed::Observed) first, then this.
    parts: Mutex<Arc<Parts>>,
    pub(super) shared: Shared,
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

/// What came of a new configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconfigured {
    /// Whether it is another one than before. If not, nothing was stopped.
    pub changed: bool,
    /// Memory channels that are there no more, with the events that went with them. As in Flume,
    /// only one of the same name and type keeps its events.
    pub lost: Vec<(String, usize)>,
}

impl Engine {
    /// A running engine.
    pub(super) fn start_first(plan: Plan, options: Options) -> Result<Self, StartError> {
        let shared = Shared::new(options);
        let (parts, active) = Parts::make(plan, &Kept::default(), &shared)?;
        parts.metrics.start(millis_since_1970());
        let running = active.run(shared.options.max_connections)?;
        Ok(Self {
            running: Mutex::new(Some(running)),
            parts: Mutex::new(Arc::new(parts)),
            shared,
        })
    }

    pub(super) fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.locked_parts())
    }

    /// Starts what is stopped.
    pub(super) fn start(&self) -> Result<(), StartError> {
        self.start_again(&mut self.running())
    }

    pub(super) fn stop(&self) {
        self.end(&mut self.running());
    }

    /// Stops if needed and starts, with no other call in between.
    pub(super) fn restart(&self) -> Result<(), StartError> {
        let mut running = self.running();
        self.end(&mut running);
        self.start_again(&mut running)
    }

    /// Stops the sources, gives the sinks time to empty the channels, stops all. Tells what is
    /// left.
    pub(super) fn drain(&self, timeout: Duration) -> Vec<Leftover> {
        let mut running = self.running();
        let parts = self.parts();
        if let Some(worker) = running.as_mut() {
            worker.stop_sources();
            self.shared.gate.set_hurried(true);
            let drained: Vec<_> = parts.drained_channels().collect();
            let empty =
                |_: &ObservedState| drained.iter().all(|it| it.unsettled() == 0).then_some(());
            // What is left after the time is told.
            let _ = self.shared.observed.wait(timeout, empty);
        }
        self.end(&mut running);
        let channels = parts.channels.iter();
        let left = channels.map(|channel| Leftover {
            channel: channel.name().to_owned(),
            events: channel.len(),
            durable: channel.is_file(),
        });
        left.filter(|left| left.events > 0).collect()
    }

    /// Stops all parts and starts those of `config`; if they cannot start, the former ones again
    /// (Flume's `Application.handleConfigurationEvent`).
    pub(super) fn reconfigure(
        &self,
        config: AgentConfig,
    ) -> Result<Reconfigured, ReconfigureError> {
        let plan = Plan::of(config);
        let mut running = self.running();
        let former = self.parts();
        if former.plan == plan {
            return Ok(Reconfigured::default());
        }
        let refused = |reason| ReconfigureError::Refused { reason };
        let mut kept = former.kept();
        kept.claim(&plan).map_err(refused)?;
        let runs = running.is_some();
        self.end(&mut running);
        let mut replace = |plan| match runs {
            true => self.begin(&mut running, plan, &kept),
            // What is stopped stays so: it only gets its parts, whose sinks are let go of again.
            false => self.install(plan, &kept).map(drop),
        };
        let Err(reason) = replace(plan) else {
            return Ok(Reconfigured {
                changed: true,
                lost: kept.left_behind(),
            });
        };
        match replace(former.plan.clone()) {
            Ok(()) => Err(refused(reason)),
            Err(former) => Err(ReconfigureError::Stopped { reason, former }),
        }
    }

    pub(super) fn stats(&self, state: &ObservedState) -> Stats {
        let parts = self.parts();
        let sizes = parts.channels.iter().map(|channel| channel.len() as u64);
        Stats {
            channel_size: sizes.sum(),
            ..state.stats
        }
    }

    /// A condition for a wait: once `events` have come since the last forget, it gives
    /// `found(state)`.
    pub(super) fn received<T>(
        events: usize,
        found: impl Fn(&ObservedState) -> T,
    ) -> impl Fn(&ObservedState) -> Option<T> {
        move |state| {
            // Counted last, so what a caller reads afterwards includes these events.
            let drained = state.stats.events_drained >= state.forgotten + events as u64;
            drained.then(|| found(state))
        }
    }

    fn start_again(&self, running: &mut Option<Worker>) -> Result<(), StartError> {
        let parts = self.parts();
        if running.is_some() {
            return Err(StartError::Running {
                address: parts.address().to_string(),
            });
        }
        self.begin(running, parts.plan.clone(), &parts.kept())
    }

    /// Makes the parts of `plan` and runs them. After an error those before are there as they
    /// were, with their events; file channels are closed until the next start.
    fn begin(
        &self,
        running: &mut Option<Worker>,
        plan: Plan,
        kept: &Kept,
    ) -> Result<(), StartError> {
        let former = self.parts();
        let active = self.install(plan, kept)?;
        let parts = self.parts();
        self.shared.gate.set_hurried(false);
        parts.metrics.start(millis_since_1970());
        let started = active.run(self.shared.options.max_connections);
        if started.is_err() {
            kept.take_back(&parts.channels);
            *self.locked_parts() = former;
            // Somebody may look at them still, and their directories be wanted.
            parts.channels.iter().for_each(|channel| channel.close());
        }
        *running = Some(started?);
        Ok(())
    }

    /// Makes the parts of `plan`, with what was kept of those before, and puts them in their place.
    fn install(&self, plan: Plan, kept: &Kept) -> Result<ActiveParts, StartError> {
        // The directories of file channels may be the same.
        kept.close();
        let (parts, active) = Parts::make(plan, kept, &self.shared)?;
        kept.hand_over(&parts.channels);
        *self.locked_parts() = Arc::new(parts);
        Ok(active)
    }

    fn end(&self, running: &mut Option<Worker>) {
        if let Some(worker) = running.take() {
            drop(worker);
            self.parts().metrics.stop(millis_since_1970());
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Worker>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked_parts(&self) -> MutexGuard<'_, Arc<Parts>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
