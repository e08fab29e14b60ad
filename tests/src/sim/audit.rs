//! Promises that are checked after each step, and those about time from outside.

use flume_client::Reliability;
use flume_client::delivery::{AgentId, Epoch, WindowMode};

use super::options::LEVELS;
use super::time::{MS, Nanos, SECOND, log_uniform};
use super::violation::{Check, Violation, ensure};
use super::world::{Happening, Stage, World};

/// An attempt that takes longer is late.
const HEAD_START: Nanos = SECOND;

/// What waits, of a level.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Since when.
    oldest: Nanos,
    is_due: bool,
    is_awaited: bool,
    /// In order: another batch of the level is under way.
    is_taken: bool,
}

/// What the agents of earlier groups leave to be done.
#[derive(Clone, Copy, Debug)]
struct Sight {
    /// Whether a less preferred agent would be connected to.
    may_connect: bool,
    /// Whether a more preferred agent may be waited for.
    is_held_up: bool,
}

impl World {
    /// What holds after each step of the core.
    pub(super) fn check_step(&mut self) -> Check {
        for level in LEVELS {
            self.check_level(level)?;
        }
        let (counters, sum) = (self.core.counters(), self.books.counters());
        ensure(counters == sum, "counters", || {
            format!("{counters:?}, the books say {sum:?}")
        })?;
        self.check_windows()?;
        self.check_spares()?;
        self.check_drained()?;
        self.audit(self.now)
    }

    fn check_level(&self, level: Reliability) -> Check {
        let book = self.books.of(level);
        let counters = self.core.counters_of(level);
        ensure(counters == book.counters, "counters", || {
            format!("{level:?}: {counters:?}, the book says {:?}", book.counters)
        })?;
        let pending = self.core.pending(level);
        ensure(pending == book.pending(), "pending", || {
            format!("{level:?}: {pending:?}, the book says {:?}", book.pending())
        })?;
        let watermark = self.core.watermark(level);
        ensure(watermark == book.watermark(), "watermark", || {
            format!("{level:?}: {watermark}, the book says {}", book.watermark())
        })
    }

    /// After a refusal the window is halved, but only once for calls that were in flight together.
    pub(super) fn check_refused(&self, epoch: Epoch, before: u32, is_news: bool) -> Check {
        let after = self.core.window_of(epoch);
        let is_over = self.connections[&epoch].forgotten.is_some();
        if is_over || self.scenario.settings.window == WindowMode::Ordered {
            return Ok(());
        }
        if is_news {
            return ensure(
                after <= (before / 2).max(1),
                "window after a refusal",
                || format!("{after} instead of half of {before}"),
            );
        }
        ensure(after >= before, "one failure counted twice", || {
            format!("window {before}, then {after}")
        })
    }

    /// With an answer of an agent an awaited batch goes to it, if it is the one to be used and has
    /// room.
    pub(super) fn check_taken_along(&mut self, agent: usize) -> Check {
        let mut preferred = self.preferred(agent);
        let is_first = preferred.all(|preferred| !self.is_open(preferred));
        drop(preferred);
        let has_room = !self.is_full(agent);
        if !is_first || !has_room || !self.is_open(agent) || !self.pace.is_rested(agent, self.now) {
            return Ok(());
        }
        let is_ordered = self.scenario.settings.window == WindowMode::Ordered;
        for level in LEVELS {
            let book = self.books.of_mut(level);
            let is_taken = is_ordered && book.in_flight_calls > 0;
            ensure(
                is_taken || !book.is_oldest_awaited(),
                "answer alone",
                || format!("agent {agent} has room, an awaited event of {level:?} waits"),
            )?;
        }
        Ok(())
    }

    /// The happening: a look at the client from outside, without a step.
    pub(super) fn on_audit(&mut self, again: bool) -> Check {
        // Whatever was due by then had its timer fire.
        self.audit(self.now.saturating_sub(self.scenario.late_max + 1))?;
        let is_idle = self.books.pending().0 == 0;
        if let Some(healed_at) = self.healed_at
            && !is_idle
        {
            let from = healed_at
                .max(self.retired_at)
                .max(self.pace.blocked_until());
            let quiet = self.now.saturating_sub(from);
            let bound = self.drain_bound();
            ensure(quiet <= bound, "stuck", || {
                format!("nothing is retired for {quiet}, more than {bound}")
            })?;
        }
        let holds_none = self.pace.agents.iter().all(|held| held.epochs.is_empty());
        if again && is_idle && (holds_none || self.books.abandoned) {
            self.is_auditing = false;
        } else if again {
            let gap = match is_idle {
                true => 20 * SECOND,
                false => log_uniform(&mut self.rng, 20 * MS, 2 * SECOND),
            };
            self.schedule(self.now + gap, Happening::Audit { again: true });
        }
        Ok(())
    }

    /// With healthy agents and work pending, something is retired within this time: an attempt
    /// that began before may time out, and its agent may rest for the cap.
    fn drain_bound(&self) -> Nanos {
        let settings = &self.scenario.settings;
        let attempt = settings.connect_timeout + settings.greeting_timeout;
        let bound = attempt + 2 * settings.request_timeout + 2 * settings.backoff.cap;
        bound.as_nanos() as u64 + SECOND
    }

    fn check_windows(&self) -> Check {
        let max = match self.scenario.settings.window {
            WindowMode::Adaptive { max } => max,
            _ => LEVELS.len() as u32,
        };
        for epoch in &self.sent_to {
            let connection = &self.connections[epoch];
            let in_flight = connection.calls.len();
            let window = self.core.window_of(*epoch) as usize;
            ensure(in_flight <= window, "window", || {
                format!("{in_flight} calls in flight on epoch {epoch}, allowed are {window}")
            })?;
            let agent = connection.agent;
            let in_flight = self.in_flight(agent);
            ensure(in_flight <= max as usize, "window of an agent", || {
                format!("{in_flight} calls in flight to agent {agent}, allowed are {max}")
            })?;
        }
        Ok(())
    }

    /// No idle connection is kept behind a preferred agent that works.
    fn check_spares(&self) -> Check {
        let works = |agent: &usize| {
            self.is_open(*agent)
                && self.pace.is_rested(*agent, self.now)
                && self.pace.agents[*agent].failures == 0
        };
        let Some(active) = (0..self.agents.len()).find(works) else {
            return Ok(());
        };
        let group = self.group(active);
        let later = (0..self.agents.len()).filter(|agent| self.group(*agent) > group);
        for agent in later {
            let is_spare = self.is_open(agent) && self.in_flight(agent) == 0;
            ensure(!is_spare, "spare connection", || {
                format!("agent {agent} is idle behind {active}")
            })?;
        }
        Ok(())
    }

    /// What the client must have done by `at`.
    fn audit(&mut self, at: Nanos) -> Check {
        self.check_timeouts(at)?;
        self.check_idle(at)?;
        for level in self.scenario.levels.clone() {
            self.audit_level(level, at)?;
        }
        Ok(())
    }

    fn audit_level(&mut self, level: Reliability, at: Nanos) -> Check {
        let book = self.books.of_mut(level);
        let Some(oldest) = book.oldest_waiting() else {
            return Ok(());
        };
        let is_awaited = book.is_oldest_awaited();
        if oldest > at {
            return Ok(());
        }
        let settings = &self.scenario.settings;
        let is_due = oldest + settings.linger.as_nanos() as u64 <= at
            || book.waiting() >= u64::from(settings.batch_events_max);
        let is_taken = settings.window == WindowMode::Ordered && book.in_flight_calls > 0;
        let waiting = Waiting {
            oldest,
            is_due,
            is_awaited,
            is_taken,
        };
        let mut sight = Sight {
            may_connect: true,
            is_held_up: false,
        };
        for group in self.groups() {
            match self.audit_group(&group, &waiting, sight, at)? {
                Some(next) => sight = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// What the agents of a group must have done with what waits. `None`: those after them have
    /// nothing to do with it.
    fn audit_group(
        &self,
        group: &[usize],
        waiting: &Waiting,
        mut sight: Sight,
        at: Nanos,
    ) -> Result<Option<Sight>, Violation> {
        let Waiting { oldest, is_due, .. } = *waiting;
        let may_connect = sight.may_connect;
        let mut is_any_open = false;
        let mut is_any_busy = false;
        for agent in group {
            let agent = *agent;
            let is_rested = self.pace.is_rested(agent, at);
            if self.is_unconnected(agent) {
                ensure(!(is_rested && may_connect), "no attempt", || {
                    format!("agent {agent} has rested, work waits since {oldest}")
                })?;
                continue;
            }
            if !self.is_open(agent) {
                sight.may_connect &= self.attempt_began(agent) + HEAD_START <= at;
                continue;
            }
            is_any_open = true;
            if waiting.is_taken {
                continue;
            }
            let is_full = self.is_full(agent);
            let is_ready = is_rested && is_due && !is_full;
            ensure(!is_ready, "linger", || {
                format!("agent {agent} has room, an event waits since {oldest}")
            })?;
            let is_idle = self
                .open(agent)
                .any(|it| self.connections[&it].calls.is_empty());
            let is_free = is_rested && is_idle && !is_full;
            let lingers = waiting.is_awaited && is_free && !sight.is_held_up;
            ensure(!lingers, "awaited batch lingers", || {
                format!("agent {agent} has nothing to do, an event waits since {oldest}")
            })?;
            is_any_busy |= !is_idle;
            // It rests for certain if it has room and got nothing.
            sight.may_connect &= is_due && !is_full;
        }
        if waiting.is_taken && is_any_open {
            return Ok(None);
        }
        sight.is_held_up |= is_any_busy;
        let works = |agent: &usize| self.is_open(*agent) && self.pace.agents[*agent].failures == 0;
        let mut waited_for = group.iter().filter(|it| works(it) && self.is_full(**it));
        if waited_for.next().is_some() {
            let mut open = group.iter().filter(|agent| self.is_open(**agent));
            let is_full = open.all(|agent| self.is_full(*agent));
            let mut working = group.iter().filter(|agent| works(agent));
            let could = working.any(|agent| {
                self.pace.is_rested(*agent, at) && self.could_have_further(*agent, at)
            });
            let lacks_one = is_due && is_full && could;
            ensure(!lacks_one, "no further connection", || {
                format!("agents {group:?} are full, an event waits since {oldest}")
            })?;
            return Ok(None);
        }
        Ok(Some(sight))
    }

    fn check_timeouts(&self, at: Nanos) -> Check {
        let settings = &self.scenario.settings;
        for epoch in self.pace.agents.iter().flat_map(|held| &held.epochs) {
            let connection = &self.connections[epoch];
            let request = settings.request_timeout.as_nanos() as u64;
            let end = match connection.stage {
                Stage::Connecting => {
                    connection.stage_since + settings.connect_timeout.as_nanos() as u64
                }
                Stage::Greeting => {
                    connection.stage_since + settings.greeting_timeout.as_nanos() as u64
                }
                Stage::Open => {
                    let oldest = connection.calls.values().next();
                    oldest.map_or(Nanos::MAX, |flight| flight.sent + request)
                }
            };
            ensure(end > at, "timeout", || {
                format!("epoch {epoch} is {:?} past {end}", connection.stage)
            })?;
        }
        Ok(())
    }

    /// How many calls may be in flight to an agent now.
    pub(super) fn window(&self, agent: usize) -> u32 {
        self.core.window(AgentId::new(agent))
    }

    /// A connection is attempted beside others: all of these are full, and a batch waits, or one of
    /// them may be old. `false`: only for that.
    pub(super) fn check_further(&self, agent: usize) -> Result<bool, Violation> {
        self.pace.on_further_attempt(agent, self.now)?;
        let epochs = &self.pace.agents[agent].epochs;
        let drain = epochs.iter().filter(|it| self.connections[it].drains);
        let (held, draining) = (epochs.len(), drain.count());
        let settings = &self.scenario.settings;
        let max = match settings.window {
            WindowMode::Adaptive { max } => settings.connections.min(max) as usize,
            _ => 1,
        };
        let is_needed = self.open(agent).count() + draining == held && self.is_full(agent);
        let waiting = LEVELS.iter().map(|level| self.books.of(*level).waiting());
        let is_asked = waiting.sum::<u64>() > 0;
        let is_further = is_needed && held < max;
        ensure(
            is_asked && (is_further || self.may_be_renewed(agent)),
            "needless connection",
            || format!("agent {agent} has {held}"),
        )?;
        Ok(is_further)
    }

    /// An agent is connected to: those before it rest, or their attempts are late.
    pub(super) fn check_head_starts(&self, agent: usize) -> Check {
        let preferred = self.preferred(agent);
        let rested = preferred.filter(|it| self.pace.is_rested(*it, self.now));
        for preferred in rested {
            let began = self.attempt_began(preferred);
            let is_late = !self.is_open(preferred) && began + HEAD_START <= self.now;
            ensure(is_late, "attempt too soon", || {
                format!("to agent {agent}: to {preferred} since {began}")
            })?;
        }
        Ok(())
    }

    /// When the last attempt at this agent began that is under way or stands.
    fn attempt_began(&self, agent: usize) -> Nanos {
        let mut held = self.pace.agents[agent].epochs.iter().rev();
        let held = held.find(|epoch| !self.connections[epoch].drains);
        held.map_or(self.now, |epoch| self.connections[epoch].began)
    }

    /// Whether an agent whose connections are full could certainly have another one.
    fn could_have_further(&self, agent: usize, at: Nanos) -> bool {
        let settings = &self.scenario.settings;
        let standing = &self.pace.agents[agent];
        let held = standing.epochs.len();
        let max = match settings.window {
            WindowMode::Adaptive { max } => settings.connections.min(max) as usize,
            _ => 1,
        };
        held < max && self.open(agent).count() == held && standing.further_max <= at
    }

    /// The open connections to an agent.
    pub(super) fn open(&self, agent: usize) -> impl Iterator<Item = Epoch> {
        let held = self.pace.agents[agent].epochs.iter().copied();
        held.filter(|epoch| {
            let connection = &self.connections[epoch];
            connection.stage == Stage::Open && !connection.drains
        })
    }

    pub(super) fn is_open(&self, agent: usize) -> bool {
        self.open(agent).next().is_some()
    }

    /// Whether no open connection to an agent has room.
    pub(super) fn is_full(&self, agent: usize) -> bool {
        let is_spent = match self.scenario.settings.window {
            WindowMode::Adaptive { max } => self.in_flight(agent) >= max as usize,
            _ => false,
        };
        is_spent
            || self.open(agent).all(|epoch| {
                let in_flight = self.connections[&epoch].calls.len();
                in_flight >= self.core.window_of(epoch) as usize
            })
    }

    /// Calls on all connections to an agent.
    pub(super) fn in_flight(&self, agent: usize) -> usize {
        let held = self.pace.agents[agent].epochs.iter();
        held.map(|epoch| self.connections[epoch].calls.len()).sum()
    }
}
