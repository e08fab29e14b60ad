//! How long connections live: promises about idle ones and old ones.

use flume_client::delivery::{Epoch, Input};

use super::options::LEVELS;
use super::time::{Nanos, SECOND};
use super::violation::{Check, ensure};
use super::world::{Connection, Stage, World};

/// A connection without calls is closed after so long, if nothing waits.
const IDLE_MAX: Nanos = 60 * SECOND;
/// From this age on another connection may take its place: ten minutes less a fifth.
const AGED_MIN: Nanos = 480 * SECOND;
/// From this age on one must.
const AGED_MAX: Nanos = 720 * SECOND;

impl World {
    /// A connection gets no more calls, as another one took its place.
    pub(super) fn drain(&mut self, epoch: Epoch) -> Check {
        self.trace.note(self.now, "  drain epoch {}", [epoch]);
        let connection = &self.connections[&epoch];
        let mut others = self.open(connection.agent).filter(|other| *other != epoch);
        let is_due = connection.forgotten.is_none() && self.is_aged(connection);
        ensure(is_due && others.next().is_some(), "drained", || {
            format!("{connection:?}")
        })?;
        drop(others);
        if let Some(connection) = self.connections.get_mut(&epoch) {
            connection.drains = true;
        }
        self.strike_drained(epoch);
        Ok(())
    }

    /// The client's machine wakes: it gives up all connections, of which some are gone without a word.
    pub(super) fn wake(&mut self) -> Check {
        let held = self.pace.agents.iter().flat_map(|held| held.epochs.clone());
        let held: Vec<Epoch> = held.collect();
        for epoch in &held {
            let is_lost = self.rng.bool();
            if let Some(connection) = self.connections.get_mut(epoch) {
                connection.lost |= is_lost;
            }
        }
        self.pace.on_woke(self.now);
        self.is_waking = true;
        self.step(Input::Woke)?;
        self.is_waking = false;
        let mut kept = held
            .iter()
            .filter(|epoch| self.connections[epoch].forgotten.is_none());
        ensure(kept.next().is_none(), "kept over a suspension", || {
            format!("{held:?}")
        })
    }

    fn is_aged(&self, connection: &Connection) -> bool {
        connection.stage == Stage::Open && connection.stage_since + AGED_MIN <= self.now
    }

    fn does_nothing_wait(&self) -> bool {
        LEVELS
            .iter()
            .all(|level| self.books.of(*level).waiting() == 0)
    }

    /// Whether by then nothing waits and nothing was sent on a connection for long.
    pub(super) fn is_idle(&self, epoch: Epoch, at: Nanos) -> bool {
        let connection = &self.connections[&epoch];
        let is_idle = connection.stage == Stage::Open && connection.calls.is_empty();
        is_idle && connection.idle_since + IDLE_MAX <= at && self.does_nothing_wait()
    }

    /// Whether a connection may be closed for its age.
    pub(super) fn is_outlived(&self, epoch: Epoch) -> bool {
        let connection = &self.connections[&epoch];
        let is_replaced = connection.drains || self.does_nothing_wait();
        connection.calls.is_empty() && is_replaced && self.is_aged(connection)
    }

    /// No connection is idle for too long by then.
    pub(super) fn check_idle(&self, at: Nanos) -> Check {
        let mut held = self.pace.agents.iter().flat_map(|held| &held.epochs);
        let idle = held.find(|epoch| self.is_idle(**epoch, at));
        ensure(idle.is_none(), "idle connection", || {
            format!("epoch {idle:?} is kept")
        })
    }

    /// No connection that drains is kept without calls.
    pub(super) fn check_drained(&self) -> Check {
        let mut held = self.pace.agents.iter().flat_map(|held| &held.epochs);
        let over = held.find(|epoch| {
            let connection = &self.connections[epoch];
            connection.drains && connection.calls.is_empty()
        });
        ensure(over.is_none(), "drained connection", || {
            format!("epoch {over:?} is kept")
        })
    }

    /// A call goes to a connection: it is not so old that another one must be under way.
    pub(super) fn check_age(&self, epoch: Epoch) -> Check {
        let connection = &self.connections[&epoch];
        let standing = &self.pace.agents[connection.agent];
        let mut held = standing.epochs.iter();
        let is_renewed = held.any(|it| self.connections[it].stage != Stage::Open);
        let has_to_wait = standing.failures > 0 || standing.further_max > self.now;
        let is_young = self.now < connection.stage_since + AGED_MAX;
        ensure(
            is_young || is_renewed || has_to_wait,
            "old connection",
            || format!("epoch {epoch} since {}", connection.stage_since),
        )
    }

    /// The open connections to an agent that may be old.
    pub(super) fn aged(&self, agent: usize) -> Vec<Epoch> {
        let open = self.open(agent);
        open.filter(|epoch| self.is_aged(&self.connections[epoch]))
            .collect()
    }

    /// A connection opens. Says which ones are open of those of which it is to take the place of one,
    /// if all are, so that the old one is among them.
    pub(super) fn must_drain(&self, epoch: Epoch) -> Vec<Epoch> {
        let connection = &self.connections[&epoch];
        let open: Vec<Epoch> = self.open(connection.agent).collect();
        let mut replaces = connection.replaces.clone();
        if !replaces.iter().all(|epoch| open.contains(epoch)) {
            replaces.clear();
        }
        replaces
    }

    /// One of them drains now, or has ended.
    pub(super) fn check_replaced(&self, drains: &[Epoch]) -> Check {
        let is_kept = |epoch: &Epoch| {
            let connection = &self.connections[epoch];
            !connection.drains && connection.forgotten.is_none()
        };
        let are_kept = !drains.is_empty() && drains.iter().all(is_kept);
        ensure(!are_kept, "old connection beside a new one", || {
            format!("epochs {drains:?}")
        })
    }

    /// Whether an agent has no connection that could be used, now or when it opens.
    pub(super) fn is_unconnected(&self, agent: usize) -> bool {
        let mut held = self.pace.agents[agent].epochs.iter();
        held.all(|epoch| self.connections[epoch].drains)
    }

    /// Whether an agent's connections all stand, and one of them may be old.
    pub(super) fn may_be_renewed(&self, agent: usize) -> bool {
        let held = self.pace.agents[agent].epochs.iter();
        let mut opening = held.filter(|epoch| self.connections[epoch].stage != Stage::Open);
        let mut open = self.open(agent);
        opening.next().is_none() && open.any(|epoch| self.is_aged(&self.connections[&epoch]))
    }
}
