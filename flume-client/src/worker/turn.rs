//! [`Turn`]: what the worker has to tell callers, told under one lock.

use std::sync::Arc;
use std::task::Waker;

use super::asked::Request;
use super::lane::Lane;
use crate::chunk::Chunk;
use crate::delivery::{Counters, Loss, Outcome};
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
    /// Of lanes that have ended.
    ended: Counters,
    /// To be woken when the lock is released.
    pub(super) wakers: Vec<Waker>,
}

impl Turn {
    /// Brings the callers' view up to date.
    pub(super) fn settle(
        &mut self,
        own: &mut Lane,
        mut adopted: Option<&mut Lane>,
        state: &mut IntakeState,
    ) {
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
        if let Some(adopted) = &mut adopted {
            for (_, events, _, outcome) in adopted.news.retired.drain(..) {
                state.retire_adopted(events.into(), outcome);
            }
            for (first, end) in adopted.news.lost.drain(..) {
                state.retire_adopted(end - first, Outcome::Lost(Loss::Corrupt));
            }
        }
        let agents = &mut state.stats.agents;
        for agent in agents.iter_mut() {
            (agent.window, agent.connected) = (0, false);
        }
        let mut sums = self.ended;
        for lane in [Some(own), adopted].into_iter().flatten() {
            self.settle_lane(lane, state);
            add(&mut sums, &lane.core.counters());
        }
        state.stats.batches_sent = sums.batches;
        state.stats.batches_retried = sums.retries;
        state.stats.connects = sums.connects;
    }

    /// What is the same for all lanes.
    fn settle_lane(&mut self, lane: &mut Lane, state: &mut IntakeState) {
        for chunk in lane.news.emptied.drain(..) {
            state.give_back(chunk);
        }
        for (index, agent) in state.stats.agents.iter_mut().enumerate() {
            agent.window = agent.window.max(lane.core.window(index));
            agent.window_peak = agent.window_peak.max(agent.window);
            agent.connected |= lane.is_connected(index);
        }
        for (index, error) in lane.news.errors.drain(..) {
            if let Some(agent) = state.stats.agents.get_mut(index) {
                let error = Arc::new(error);
                agent.failures += 1;
                agent.last_error = Some(error.clone());
                self.last_error = Some(error);
            }
        }
    }

    /// Keeps what a lane that ends has counted.
    pub(super) fn keep_counters(&mut self, lane: &Lane) {
        add(&mut self.ended, &lane.core.counters());
    }
}

/// Adds the counters that are shown as sums over all lanes.
fn add(sums: &mut Counters, more: &Counters) {
    sums.batches += more.batches;
    sums.retries += more.retries;
    sums.connects += more.connects;
}
