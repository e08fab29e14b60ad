//! [`Kind::Steady`](super::options::Kind): a little load all the time, until connections are old, on
//! agents that answer slowly, so that calls are in flight when another connection takes the place of
//! theirs. Or load with pauses of about as long as an idle connection is kept.
//!
//! What goes wrong strikes at that moment, or nothing does.

use std::time::Duration;

use flume_client::delivery::{Epoch, WindowMode};

use super::fault::Fault;
use super::options::{Episode, Scenario, pick};
use super::time::{MINUTE, MS, Nanos, SECOND, log_uniform};
use super::violation::Check;
use super::world::World;

/// Agents that load is spread over: with more, each has less in flight.
const AGENTS_MAX: usize = 2;
/// Ways in which an attempt can fail.
const OF_AN_ATTEMPT: [Fault; 3] = [Fault::Refuse, Fault::MuteConnect, Fault::MuteHandshake];

/// Makes such a scenario of one drawn as any other.
pub(super) fn shape(scenario: &mut Scenario, rng: &mut fastrand::Rng) {
    let settings = &mut scenario.settings;
    settings.agents.truncate(AGENTS_MAX);
    // No call is ever late by itself: a whole window is answered within 6 s.
    settings.request_timeout = Duration::from_secs(20);
    if rng.bool() {
        // Calls that are left on an old connection take room from the new one.
        let max = rng.u32(1..=3);
        settings.window = WindowMode::Adaptive { max };
    }
    scenario.agents.truncate(AGENTS_MAX);
    for agent in &mut scenario.agents {
        agent.service = log_uniform(rng, 100 * MS, 3 * SECOND);
        agent.service_jitter = agent.service;
        agent.workers = 16;
        agent.capacity = u64::MAX;
    }
    scenario.event_bytes_max = 300;
    scenario.large_share = 0.0;
    scenario.age_faults = pick(rng, &[0.0, 0.6]);
    let end = rng.u64(15..=60) * MINUTE;
    scenario.episodes = match rng.bool() {
        true => vec![episode(rng, MS, end)],
        false => with_pauses(rng, end),
    };
    let last = scenario.episodes.last();
    scenario.heal_at = last.map_or(end, |episode| episode.until);
}

fn episode(rng: &mut fastrand::Rng, from: Nanos, until: Nanos) -> Episode {
    Episode {
        from,
        until,
        load_gap: log_uniform(rng, 200 * MS, SECOND),
        fault_gap: Nanos::MAX / 4,
    }
}

fn with_pauses(rng: &mut fastrand::Rng, end: Nanos) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut from = MS;
    while from < end {
        let until = from + rng.u64(5..60) * SECOND;
        episodes.push(episode(rng, from, until));
        from = until + rng.u64(50_000..66_000) * MS;
    }
    episodes
}

impl World {
    /// An attempt at a connection in the place of an old one: it may fail.
    pub(super) fn strike_attempt(&mut self, agent: usize) -> Check {
        if !self.strikes_age() {
            return Ok(());
        }
        let fault = OF_AN_ATTEMPT[self.rng.usize(0..OF_AN_ATTEMPT.len())];
        let until = self.now + log_uniform(&mut self.rng, SECOND, 20 * SECOND);
        self.strike(agent, fault, until)
    }

    /// A connection drains: it may break, or nothing may be heard of it any more.
    pub(super) fn strike_drained(&mut self, epoch: Epoch) {
        if !self.strikes_age() {
            return;
        }
        if self.rng.bool() {
            self.stats.count(Fault::Hangup);
            self.hang_up(epoch);
        } else if let Some(connection) = self.connections.get_mut(&epoch) {
            self.stats.count(Fault::Lose);
            connection.lost = true;
        }
    }

    fn strikes_age(&mut self) -> bool {
        let share = self.scenario.age_faults;
        share > 0.0 && self.healed_at.is_none() && self.rng.f64() < share
    }
}
