//! What a seed decides before its run begins.

use std::time::Duration;

use flume_client::Reliability;
use flume_client::delivery::{Backoff, Rank, Selection, Settings, WindowMode};

use super::fault::Fault;
use super::time::{MICRO, MINUTE, MS, Nanos, SECOND, log_uniform};

/// All levels of reliability.
pub(crate) const LEVELS: [Reliability; 3] = [
    Reliability::InMemory,
    Reliability::EndToEnd,
    Reliability::BestEffort,
];

/// What the scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Episodes of load and faults with idle time between them.
    Storm,
    /// The same load and not one fault.
    Calm,
    /// Full load on a parallel agent that later becomes slow or sequential.
    FullLoad,
    /// Every agent refuses connections for a long time.
    Outage,
    /// A little load all the time, until connections are old. See [`steady`](super::steady).
    Steady,
    /// Many clients lose one agent at the same moment.
    Herd,
    /// All that agents can answer. See [`doors`](super::doors).
    Doors,
}

/// A stretch of time with work and faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Episode {
    pub(super) from: Nanos,
    pub(super) until: Nanos,
    /// Mean time between inputs of the application.
    pub(super) load_gap: Nanos,
    /// Mean time between scheduled faults.
    pub(super) fault_gap: Nanos,
}

/// An agent and the way to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AgentShape {
    pub(super) latency: Nanos,
    pub(super) jitter: Nanos,
    pub(super) service: Nanos,
    pub(super) service_jitter: Nanos,
    pub(super) workers: usize,
    /// Events that fit into the channel.
    pub(super) capacity: u64,
    pub(super) drain_per_second: u64,
    /// How long a call waits for room in a full channel.
    pub(super) keep_alive: Nanos,
    pub(super) bytes_per_second: u64,
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) kind: Kind,
    pub(super) settings: Settings,
    /// Of the events.
    pub(super) levels: Vec<Reliability>,
    pub(super) core_seed: u64,
    pub(super) agents: Vec<AgentShape>,
    pub(super) episodes: Vec<Episode>,
    /// All faults are over, the load too.
    pub(super) heal_at: Nanos,
    pub(super) abandon_at: Option<Nanos>,
    /// Share of calls that fail, and ways in which they do.
    pub(super) call_faults: f64,
    pub(super) call_fault_kinds: Vec<Fault>,
    /// Small events have up to this many bytes.
    pub(super) event_bytes_max: u32,
    /// Share of events that are large, up to twice a batch.
    pub(super) large_share: f64,
    /// Timers fire up to this late.
    pub(super) late_max: Nanos,
    /// The driver passes on what it heard on a connection after it was told to close it.
    pub(super) racy: bool,
    /// Chance of a tick for no reason after each happening.
    pub(super) spurious_ticks: f64,
    /// Share of old connections that fail while another one takes their place, and of the attempts at
    /// that.
    pub(super) age_faults: f64,
}

/// Spreads small seeds over the generator's state.
pub(super) fn generator(seed: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed((seed ^ 0x5eed).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

pub(super) fn pick<T: Copy>(rng: &mut fastrand::Rng, choices: &[T]) -> T {
    choices[rng.usize(0..choices.len())]
}

impl Scenario {
    pub(super) fn draw(rng: &mut fastrand::Rng) -> Self {
        let kind = match rng.u32(0..100) {
            0..=49 => Kind::Storm,
            50..=59 => Kind::Doors,
            60..=69 => Kind::Steady,
            70..=81 => Kind::Calm,
            82..=91 => Kind::FullLoad,
            92..=97 => Kind::Outage,
            _ => Kind::Herd,
        };
        let settings = settings(rng, kind);
        let levels = levels(rng, kind);
        let agents = (0..settings.agents.len())
            .map(|_| agent(rng, kind, &settings))
            .collect();
        let (episodes, heal_at) = episodes(rng, kind, &settings);
        let storm = kind == Kind::Storm;
        let abandon_at = (storm && rng.u32(0..4) == 0).then(|| {
            let episode = pick(rng, &episodes);
            rng.u64(episode.from..=episode.until)
        });
        let call_faults = if storm && rng.bool() {
            pick(rng, &[0.001, 0.01, 0.1, 0.4])
        } else {
            0.0
        };
        let mut call_fault_kinds: Vec<_> = Fault::OF_A_CALL
            .into_iter()
            .filter(|_| rng.bool())
            .collect();
        call_fault_kinds.push(pick(rng, &Fault::OF_A_CALL));
        let large_share = match kind {
            Kind::FullLoad => 0.0,
            _ => pick(rng, &[0.0, 0.0, 0.001, 0.02]),
        };
        Self {
            kind,
            settings,
            levels,
            core_seed: rng.u64(..),
            agents,
            episodes,
            heal_at,
            abandon_at,
            call_faults,
            call_fault_kinds,
            event_bytes_max: pick(rng, &[20, 300, 2_000]),
            large_share,
            late_max: pick(rng, &[0, 0, MS, 5 * MS]),
            racy: rng.u32(0..3) == 0,
            spurious_ticks: pick(rng, &[0.0, 0.01, 0.2]),
            age_faults: 0.0,
        }
    }

    /// Not one fault is planned.
    pub(super) fn is_calm(&self) -> bool {
        match self.kind {
            Kind::Calm | Kind::FullLoad => true,
            Kind::Steady => self.age_faults == 0.0,
            Kind::Storm | Kind::Outage | Kind::Herd | Kind::Doors => false,
        }
    }
}

fn settings(rng: &mut fastrand::Rng, kind: Kind) -> Settings {
    let ms = |rng: &mut fastrand::Rng, low, high| {
        Duration::from_nanos(log_uniform(rng, low * MS, high * MS) / MICRO * MICRO)
    };
    let load = kind == Kind::FullLoad;
    let window = match rng.u32(0..10) {
        _ if load => WindowMode::ADAPTIVE,
        0..=2 => WindowMode::Ordered,
        3..=5 => WindowMode::ADAPTIVE,
        _ => WindowMode::Adaptive {
            max: rng.u32(1..=16),
        },
    };
    let selection = match rng.u32(0..10) {
        0..=4 => Selection::Failover,
        5..=7 => Selection::RoundRobin,
        _ => Selection::Random,
    };
    Settings {
        agents: if load {
            Rank::in_order(1)
        } else {
            ranks(rng, selection)
        },
        selection,
        connections: if load { 1 } else { rng.u32(1..=3) },
        batch_events_max: if load {
            pick(rng, &[10, 20, 50])
        } else {
            pick(rng, &[1, 2, 10, 100, 500])
        },
        batch_bytes_max: if load {
            1 << 20
        } else {
            pick(rng, &[512, 4 << 10, 64 << 10, 256 << 10])
        },
        linger: if rng.u32(0..8) == 0 {
            Duration::ZERO
        } else {
            ms(rng, 1, 1_000)
        },
        window,
        connect_timeout: ms(rng, 500, 5_000),
        greeting_timeout: ms(rng, 500, 5_000),
        request_timeout: if load {
            Duration::from_secs(20)
        } else {
            ms(rng, 1_000, 20_000)
        },
        backoff: Backoff::default()
            .base(ms(rng, 50, 500))
            .cap(ms(rng, 1_000, 30_000))
            .floor(ms(rng, 1, 50)),
    }
}

/// One to four agents, in one group or more if they share.
fn ranks(rng: &mut fastrand::Rng, selection: Selection) -> Vec<Rank> {
    let agents = rng.usize(1..=4);
    if selection == Selection::Failover {
        return Rank::in_order(agents);
    }
    let mut group = 0;
    let mut rank = |_| {
        let rank = Rank {
            dialects: 1,
            group,
            weight: pick(rng, &[1, 1, 1, 2, 5]),
        };
        group += u32::from(rng.u32(0..4) == 0);
        rank
    };
    (0..agents).map(&mut rank).collect()
}

/// Those that events have in this run. Best effort has no part in what is about events that wait.
fn levels(rng: &mut fastrand::Rng, kind: Kind) -> Vec<Reliability> {
    let keeps_all = matches!(kind, Kind::FullLoad | Kind::Outage);
    let mut levels = LEVELS.to_vec();
    if keeps_all {
        levels.retain(|level| *level != Reliability::BestEffort);
    }
    rng.shuffle(&mut levels);
    levels.truncate(rng.usize(1..=levels.len()));
    levels
}

fn agent(rng: &mut fastrand::Rng, kind: Kind, settings: &Settings) -> AgentShape {
    let patience = settings.request_timeout.as_nanos() as u64;
    if kind == Kind::FullLoad {
        let service = rng.u64(3..=10) * MS;
        return AgentShape {
            latency: log_uniform(rng, 50 * MICRO, 500 * MICRO),
            jitter: 20 * MICRO,
            service,
            service_jitter: service / 20,
            workers: rng.usize(12..=16),
            capacity: u64::MAX,
            drain_per_second: 0,
            keep_alive: 0,
            bytes_per_second: 10_000_000_000,
        };
    }
    // A full window of the largest batches must reach a healthy agent well before the timeout.
    let slowest = u64::from(settings.batch_bytes_max) * 2 * 17 * 8 * SECOND / patience;
    let shortest = settings.connect_timeout.min(settings.request_timeout);
    let shortest = shortest.min(settings.greeting_timeout);
    let latency = log_uniform(rng, 50 * MICRO, shortest.as_nanos() as u64 / 10);
    let clogs = kind == Kind::Storm && rng.u32(0..3) == 0;
    let capacity = u64::from(settings.batch_events_max) * rng.u64(2..50);
    AgentShape {
        latency,
        jitter: latency / pick(rng, &[1, 10, 1_000]),
        service: log_uniform(rng, 10 * MICRO, patience / 300),
        service_jitter: log_uniform(rng, MICRO, patience / 300),
        workers: if rng.bool() { rng.usize(1..=16) } else { 1 },
        capacity: if clogs { capacity } else { u64::MAX },
        drain_per_second: rng.u64(1..=capacity),
        keep_alive: pick(rng, &[0, MS, 3 * SECOND]).min(patience * 2),
        bytes_per_second: slowest * pick(rng, &[1, 10, 1_000]) + 1,
    }
}

fn episodes(rng: &mut fastrand::Rng, kind: Kind, settings: &Settings) -> (Vec<Episode>, Nanos) {
    if kind == Kind::FullLoad {
        return (Vec::new(), 0);
    }
    if kind == Kind::Outage {
        let cap = settings.backoff.cap.as_nanos() as u64;
        let episode = Episode {
            from: MS,
            until: 2 * SECOND,
            load_gap: 100 * MS,
            fault_gap: Nanos::MAX / 4,
        };
        return (vec![episode], cap * rng.u64(60..150) + 10 * MINUTE);
    }
    let one_in = if kind == Kind::Calm { 2 } else { 8 };
    if rng.u32(0..one_in) == 0 {
        // Without a pause, until connections are old.
        let steady = Episode {
            from: MS,
            until: rng.u64(13..17) * MINUTE,
            load_gap: log_uniform(rng, 200 * MS, SECOND),
            fault_gap: log_uniform(rng, MINUTE, 10 * MINUTE),
        };
        return (vec![steady], steady.until);
    }
    let mut episodes = Vec::new();
    let mut from = rng.u64(0..SECOND);
    let end = log_uniform(rng, 10 * MINUTE, 120 * MINUTE);
    while from < end {
        let until = from + log_uniform(rng, 2 * SECOND, 2 * MINUTE);
        episodes.push(Episode {
            from,
            until,
            load_gap: log_uniform(rng, 50 * MS, 5 * SECOND),
            fault_gap: log_uniform(rng, 200 * MS, 30 * SECOND),
        });
        from = until + log_uniform(rng, SECOND, 30 * MINUTE);
    }
    let last = episodes.last().map_or(0, |episode| episode.until);
    (episodes, last)
}
