//! [`Turn`]: what the worker has to tell callers, told under one lock.

use std::sync::Arc;
use std::task::Waker;

use super::asked::Request;
use super::feed::Fed;
use crate::chunk::Chunk;
use crate::delivery::{AgentIndex, Core, Loss, Outcome};
use crate::error::AgentError;
use crate::intake::IntakeState;

/// What one turn collects. Kept from turn to turn for its buffers.
#[derive(Default)]
pub(super) struct Turn {
    /// What came in.
    pub(super) chunks: Vec<Chunk>,
    pub(super) ends: Vec<u32>,
    pub(super) fed: Vec<Fed>,
    pub(super) requests: Vec<Request>,
    /// What goes out.
    pub(super) emptied: Vec<Chunk>,
    pub(super) retired: Vec<(u64, u32, u32, Outcome)>,
    /// Not in the spool any more: the first one, and the one behind the last.
    pub(super) lost: Vec<(u64, u64)>,
    pub(super) errors: Vec<(AgentIndex, AgentError)>,
    pub(super) opened: Vec<(AgentIndex, bool)>,
    /// The latest trouble with any agent.
    pub(super) last_error: Option<Arc<AgentError>>,
    /// To be woken when the lock is released.
    pub(super) wakers: Vec<Waker>,
}

impl Turn {
    /// Brings the callers' view up to date.
    pub(super) fn settle(&mut self, core: &Core, state: &mut IntakeState) {
        for (first, events, bytes, outcome) in self.retired.drain(..) {
            state.retire(first, events, bytes, outcome, &mut self.wakers);
        }
        for (first, end) in self.lost.drain(..) {
            let mut first = first;
            while first < end {
                let events = u32::try_from(end - first).unwrap_or(u32::MAX);
                let outcome = Outcome::Lost(Loss::Corrupt);
                state.retire(first, events, 0, outcome, &mut self.wakers);
                first += u64::from(events);
            }
        }
        state.receipts.forget_below(core.watermark());
        for chunk in self.emptied.drain(..) {
            state.give_back(chunk);
        }
        let counters = core.counters();
        state.stats.batches_sent = counters.batches;
        state.stats.batches_retried = counters.retries;
        state.stats.connects = counters.connects;
        for (index, agent) in state.stats.agents.iter_mut().enumerate() {
            agent.window = core.window(index);
            agent.window_peak = agent.window_peak.max(agent.window);
        }
        for (index, connected) in self.opened.drain(..) {
            if let Some(agent) = state.stats.agents.get_mut(index) {
                agent.connected = connected;
            }
        }
        for (index, error) in self.errors.drain(..) {
            if let Some(agent) = state.stats.agents.get_mut(index) {
                let error = Arc::new(error);
                agent.failures += 1;
                agent.last_error = Some(error.clone());
                self.last_error = Some(error);
            }
        }
    }
}
