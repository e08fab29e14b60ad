//! What the client owes each agent in time: rest after failures, and no more than that.

use std::collections::BTreeSet;

use flume_client::delivery::{Ending, Epoch, Settings};

use super::time::{Nanos, SECOND};
use super::violation::{Check, ensure};

/// What the outside can know of one agent's standing with the client.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// The connections and attempts that the client holds.
    pub(super) epochs: BTreeSet<Epoch>,
    /// Attempts in a row that met something foreign.
    foreign: u32,
    /// When it was looked at again after such a rest, and met something else.
    unblocked_at: Nanos,
    /// Ends of connections and failures of attempts while another connection worked, since one
    /// acknowledged its first batch.
    further_failures: u32,
    /// No further attempt before.
    further_min: Nanos,
    /// Afterwards a further attempt may certainly be made.
    pub(super) further_max: Nanos,
    pub(super) failed_at: Option<Nanos>,
    /// Since the last acknowledgement.
    pub(super) failures: u32,
    /// No connection attempt and no call before.
    rest_end_min: Nanos,
    /// Afterwards it has certainly rested.
    rest_end_max: Nanos,
    /// The last failure may have been drawn from the longest span.
    capped: bool,
}

#[derive(Debug)]
pub(super) struct Pace {
    base: Nanos,
    cap: Nanos,
    floor: Nanos,
    pub(super) agents: Vec<Standing>,
    /// Rests of the longest span, while nothing else delayed the next attempt.
    pub(super) long_rests: Vec<Nanos>,
    /// Steps in the running second: those with news, and mere ticks.
    second: Nanos,
    news: u64,
    ticks: u64,
}

/// More ticks than this in a second, and four for each other input, are a busy loop.
const TICKS_PER_SECOND: u64 = 400;

impl Pace {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            base: settings.backoff.base.as_nanos() as u64,
            cap: settings.backoff.cap.as_nanos() as u64,
            floor: settings.backoff.floor.as_nanos() as u64,
            agents: vec![Standing::default(); settings.agents.len()],
            long_rests: Vec::new(),
            second: 0,
            news: 0,
            ticks: 0,
        }
    }

    pub(super) fn on_failure(&mut self, agent: usize, now: Nanos) {
        let standing = &mut self.agents[agent];
        standing.failures += 1;
        standing.failed_at = Some(now);
        let doubled = self.base << (standing.failures - 1).min(20);
        standing.capped = doubled >= self.cap;
        standing.rest_end_min = now + self.floor;
        standing.rest_end_max = now + doubled.min(self.cap).max(self.floor);
    }

    /// The last connection or attempt is over. If it met something foreign a second time, it is looked
    /// at after a minute, then two, up to ten, a fifth more or less.
    pub(super) fn on_ending(&mut self, agent: usize, now: Nanos, ending: Ending) {
        if ending == Ending::Broken {
            self.meets_no_other(agent, now);
            return;
        }
        let standing = &mut self.agents[agent];
        standing.foreign += 1;
        if standing.foreign > 1 {
            let minutes = (1 << (standing.foreign - 2).min(8)).min(10);
            standing.rest_end_min = now + minutes * 48 * SECOND;
            standing.rest_end_max = now + minutes * 72 * SECOND;
            standing.capped = false;
        }
    }

    /// An attempt met nothing foreign.
    pub(super) fn meets_no_other(&mut self, agent: usize, now: Nanos) {
        let standing = &mut self.agents[agent];
        if standing.foreign > 1 {
            standing.unblocked_at = now;
        }
        standing.foreign = 0;
    }

    /// The client's machine wakes: all rests are over.
    pub(super) fn on_woke(&mut self, now: Nanos) {
        for standing in &mut self.agents {
            standing.rest_end_min = standing.rest_end_min.min(now);
            standing.rest_end_max = standing.rest_end_max.min(now);
            standing.further_min = standing.further_min.min(now);
            standing.further_max = standing.further_max.min(now);
            standing.capped = false;
        }
    }

    /// When all agents that only a person can mend are looked at again, or were.
    pub(super) fn blocked_until(&self) -> Nanos {
        let ends = self.agents.iter().map(|standing| match standing.foreign {
            0 | 1 => standing.unblocked_at,
            _ => standing.rest_end_max,
        });
        ends.max().unwrap_or_default()
    }

    /// A connection or an attempt is over while another connection works.
    pub(super) fn on_further_failure(&mut self, agent: usize, now: Nanos) {
        let standing = &mut self.agents[agent];
        standing.further_failures += 1;
        let doubled = self.base << (standing.further_failures - 1).min(20);
        standing.further_min = now + self.floor;
        standing.further_max = now + doubled.min(self.cap).max(self.floor);
    }

    /// A connection acknowledges its first batch.
    pub(super) fn on_first_ack(&mut self, agent: usize) {
        self.agents[agent].further_failures = 0;
    }

    /// A connection is attempted beside others.
    pub(super) fn on_further_attempt(&self, agent: usize, now: Nanos) -> Check {
        let standing = &self.agents[agent];
        let is_due = now >= standing.further_min && standing.failures == 0;
        ensure(is_due, "further connection too soon", || {
            format!("to agent {agent} at {now}, {standing:?}")
        })
    }

    /// Whether the refusal of a call sent at `sent` tells something new.
    pub(super) fn is_news(&self, agent: usize, sent: Nanos) -> bool {
        self.agents[agent].failed_at.is_none_or(|at| sent > at)
    }

    pub(super) fn on_ack(&mut self, agent: usize) {
        self.agents[agent].failures = 0;
    }

    /// A connection attempt or a call begins.
    pub(super) fn on_use(&self, agent: usize, now: Nanos) -> Check {
        let standing = &self.agents[agent];
        ensure(now >= standing.rest_end_min, "rest ignored", || {
            format!("agent {agent} is used at {now}, {standing:?}")
        })
    }

    pub(super) fn on_attempt(&mut self, agent: usize, now: Nanos) {
        let standing = &self.agents[agent];
        if standing.capped
            && let Some(failed_at) = standing.failed_at
        {
            self.long_rests.push(now - failed_at);
        }
    }

    /// Whether the agent's rest is over for certain.
    pub(super) fn is_rested(&self, agent: usize, at: Nanos) -> bool {
        self.agents[agent].rest_end_max <= at
    }

    pub(super) fn on_step(&mut self, now: Nanos, is_tick: bool) -> Check {
        let second = now / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.news = 0;
            self.ticks = 0;
        }
        if is_tick {
            self.ticks += 1;
        } else {
            self.news += 1;
        }
        ensure(
            self.ticks <= TICKS_PER_SECOND + 4 * self.news,
            "busy loop",
            || {
                format!(
                    "{} ticks and {} other inputs in a second",
                    self.ticks, self.news
                )
            },
        )
    }

    /// After a long outage: rests of the longest span fill the span.
    pub(super) fn check_spread(&self) -> Check {
        let rests = &self.long_rests;
        let (Some(low), Some(high)) = (rests.iter().min(), rests.iter().max()) else {
            return Ok(());
        };
        let third = self.cap / 3;
        ensure(
            rests.len() < 60 || (*low < third && *high > 2 * third),
            "no jitter",
            || {
                format!(
                    "{} rests between {low} and {high}, cap {}",
                    rests.len(),
                    self.cap
                )
            },
        )
    }
}
