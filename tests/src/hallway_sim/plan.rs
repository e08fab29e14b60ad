//! [`Plan`]: what a seed decides before the run.

use std::time::Duration;

use fastrand::Rng;
use flume_client::delivery::{Rank, Selection, Settings as Delivery, WindowMode};
use flume_client::spool::{
    CURSOR_BYTES, SEGMENT_HEADER_BYTES, SEGMENTS_MIN, Settings, frame_bytes,
};
use flume_client::{Backoff, Reliability};

use crate::spool_sim::disk::Faults;

/// Seeds below this run unoptimised, with each planted bug: their storms are shorter.
const SEEDS_OF_PLANTED_BUGS: u64 = 1_000;
/// Bytes of the largest event.
const EVENT_BYTES_MAX: usize = 1200;

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) delivery: Delivery,
    /// That of most events, and those of others.
    pub(super) level: Reliability,
    pub(super) other_levels: Vec<Reliability>,
    pub(super) buffer_bytes: usize,
    pub(super) chunk_bytes: usize,
    pub(super) event_bytes: usize,
    /// With a spool.
    pub(super) spool: Option<Settings>,
    /// Happenings before everything heals.
    pub(super) happenings: u32,
    /// Between two doings of callers.
    pub(super) load_gap: Duration,
    /// Between two things that go wrong.
    pub(super) trouble_gap: Duration,
    pub(super) faults: Faults,
    /// One sync in so many takes up to some seconds.
    pub(super) slow_syncs: u32,
    pub(super) full_disk: bool,
    pub(super) read_only: bool,
    pub(super) unreadable: bool,
    pub(super) kills: bool,
    pub(super) power_losses: bool,
    pub(super) closes: bool,
    pub(super) bad_agents: bool,
    /// Something goes wrong all the time. See [`Plan::storm`].
    pub(super) is_storm: bool,
    /// Somebody waits for each event, and none may wait for a timer.
    pub(super) awaits: bool,
    /// Events that others left, in places beside the spool's.
    pub(super) left: Vec<u64>,
}

/// Spreads small seeds over the generator's state.
fn generator(seed: u64) -> Rng {
    Rng::with_seed((seed ^ 0xa11).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Each order of size is as likely as another.
fn micros_between(random: &mut Rng, low: u64, high: u64) -> Duration {
    let (low, high) = ((low as f64).ln(), (high as f64).ln());
    Duration::from_micros((low + (high - low) * random.f64()).exp() as u64)
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = generator(seed);
        let random = &mut random;
        let is_calm = random.u32(0..5) == 0;
        let mut may = |one_in: u32| !is_calm && random.u32(0..one_in) == 0;
        let (full_disk, read_only, unreadable) = (may(4), may(6), may(5));
        let (kills, power_losses, closes) = (may(2), may(3), may(3));
        let bad_agents = may(4) || may(2);
        let flaky = [may(4), may(3), may(3), may(4)];
        let mut one_in = |is: bool| if is { random.u32(5..60) } else { 0 };
        let faults = Faults {
            reads: one_in(flaky[0]),
            writes: one_in(flaky[1]),
            syncs: one_in(flaky[2]),
            names: one_in(flaky[3]),
        };
        let is_spooled = random.u32(0..8) > 0;
        let chunk_bytes = *random.choice(&[256, 512, 2048]).expect("there are some");
        let event_bytes = random.usize(20..EVENT_BYTES_MAX.min(chunk_bytes * 2));
        let others = if is_spooled { random.u32(0..3) } else { 0 };
        let mut plan = Self {
            seed,
            buffer_bytes: random.usize(4..40) * chunk_bytes.max(event_bytes),
            spool: is_spooled.then(|| settings(random, chunk_bytes.max(event_bytes + 16))),
            delivery: delivery(random),
            level: match is_spooled {
                true => spooled_level(seed),
                false => Reliability::InMemory,
            },
            other_levels: other_levels(seed),
            chunk_bytes,
            event_bytes,
            happenings: random.u32(200..1500),
            load_gap: micros_between(random, 50, 300_000),
            trouble_gap: micros_between(random, 20_000, 10_000_000),
            faults,
            slow_syncs: *random.choice(&[0, 0, 5, 40]).expect("there are some"),
            full_disk,
            read_only,
            unreadable,
            kills,
            power_losses,
            closes,
            bad_agents,
            left: (0..others.saturating_sub(u32::from(random.bool())))
                .map(|_| random.u64(1..60))
                .collect(),
            is_storm: false,
            awaits: false,
        };
        plan.storm(&mut generator(seed ^ 0x5702));
        plan.awaits = is_calm && !plan.is_storm && generator(seed ^ 0xa3a17).bool();
        if plan.awaits {
            // Nobody but those who wait brings events on their way.
            plan.delivery.linger = Duration::from_secs(1000);
            plan.left.clear();
            plan.slow_syncs = 0;
        }
        plan
    }

    /// Makes a storm of one run in three: agents fail every few milliseconds, the disk one call in
    /// five to twelve, and nobody rests for long, so that the next fault meets what is left of the
    /// last one. Drawn apart, so that the other seeds give the same as without storms.
    fn storm(&mut self, random: &mut Rng) {
        self.is_storm = random.u32(0..3) == 0;
        if !self.is_storm {
            return;
        }
        let ms = |random: &mut Rng, range| Duration::from_millis(random.u64(range));
        self.bad_agents = true;
        self.happenings = random.u32(10_000..40_000);
        if self.seed < SEEDS_OF_PLANTED_BUGS {
            self.happenings /= 8;
        }
        self.load_gap = Duration::from_micros(random.u64(500..20_000));
        self.trouble_gap = ms(random, 2..40);
        let mut one_in = || match random.u32(0..3) {
            0 => random.u32(5..=12),
            _ => 0,
        };
        self.faults = Faults {
            reads: one_in(),
            writes: one_in(),
            syncs: one_in(),
            names: one_in(),
        };
        self.delivery.batch_events_max = *random.choice(&[1, 2, 5]).expect("there are some");
        self.delivery.linger = ms(random, 0..5);
        self.delivery.request_timeout = ms(random, 500..1000);
        self.delivery.backoff = Backoff::default()
            .base(ms(random, 2..20))
            .cap(ms(random, 20..200))
            .floor(ms(random, 1..3));
    }

    /// Nothing is planned to go wrong with the disk.
    pub(super) fn is_disk_sound(&self) -> bool {
        let Faults {
            reads,
            writes,
            syncs,
            names,
        } = self.faults;
        let fails = reads + writes + syncs + names > 0;
        !(fails || self.full_disk || self.read_only || self.unreadable)
    }
}

fn settings(random: &mut Rng, chunk: usize) -> Settings {
    let frame_bytes_max = frame_bytes(1, chunk) as u64 + 512;
    let least = SEGMENT_HEADER_BYTES as u64 + 2 * frame_bytes_max;
    let segment_bytes = (least + 512 * random.u64(0..40)).next_multiple_of(512);
    let segments = random.u64(SEGMENTS_MIN..12);
    Settings {
        segment_bytes,
        frame_bytes_max,
        bytes_max: segment_bytes * segments + CURSOR_BYTES as u64 + random.u64(0..4096),
        free_bytes_min: 0,
    }
}

/// The level of the spool, drawn apart for the reason that the others are.
fn spooled_level(seed: u64) -> Reliability {
    match generator(seed ^ 0x50f).u32(0..3) {
        0 => Reliability::StoreOnFailure,
        _ => Reliability::EndToEnd,
    }
}

/// Drawn apart, so that a seed gives the same of all else as without them.
fn other_levels(seed: u64) -> Vec<Reliability> {
    let mut random = generator(seed ^ 0x1e7e1);
    let mut levels = vec![Reliability::BestEffort, Reliability::InMemory];
    levels.retain(|_| random.u32(0..3) == 0);
    levels
}

fn delivery(random: &mut Rng) -> Delivery {
    let window = match random.u32(0..3) {
        0 => WindowMode::Ordered,
        1 => WindowMode::ADAPTIVE,
        _ => WindowMode::Adaptive {
            max: random.u32(1..6),
        },
    };
    let ms = |random: &mut Rng, range| Duration::from_millis(random.u64(range));
    Delivery {
        agents: Rank::in_order(random.usize(1..4)),
        selection: Selection::Failover,
        connections: random.u32(1..4),
        batch_events_max: *random.choice(&[1, 3, 10, 100]).expect("there are some"),
        batch_bytes_max: *random
            .choice(&[300, 2_000, 20_000])
            .expect("there are some"),
        linger: ms(random, 0..100),
        window,
        connect_timeout: ms(random, 500..3000),
        greeting_timeout: ms(random, 500..5000),
        request_timeout: ms(random, 1000..5000),
        backoff: Backoff::default()
            .base(ms(random, 20..200))
            .cap(ms(random, 500..5000))
            .floor(ms(random, 1..20)),
    }
}
