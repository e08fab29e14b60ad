//! The part of the client's worker: feeds the core and carries out what it asks for.

use std::collections::BTreeMap;

use flume_client::delivery::{
    Answer, Batch, CallId, Disconnect, Ending, Epoch, Input, Output, WindowMode,
};

use super::agent::Call;
use super::book::{Acked, End, Events};
use super::fault::Fault;
use super::time::Nanos;
use super::violation::{Check, broken, ensure};
use super::world::{Connection, Happening, Heard, Stage, World};

/// All that agents say here.
fn answer(committed: bool) -> Answer {
    match committed {
        true => Answer::Committed,
        false => Answer::REFUSED,
    }
}

impl World {
    /// One step of the core, its outputs, and a look at everything afterwards.
    pub(super) fn step(&mut self, input: Input<'_>) -> Check {
        self.stats.steps += 1;
        self.pace.on_step(self.now, matches!(input, Input::Tick))?;
        self.core
            .step(std::time::Duration::from_nanos(self.now), input);
        self.sent_to.clear();
        while let Some(output) = self.core.next_output() {
            self.execute(output)?;
        }
        self.check_step()?;
        self.arm_timer()
    }

    fn execute(&mut self, output: Output) -> Check {
        match output {
            Output::Connect { agent, epoch, .. } => self.connect(agent.index(), epoch),
            Output::Send { epoch, call, batch } => self.send(epoch, call, &batch),
            Output::Disconnect {
                agent,
                epoch,
                cause,
            } => self.disconnect(agent.index(), epoch, cause),
            Output::Drain { epoch } => self.drain(epoch),
            Output::Retire {
                level,
                range,
                bytes,
                outcome,
            } => {
                let args = [level as u64, range.first.number(), range.len()];
                self.trace.note(self.now, "  retire level {} {}+{}", args);
                self.retired_at = self.now;
                let events = Events { level, range };
                self.books.retire(events, bytes, outcome, self.acked)?;
                if matches!(outcome, flume_client::delivery::Outcome::Delivered { .. }) {
                    self.acked = None;
                }
                Ok(())
            }
        }
    }

    fn connect(&mut self, agent: usize, epoch: Epoch) -> Check {
        let args = [agent as u64, epoch];
        self.trace
            .note(self.now, "  connect agent {} epoch {}", args);
        ensure(!self.books.abandoned, "active after abandon", String::new)?;
        let is_new = agent < self.agents.len() && !self.connections.contains_key(&epoch);
        ensure(is_new, "connect", || format!("epoch {epoch} was used"))?;
        self.pace.on_use(agent, self.now)?;
        let mut replaces = Vec::new();
        if self.is_unconnected(agent) {
            self.pace.on_attempt(agent, self.now);
            self.check_head_starts(agent)?;
        } else if !self.check_further(agent)? {
            replaces = self.aged(agent);
            self.strike_attempt(agent)?;
        }
        self.pace.agents[agent].epochs.insert(epoch);
        self.books.connects += 1;
        let connection = Connection {
            agent,
            stage: Stage::Connecting,
            stage_since: self.now,
            began: self.now,
            idle_since: self.now,
            replaces,
            drains: false,
            forgotten: None,
            reset: false,
            lost: false,
            closed: false,
            incarnation: 0,
            next_call: CallId::FIRST,
            has_acked: false,
            calls: BTreeMap::new(),
            writer_free: 0,
            request_last: 0,
            reply_last: 0,
        };
        self.connections.insert(epoch, connection);
        let at = self.now + self.agents[agent].travel_time(&mut self.rng);
        self.schedule(at, Happening::Syn { epoch });
        Ok(())
    }

    fn send(&mut self, epoch: Epoch, id: CallId, batch: &Batch) -> Check {
        let range = batch.range();
        let number = id.number() as u64;
        let (level, first) = (batch.level as u64, range.first.number());
        let args = [epoch, number, level, first, range.len()];
        let text = "  send epoch {} call {} level {} events {}+{}";
        self.trace.note(self.now, text, args);
        let Some(connection) = self.connections.get_mut(&epoch) else {
            return broken("send on a closed connection", format!("epoch {epoch}"));
        };
        let is_open =
            connection.stage == Stage::Open && connection.forgotten.is_none() && !connection.drains;
        ensure(is_open, "send on a closed connection", || {
            format!("epoch {epoch} is {:?}", connection.stage)
        })?;
        ensure(id == connection.next_call, "serial", || {
            format!("{id} instead of {}", connection.next_call)
        })?;
        connection.next_call = id.next();
        let settings = &self.scenario.settings;
        let fits = batch.events <= settings.batch_events_max
            && (batch.bytes <= settings.batch_bytes_max || batch.events == 1);
        ensure(fits, "batch limits", || format!("{batch:?}"))?;
        let ordered = settings.window == WindowMode::Ordered;
        ensure(
            !ordered || self.books.of(batch.level).in_flight_calls == 0,
            "ordered",
            || format!("{batch:?} is sent while another call is in flight"),
        )?;
        let agent = connection.agent;
        let is_quiet = self.is_answer || self.is_any_idle(agent);
        self.pace.on_use(agent, self.now)?;
        let calls = |epoch: Epoch| self.connections[&epoch].calls.len();
        let has_idle = self.open(agent).any(|other| calls(other) == 0);
        ensure(
            calls(epoch) == 0 || !has_idle,
            "idle connection passed by",
            || format!("epoch {epoch} has {} calls", calls(epoch)),
        )?;
        self.check_age(epoch)?;
        self.check_shares(agent, batch)?;
        self.books.send(self.now, batch, is_quiet)?;
        self.write(epoch, id, batch);
        self.sent_to.push(epoch);
        Ok(())
    }

    /// A call goes through the connection's writer, one after the other, and to the agent.
    fn write(&mut self, epoch: Epoch, id: CallId, batch: &Batch) {
        let connection = self
            .connections
            .get_mut(&epoch)
            .expect("it was looked up before");
        let agent = &self.agents[connection.agent];
        // A dead peer takes what fits into the socket's buffer, and then nothing.
        let is_dead = connection.lost || agent.suffers(Fault::Lose, self.now);
        let is_stalled = is_dead && connection.calls.len() >= 2;
        let begin = if is_stalled {
            Nanos::MAX / 2
        } else {
            self.now.max(connection.writer_free)
        };
        let written = begin + agent.write_time(batch.bytes);
        connection.writer_free = written;
        let flight = super::world::Flight {
            events: Events::of(batch),
            sent: self.now,
            begin,
        };
        connection.calls.insert(id, flight);
        let at = written + agent.travel_time(&mut self.rng);
        let at = at.max(connection.request_last);
        connection.request_last = at;
        let call = Call {
            agent: connection.agent,
            epoch,
            id,
            events: Events::of(batch),
            written,
            fault: None,
        };
        if !is_stalled {
            self.schedule(at, Happening::Request { call });
        }
    }

    fn disconnect(&mut self, agent: usize, epoch: Epoch, cause: Disconnect) -> Check {
        let args = [agent as u64, epoch];
        self.trace
            .note(self.now, "  disconnect agent {} epoch {}", args);
        let held = self.pace.agents.get(agent);
        let is_held = held.is_some_and(|held| held.epochs.contains(&epoch));
        ensure(is_held, "disconnect", || {
            format!("epoch {epoch} is not held")
        })?;
        ensure(
            self.is_due(agent, epoch, cause),
            "needless disconnect",
            || format!("agent {agent} epoch {epoch}: {cause:?}"),
        )?;
        let is_wanted = matches!(
            cause,
            Disconnect::Spare
                | Disconnect::Idle
                | Disconnect::Aged
                | Disconnect::Woke
                | Disconnect::Closing
        );
        if !is_wanted {
            ensure(!self.books.calm, "disconnect without a fault", || {
                format!("{cause:?}")
            })?;
            self.on_broken(agent, epoch, Ending::Broken);
        }
        self.forget(epoch, None);
        Ok(())
    }

    /// A connection or attempt is over: it costs the agent a rest if no other connection is open.
    fn on_broken(&mut self, agent: usize, epoch: Epoch, ending: Ending) {
        if self.connections[&epoch].drains {
            return;
        }
        let mut others = self.open(agent).filter(|other| *other != epoch);
        if others.next().is_some() {
            drop(others);
            self.pace.on_further_failure(agent, self.now);
        } else {
            drop(others);
            self.pace.on_failure(agent, self.now);
            self.pace.on_ending(agent, self.now, ending);
        }
    }

    fn is_due(&self, agent: usize, epoch: Epoch, cause: Disconnect) -> bool {
        let connection = &self.connections[&epoch];
        let settings = &self.scenario.settings;
        let since = |from: Nanos| std::time::Duration::from_nanos(self.now - from);
        match cause {
            Disconnect::ConnectTimeout => {
                connection.stage == Stage::Connecting
                    && since(connection.stage_since) >= settings.connect_timeout
            }
            Disconnect::HandshakeTimeout => {
                connection.stage == Stage::Greeting
                    && since(connection.stage_since) >= settings.greeting_timeout
            }
            Disconnect::RequestTimeout => {
                let mut sent = connection.calls.values().map(|flight| flight.sent);
                sent.any(|sent| since(sent) >= settings.request_timeout)
            }
            Disconnect::UnknownCall(_) => self.is_unexpected,
            Disconnect::Spare => self.in_flight(agent) == 0 && self.group(agent) > 0,
            Disconnect::Idle => self.is_idle(epoch, self.now),
            Disconnect::Aged => self.is_outlived(epoch),
            Disconnect::Woke => self.is_waking,
            Disconnect::Closing => self.books.is_closing,
        }
    }

    /// The client lets go of a connection, and what was in flight on it is over.
    fn forget(&mut self, epoch: Epoch, unsent_from: Option<CallId>) {
        let now = self.now;
        let connection = self
            .connections
            .get_mut(&epoch)
            .expect("it was looked up before");
        connection.forgotten = Some(now);
        connection.reset = self.rng.bool();
        self.pace.agents[connection.agent].epochs.remove(&epoch);
        for (id, flight) in std::mem::take(&mut connection.calls) {
            let ending = if unsent_from.is_some_and(|from| id >= from) {
                End::Unsent
            } else {
                let begun = flight.begin <= now;
                self.shares.on_failed(connection.agent, flight.events);
                End::Unknown { begun }
            };
            self.books.end_call(now, flight.events, ending);
        }
    }

    /// Something arrives at the client.
    pub(super) fn on_heard(&mut self, epoch: Epoch, heard: Heard) -> Check {
        if !self.arrives(epoch, Happening::Heard { epoch, heard }) {
            return Ok(());
        }
        let connection = &self.connections[&epoch];
        let agent = connection.agent;
        let is_stale = connection.forgotten.is_some();
        if is_stale && !self.scenario.racy {
            return Ok(());
        }
        self.note_heard(epoch, heard, is_stale);
        match heard {
            Heard::Connected => {
                self.enter(epoch, Stage::Greeting);
                if !is_stale {
                    let at = self.now + self.agents[agent].travel_time(&mut self.rng);
                    self.schedule(at, Happening::Hello { epoch });
                }
                self.step(Input::Connected { epoch })
            }
            Heard::Opened => {
                self.enter(epoch, Stage::Open);
                if is_stale {
                    return self.step(Input::Opened { epoch });
                }
                self.pace.meets_no_other(agent, self.now);
                let drains = self.must_drain(epoch);
                self.step(Input::Opened { epoch })?;
                self.check_replaced(&drains)
            }
            Heard::Replied { call, committed } if is_stale => self.step(Input::Replied {
                epoch,
                call,
                answer: answer(committed),
            }),
            Heard::Replied { call, committed } => self.on_replied(epoch, call, committed),
            Heard::Closed => self.on_closed(epoch, Ending::Broken, is_stale),
            Heard::Foreign => self.on_closed(epoch, Ending::Foreign, is_stale),
        }
    }

    fn enter(&mut self, epoch: Epoch, stage: Stage) {
        if let Some(connection) = self.connections.get_mut(&epoch) {
            connection.stage = stage;
            connection.stage_since = self.now;
            connection.idle_since = self.now;
        }
    }

    fn on_closed(&mut self, epoch: Epoch, ending: Ending, is_stale: bool) -> Check {
        let connection = &self.connections[&epoch];
        let mut calls = connection.calls.iter();
        let unsent = calls.find(|(_, flight)| flight.begin > self.now);
        let mut unsent_from = unsent.map(|(id, _)| *id);
        if self.scenario.racy && self.rng.u32(0..4) == 0 {
            unsent_from = None;
        }
        if !is_stale {
            self.on_broken(connection.agent, epoch, ending);
            self.forget(epoch, unsent_from);
        }
        self.step(Input::Closed {
            epoch,
            unsent_from,
            ending,
        })
    }

    fn on_replied(&mut self, epoch: Epoch, call: CallId, committed: bool) -> Check {
        let input = Input::Replied {
            epoch,
            call,
            answer: answer(committed),
        };
        let connection = self
            .connections
            .get_mut(&epoch)
            .expect("it was looked up before");
        let agent = connection.agent;
        let Some(flight) = connection.calls.remove(&call) else {
            self.is_unexpected = true;
            self.step(input)?;
            self.is_unexpected = false;
            let is_over = self.connections[&epoch].forgotten.is_some();
            return ensure(is_over, "wrong serial accepted", || format!("{call}"));
        };
        connection.idle_since = self.now;
        self.is_answer = true;
        if committed {
            self.acked = Some(Acked {
                agent,
                events: flight.events,
            });
            self.pace.on_ack(agent);
            if !std::mem::replace(&mut connection.has_acked, true) {
                self.pace.on_first_ack(agent);
            }
            self.step(input)?;
            self.is_answer = false;
            self.check_taken_along(agent)?;
            return ensure(self.acked.is_none(), "ack ignored", || {
                format!("call {call} on epoch {epoch}")
            });
        }
        let before = self.core.window_of(epoch);
        let is_news = self.pace.is_news(agent, flight.sent);
        if is_news {
            self.pace.on_failure(agent, self.now);
        }
        self.shares.on_failed(agent, flight.events);
        self.books.end_call(self.now, flight.events, End::Refused);
        self.step(input)?;
        self.is_answer = false;
        self.check_refused(epoch, before, is_news)
    }

    fn note_heard(&mut self, epoch: Epoch, heard: Heard, is_stale: bool) {
        let stale = u64::from(is_stale);
        match heard {
            Heard::Connected => {
                let args = [epoch, stale];
                self.trace.note(self.now, "connected {} stale {}", args);
            }
            Heard::Opened => {
                let args = [epoch, stale];
                self.trace.note(self.now, "opened {} stale {}", args);
            }
            Heard::Replied { call, committed } => {
                let number = call.number() as u64;
                let args = [epoch, number, u64::from(committed), stale];
                let text = "replied {} call {} committed {} stale {}";
                self.trace.note(self.now, text, args);
            }
            Heard::Closed | Heard::Foreign => {
                let args = [epoch, stale];
                self.trace.note(self.now, "closed {} stale {}", args);
            }
        }
    }
}
