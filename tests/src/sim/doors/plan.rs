//! [`Plan`]: what a seed decides before the run.

use std::time::Duration;

use flume_client::Reliability;
use flume_client::delivery::{AgentId, AgentSet, Backoff, Rank, Selection, Settings, WindowMode};

use crate::sim::options::{LEVELS, pick};
use crate::sim::time::{MINUTE, MS, Nanos, SECOND, log_uniform};

/// The longest time from the end of all faults until every event is delivered or rejected, but one
/// that agents doubt for ever, and what waits behind it.
///
/// An agent that was blocked just before rests up to 12 minutes, and may be the only one for some
/// events. Those that lie in one batch with a doubtful event are refused with it five times, and once
/// for each halving of 16 events: nine times. Before each of them the batch or the agent rests, no
/// longer than the longest back-off, and the dialects of an agent that moved are tried. Thrice that is
/// more than the plan's longest times add up to.
pub(super) const RECOVERY_MAX: Nanos = 12 * MINUTE + 27 * (BACKOFF_MAX + 3 * TIMEOUT_MAX);
/// Longest back-off.
const BACKOFF_MAX: Nanos = 10 * SECOND;
/// Longest of the timeouts.
const TIMEOUT_MAX: Nanos = 5 * SECOND;

/// How many events are unacceptable to some agent, or to all.
#[derive(Clone, Copy, Debug)]
enum Taste {
    All,
    OneIn(u64),
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) levels: Vec<Reliability>,
    pub(super) core_seed: u64,
    taste_seed: u64,
    taste: Taste,
    /// Agents answer that they doubt whatever has this event, and store it never.
    pub(super) doubted: Option<(Reliability, u64)>,
    /// The dialect of each agent at the beginning.
    pub(super) spoken: Vec<u32>,
    /// Share of the calls that something befalls.
    pub(super) call_faults: f64,
    /// Share of the attempts that something befalls.
    pub(super) attempt_faults: f64,
    /// Mean time between inputs of the application.
    pub(super) load_gap: Nanos,
    /// Mean time between faults that last.
    pub(super) fault_gap: Nanos,
    /// The longest that an answer takes.
    pub(super) latency: Nanos,
    pub(super) heal_at: Nanos,
}

impl Plan {
    pub(super) fn draw(rng: &mut fastrand::Rng) -> Self {
        let settings = settings(rng);
        let mut levels = LEVELS.to_vec();
        rng.shuffle(&mut levels);
        levels.truncate(rng.usize(1..=levels.len()));
        // In order, all that comes after such an event would wait for ever.
        let is_ordered = settings.window == WindowMode::Ordered;
        let is_doubted = !is_ordered && rng.u32(0..4) == 0;
        let heal_at = log_uniform(rng, 20 * SECOND, 40 * MINUTE);
        let spoken = settings.agents.iter();
        let spoken = spoken.map(|rank| rng.u32(0..rank.dialects)).collect();
        Self {
            doubted: is_doubted.then(|| (levels[0], rng.u64(0..30))),
            levels,
            core_seed: rng.u64(..),
            taste_seed: rng.u64(..),
            taste: pick(
                rng,
                &[
                    Taste::All,
                    Taste::OneIn(50),
                    Taste::OneIn(10),
                    Taste::OneIn(2),
                ],
            ),
            spoken,
            call_faults: pick(rng, &[0.0, 0.02, 0.1, 0.4]),
            attempt_faults: pick(rng, &[0.0, 0.02, 0.2, 0.5]),
            load_gap: log_uniform(rng, heal_at / 400, heal_at / 40),
            fault_gap: log_uniform(rng, heal_at / 40, heal_at),
            latency: log_uniform(rng, MS, 400 * MS),
            heal_at,
            settings,
        }
    }

    /// The agents that find this event unacceptable, which is a matter of the event alone.
    pub(super) fn unfit(&self, level: Reliability, number: u64) -> AgentSet {
        let Taste::OneIn(share) = self.taste else {
            return AgentSet::default();
        };
        let of_level = LEVELS.iter().position(|one| *one == level);
        let of_event = number.wrapping_mul(3) + of_level.unwrap_or_default() as u64;
        let mut hash =
            fastrand::Rng::with_seed(self.taste_seed ^ of_event.wrapping_mul(0x9e37_79b9));
        if hash.u64(0..share) > 0 {
            return AgentSet::default();
        }
        let agents = self.settings.agents.len();
        let (first, kind) = (hash.usize(0..agents), hash.u32(0..3));
        let finds = |agent: &usize| match kind {
            0 => true,
            1 => *agent == first,
            _ => *agent >= first,
        };
        let unfit = (0..agents).filter(finds).map(AgentId::new);
        unfit.fold(AgentSet::default(), AgentSet::with)
    }
}

fn settings(rng: &mut fastrand::Rng) -> Settings {
    let ms = |rng: &mut fastrand::Rng, low, high| {
        Duration::from_nanos(log_uniform(rng, low, high) / MS * MS)
    };
    let selection = pick(
        rng,
        &[
            Selection::Failover,
            Selection::RoundRobin,
            Selection::Random,
        ],
    );
    let mut group = 0;
    let agents = rng.usize(1..=4);
    let mut rank = |index| {
        let starts = selection == Selection::Failover || rng.bool();
        group += u32::from(index > 0 && starts);
        Rank {
            group,
            weight: pick(rng, &[1, 1, 2, 5]),
            dialects: rng.u32(1..=3),
        }
    };
    let agents = (0..agents).map(&mut rank).collect();
    Settings {
        agents,
        selection,
        connections: rng.u32(1..=2),
        batch_events_max: pick(rng, &[1, 2, 5, 16]),
        batch_bytes_max: pick(rng, &[64, 512, 4096]),
        linger: ms(rng, MS, SECOND),
        window: match rng.u32(0..3) {
            0 => WindowMode::Ordered,
            1 => WindowMode::ADAPTIVE,
            _ => WindowMode::Adaptive {
                max: rng.u32(1..=4),
            },
        },
        connect_timeout: ms(rng, 500 * MS, TIMEOUT_MAX),
        greeting_timeout: ms(rng, 500 * MS, TIMEOUT_MAX),
        request_timeout: ms(rng, SECOND, TIMEOUT_MAX),
        backoff: Backoff::default()
            .base(ms(rng, 50 * MS, 500 * MS))
            .cap(ms(rng, SECOND, BACKOFF_MAX))
            .floor(ms(rng, MS, 50 * MS)),
    }
}
