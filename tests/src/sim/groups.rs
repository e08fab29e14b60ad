//! The groups that agents stand in: who comes before whom, and who may take a batch.

use flume_client::delivery::Batch;

use super::violation::{Check, ensure};
use super::world::World;

impl World {
    /// The group of an agent.
    pub(super) fn group(&self, agent: usize) -> u32 {
        self.scenario.settings.agents[agent].group
    }

    /// The agents of each group, the most preferred first.
    pub(super) fn groups(&self) -> Vec<Vec<usize>> {
        let agents: Vec<usize> = (0..self.agents.len()).collect();
        let groups = agents.chunk_by(|one, other| self.group(*one) == self.group(*other));
        groups.map(<[usize]>::to_vec).collect()
    }

    /// The agents that come before this one: those of the groups before its own.
    pub(super) fn preferred(&self, agent: usize) -> impl Iterator<Item = usize> {
        (0..agent).filter(move |it| self.group(*it) < self.group(agent))
    }

    fn of_group(&self, agent: usize) -> impl Iterator<Item = usize> {
        (0..self.agents.len()).filter(move |it| self.group(*it) == self.group(agent))
    }

    /// Whether a connection to an agent of this one's group has nothing under way.
    pub(super) fn is_any_idle(&self, agent: usize) -> bool {
        let mut open = self.of_group(agent).flat_map(|agent| self.open(agent));
        open.any(|epoch| self.connections[&epoch].calls.is_empty())
    }

    /// A batch goes to an agent: it is its turn, and the batch was not there last, if it could go
    /// elsewhere.
    pub(super) fn check_shares(&mut self, agent: usize, batch: &Batch) -> Check {
        let is_free = |it: &usize| self.is_open(*it) && !self.is_full(*it);
        let is_rested = |it: &usize| self.pace.is_rested(*it, self.now);
        if self.shares.tried(batch) == Some(agent) {
            let others = (0..self.agents.len()).filter(|it| *it != agent);
            let mut others = others.filter(|it| is_free(it) && is_rested(it));
            let other = others.next();
            ensure(other.is_none(), "sent there again", || {
                format!("{batch:?} to agent {agent}, and {other:?} has room")
            })?;
        }
        let free: Vec<usize> = self.of_group(agent).filter(is_free).collect();
        let is_certain = free.iter().all(is_rested) && self.shares.tried(batch).is_none();
        self.shares.on_sent(agent, is_certain.then_some(free))
    }
}
