//! What agents do with messages, and the way between them and the client.

use flume_client::delivery::{CallId, Epoch};

use super::agent::Call;
use super::fault::Fault;
use super::time::{MS, Nanos};
use super::violation::Check;
use super::world::{Happening, Heard, World};

/// Share of calls that fail while the agent is [`Fault::Flaky`].
const FLAKY_SHARE: f64 = 0.5;

impl World {
    /// A fault strikes an agent.
    pub(super) fn strike(&mut self, agent: usize, fault: Fault, until: Nanos) -> Check {
        let args = [agent as u64, fault as u64, until / MS];
        let text = "fault agent {} kind {} until {} ms";
        self.trace.note(self.now, text, args);
        self.stats.count(fault);
        self.agents[agent].suffer(fault, until);
        match fault {
            Fault::Crash => self.crash(agent)?,
            Fault::Hangup => {
                let is_one = self.rng.bool();
                let held = self.pace.agents[agent].epochs.clone();
                for epoch in held.into_iter().take(if is_one { 1 } else { usize::MAX }) {
                    self.hang_up(epoch);
                }
            }
            Fault::Suspend => self.wake()?,
            _ => {}
        }
        Ok(())
    }

    /// Whether a message on this connection arrives now. If it is held up, it comes again.
    pub(super) fn arrives(&mut self, epoch: Epoch, message: Happening) -> bool {
        let connection = self
            .connections
            .get_mut(&epoch)
            .expect("connections are kept to the end");
        let agent = &self.agents[connection.agent];
        connection.lost |= agent.suffers(Fault::Lose, self.now);
        if connection.lost {
            return false;
        }
        if agent.suffers(Fault::Hold, self.now) {
            let at = agent.until(Fault::Hold);
            self.schedule(at, message);
            return false;
        }
        true
    }

    pub(super) fn on_syn(&mut self, epoch: Epoch) {
        if !self.arrives(epoch, Happening::Syn { epoch }) {
            return;
        }
        let now = self.now;
        let connection = self.connections.get_mut(&epoch).expect("it arrived");
        let agent = &self.agents[connection.agent];
        connection.incarnation = agent.incarnation;
        if agent.suffers(Fault::MuteConnect, now) {
            return;
        }
        if agent.is_down(now) {
            self.hang_up(epoch);
        } else {
            self.say(epoch, Heard::Connected);
        }
    }

    pub(super) fn on_hello(&mut self, epoch: Epoch) {
        if !self.arrives(epoch, Happening::Hello { epoch }) {
            return;
        }
        let now = self.now;
        let connection = &self.connections[&epoch];
        let agent = &self.agents[connection.agent];
        let is_gone = connection.closed || connection.incarnation != agent.incarnation;
        if is_gone || agent.suffers(Fault::MuteHandshake, now) {
            return;
        }
        if agent.suffers(Fault::Foreign, now) {
            self.say(epoch, Heard::Foreign);
            self.hang_up(epoch);
        } else if self.is_struck(agent.suffers(Fault::Flaky, now)) {
            self.stats.count(Fault::HandshakeHangup);
            self.hang_up(epoch);
        } else {
            self.say(epoch, Heard::Opened);
        }
    }

    pub(super) fn on_request(&mut self, mut call: Call) {
        if !self.arrives(call.epoch, Happening::Request { call }) {
            return;
        }
        let connection = &self.connections[&call.epoch];
        let agent = &self.agents[call.agent];
        let is_gone = connection.closed || connection.incarnation != agent.incarnation;
        let is_cut = connection
            .forgotten
            .is_some_and(|at| connection.reset || at < call.written);
        if is_gone || is_cut {
            return;
        }
        if self.is_struck(agent.suffers(Fault::Flaky, self.now)) {
            let kinds = &self.scenario.call_fault_kinds;
            let fault = kinds[self.rng.usize(0..kinds.len())];
            self.stats.count(fault);
            call.fault = Some(fault);
        }
        self.agents[call.agent].queue.push_back(call);
        self.pump(call.agent);
    }

    /// Gives waiting calls to idle workers.
    pub(super) fn pump(&mut self, index: usize) {
        let now = self.now;
        while let Some(call) = self.agents[index].next_call(now) {
            let agent = &mut self.agents[index];
            let mut at = now + agent.service_time(now, &mut self.rng);
            if !agent.has_room(now, call.size()) {
                at += agent.shape.keep_alive;
            }
            let incarnation = agent.incarnation;
            self.schedule(at, Happening::Served { call, incarnation });
        }
    }

    /// A worker is done with a call: it commits, or does not, and answers, or does not.
    pub(super) fn on_served(&mut self, call: Call, incarnation: u32) -> Check {
        if self.agents[call.agent].incarnation != incarnation {
            return Ok(());
        }
        self.agents[call.agent].finish(&call);
        let is_full = !self.agents[call.agent].has_room(self.now, call.size());
        let fault = if is_full {
            self.stats.count(Fault::ChannelFull);
            Some(Fault::ChannelFull)
        } else {
            call.fault
        };
        let events = match fault {
            Some(Fault::ChannelFull | Fault::FailNone | Fault::DropHangup) => 0,
            Some(Fault::FailPart) => self.rng.u32(0..call.size()),
            _ => call.size(),
        };
        self.agents[call.agent].fill(events);
        let first = call.events.range.first.number();
        let args = [call.agent as u64, first, u64::from(events)];
        self.trace.note(self.now, "agent {} stores {}+{}", args);
        self.books.store(call.agent, call.events)?;
        self.answer(&call, fault);
        self.pump(call.agent);
        Ok(())
    }

    fn answer(&mut self, call: &Call, fault: Option<Fault>) {
        let (id, epoch) = (call.id, call.epoch);
        let replied = |call, committed| Heard::Replied { call, committed };
        let ok = replied(id, true);
        match fault {
            Some(Fault::ChannelFull | Fault::FailNone | Fault::FailPart | Fault::FailAll) => {
                self.say(epoch, replied(id, false));
            }
            Some(Fault::CommitHangup | Fault::DropHangup) => self.hang_up(epoch),
            Some(Fault::NoReply) => {}
            Some(Fault::WrongSerial) => {
                let wrong = if self.rng.bool() {
                    -id.number()
                } else {
                    i32::MAX
                };
                let committed = self.rng.bool();
                self.say(epoch, replied(CallId::new(wrong), committed));
            }
            Some(Fault::DoubleReply) => {
                self.say(epoch, ok);
                self.say(epoch, ok);
            }
            Some(Fault::LateReply) => {
                let patience = self.scenario.settings.request_timeout.as_nanos() as u64;
                let late = self.rng.u64(patience / 2..patience * 2);
                let heard = Happening::Heard { epoch, heard: ok };
                self.schedule(self.now + late, heard);
            }
            _ => self.say(epoch, ok),
        }
    }

    fn is_struck(&mut self, is_flaky: bool) -> bool {
        let share = if self.healed_at.is_some() {
            0.0
        } else if is_flaky {
            FLAKY_SHARE
        } else {
            self.scenario.call_faults
        };
        share > 0.0 && self.rng.f64() < share
    }

    fn crash(&mut self, agent: usize) -> Check {
        for call in self.agents[agent].crash() {
            if self.rng.bool() {
                self.books.store(agent, call.events)?;
            }
        }
        // The machine dies with it: nobody says goodbye.
        let is_silent = self.rng.u32(0..3) == 0;
        for epoch in self.pace.agents[agent].epochs.clone() {
            if !is_silent {
                self.hang_up(epoch);
            } else if let Some(connection) = self.connections.get_mut(&epoch) {
                connection.lost = true;
            }
        }
        Ok(())
    }

    pub(super) fn hang_up(&mut self, epoch: Epoch) {
        self.say(epoch, Heard::Closed);
        if let Some(connection) = self.connections.get_mut(&epoch) {
            connection.closed = true;
        }
    }

    /// A message of the agent, in order with those before it.
    fn say(&mut self, epoch: Epoch, heard: Heard) {
        let connection = self
            .connections
            .get_mut(&epoch)
            .expect("connections are kept to the end");
        let agent = &self.agents[connection.agent];
        let is_mute =
            matches!(heard, Heard::Replied { .. }) && agent.suffers(Fault::MuteReplies, self.now);
        if connection.closed || is_mute {
            return;
        }
        let at = self.now + agent.travel_time(&mut self.rng);
        let at = at.max(connection.reply_last);
        connection.reply_last = at;
        self.schedule(at, Happening::Heard { epoch, heard });
    }
}
