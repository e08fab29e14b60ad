//! [`Core`]: which agent gets what, and what follows from each failure.
//!
//! | what happened | class | retrying | best effort |
//! |---|---|---|---|
//! | no connection, no handshake | not sent | kept; next agent at once | dropped once every agent rests |
//! | connection broke, timeout, answer to no call | unknown | kept; may be doubled | dropped, counted `unknown` |
//! | a refusal: again later | rejected | kept; may be doubled | dropped, counted `rejected` |
//! | unacceptable | the events' | another agent, then halved; a single event that each finds so is lost | likewise, but waits for no agent that rests |
//! | blocked | the agent's, before a person mends it | kept; next agent at once | dropped once every agent rests |
//!
//! After each failure the agent rests ([`Backoff`](super::Backoff)), unless another connection to it
//! works ([`agent`](super::agent)), and the others of its group are used, or the next group. That is
//! also tried when an attempt takes longer than a second. A preferred agent that has rested is tried
//! again while the other one works on; it takes over with its first acknowledgement, and the spare
//! connection ends with its last answer. A batch that one agent did not acknowledge goes to another
//! one first, if there is one with room.
//!
//! A connection that nobody needs, or that is old or to be renewed, ends between calls, never with calls in flight
//! ([`link`](super::link)). Whatever a person has to mend rests for minutes ([`agent`](super::agent)).
//!
//! Each level has numbers, batches and counters of its own ([`lane`](super::lane)); they take turns
//! on the same connections.
//!
//! A batch that was not acknowledged rests likewise, the longer the more often that was: unless the
//! order is kept, others go before it. So one that no agent ever takes costs the others a part of
//! the agents' time, and does not end them.

mod answers;

use std::collections::VecDeque;

use super::agent::{Agent, AgentState};
use super::batch::Batch;
use super::lane::{Lanes, Moment};
use super::link::{InFlight, Link, State};
use super::outcome::{Counters, Loss, Outcome};
use super::select::{self, Way};
use super::settings::{AgentId, AgentSet, CallId, Epoch, Settings, Time};
use super::step::{Disconnect, Ending, Input, Output};
use crate::reliability::Reliability;
use crate::seq::Seq;

/// The delivery engine of one client. See the [module](super).
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    random: fastrand::Rng,
    lanes: Lanes,
    agents: Vec<Agent>,
    connects: u64,
    outputs: VecDeque<Output>,
    next_epoch: Epoch,
    now: Time,
    /// A call was answered in this step.
    has_answer: bool,
}

impl Core {
    /// A core before its first event. `seed` decides every random draw.
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            lanes: Lanes::new(&settings),
            agents: agents(&settings),
            connects: 0,
            outputs: VecDeque::new(),
            next_epoch: 1,
            now: Time::ZERO,
            has_answer: false,
            settings,
        }
    }

    /// Takes in what happened at `now`; then take every [`next_output`](Self::next_output).
    pub fn step(&mut self, now: Time, input: Input<'_>) {
        self.now = self.now.max(now);
        self.has_answer = false;
        match input {
            Input::Append { level, ends } => {
                let lane = self.lanes.of_mut(level);
                lane.counters.accepted += ends.len() as u64;
                lane.batches.append(self.now, ends);
            }
            Input::Skip { level, next } => {
                let lane = self.lanes.of_mut(level);
                let skipped = lane.batches.skip_to(next);
                lane.finish(skipped);
            }
            Input::Leave { level, next } => {
                self.lanes.of_mut(level).batches.skip_to(next);
            }
            Input::Insert { level, first, ends } => {
                let lane = self.lanes.of_mut(level);
                lane.counters.accepted += ends.len() as u64;
                lane.batches.insert(first, ends);
            }
            Input::Forget { level, range } => self.lanes.of_mut(level).finish(range),
            Input::Connected { epoch } => self.on_connected(epoch),
            Input::Opened { epoch } => self.on_opened(epoch),
            Input::Replied {
                epoch,
                call,
                answer,
            } => self.on_replied(epoch, call, answer),
            Input::Failed {
                epoch,
                call,
                is_sent,
            } => self.on_failed(epoch, call, is_sent),
            Input::Closed {
                epoch,
                unsent_from,
                ending,
            } => self.break_link((epoch, ending), None, unsent_from),
            Input::Await { level, upto } => self.lanes.of_mut(level).batches.wait_for(upto),
            Input::Flush => self.lanes.iter_mut().for_each(|lane| lane.batches.seal()),
            Input::Shed { level, bytes } => self.drop_oldest(level, bytes, Loss::Shed),
            Input::Abandon { level } => self.abandon(level),
            Input::Renew { agents } => self.renew(agents),
            Input::Woke => self.on_woke(),
            Input::Tick => {}
        }
        self.expire();
        for lane in self.lanes.iter_mut() {
            lane.batches.seal_if_due(self.now);
        }
        self.settle_aside();
        // One whose last call was answered makes place for another.
        self.close_needless();
        self.connect();
        self.send();
        self.close_spares();
        self.close_needless();
    }

    /// The next thing to do, oldest first.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`step`](Self::step) must be called at the latest, with [`Input::Tick`] if nothing
    /// happened. Always later than the last step.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let links = self
            .links()
            .filter_map(|link| link.deadline(&self.settings));
        let rests = self.agents.iter().flat_map(|agent| {
            let further = agent.further_at();
            let times = further.into_iter().chain(agent.late_at());
            times.chain([agent.rest_until])
        });
        let rests = rests.filter(|until| *until > self.now && !self.lanes.is_empty());
        let is_quiet = self.lanes.is_empty();
        let needless = self.links().flat_map(|link| link.needless_at(is_quiet));
        let needless = needless.filter(|at| *at > self.now);
        let lanes = self.lanes.iter();
        let lingers = lanes.filter_map(|lane| lane.batches.seal_deadline());
        let lanes = self.lanes.iter();
        let aside = lanes.flat_map(|lane| lane.batches.aside());
        let aside = aside.map(|batch| batch.rest_until);
        let lingers = lingers.chain(aside.filter(|until| *until > self.now));
        links.chain(rests).chain(lingers).chain(needless).min()
    }

    /// Running totals of all levels.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let lanes = self.lanes.iter();
        let sum = lanes.fold(Counters::default(), |sum, lane| sum + lane.counters);
        Counters {
            connects: self.connects,
            ..sum
        }
    }

    /// Those of one level. It counts no connection attempts, which serve all levels.
    #[must_use]
    pub fn counters_of(&self, level: Reliability) -> Counters {
        self.lanes.of(level).counters
    }

    /// Events of all levels that are accepted and not retired, by the counters.
    #[must_use]
    pub fn pending_events(&self) -> u64 {
        let counters = self.counters();
        counters.accepted - counters.retired()
    }

    /// Events of a level and their bytes that are accepted and not retired, counted where they are.
    #[must_use]
    pub fn pending(&self, level: Reliability) -> (u64, u64) {
        let calls = self.links().flat_map(Link::in_flight);
        let in_flight = calls
            .map(|call| &call.batch)
            .filter(|batch| batch.level == level);
        let waiting = self.lanes.of(level).batches.iter();
        waiting
            .chain(in_flight)
            .fold((0, 0), |(events, bytes), batch| {
                (
                    events + u64::from(batch.events),
                    bytes + u64::from(batch.bytes),
                )
            })
    }

    /// Every event of the level with a lower sequence number is retired.
    #[must_use]
    pub fn watermark(&self, level: Reliability) -> Seq {
        self.lanes.of(level).retired.watermark()
    }

    /// The first event of the level from `event` on that is not retired. The watermark stops at
    /// left-out events, so it cannot tell.
    #[must_use]
    pub fn done_from(&self, level: Reliability, event: Seq) -> Seq {
        match self.lanes.of(level).retired.run(event) {
            (true, upto) => upto,
            (false, _) => event,
        }
    }

    /// The events of the level that wait for their batch to fill or to be old enough.
    #[must_use]
    pub fn open_batch(&self, level: Reliability) -> Option<&Batch> {
        self.lanes.of(level).batches.open()
    }

    /// Whether a closed batch of the level waits, because no agent takes one now.
    #[must_use]
    pub fn is_held_up(&self, level: Reliability) -> bool {
        self.lanes.of(level).batches.is_ready()
    }

    /// Whether every agent has failed, and none is tried again yet.
    #[must_use]
    pub fn do_agents_rest(&self) -> bool {
        select::do_all_rest(&self.agents, self.now)
    }

    /// Whether a connection has nothing under way, so that what somebody begins to wait for would be
    /// sent at once.
    #[must_use]
    pub fn sends_awaited_at_once(&self) -> bool {
        select::is_idle(&self.agents, self.now, &self.settings)
    }

    /// Whether another dialect is tried at once, if this attempt comes to nothing as
    /// [`Ending::Misspoken`].
    #[must_use]
    pub fn has_other_dialect(&self, epoch: Epoch) -> bool {
        let mut agents = self.agents.iter();
        let agent = agents.find(|agent| agent.index_of(epoch).is_some());
        agent.is_some_and(Agent::has_other_dialect)
    }

    /// What this agent is now.
    #[must_use]
    pub fn state_of(&self, agent: AgentId, now: Time) -> AgentState {
        let agent = self.agents.get(agent.index());
        agent.map(|agent| agent.state(now)).unwrap_or_default()
    }

    /// How many calls may be in flight to this agent now, over all its connections.
    #[must_use]
    pub fn window(&self, agent: AgentId) -> u32 {
        let agent = self.agents.get(agent.index());
        let links = agent.into_iter().flat_map(|agent| &agent.links);
        links.map(Link::window_size).sum()
    }

    /// How many calls may be in flight on this connection now.
    #[must_use]
    pub fn window_of(&self, epoch: Epoch) -> u32 {
        let link = self.links().find(|link| link.epoch == epoch);
        link.map_or(0, Link::window_size)
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.agents.iter().flat_map(|agent| &agent.links)
    }

    fn on_connected(&mut self, epoch: Epoch) {
        let deadline = self.now + self.settings.greeting_timeout;
        if let Some((_, link)) = link_of(&mut self.agents, epoch)
            && link.is_opening()
        {
            link.state = State::Greeting { deadline };
        }
    }

    fn on_opened(&mut self, epoch: Epoch) {
        if let Some((_, agent)) = agent_of(&mut self.agents, epoch) {
            let drained = agent.on_opened(epoch, self.now, &mut self.random);
            let drained = drained.map(|epoch| Output::Drain { epoch });
            self.outputs.extend(drained);
        }
    }

    /// Ends attempts and connections whose time is up.
    fn expire(&mut self) {
        while let Some((epoch, state)) = self.next_expired() {
            let cause = match state {
                State::Connecting { .. } => Disconnect::ConnectTimeout,
                State::Greeting { .. } => Disconnect::HandshakeTimeout,
                State::Open | State::Draining => Disconnect::RequestTimeout,
            };
            if let (State::Greeting { .. }, Some((_, agent))) =
                (state, agent_of(&mut self.agents, epoch))
            {
                agent.on_silent();
            }
            self.break_link(broken(epoch), Some(cause), None);
        }
    }

    fn next_expired(&self) -> Option<(Epoch, State)> {
        let mut agents = self.agents.iter();
        agents.find_map(|agent| agent.expired(self.now, &self.settings))
    }

    /// A connection or an attempt is over: its calls go back, and its agent rests if it was the last.
    fn break_link(
        &mut self,
        (epoch, ending): (Epoch, Ending),
        cause: Option<Disconnect>,
        unsent_from: Option<CallId>,
    ) {
        let Some((id_of_agent, agent)) = agent_of(&mut self.agents, epoch) else {
            return;
        };
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        let Some(link) = agent.on_broken((epoch, ending), self.now, backoff, random) else {
            return;
        };
        self.outputs.extend(cause.map(|cause| Output::Disconnect {
            agent: id_of_agent,
            epoch,
            cause,
        }));
        let calls = link.into_calls();
        for (id, call) in calls {
            let lane = self.lanes.of_mut(call.batch.level);
            lane.calls_in_flight -= 1;
            if unsent_from.is_some_and(|from| id >= from) {
                lane.batches.put_back(call.batch.unsent());
            } else {
                self.give_back(id_of_agent, call, Loss::Unknown);
            }
        }
        self.drop_unreachable();
    }

    /// Best effort waits for no agent that rests.
    fn drop_unreachable(&mut self) {
        if select::do_all_rest(&self.agents, self.now) {
            self.drop_oldest(Reliability::BestEffort, u64::MAX, Loss::Unreachable);
        }
    }

    fn renew(&mut self, agents: AgentSet) {
        let now = self.now;
        let renewed = self.agents.iter_mut();
        let renewed = renewed.filter(|agent| agents.contains(agent.id));
        renewed.for_each(|agent| agent.renew(now));
    }

    fn on_woke(&mut self) {
        for agent in self.ids() {
            for call in self.disconnect(agent, Disconnect::Woke) {
                self.lanes.of_mut(call.batch.level).calls_in_flight -= 1;
                self.give_back(agent, call, Loss::Unknown);
            }
        }
        let now = self.now;
        self.agents.iter_mut().for_each(|agent| agent.on_woke(now));
    }

    fn abandon(&mut self, level: Reliability) {
        for agent in self.ids() {
            for call in self.disconnect(agent, Disconnect::Closing) {
                self.lanes.of_mut(call.batch.level).calls_in_flight -= 1;
                match call.batch.level == level {
                    true => self.retire(&call.batch, Outcome::Lost(Loss::Unknown)),
                    false => self.give_back(agent, call, Loss::Unknown),
                }
            }
        }
        self.drop_oldest(level, u64::MAX, Loss::Closed);
    }

    /// Gives up the oldest waiting events of a level until `bytes` of them are gone, or none wait.
    fn drop_oldest(&mut self, level: Reliability, bytes: u64, loss: Loss) {
        let mut left = bytes;
        while left > 0 {
            let Some(batch) = self.lanes.of_mut(level).batches.pop_oldest() else {
                return;
            };
            left = left.saturating_sub(batch.bytes.into());
            self.retire(&batch, Outcome::Lost(batch.unless_sent(loss)));
        }
    }

    fn retire(&mut self, batch: &Batch, outcome: Outcome) {
        let (level, range, bytes) = (batch.level, batch.range(), batch.bytes);
        self.lanes.of_mut(level).retire(batch, outcome);
        self.outputs.push_back(Output::Retire {
            level,
            range,
            bytes,
            outcome,
        });
    }

    /// Connects to an agent, if that is better than what is open.
    fn connect(&mut self) {
        if self.lanes.is_empty() {
            return;
        }
        while let Some(agent) = self.to_connect() {
            self.connect_to(agent);
        }
        let aged = self.agents.iter();
        let aged = aged.filter(|agent| agent.needs_renewal(self.now));
        let aged: Vec<_> = aged.map(|agent| agent.id).collect();
        for agent in aged {
            self.connect_to(agent);
        }
    }

    /// What is to be connected to, for any batch, or for those that wait for another agent.
    fn to_connect(&self) -> Option<AgentId> {
        let batches = self.lanes.iter().flat_map(|lane| lane.batches.aside());
        let rested = batches.filter(|batch| batch.rest_until <= self.now);
        let unfit = rested.map(|batch| batch.unfit);
        let mut unfit = std::iter::once(AgentSet::default()).chain(unfit);
        unfit.find_map(|unfit| select::to_connect(&self.agents, unfit, self.now))
    }

    fn connect_to(&mut self, id: AgentId) {
        let epoch = self.next_epoch;
        if let Some(agent) = self.agents.get_mut(id.index()) {
            self.next_epoch += 1;
            self.connects += 1;
            let link = Link::connecting(epoch, self.now, &self.settings);
            agent.links.push(link);
            self.outputs.push_back(Output::Connect {
                agent: id,
                epoch,
                dialect: agent.dialect,
            });
        }
    }

    /// Sends while an agent has room.
    fn send(&mut self) {
        self.send_aside();
        let now = self.now;
        loop {
            let is_quiet = self.has_answer || select::is_idle(&self.agents, now, &self.settings);
            let moment = Moment { now, is_quiet };
            let Some(level) = self.lanes.next_to_send(moment) else {
                return;
            };
            let batch = self.lanes.of(level).next(moment);
            let (random, settings) = (&mut self.random, &self.settings);
            let agent = match select::to_send(&mut self.agents, batch, random, now, settings) {
                Some(Way::Free(agent)) => agent,
                Some(Way::Full(agent)) => {
                    self.connect_to(agent);
                    continue;
                }
                None => return,
            };
            let batch = self.lanes.of_mut(level).pop(moment);
            if !batch.is_some_and(|batch| self.send_to(agent, batch)) {
                return;
            }
            self.lanes.on_sent(level);
        }
    }

    /// Sends a batch to an agent that has room; else it waits again, `false`.
    fn send_to(&mut self, agent: AgentId, mut batch: Batch) -> bool {
        let lane = self.lanes.of_mut(batch.level);
        let link = self.agents.get_mut(agent.index());
        let Some(link) = link.and_then(Agent::link_with_room) else {
            lane.batches.put_back(batch);
            return false;
        };
        let epoch = link.epoch;
        lane.counters.batches += 1;
        lane.counters.retries += u64::from(batch.attempts > 0);
        lane.calls_in_flight += 1;
        batch.attempts += 1;
        let call = link.send(batch, self.now);
        self.outputs.push_back(Output::Send { epoch, call, batch });
        true
    }

    /// Ends connections that nobody needs.
    fn close_spares(&mut self) {
        let spares: Vec<_> = select::spares(&self.agents, self.now).collect();
        for agent in spares {
            self.disconnect(agent, Disconnect::Spare);
        }
    }

    /// Ends connections without calls that are idle for long, or whose place another one took.
    fn close_needless(&mut self) {
        let (now, is_quiet) = (self.now, self.lanes.is_empty());
        for agent in &mut self.agents {
            let id = agent.id;
            let outputs = &mut self.outputs;
            agent.links.retain(|link| {
                let cause = link.is_needless(now, is_quiet);
                outputs.extend(cause.map(|cause| Output::Disconnect {
                    agent: id,
                    epoch: link.epoch,
                    cause,
                }));
                cause.is_none()
            });
        }
    }

    /// Ends all connections to an agent, and says what was in flight on them.
    fn disconnect(&mut self, id: AgentId, cause: Disconnect) -> Vec<InFlight> {
        let agent = self.agents.get_mut(id.index());
        let links = agent.map(|agent| std::mem::take(&mut agent.links));
        let mut calls = Vec::new();
        for link in links.into_iter().flatten() {
            self.outputs.push_back(Output::Disconnect {
                agent: id,
                epoch: link.epoch,
                cause,
            });
            calls.extend(link.into_calls().into_values());
        }
        calls
    }

    fn ids(&self) -> impl Iterator<Item = AgentId> + use<> {
        (0..self.agents.len()).map(AgentId::new)
    }
}

fn broken(epoch: Epoch) -> (Epoch, Ending) {
    (epoch, Ending::Broken)
}

fn agents(settings: &Settings) -> Vec<Agent> {
    let ranks = settings.agents.iter().enumerate();
    ranks
        .map(|(index, rank)| Agent::new(AgentId::new(index), *rank))
        .collect()
}

fn agent_of(agents: &mut [Agent], epoch: Epoch) -> Option<(AgentId, &mut Agent)> {
    let mut numbered = agents.iter_mut().enumerate();
    let (index, agent) = numbered.find(|(_, agent)| agent.index_of(epoch).is_some())?;
    Some((AgentId::new(index), agent))
}

fn link_of(agents: &mut [Agent], epoch: Epoch) -> Option<(AgentId, &mut Link)> {
    let (id, agent) = agent_of(agents, epoch)?;
    Some((id, agent.link_mut(epoch)?))
}

#[cfg(test)]
mod tests;
