//! What the application does, and the faults that last.

use flume_client::Reliability;
use flume_client::delivery::{Ending, Input};
use flume_client::seq::Seq;

use super::book::{Event, News};
use super::trouble::Trouble;
use super::world::{Happening, World};
use crate::sim::options::pick;
use crate::sim::time::{MINUTE, MS, log_uniform};
use crate::sim::violation::{Check, ensure};

impl World {
    pub(super) fn on_load(&mut self) -> Check {
        let next = self.now + 1 + self.rng.u64(0..=2 * self.plan.load_gap);
        if next < self.plan.heal_at {
            self.schedule(next, Happening::Load);
        }
        let level = pick(&mut self.rng, &self.plan.levels);
        match self.rng.u32(0..40) {
            0 => self.step(Input::Flush, News::Nothing),
            1 => {
                let upto = self.next_number(level).plus(self.rng.u64(0..3));
                self.step(Input::Await { level, upto }, News::Nothing)
            }
            2 => {
                let numbers = self.rng.usize(0..4);
                let book = self.book(level);
                (0..numbers).for_each(|_| book.append(Event::nobody()));
                let next = self.next_number(level);
                self.step(Input::Skip { level, next }, News::Nothing)
            }
            3 => self.shed(level),
            4 => self.wake(),
            5 | 6 => self.renew(),
            _ => {
                let most = pick(&mut self.rng, &[1, 3, 20]);
                let events = self.rng.usize(1..=most);
                self.append(level, events)
            }
        }
    }

    fn next_number(&mut self, level: Reliability) -> Seq {
        Seq::new(self.book(level).events.len() as u64)
    }

    fn append(&mut self, level: Reliability, events: usize) -> Check {
        self.trace.note(self.now, "append {}", [events as u64]);
        let most = self.plan.settings.batch_bytes_max;
        let mut ends = Vec::new();
        let mut end = 0;
        for _ in 0..events {
            let bytes = match self.rng.u32(0..10) {
                0 => self.rng.u32(1..=2 * most),
                _ => self.rng.u32(1..=most / 4),
            };
            end += bytes;
            ends.push(end);
            let number = self.next_number(level).number();
            let unfit = self.plan.unfit(level, number);
            self.book(level).append(Event::new(bytes, unfit));
        }
        let ends = &ends;
        self.step(Input::Append { level, ends }, News::Nothing)
    }

    /// The oldest go, as many as it takes and no more.
    fn shed(&mut self, level: Reliability) -> Check {
        let bytes = self
            .rng
            .u64(1..=2 * u64::from(self.plan.settings.batch_bytes_max));
        let bytes = pick(&mut self.rng, &[bytes, bytes, u64::MAX]);
        self.trace.note(self.now, "shed {}", [bytes]);
        let before: Vec<_> = self.book(level).waiting().collect();
        let input = Input::Shed { level, bytes };
        // What goes after it is sent in the same step, so what is gone is told by what is retired.
        let lost = |world: &Self| world.core.counters_of(level).lost.total();
        let lost_before = lost(self);
        self.step(input, News::Shed(level))?;
        let gone = (lost(self) - lost_before) as usize;
        let gone_bytes: u64 = before
            .iter()
            .take(gone)
            .map(|(_, bytes)| u64::from(*bytes))
            .sum();
        let is_enough = gone_bytes >= bytes || gone == before.len();
        ensure(is_enough, "shed too little", || {
            format!("{gone_bytes} of {bytes}, {gone} of {} events", before.len())
        })
    }

    fn wake(&mut self) -> Check {
        self.trace.note(self.now, "woke", []);
        let now = self.now;
        self.watches.iter_mut().for_each(|watch| watch.on_woke(now));
        self.step(Input::Woke, News::Nothing)
    }

    pub(super) fn on_fault(&mut self) -> Check {
        let next = self.now + 1 + self.rng.u64(0..=2 * self.plan.fault_gap);
        if self.is_healed {
            return Ok(());
        }
        self.schedule(next, Happening::Fault);
        let agent = self.rng.usize(0..self.agents.len());
        if self.rng.u32(0..4) == 0 {
            return self.restart(agent);
        }
        let trouble = pick(&mut self.rng, &Trouble::ALL);
        let until = self.now + log_uniform(&mut self.rng, 100 * MS, 5 * MINUTE);
        self.trace.note(self.now, "trouble of {}", [agent as u64]);
        self.agents[agent].trouble = Some((trouble, until));
        Ok(())
    }

    /// All its connections end. It may speak another dialect then.
    fn restart(&mut self, agent: usize) -> Check {
        let dialects = self.plan.settings.agents[agent].dialects;
        self.agents[agent].speaks = self.rng.u32(0..dialects);
        let connections = self.connections.iter();
        let ended = connections.filter(|(_, it)| it.agent.index() == agent);
        let ended: Vec<_> = ended.map(|(epoch, _)| *epoch).collect();
        for epoch in ended {
            self.on_ended(epoch, Ending::Broken)?;
        }
        Ok(())
    }

    pub(super) fn on_heal(&mut self) -> Check {
        self.trace.note(self.now, "heal", []);
        self.is_healed = true;
        self.agents
            .iter_mut()
            .for_each(|agent| agent.trouble = None);
        for level in self.plan.levels.clone() {
            let events = self.rng.usize(1..20);
            self.append(level, events)?;
        }
        Ok(())
    }
}
