//! What follows from what an agent says of a batch.
//!
//! An agent that finds a batch unacceptable says so of the events and not of itself: it does not rest,
//! the batch is not tried there again, and no other one waits for it. What waits for an agent that may
//! take it stands aside ([`Batches`](super::super::batch::Batches)), and is taken up when there is one.

use super::{Core, link_of};
use crate::delivery::batch::Batch;
use crate::delivery::core::{agent_of, broken};
use crate::delivery::link::InFlight;
use crate::delivery::outcome::{Loss, Outcome};
use crate::delivery::select;
use crate::delivery::settings::{AgentId, AgentSet, CallId, Epoch, Time};
use crate::delivery::step::{Answer, Disconnect};
use crate::reliability::Reliability;

/// Refusals after which events may be the reason that an agent cannot tell from others
/// ([`Answer::Doubtful`]): with the default rests some ten seconds of them.
const DOUBTS: u32 = 5;

impl Core {
    pub(super) fn on_replied(&mut self, epoch: Epoch, id: CallId, answer: Answer) {
        let Some((agent, call)) = self.take_call(epoch, id) else {
            return;
        };
        self.has_answer = true;
        match answer {
            Answer::Committed => self.on_committed(epoch, agent, &call),
            Answer::Refused { after } => {
                self.refuse(epoch, agent, &call, after);
                self.give_back(agent, call, Loss::Rejected);
            }
            Answer::Doubtful { half_bytes } => {
                self.refuse(epoch, agent, &call, Time::ZERO);
                let half_bytes = (call.batch.attempts >= DOUBTS).then_some(half_bytes);
                self.give_back_halved(agent, call, Loss::Rejected, half_bytes);
            }
            Answer::Unacceptable { half_bytes } => {
                let batch = Batch {
                    unfit: call.batch.unfit.with(agent),
                    ..call.batch.unsent()
                };
                self.on_unacceptable(batch, half_bytes);
            }
            Answer::Blocked => {
                if let Some((_, blocked)) = agent_of(&mut self.agents, epoch) {
                    blocked.on_blocked(self.now, &mut self.random);
                }
                self.put_back_unsent(agent, &call);
            }
        }
    }

    /// A call came to nothing, and its connection takes no more.
    pub(super) fn on_failed(&mut self, epoch: Epoch, id: CallId, is_sent: bool) {
        let Some((id_of_agent, call)) = self.take_call(epoch, id) else {
            return;
        };
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        if let Some((_, agent)) = agent_of(&mut self.agents, epoch) {
            agent.on_call_failed(epoch, self.now, backoff, random);
        }
        match is_sent {
            true => self.give_back(id_of_agent, call, Loss::Unknown),
            false => self.put_back_unsent(id_of_agent, &call),
        }
    }

    /// Takes a call out of flight. Whoever answers one that there is not is hung up on.
    fn take_call(&mut self, epoch: Epoch, id: CallId) -> Option<(AgentId, InFlight)> {
        let (agent, link) = link_of(&mut self.agents, epoch)?;
        let Some(call) = link.answer(id, self.now) else {
            self.break_link(broken(epoch), Some(Disconnect::UnknownCall(id)), None);
            return None;
        };
        self.lanes.of_mut(call.batch.level).calls_in_flight -= 1;
        Some((agent, call))
    }

    fn on_committed(&mut self, epoch: Epoch, id_of_agent: AgentId, call: &InFlight) {
        if let Some((_, agent)) = agent_of(&mut self.agents, epoch) {
            let link = agent.link_mut(epoch);
            let is_first = link.is_some_and(|link| link.on_acked(call, self.now));
            agent.on_acked(is_first);
        }
        self.retire(&call.batch, Outcome::Delivered { agent: id_of_agent });
    }

    fn refuse(&mut self, epoch: Epoch, id_of_agent: AgentId, call: &InFlight, after: Time) {
        let (backoff, random) = (&self.settings.backoff, &mut self.random);
        let times = (self.now, after);
        if let Some(agent) = self.agents.get_mut(id_of_agent.index()) {
            agent.on_refused(epoch, call.sent, times, backoff, random);
        }
    }

    /// A batch that was sent and not acknowledged.
    pub(super) fn give_back(&mut self, agent: AgentId, call: InFlight, loss: Loss) {
        self.give_back_halved(agent, call, loss, None);
    }

    /// Likewise. It is halved, if the bytes of a half are given.
    fn give_back_halved(
        &mut self,
        agent: AgentId,
        mut call: InFlight,
        loss: Loss,
        half_bytes: Option<u32>,
    ) {
        let backoff = &self.settings.backoff;
        let rest = backoff.delay(call.batch.attempts, &mut self.random);
        call.batch.rest_until = self.now + rest;
        call.batch.tried = Some(agent);
        let level = call.batch.level;
        if level == Reliability::BestEffort {
            self.retire(&call.batch, Outcome::Lost(loss));
            return;
        }
        let batches = &mut self.lanes.of_mut(level).batches;
        match half_bytes {
            Some(half_bytes) => batches.put_back_halved(call.batch, half_bytes),
            None => batches.put_back(call.batch),
        }
    }

    /// A batch of which the agent surely has nothing.
    fn put_back_unsent(&mut self, agent: AgentId, call: &InFlight) {
        let batch = Batch {
            tried: Some(agent),
            ..call.batch.unsent()
        };
        self.lanes.of_mut(batch.level).batches.put_back(batch);
        self.drop_unreachable();
    }

    /// Nobody is asked twice about the same events, so that it ends.
    fn on_unacceptable(&mut self, batch: Batch, half_bytes: u32) {
        let mut fit = self.agents.iter();
        let is_over = fit.all(|agent| batch.unfit.contains(agent.id));
        if is_over && batch.events == 1 {
            self.retire(&batch, Outcome::Lost(Loss::Rejected));
            return;
        }
        let is_hopeless = select::do_others_rest(&self.agents, batch.unfit, self.now);
        let batches = &mut self.lanes.of_mut(batch.level).batches;
        match is_hopeless && batch.events > 1 {
            true => batches.put_back_halved(batch, half_bytes),
            false => batches.set_aside(batch),
        }
    }

    /// What stands aside waits as all others do, if there is an agent now that may take it. Several
    /// events do if there is none, too: they are halved, and one that no agent is there for is alone.
    pub(super) fn take_up(&mut self) {
        let (agents, now) = (&self.agents, self.now);
        let is_takeable = |batch: &Batch| {
            let mut usable = agents.iter().filter(|agent| agent.is_usable(now));
            usable.any(|agent| !batch.unfit.contains(agent.id))
        };
        for lane in self.lanes.iter_mut() {
            lane.batches.take_up(|batch| match is_takeable(batch) {
                true => Some(*batch),
                false if batch.events == 1 => None,
                false if select::do_others_rest(agents, batch.unfit, now) => Some(Batch {
                    unfit: AgentSet::default(),
                    ..*batch
                }),
                false => None,
            });
        }
    }
}
