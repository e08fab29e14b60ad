//! [`Turn`]: what the worker has to tell callers, told under one lock.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::asked::Request;
use super::feed::Feed;
use super::lane::Lane;
use crate::chunk::Chunk;
use crate::delivery::{AgentIndex, Counters, Loss, Outcome};
use crate::error::AgentError;
use crate::intake::IntakeState;
use crate::stats::Passed;

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
        let now = Instant::now();
        let errors = take_errors([Some(&mut *own), adopted.as_deref_mut()]);
        // Before the receipts that it is the cause of are resolved.
        if let Some((_, error)) = errors.last() {
            self.set_last_error(Some(error.clone()), state);
        }
        let mut done_upto = own.core.watermark();
        if let Some(feed) = &mut own.feed {
            state.stats.recount(feed.take_miscounted());
            // Those of earlier runs have no receipts.
            done_upto = own.core.done_from(feed.run());
        }
        for (first, events, bytes, outcome) in own.news.retired.drain(..) {
            let is_good = errors.is_empty() && matches!(outcome, Outcome::Delivered { .. });
            if is_good && self.last_error.is_some() {
                self.set_last_error(None, state);
            }
            state.retire(first, events, bytes, outcome, &mut self.wakers);
        }
        for (first, end, events) in own.news.lost.drain(..) {
            state.lose(first, end, events, &mut self.wakers);
        }
        state.receipts.forget_below(done_upto);
        // What cannot be read waits for no agent.
        let spool = state.stats.spool.as_ref();
        let is_all_readable = spool.is_none_or(|spool| {
            let mut files = spool.unreadable.iter();
            files.all(|it| it.passed == Passed::Left)
        });
        let tried_upto = match is_all_readable {
            true => own.core.watermark(),
            false => done_upto,
        };
        state.times.done_below(tried_upto, now);
        state.sent(own.news.sent_upto);
        if let Some(adopted) = &mut adopted {
            if let Some(feed) = &mut adopted.feed {
                state.stats.recount_adopted(feed.take_miscounted());
            }
            for (_, events, _, outcome) in adopted.news.retired.drain(..) {
                state.retire_adopted(events.into(), outcome);
            }
            for (_, _, events) in adopted.news.lost.drain(..) {
                state.retire_adopted(events, Outcome::Lost(Loss::Corrupt));
            }
        }
        tell_unreadable([Some(&*own), adopted.as_deref()], state);
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
        for (agent, error) in errors {
            state.on_failure(agent, error, now);
        }
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
        for (agent, error) in lane.news.quiet_ends.drain(..) {
            state.on_quiet_end(agent, Arc::new(error));
        }
    }

    fn set_last_error(&mut self, error: Option<Arc<AgentError>>, state: &IntakeState) {
        state.receipts.set_last_error(error.clone());
        self.last_error = error;
    }

    /// Keeps what a lane that ends has counted.
    pub(super) fn keep_counters(&mut self, lane: &Lane) {
        add(&mut self.ended, &lane.core.counters());
    }
}

/// What agents did wrong, on any lane.
fn take_errors(lanes: [Option<&mut Lane>; 2]) -> Vec<(AgentIndex, Arc<AgentError>)> {
    let lanes = lanes.into_iter().flatten();
    let errors = lanes.flat_map(|lane| lane.news.errors.drain(..));
    errors
        .map(|(agent, error)| (agent, Arc::new(error)))
        .collect()
}

/// Says what of the lanes' spools cannot be read, if that has changed.
fn tell_unreadable(lanes: [Option<&Lane>; 2], state: &mut IntakeState) {
    let feeds = lanes.into_iter().flatten().flat_map(|lane| &lane.feed);
    state.tell_unreadable(feeds.map(Feed::unreadable));
}

/// Adds the counters that are shown as sums over all lanes.
fn add(sums: &mut Counters, more: &Counters) {
    sums.batches += more.batches;
    sums.retries += more.retries;
    sums.connects += more.connects;
}
