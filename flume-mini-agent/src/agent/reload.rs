//! A running agent gets another configuration (Flume's `Application.handleConfigurationEvent`).

use std::fmt;
use std::sync::Arc;

use super::assembly::{Parts, Plan};
use super::engine::Engine;
use super::error::{ReconfigureError, StartError};
use super::heritage::Heritage;
use super::worker::Worker;
use crate::channel::Channel;
use crate::config::AgentConfig;

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

/// What `POST /reload` of the control interface does.
pub(crate) struct ReloadHook(Box<Hook>);

/// Tells what was done, or why nothing was.
type Hook = dyn Fn() -> Result<String, String> + Send + Sync;

impl ReloadHook {
    pub(super) fn new(reload: impl Fn() -> Result<String, String> + Send + Sync + 'static) -> Self {
        Self(Box::new(reload))
    }

    pub(super) fn run(&self) -> Result<String, String> {
        (self.0)()
    }
}

impl fmt::Debug for ReloadHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadHook").finish_non_exhaustive()
    }
}

impl Engine {
    /// Stops all parts and starts those of `config`; if they cannot start, the former ones again.
    pub(super) fn reconfigure(
        &self,
        config: AgentConfig,
    ) -> Result<Reconfigured, ReconfigureError> {
        let plan = Plan::of(config);
        let mut worker = self.worker();
        let former = self.parts();
        if former.plan == plan {
            return Ok(Reconfigured::default());
        }
        let refused = |reason| ReconfigureError::Refused { reason };
        let mut heritage = Heritage::of(&former);
        heritage.claim(&plan).map_err(refused)?;
        let runs = worker.is_some();
        self.stop_locked(&mut worker);
        former.close();
        let Err(reason) = self.replace(plan, &former, &heritage, runs.then_some(&mut *worker))
        else {
            return Ok(Reconfigured {
                changed: true,
                lost: left_behind(&former),
            });
        };
        let again = former.plan.clone();
        match self.replace(again, &former, &heritage, runs.then_some(&mut *worker)) {
            Ok(()) => Err(refused(reason)),
            Err(former) => Err(ReconfigureError::Stopped { reason, former }),
        }
    }

    /// Puts new parts in the place of `former`, which are stopped and closed, and starts them if
    /// there is a place for their worker. After an error `former` are there again, as they were.
    pub(super) fn replace(
        &self,
        plan: Plan,
        former: &Arc<Parts>,
        heritage: &Heritage,
        worker: Option<&mut Option<Worker>>,
    ) -> Result<(), StartError> {
        let parts = Parts::assemble(
            plan,
            self.options(),
            &self.tally,
            heritage,
            &self.watch.faults,
        )?;
        let parts = Arc::new(parts);
        parts.take_over(former);
        self.install(&parts);
        let started = worker.map_or(Ok(()), |worker| self.start_open(&parts, worker));
        if started.is_err() {
            parts.close();
            former.take_over(&parts);
            self.install(former);
        }
        started
    }
}

impl Parts {
    /// Takes over the events of memory channels that have the same names.
    fn take_over(&self, former: &Self) {
        for channel in &self.channels {
            let same = |other: &&Arc<Channel>| other.name() == channel.name();
            if let Some(other) = former.channels.iter().find(same) {
                channel.take_over(other);
            }
        }
    }
}

fn left_behind(former: &Parts) -> Vec<(String, usize)> {
    let memories = former.channels.iter().filter(|channel| !channel.is_file());
    let left = memories.map(|channel| (channel.name().to_owned(), channel.len()));
    left.filter(|(_, events)| *events > 0).collect()
}
