//! What the agents of a group owe each other: each gets its share of the batches, and a batch that one
//! did not acknowledge goes to another one first.

use std::collections::BTreeMap;

use flume_client::delivery::{Batch, Rank, Selection};
use flume_client::seq::Seq;

use super::book::Events;
use super::violation::{Check, ensure};

/// Batches that went to the agents of a group, while the same ones could take them.
#[derive(Debug, Default)]
struct Stretch {
    /// Who could.
    free: Vec<usize>,
    batches: BTreeMap<usize, u64>,
}

#[derive(Debug)]
pub(super) struct Shares {
    selection: Selection,
    ranks: Vec<Rank>,
    /// By group.
    stretches: BTreeMap<u32, Stretch>,
    /// The agent that did not acknowledge the batch that begins with an event, by level.
    tried: BTreeMap<(usize, Seq), usize>,
}

/// In failover each agent is alone in its group, so there is nothing to be shared.
impl Shares {
    pub(super) fn new(ranks: &[Rank], selection: Selection) -> Self {
        Self {
            selection,
            ranks: ranks.to_vec(),
            stretches: BTreeMap::new(),
            tried: BTreeMap::new(),
        }
    }

    /// A batch ended at an agent without an acknowledgement, and was perhaps written.
    pub(super) fn on_failed(&mut self, agent: usize, events: Events) {
        let key = (events.level as usize, events.range.first);
        self.tried.insert(key, agent);
    }

    /// The agent that had the batch before, in vain.
    pub(super) fn tried(&self, batch: &Batch) -> Option<usize> {
        let key = (batch.level as usize, batch.first);
        self.tried.get(&key).copied()
    }

    /// A batch goes to an agent. Of its group these could take it, or `None`: that cannot be told for
    /// certain.
    pub(super) fn on_sent(&mut self, agent: usize, free: Option<Vec<usize>>) -> Check {
        let group = self.ranks[agent].group;
        let stretch = self.stretches.entry(group).or_default();
        let Some(free) = free else {
            *stretch = Stretch::default();
            return Ok(());
        };
        if stretch.free != free {
            *stretch = Stretch {
                free,
                batches: BTreeMap::new(),
            };
        }
        *stretch.batches.entry(agent).or_default() += 1;
        let all: u64 = stretch.batches.values().sum();
        let weight = |agent: &usize| f64::from(self.ranks[*agent].weight);
        let total: f64 = stretch.free.iter().map(weight).sum();
        let heaviest = self.ranks.iter().map(|rank| rank.weight).max();
        let known = self.ranks.len() as f64 * f64::from(heaviest.unwrap_or(1));
        for agent in &stretch.free {
            let share = weight(agent) / total;
            let expected = all as f64 * share;
            let had = stretch.batches.get(agent).copied().unwrap_or_default();
            // What it was ahead or behind before, or chance: five standard deviations.
            let most = match self.selection {
                Selection::Random => 5.0 * (expected * (1.0 - share)).sqrt() + 5.0,
                _ => 2.0 * known / total + 1.0,
            };
            let differs = (had as f64 - expected).abs();
            ensure(differs <= most, "shares", || {
                format!("agent {agent} had {had} of {all} batches, its share is {share:.3}")
            })?;
        }
        Ok(())
    }
}
