//! A simulated agent: workers before a channel, as in a Flume Avro source, and its faults.

use std::collections::VecDeque;

use flume_client::delivery::{CallId, Epoch};

use super::book::Events;
use super::fault::Fault;
use super::options::AgentShape;
use super::time::{Nanos, SECOND};

/// A batch on its way to or in an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) agent: usize,
    pub(super) epoch: Epoch,
    pub(super) id: CallId,
    pub(super) events: Events,
    /// When its last byte was written.
    pub(super) written: Nanos,
    /// What will go wrong with it.
    pub(super) fault: Option<Fault>,
}

impl Call {
    pub(super) fn size(&self) -> u32 {
        self.events.range.len() as u32
    }
}

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) shape: AgentShape,
    /// Changes with each restart.
    pub(super) incarnation: u32,
    pub(super) queue: VecDeque<Call>,
    pub(super) in_work: Vec<Call>,
    until: [Nanos; Fault::ALL.len()],
    level: u64,
    level_at: Nanos,
}

impl Agent {
    pub(super) fn new(shape: AgentShape) -> Self {
        Self {
            shape,
            incarnation: 0,
            queue: VecDeque::new(),
            in_work: Vec::new(),
            until: [0; Fault::ALL.len()],
            level: 0,
            level_at: 0,
        }
    }

    pub(super) fn suffer(&mut self, fault: Fault, until: Nanos) {
        let end = &mut self.until[fault as usize];
        *end = until.max(*end);
    }

    pub(super) fn suffers(&self, fault: Fault, now: Nanos) -> bool {
        self.until(fault) > now
    }

    pub(super) fn until(&self, fault: Fault) -> Nanos {
        self.until[fault as usize]
    }

    pub(super) fn is_down(&self, now: Nanos) -> bool {
        self.suffers(Fault::Crash, now) || self.suffers(Fault::Refuse, now)
    }

    /// All faults end, there is room in the channel and a worker for every call.
    pub(super) fn heal(&mut self) {
        self.until = [0; Fault::ALL.len()];
        self.shape.capacity = u64::MAX;
        self.in_work.clear();
    }

    /// The process dies. Returns what was in work.
    pub(super) fn crash(&mut self) -> Vec<Call> {
        self.incarnation += 1;
        self.queue.clear();
        std::mem::take(&mut self.in_work)
    }

    pub(super) fn next_call(&mut self, now: Nanos) -> Option<Call> {
        let workers = if self.suffers(Fault::Sequential, now) {
            1
        } else {
            self.shape.workers
        };
        if self.in_work.len() >= workers {
            return None;
        }
        let call = self.queue.pop_front()?;
        self.in_work.push(call);
        Some(call)
    }

    /// Takes a call out of work. False if the agent healed meanwhile.
    pub(super) fn finish(&mut self, call: &Call) {
        self.in_work
            .retain(|other| (other.epoch, other.id) != (call.epoch, call.id));
    }

    pub(super) fn service_time(&self, now: Nanos, rng: &mut fastrand::Rng) -> Nanos {
        let time = self.shape.service + rng.u64(0..=self.shape.service_jitter);
        if self.suffers(Fault::Slow, now) {
            time * 15
        } else {
            time
        }
    }

    pub(super) fn travel_time(&self, rng: &mut fastrand::Rng) -> Nanos {
        self.shape.latency + rng.u64(0..=self.shape.jitter)
    }

    pub(super) fn write_time(&self, bytes: u32) -> Nanos {
        u64::from(bytes) * SECOND / self.shape.bytes_per_second
    }

    pub(super) fn has_room(&mut self, now: Nanos, events: u32) -> bool {
        self.drain(now);
        self.level.saturating_add(u64::from(events)) <= self.shape.capacity
    }

    pub(super) fn fill(&mut self, events: u32) {
        if self.shape.capacity != u64::MAX {
            self.level += u64::from(events);
        }
    }

    fn drain(&mut self, now: Nanos) {
        if self.shape.capacity == u64::MAX {
            return;
        }
        let clogged_until = self.until(Fault::Clog).min(now);
        let since = now - self.level_at.max(clogged_until);
        let drained = (u128::from(since) * u128::from(self.shape.drain_per_second)
            / u128::from(SECOND)) as u64;
        if drained > 0 || self.suffers(Fault::Clog, now) {
            self.level = self.level.saturating_sub(drained);
            self.level_at = now;
        }
    }
}
