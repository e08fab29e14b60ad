//! What a seed makes of a round.

use std::time::Duration;

/// Events of a batch, and batches under way, at the most: how many events may be with the agent
/// without the client's knowing.
pub(super) const BATCH_EVENTS: u32 = 100;
pub(super) const BATCHES_IN_FLIGHT: u32 = 16;
/// How long the cursor may lag behind the acknowledgements, as the client's docs say.
pub(super) const CURSOR_INTERVAL: Duration = Duration::from_millis(100);

/// How long a process lives on under load: mostly so that a cursor may or may not be saved, at
/// times so long that it is several times.
const LIFE_MS_MAX: u64 = 150;
const LONG_LIFE_MS_MAX: u64 = 800;
/// By then it is loaded, and has as a rule opened its spool.
const OPENING_MS_MAX: u64 = 30;
/// Bytes added to each body. Little ones make many events, large ones more than memory takes.
const PADDINGS: [usize; 6] = [0, 0, 100, 300, 3_000, 20_000];

/// One process that writes, and its end.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) agent: Mood,
    pub(super) kill: Kill,
    pub(super) threads: u32,
    pub(super) padding: usize,
    /// One batch under way at once, so that events arrive in order.
    pub(super) ordered: bool,
    /// Another process writes beside it, in a place of its own, and is killed with it: what both
    /// left is delivered by the next one, which adopts the second place.
    pub(super) companion: bool,
}

/// What the agent is like during a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Works,
    /// Nobody listens.
    Stopped,
    /// Every batch is answered FAILED.
    Refuses,
    /// It stops so long after the first event was stored.
    Vanishes(Duration),
}

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kill {
    /// So long after it was started, mostly while it opens its spool.
    AfterStart(Duration),
    /// So long after it reported an event stored.
    AfterStored(Duration),
}

impl Plan {
    pub(super) fn of(seed: u64, round: u32) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut random = fastrand::Rng::with_seed(random.u64(..) ^ u64::from(round));
        let longest = match random.u32(..4) {
            0 => LONG_LIFE_MS_MAX,
            _ => LIFE_MS_MAX,
        };
        let life = |random: &mut fastrand::Rng| Duration::from_millis(random.u64(..longest));
        let agent = match random.u32(..20) {
            0..13 => Mood::Works,
            13..16 => Mood::Stopped,
            16..18 => Mood::Refuses,
            _ => Mood::Vanishes(life(&mut random)),
        };
        let kill = match random.u32(..20) {
            0..4 => Kill::AfterStart(Duration::from_micros(random.u64(..OPENING_MS_MAX * 1_000))),
            4..7 => Kill::AfterStored(Duration::ZERO),
            _ => Kill::AfterStored(life(&mut random)),
        };
        Self {
            agent,
            kill,
            threads: random.u32(2..=4),
            padding: random.choice(PADDINGS).unwrap_or_default(),
            ordered: random.u32(..4) == 0,
            companion: random.u32(..3) == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_plans_the_same_rounds_again_and_another_one_others() {
        let plans = |seed| (1..100).map(move |round| format!("{:?}", Plan::of(seed, round)));
        assert!(plans(1).eq(plans(1)));
        assert!(plans(1).ne(plans(2)));
    }

    #[test]
    fn two_hundred_rounds_hold_every_mood_and_kills_at_every_stage() {
        let plans: Vec<Plan> = (1..=200).map(|round| Plan::of(0, round)).collect();
        let count = |is: fn(&Plan) -> bool| plans.iter().filter(|plan| is(plan)).count();
        assert!(count(|it| it.agent == Mood::Works) > 100);
        assert!(count(|it| it.companion && it.agent == Mood::Works) > 20);
        assert!(count(|it| it.companion && it.agent != Mood::Works) > 10);
        assert!(count(|it| it.agent == Mood::Stopped) > 10);
        assert!(count(|it| it.agent == Mood::Refuses) > 5);
        assert!(count(|it| matches!(it.agent, Mood::Vanishes(_))) > 5);
        assert!(count(|it| matches!(it.kill, Kill::AfterStart(_))) > 20);
        assert!(count(|it| matches!(it.kill, Kill::AfterStored(Duration::ZERO))) > 15);
    }
}
