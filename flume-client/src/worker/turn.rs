//! [`Turn`]: what the worker has to tell callers, told under one lock.

use std::sync::Arc;
use std::task::Waker;

use super::asked::Request;
use super::lane::Lane;
use crate::chunk::Chunk;
use crate::delivery::{Loss, Outcome};
use crate::error::AgentError;
use crate::intake::IntakeState;

/// What one turn collects. Kept from turn to turn for its buffers.
#[derive(Default)]
pub(super) struct Turn {
    /// What came in.
    pub(super) chunks: Vec<Chunk>,
    pub(super) requests: Vec<Request>,
    /// The latest trouble with any agent.
    pub(super) last_error: Option<Arc<AgentError>>,
    /// To be woken when the lock is released.
    pub(super) wakers: Vec<Waker>,
}

impl Turn {
    /// Brings the callers' view up to date.
    pub(super) fn settle(&mut self, own: &mut Lane, state: &mut IntakeState) {
        for (first, events, bytes, outcome) in own.news.retired.drain(..) {
            state.retire(first, events, bytes, outcome, &mut self.wakers);
        }
        for (first, end) in own.news.lost.drain(..) {
            let mut first = first;
            while first < end {
                let events = u32::try_from(end - first).unwrap_or(u32::MAX);
                let outcome = Outcome::Lost(Loss::Corrupt);
                state.retire(first, events, 0, outcome, &mut self.wakers);
                first += u64::from(events);
            }
        }
        state.receipts.forget_below(own.core.watermark());
        for chunk in own.news.emptied.drain(..) {
            state.give_back(chunk);
        }
        let counters = own.core.counters();
        state.stats.batches_sent = counters.batches;
        state.stats.batches_retried = counters.retries;
        state.stats.connects = counters.connects;
        for (index, agent) in state.stats.agents.iter_mut().enumerate() {
            agent.window = own.core.window(index);
            agent.window_peak = agent.window_peak.max(agent.window);
            agent.connected = own.is_connected(index);
        }
        for (index, error) in own.news.errors.drain(..) {
            if let Some(agent) = state.stats.agents.get_mut(index) {
                let error = Arc::new(error);
                agent.failures += 1;
                agent.last_error = Some(error.clone());
                self.last_error = Some(error);
            }
        }
    }
}
