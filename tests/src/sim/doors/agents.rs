//! What agents do with attempts and calls.

use std::time::Duration;

use flume_client::delivery::{AgentId, AgentState, Answer, Batch, CallId, Ending, Epoch, Input};

use super::book::News;
use super::watch::is_rest;
use super::world::{Call, Happening, Key, Stage, World};
use crate::sim::options::pick;
use crate::sim::time::Nanos;
use crate::sim::violation::{Check, ensure};

/// One agent.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    /// The dialect that it speaks.
    pub(super) speaks: u32,
    /// It does so until then.
    pub(super) trouble: Option<(Trouble, Nanos)>,
}

/// A fault that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No attempt succeeds.
    Down,
    /// It is silent.
    Mute,
    /// Something else answers.
    Foreign,
    /// It speaks no dialect that there is.
    Misspeaks,
    /// It refuses, and asks to be left alone for so many seconds.
    Refuses(u64),
    /// It takes nothing of this client.
    Blocks,
}

impl Trouble {
    pub(super) const ALL: [Self; 8] = [
        Self::Down,
        Self::Mute,
        Self::Foreign,
        Self::Misspeaks,
        Self::Refuses(0),
        Self::Refuses(30),
        Self::Refuses(3_600),
        Self::Blocks,
    ];
}

/// What befalls one call.
#[derive(Clone, Copy, Debug)]
enum Accident {
    Refused,
    Doubtful,
    Blocked,
    FailedSent,
    FailedUnsent,
    Ended,
    Silent,
    Stray,
}

impl Accident {
    const ALL: [Self; 8] = [
        Self::Refused,
        Self::Doubtful,
        Self::Blocked,
        Self::FailedSent,
        Self::FailedUnsent,
        Self::Ended,
        Self::Silent,
        Self::Stray,
    ];
}

impl Agent {
    pub(super) fn new(speaks: u32) -> Self {
        Self {
            speaks,
            trouble: None,
        }
    }
}

impl World {
    fn soon(&mut self) -> Nanos {
        self.now + 1 + self.rng.u64(0..=self.plan.latency)
    }

    fn trouble(&self, agent: AgentId) -> Option<Trouble> {
        let (trouble, until) = self.agents[agent.index()].trouble?;
        (until > self.now).then_some(trouble)
    }

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
            Ending::Misspoken if watch.on_misspoken() => goes_on = !is_rest(before),
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

    /// What a sound agent says of a batch.
    fn verdict(&self, agent: AgentId, batch: &Batch) -> Answer {
        let levels = self.plan.levels.iter().position(|it| *it == batch.level);
        let book = &self.books[levels.unwrap_or_default()];
        let first = batch.first.number() as usize;
        let events = &book.events[first..first + batch.events as usize];
        let half = &events[..batch.half() as usize];
        let half_bytes = half.iter().map(|event| event.bytes).sum();
        let is_doubted = self.plan.doubted.is_some_and(|(level, number)| {
            level == batch.level && (first..first + events.len()).contains(&(number as usize))
        });
        if events.iter().any(|event| event.unfit.contains(agent)) {
            Answer::Unacceptable { half_bytes }
        } else if is_doubted {
            Answer::Doubtful { half_bytes }
        } else {
            Answer::Committed
        }
    }

    pub(super) fn receive_call(&mut self, key: Key, call: Call) -> Check {
        let at = self.soon();
        let verdict = self.verdict(call.agent, &call.batch);
        let replied = |answer| Happening::Replied { key, answer };
        let refused = |seconds| Answer::Refused {
            after: Duration::from_secs(seconds),
        };
        let happening = match self.trouble(call.agent) {
            Some(Trouble::Mute) => return self.swallow(key),
            Some(Trouble::Refuses(seconds)) => replied(refused(seconds)),
            Some(Trouble::Blocks) => replied(Answer::Blocked),
            _ if self.is_healed || self.rng.f64() >= self.plan.call_faults => replied(verdict),
            _ => match pick(&mut self.rng, &Accident::ALL) {
                Accident::Refused => {
                    let seconds = pick(&mut self.rng, &[0, 0, 1, 60, 600, 3_600]);
                    replied(refused(seconds))
                }
                Accident::Doubtful => {
                    let half_bytes = self.half_bytes(&call.batch);
                    replied(Answer::Doubtful { half_bytes })
                }
                Accident::Blocked => replied(Answer::Blocked),
                Accident::FailedSent => Happening::Failed { key, is_sent: true },
                Accident::FailedUnsent => Happening::Failed {
                    key,
                    is_sent: false,
                },
                Accident::Ended => Happening::Ended {
                    epoch: key.0,
                    ending: Ending::Broken,
                },
                Accident::Silent => return self.swallow(key),
                Accident::Stray => Happening::Stray { epoch: key.0 },
            },
        };
        self.schedule(at, happening);
        Ok(())
    }

    fn half_bytes(&mut self, batch: &Batch) -> u32 {
        let (range, half) = (batch.range(), batch.half() as usize);
        let events = &self.book(batch.level).of(range)[..half];
        events.iter().map(|event| event.bytes).sum()
    }

    /// It has the call, perhaps stores it, and never answers.
    fn swallow(&mut self, key: Key) -> Check {
        if let Some(call) = self.calls.get_mut(&key) {
            call.is_begun = true;
        }
        match self.rng.bool() {
            true => self.store(key),
            false => Ok(()),
        }
    }

    /// The agent stores what it was sent, unless it never would.
    fn store(&mut self, key: Key) -> Check {
        let Some(call) = self.calls.get(&key).copied() else {
            return Ok(());
        };
        let may = self.verdict(call.agent, &call.batch) == Answer::Committed;
        if call.is_stored || !may {
            return Ok(());
        }
        self.calls
            .entry(key)
            .and_modify(|call| call.is_stored = true);
        let range = call.batch.range();
        self.book(call.batch.level).store(range, call.agent)
    }

    pub(super) fn on_replied(&mut self, key: Key, answer: Answer) -> Check {
        let (epoch, id) = key;
        let input = Input::Replied {
            epoch,
            call: id,
            answer,
        };
        let Some(call) = self.calls.get(&key).copied() else {
            // The connection is over, and what still comes on it says nothing.
            return match self.connections.contains_key(&epoch) {
                true => Ok(()),
                false => self.step(input, News::Nothing),
            };
        };
        self.trace
            .note(self.now, "reply to {}.{}", [epoch, id.number() as u64]);
        let (agent, level, range) = (call.agent, call.batch.level, call.batch.range());
        let (now, refused) = (self.now, News::Refused(level, range));
        let watch = agent.index();
        let news = match answer {
            Answer::Committed => {
                self.store(key)?;
                self.calls.remove(&key);
                News::Committed(level, range, agent)
            }
            Answer::Refused { .. } | Answer::Doubtful { .. } => {
                if self.rng.bool() {
                    self.store(key)?;
                }
                self.give_up(key, true);
                self.watches[watch].on_failed(now, false);
                if let Answer::Refused { after } = answer {
                    self.watches[watch].on_refused(now, after.as_nanos() as u64);
                }
                refused
            }
            Answer::Unacceptable { .. } => {
                self.give_up(key, false);
                self.book(level).on_unacceptable(range, agent);
                return self.step_unacceptable(agent, epoch, input);
            }
            Answer::Blocked => {
                self.give_up(key, false);
                self.watches[watch].on_blocked(now, call.sent);
                News::Nothing
            }
        };
        self.step(input, news)
    }

    /// It costs the agent nothing.
    fn step_unacceptable(&mut self, agent: AgentId, epoch: Epoch, input: Input<'_>) -> Check {
        let now = Duration::from_nanos(self.now);
        let seen = |world: &Self| {
            let window = world.core.window_of(epoch);
            (world.core.state_of(agent, now), window)
        };
        let before = seen(self);
        self.step(input, News::Nothing)?;
        let after = seen(self);
        // One whose connections take no more calls may be connected to again in this step.
        let is_connected = before.0 != AgentState::Idle && self.disconnected.is_empty();
        let is_same = before == after || !is_connected;
        ensure(is_same, "an unacceptable batch costs its agent", || {
            format!("{agent:?}: {before:?}, then {after:?}")
        })
    }

    pub(super) fn on_failed(&mut self, key: Key, is_sent: bool) -> Check {
        let (epoch, call) = key;
        let Some(in_flight) = self.calls.get(&key).copied() else {
            return Ok(());
        };
        let is_sent = is_sent || in_flight.is_begun;
        let args = [epoch, call.number() as u64, is_sent.into()];
        self.trace.note(self.now, "failed {}.{}, sent {}", args);
        if is_sent && self.rng.bool() {
            self.store(key)?;
        }
        self.give_up(key, is_sent);
        let agent = in_flight.agent;
        let stage = self.connections.get(&epoch).map(|it| it.stage);
        self.set_stage(epoch, Stage::Draining);
        if stage == Some(Stage::Open) {
            let is_last = !self.has_open(agent);
            self.watches[agent.index()].on_failed(self.now, is_last);
        }
        let input = Input::Failed {
            epoch,
            call,
            is_sent,
        };
        self.step(input, News::Nothing)
    }

    pub(super) fn on_stray(&mut self, epoch: Epoch) -> Check {
        if !self.connections.contains_key(&epoch) {
            return Ok(());
        }
        self.trace.note(self.now, "stray answer on {}", [epoch]);
        let input = Input::Replied {
            epoch,
            call: CallId::new(1 << 20),
            answer: Answer::Committed,
        };
        self.step(input, News::Nothing)?;
        let is_gone = !self.connections.contains_key(&epoch);
        ensure(is_gone, "stray answer tolerated", || format!("{epoch}"))
    }
}
