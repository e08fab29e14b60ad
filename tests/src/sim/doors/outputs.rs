//! What the core says is done.

use flume_client::delivery::{AgentId, Batch, Disconnect, Epoch, Output};

use super::world::{Call, Connection, Happening, Key, Stage, World};
use crate::sim::time::SECOND;
use crate::sim::violation::{Check, broken, ensure};

impl World {
    pub(super) fn execute(&mut self, output: Output) -> Check {
        match output {
            Output::Connect {
                agent,
                epoch,
                dialect,
            } => {
                let args = [agent.index() as u64, epoch, dialect.into()];
                self.trace
                    .note(self.now, "connect to {} as {} in dialect {}", args);
                self.watches[agent.index()].on_connect(self.now, dialect)?;
                let connection = Connection {
                    agent,
                    dialect,
                    stage: Stage::Connecting,
                    opened_at: 0,
                    has_sent: false,
                    renewed_at: None,
                };
                self.connections.insert(epoch, connection);
                self.receive_attempt(epoch, agent);
                if self.rng.u32(0..10) == 0 {
                    let at = self.soon();
                    self.schedule(at, Happening::Renew);
                }
                Ok(())
            }
            Output::Send { epoch, call, batch } => self.send((epoch, call), batch),
            Output::Disconnect { epoch, cause, .. } => self.disconnect(epoch, cause),
            Output::Drain { epoch } => self.drain(epoch),
            Output::Retire {
                level,
                range,
                bytes,
                outcome,
            } => {
                let args = [range.first.number(), range.len(), level as u64];
                self.trace.note(self.now, "retire {}, {} of level {}", args);
                let news = self.news;
                self.book(level).on_retired(range, bytes, outcome, news)
            }
        }
    }

    fn send(&mut self, key: Key, batch: Batch) -> Check {
        let args = [
            key.0,
            key.1.number() as u64,
            batch.first.number(),
            batch.events.into(),
            batch.level as u64,
        ];
        self.trace
            .note(self.now, "send {}.{}: {}, {} of level {}", args);
        let connection = self.connections.get_mut(&key.0);
        let Some(connection) = connection.filter(|it| it.stage == Stage::Open) else {
            return broken("sent on a connection that takes none", format!("{key:?}"));
        };
        connection.has_sent = true;
        let agent = connection.agent;
        self.watches[agent.index()].on_sent(self.now)?;
        self.book(batch.level).on_sent(&batch, agent)?;
        let call = Call {
            agent,
            batch,
            sent: self.now,
            is_begun: false,
            is_stored: false,
        };
        self.calls.insert(key, call);
        self.receive_call(key, call)
    }

    fn disconnect(&mut self, epoch: Epoch, cause: Disconnect) -> Check {
        self.trace.note(self.now, "disconnect {}", [epoch]);
        let Some(connection) = self.connections.remove(&epoch) else {
            return broken("disconnected twice", format!("{epoch}, {cause:?}"));
        };
        self.disconnected.insert(epoch);
        if cause == Disconnect::Aged {
            self.check_aged(epoch, &connection)?;
        }
        let in_flight = self.calls_of(epoch);
        for key in &in_flight {
            self.give_up(*key, true);
        }
        let is_last = !self.has_open(connection.agent);
        let watch = &mut self.watches[connection.agent.index()];
        match cause {
            Disconnect::Spare | Disconnect::Idle | Disconnect::Aged | Disconnect::Closing => {
                ensure(in_flight.is_empty(), "ended with calls in flight", || {
                    format!("{epoch}, {cause:?}")
                })?;
                let is_new = self.now < connection.opened_at + SECOND;
                match is_new && !connection.has_sent {
                    true => watch.on_in_vain(),
                    false => Ok(()),
                }
            }
            Disconnect::Woke => Ok(()),
            Disconnect::HandshakeTimeout => {
                watch.on_misspoken(self.now);
                let must = is_last && connection.stage != Stage::Draining;
                watch.on_failed(self.now, must);
                Ok(())
            }
            Disconnect::ConnectTimeout
            | Disconnect::RequestTimeout
            | Disconnect::UnknownCall(_) => {
                let must = is_last && connection.stage != Stage::Draining;
                watch.on_failed(self.now, must);
                Ok(())
            }
        }
    }

    /// A call is over: its events wait again, as far as this world knows.
    pub(super) fn give_up(&mut self, key: Key, is_doubt: bool) -> Option<Call> {
        let call = self.calls.remove(&key)?;
        let range = call.batch.range();
        self.book(call.batch.level).on_over(range, is_doubt);
        Some(call)
    }

    pub(super) fn calls_of(&self, epoch: Epoch) -> Vec<Key> {
        let keys = self.calls.keys().copied();
        keys.filter(|key| key.0 == epoch).collect()
    }

    /// Whether a connection to it takes calls.
    pub(super) fn has_open(&self, agent: AgentId) -> bool {
        let mut connections = self.connections.values();
        connections.any(|it| it.agent == agent && it.stage == Stage::Open)
    }

    pub(super) fn set_stage(&mut self, epoch: Epoch, stage: Stage) {
        if let Some(connection) = self.connections.get_mut(&epoch) {
            connection.stage = stage;
            connection.opened_at = self.now;
        }
    }
}
