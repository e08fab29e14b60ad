//! [`Updates`]: what the sender has to tell callers, told under one lock.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::backlog::Backlog;
use super::route::Route;
use crate::delivery::{AgentId, Counters, Loss, Outcome};
use crate::error::AgentError;
use crate::queue::{Chunk, IntakeState, Request};
use crate::reliability::{PerLevel, Reliability};
use crate::stats::Passed;
use crate::transport::Network;

/// What one turn collects. Kept from turn to turn for its buffers.
#[derive(Default)]
pub(super) struct Updates {
    /// What came in.
    pub(super) chunks: PerLevel<Vec<Chunk>>,
    pub(super) requests: Vec<Request>,
    /// The latest trouble with any agent.
    pub(super) last_error: Option<Arc<AgentError>>,
    /// Of lanes that have ended.
    ended: Counters,
    /// To be woken when the lock is released.
    pub(super) wakers: Vec<Waker>,
}

impl Updates {
    /// Brings the callers' view up to date.
    pub(super) fn settle<N: Network>(
        &mut self,
        own: &mut Route<N>,
        mut adopted: Option<&mut Route<N>>,
        state: &mut IntakeState,
        now: Instant,
    ) {
        let errors = take_errors([Some(&mut *own), adopted.as_deref_mut()]);
        // Before the receipts that it is the cause of are resolved.
        if let Some((_, error)) = errors.last() {
            self.set_last_error(Some(error.clone()), state);
        }
        let has_errors = !errors.is_empty();
        for level in Reliability::ALL {
            self.settle_level(level, own, has_errors, state, now);
        }
        if let Some(adopted) = &mut adopted {
            let adopted = &mut adopted.dispatch.lanes[Reliability::EndToEnd];
            if let Some(backlog) = &mut adopted.backlog {
                state.recount_adopted(backlog.take_miscounted());
            }
            for (range, _, outcome) in adopted.retired.drain(..) {
                state.retire_adopted(range.len(), outcome, now);
            }
            for (_, events) in adopted.lost.drain(..) {
                state.retire_adopted(events, Outcome::Lost(Loss::Corrupt), now);
            }
        }
        tell_unreadable([Some(&*own), adopted.as_deref()], state);
        let agents = &mut state.stats.agents;
        for (index, agent) in agents.iter_mut().enumerate() {
            agent.state = own.dispatch.state_of(AgentId::new(index), now);
            (agent.window, agent.connections, agent.in_flight) = (0, 0, 0);
        }
        let mut sums = self.ended;
        for route in [Some(own), adopted].into_iter().flatten() {
            self.settle_route(route, state);
            add(&mut sums, &route.dispatch.core.counters());
        }
        state.stats.batches_sent = sums.batches;
        state.stats.batches_retried = sums.retries;
        state.stats.connects = sums.connects;
        for (agent, error) in errors {
            state.on_failure(agent, error, now);
        }
    }

    /// The same of the client's own events of a level.
    fn settle_level<N: Network>(
        &mut self,
        level: Reliability,
        own: &mut Route<N>,
        has_errors: bool,
        state: &mut IntakeState,
        now: Instant,
    ) {
        let (core, lane) = (&own.dispatch.core, &mut own.dispatch.lanes[level]);
        let mut done_upto = core.watermark(level);
        if let Some(backlog) = &mut lane.backlog {
            state.lanes[level].counts.recount(backlog.take_miscounted());
            // Those of earlier runs have no receipts.
            done_upto = core.done_from(level, backlog.run());
        }
        for (range, bytes, outcome) in lane.retired.drain(..) {
            let is_good = !has_errors && matches!(outcome, Outcome::Delivered { .. });
            if is_good && self.last_error.is_some() {
                self.set_last_error(None, state);
            }
            state.retire(level, range, bytes, outcome, now, &mut self.wakers);
        }
        for (range, events) in lane.lost.drain(..) {
            state.lose(level, range, events, now, &mut self.wakers);
        }
        // What cannot be read waits for no agent.
        let spool = state.stats.spool.as_ref();
        let is_all_readable = spool.is_none_or(|spool| {
            let mut files = spool.unreadable.iter();
            files.all(|it| it.passed == Passed::Left)
        });
        let tried_upto = match is_all_readable {
            true => core.watermark(level),
            false => done_upto,
        };
        let told = &mut state.lanes[level];
        told.receipts.forget_below(done_upto);
        told.ages.done_below(tried_upto, now);
        state.sent(level, lane.sent_upto);
    }

    /// What is the same for the client's own events and for others'.
    fn settle_route<N: Network>(&mut self, route: &mut Route<N>, state: &mut IntakeState) {
        for chunk in route.dispatch.news.emptied.drain(..) {
            state.give_back(chunk);
        }
        for (index, agent) in state.stats.agents.iter_mut().enumerate() {
            let id = AgentId::new(index);
            agent.window = agent.window.max(route.dispatch.core.window(id));
            agent.window_peak = agent.window_peak.max(agent.window);
            let in_use = route.in_use(id);
            agent.connections += in_use.connections;
            agent.in_flight += in_use.in_flight;
            agent.connected = agent.connections > 0;
        }
        for (agent, took) in route.round_trips.drain(..) {
            if let Some(agent) = state.stats.agents.get_mut(agent.index()) {
                agent.on_answer(took);
            }
        }
        for (agent, error) in route.dispatch.news.quiet_ends.drain(..) {
            state.on_quiet_end(agent, Arc::new(error));
        }
    }

    fn set_last_error(&mut self, error: Option<Arc<AgentError>>, state: &IntakeState) {
        for (_, lane) in state.lanes.iter() {
            lane.receipts.set_last_error(error.clone());
        }
        self.last_error = error;
    }

    /// Keeps what a lane that ends has counted.
    pub(super) fn keep_counters<N: Network>(&mut self, route: &Route<N>) {
        add(&mut self.ended, &route.dispatch.core.counters());
    }
}

/// What agents did wrong, on any lane.
fn take_errors<N: Network>(routes: [Option<&mut Route<N>>; 2]) -> Vec<(AgentId, Arc<AgentError>)> {
    let routes = routes.into_iter().flatten();
    let errors = routes.flat_map(|route| route.dispatch.news.errors.drain(..));
    errors
        .map(|(agent, error)| (agent, Arc::new(error)))
        .collect()
}

/// Says what of the lanes' spools cannot be read, if that has changed.
fn tell_unreadable<N: Network>(routes: [Option<&Route<N>>; 2], state: &mut IntakeState) {
    let routes = routes.into_iter().flatten();
    let backlogs = routes.flat_map(|route| route.dispatch.backlogs());
    state.tell_unreadable(backlogs.map(Backlog::unreadable));
}

/// Adds the counters that are shown as sums over all lanes.
fn add(sums: &mut Counters, more: &Counters) {
    sums.batches += more.batches;
    sums.retries += more.retries;
    sums.connects += more.connects;
}
