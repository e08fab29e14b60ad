//! What becomes of attempts and connections.

use std::time::Duration;

use flume_client::delivery::{AgentId, Ending, Epoch, Input};

use super::book::News;
use super::trouble::Trouble;
use super::watch::is_rest;
use super::world::{Happening, Stage, World};
use crate::sim::options::pick;
use crate::sim::violation::{Check, ensure};

impl World {
    pub(super) fn receive_attempt(&mut self, epoch: Epoch, agent: AgentId) {
        let at = self.soon();
        let ending = Ending::Broken;
        match self.trouble(agent) {
            Some(Trouble::Down) => {
                self.schedule(at, Happening::Ended { epoch, ending });
            }
            Some(Trouble::Mute) if self.rng.bool() => {}
            _ => {
                self.schedule(at, Happening::Connected { epoch });
            }
        }
    }

    pub(super) fn on_connected(&mut self, epoch: Epoch) -> Check {
        let Some(connection) = self.connections.get(&epoch).copied() else {
            return Ok(());
        };
        self.trace.note(self.now, "connected {}", [epoch]);
        self.set_stage(epoch, Stage::Greeting);
        let at = self.soon();
        let ended = |ending| Happening::Ended { epoch, ending };
        let speaks = self.agents[connection.agent.index()].speaks;
        let trouble = self.trouble(connection.agent);
        let is_struck = !self.is_healed && self.rng.f64() < self.plan.attempt_faults;
        let greeted = match trouble {
            Some(Trouble::Mute) => None,
            Some(Trouble::Foreign) => Some(ended(Ending::Foreign)),
            Some(Trouble::Misspeaks) => Some(ended(Ending::Misspoken)),
            Some(Trouble::Down) => Some(ended(Ending::Broken)),
            _ if is_struck => pick(
                &mut self.rng,
                &[
                    None,
                    Some(ended(Ending::Broken)),
                    Some(ended(Ending::Misspoken)),
                    Some(ended(Ending::Foreign)),
                ],
            ),
            _ if connection.dialect != speaks => Some(ended(Ending::Misspoken)),
            _ => Some(Happening::Opened { epoch }),
        };
        if let Some(greeted) = greeted {
            self.schedule(at, greeted);
        }
        self.step(Input::Connected { epoch }, News::Nothing)
    }

    pub(super) fn on_opened(&mut self, epoch: Epoch) -> Check {
        let Some(connection) = self.connections.get(&epoch).copied() else {
            return Ok(());
        };
        self.trace.note(self.now, "opened {}", [epoch]);
        self.set_stage(epoch, Stage::Open);
        self.watches[connection.agent.index()].on_opened();
        self.step(Input::Opened { epoch }, News::Nothing)
    }

    /// A connection or an attempt ends. Of its calls the last ones may not have been begun.
    pub(super) fn on_ended(&mut self, epoch: Epoch, ending: Ending) -> Check {
        let Some(connection) = self.connections.remove(&epoch) else {
            return Ok(());
        };
        self.trace.note(self.now, "ended {}", [epoch]);
        let keys = self.calls_of(epoch);
        let last_begun = keys.iter().rposition(|key| self.calls[key].is_begun);
        let least = last_begun.map_or(0, |index| index + 1);
        let sent = self.rng.usize(least..=keys.len());
        for (index, key) in keys.iter().enumerate() {
            if index < sent && self.rng.bool() {
                self.store(*key)?;
            }
            self.give_up(*key, index < sent);
        }
        let unsent_from = keys.get(sent).map(|key| key.1);
        let agent = connection.agent;
        let is_last = !self.has_open(agent);
        let now = self.now;
        let before = self.core.state_of(agent, Duration::from_nanos(now));
        let watch = &mut self.watches[agent.index()];
        let mut goes_on = false;
        match ending {
            _ if connection.stage == Stage::Draining => {}
            Ending::Misspoken if watch.on_misspoken(now) => goes_on = !is_rest(before),
            Ending::Misspoken | Ending::Broken => watch.on_failed(now, is_last),
            Ending::Foreign => {
                watch.on_failed(now, is_last);
                watch.on_foreign(now);
            }
        }
        let input = Input::Closed {
            epoch,
            unsent_from,
            ending,
        };
        self.step(input, News::Nothing)?;
        let after = self.core.state_of(agent, Duration::from_nanos(now));
        ensure(!goes_on || !is_rest(after), "rest between dialects", || {
            format!("{agent:?}")
        })
    }
}
