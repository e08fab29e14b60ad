//! [`Watch`]: what the client owes an agent: rests, and its dialects in order.

use flume_client::delivery::{AgentState, Answer, Settings};

use crate::sim::time::{MINUTE, MS, Nanos, SECOND};
use crate::sim::violation::{Check, ensure};

/// Rests that only a person ends.
const BLOCKED_MIN: Nanos = 48 * SECOND;
const BLOCKED_MAX: Nanos = 12 * MINUTE;
/// So many connections in a row may end without a call, each within a second.
const IN_VAIN_MAX: u32 = 30;

#[derive(Clone, Debug)]
pub(super) struct Watch {
    cap: Nanos,
    floor: Nanos,
    dialects: u32,
    /// It certainly rests until then.
    rests_min: Nanos,
    /// It certainly rests no longer.
    rests_max: Nanos,
    blocked_at: Option<Nanos>,
    /// What is to be tried next.
    dialect: u32,
    /// Since a greeting was answered, or all dialects were tried.
    misspoken: u32,
    in_vain: u32,
    /// When it last was not ready, or an attempt at it came to nothing.
    unready_at: Nanos,
    is_ready: bool,
}

impl Watch {
    pub(super) fn new(settings: &Settings, agent: usize) -> Self {
        Self {
            cap: settings.backoff.cap.as_nanos() as u64,
            floor: settings.backoff.floor.as_nanos() as u64,
            dialects: settings.agents[agent].dialects,
            rests_min: 0,
            rests_max: 0,
            blocked_at: None,
            dialect: 0,
            misspoken: 0,
            in_vain: 0,
            unready_at: 0,
            is_ready: false,
        }
    }

    pub(super) fn on_connect(&self, now: Nanos, dialect: u32) -> Check {
        let expected = self.dialect;
        ensure(now >= self.rests_min, "connected while it rests", || {
            format!("{now}, {self:?}")
        })?;
        ensure(dialect == expected, "dialect", || {
            format!("{dialect}, expected {expected}")
        })
    }

    pub(super) fn on_sent(&mut self, now: Nanos) -> Check {
        self.in_vain = 0;
        ensure(now >= self.rests_min, "sent while it rests", || {
            format!("{now}, {self:?}")
        })
    }

    pub(super) fn on_opened(&mut self) {
        self.misspoken = 0;
    }

    /// The client closed a connection that had no calls.
    pub(super) fn on_in_vain(&mut self) -> Check {
        self.in_vain += 1;
        ensure(
            self.in_vain <= IN_VAIN_MAX,
            "connected in vain",
            String::new,
        )
    }

    /// `true`: others are to be tried, without a rest.
    pub(super) fn on_misspoken(&mut self, now: Nanos) -> bool {
        self.on_unready(now);
        self.dialect = (self.dialect + 1) % self.dialects;
        self.misspoken += 1;
        if self.misspoken < self.dialects {
            return true;
        }
        self.misspoken = 0;
        false
    }

    /// It may rest from now on. `must`: no other connection is open, and it does not rest already.
    pub(super) fn on_failed(&mut self, now: Nanos, must: bool) {
        self.on_unready(now);
        self.rests_max = self.rests_max.max(now + self.cap);
        if must {
            self.rests_min = self.rests_min.max(now + self.floor.min(self.cap));
        }
    }

    pub(super) fn on_foreign(&mut self, now: Nanos) {
        self.rests_max = self.rests_max.max(now + BLOCKED_MAX);
    }

    pub(super) fn on_refused(&mut self, now: Nanos, after: Nanos) {
        let after = after.min(Answer::REST_MAX.as_nanos() as u64);
        self.rests_max = self.rests_max.max(now + after + after / 5 + MS);
        self.rests_min = self.rests_min.max(now + after);
    }

    pub(super) fn on_blocked(&mut self, now: Nanos, sent: Nanos) {
        if self.blocked_at.is_some_and(|blocked_at| sent <= blocked_at) {
            return;
        }
        self.blocked_at = Some(now);
        self.rests_max = self.rests_max.max(now + BLOCKED_MAX);
        self.rests_min = self.rests_min.max(now + BLOCKED_MIN);
    }

    /// It is ready now, or not.
    pub(super) fn on_state(&mut self, now: Nanos, is_ready: bool) {
        if !is_ready || !self.is_ready {
            self.on_unready(now);
        }
        self.is_ready = is_ready;
    }

    /// It does not work, or could not be connected to.
    fn on_unready(&mut self, now: Nanos) {
        self.unready_at = now;
    }

    /// Since when it certainly works, and may be connected to.
    pub(super) fn ready_since(&self) -> Nanos {
        self.unready_at + self.cap
    }

    pub(super) fn on_woke(&mut self, now: Nanos) {
        self.rests_min = self.rests_min.min(now);
        self.rests_max = self.rests_max.min(now);
    }

    pub(super) fn check(&self, now: Nanos, state: AgentState) -> Check {
        let rests = is_rest(state);
        ensure(rests || now >= self.rests_min, "rest too short", || {
            format!("{now}, {self:?}")
        })?;
        ensure(!rests || now <= self.rests_max, "rest too long", || {
            format!("{now}, {self:?}")
        })
    }
}

pub(super) fn is_rest(state: AgentState) -> bool {
    matches!(state, AgentState::Resting | AgentState::Blocked)
}
