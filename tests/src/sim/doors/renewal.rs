//! Connections that others take the place of: they are old, or what they are made with has changed.
//!
//! None is cut for it, and none is renewed without a reason. One that is to be renewed gives way to the
//! next one that opens, as soon as its agent works and may be connected to, and ends with its last call.

use std::time::Duration;

use flume_client::delivery::{AgentId, AgentSet, AgentState, Epoch, Input};

use super::book::News;
use super::world::{Connection, Stage, World};
use crate::sim::time::{Nanos, SECOND};
use crate::sim::violation::{Check, ensure};

/// From this age on another connection may take its place: ten minutes less a fifth.
const AGED_MIN: Nanos = 480 * SECOND;

impl World {
    /// What connections to some of the agents are made with has changed.
    pub(super) fn renew(&mut self) -> Check {
        let numbers = 0..self.agents.len();
        let chosen = numbers.filter(|_| self.rng.bool()).map(AgentId::new);
        let chosen: Vec<_> = chosen.collect();
        let agents = chosen.into_iter().fold(AgentSet::default(), AgentSet::with);
        self.trace.note(self.now, "renew", []);
        let now = self.now;
        let connections = self.connections.values_mut();
        let renewed = connections.filter(|it| agents.contains(it.agent));
        for connection in renewed {
            connection.renewed_at = connection.renewed_at.or(Some(now));
        }
        let before: Vec<_> = self.calls.keys().copied().collect();
        self.step(Input::Renew { agents }, News::Nothing)?;
        let are_kept = before.iter().all(|key| self.calls.contains_key(key));
        ensure(are_kept, "call ended by a renewal", || {
            format!("{before:?}")
        })
    }

    pub(super) fn drain(&mut self, epoch: Epoch) -> Check {
        self.trace.note(self.now, "drain {}", [epoch]);
        let connection = self.connections.get(&epoch).copied();
        let is_due = connection.is_some_and(|it| self.is_aged(&it));
        ensure(is_due, "renewed without a reason", || {
            format!("{epoch}: {connection:?}")
        })?;
        self.set_stage(epoch, Stage::Draining);
        let agent = connection.map(|it| it.agent);
        let has_other = agent.is_some_and(|agent| self.has_open(agent));
        ensure(has_other, "nothing took its place", || format!("{epoch}"))
    }

    /// The client closes a connection for its age.
    pub(super) fn check_aged(&self, epoch: Epoch, connection: &Connection) -> Check {
        let is_due = connection.stage == Stage::Draining || self.is_aged(connection);
        ensure(is_due, "renewed without a reason", || {
            format!("{epoch}: {connection:?}")
        })
    }

    fn is_aged(&self, connection: &Connection) -> bool {
        let is_old = connection.opened_at + AGED_MIN <= self.now;
        connection.stage == Stage::Open && (is_old || connection.renewed_at.is_some())
    }

    /// Before each step, and after it: the end of a rest comes between two of them.
    pub(super) fn watch_states(&mut self) {
        for (agent, watch) in self.watches.iter_mut().enumerate() {
            let now = Duration::from_nanos(self.now);
            let state = self.core.state_of(AgentId::new(agent), now);
            watch.on_state(self.now, state == AgentState::Ready);
        }
    }

    /// After each step.
    pub(super) fn check_renewed(&self) -> Check {
        let waits = self
            .books
            .iter()
            .any(|book| book.waiting().next().is_some());
        for (epoch, connection) in &self.connections {
            let told = || format!("{epoch}: {connection:?} at {}", self.now);
            let has_calls = !self.calls_of(*epoch).is_empty();
            let drains = connection.stage == Stage::Draining;
            ensure(has_calls || !drains, "drained connection kept", told)?;
            let Some(renewed_at) = connection.renewed_at else {
                continue;
            };
            let is_open = connection.stage == Stage::Open;
            let is_needless = is_open && !has_calls && !waits;
            ensure(!is_needless, "renewal of an idle connection", told)?;
            let agent = connection.agent;
            let now = Duration::from_nanos(self.now);
            if self.core.state_of(agent, now) != AgentState::Ready {
                continue;
            }
            let ready_since = self.watches[agent.index()].ready_since();
            let is_tried = self.has_attempt(agent) || self.now <= ready_since;
            ensure(is_tried || !is_open || !waits, "renewal forgotten", told)?;
            let latest = renewed_at.max(ready_since) + self.renewal_max();
            ensure(self.now <= latest, "renewal takes too long", told)?;
        }
        Ok(())
    }

    fn has_attempt(&self, agent: AgentId) -> bool {
        let mut connections = self.connections.values();
        connections.any(|it| {
            let is_attempt = matches!(it.stage, Stage::Connecting | Stage::Greeting);
            it.agent == agent && is_attempt
        })
    }

    /// The longest that a renewal takes while all attempts succeed: what is under way is answered, as
    /// nothing waits; then each connection before it and this one are renewed, after an attempt that
    /// began too early; and at last its own calls are answered.
    fn renewal_max(&self) -> Nanos {
        let settings = &self.plan.settings;
        let attempt = settings.connect_timeout + settings.greeting_timeout;
        let longest = 2 * settings.request_timeout + (settings.connections + 1) * attempt;
        longest.as_nanos() as u64
    }
}
