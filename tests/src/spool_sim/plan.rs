//! [`Plan`]: what may go wrong in a run, and the sizes of its spool.

use fastrand::Rng;
use flume_client::spool::{CURSOR_BYTES, SEGMENT_HEADER_BYTES, SEGMENTS_MIN, Settings};

use super::disk::Faults;

/// What may go wrong in a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) faults: Faults,
    pub(super) power_losses: bool,
    pub(super) full_disk: bool,
    pub(super) read_only: bool,
    pub(super) damage: bool,
    /// Files that cannot be read for a while, that are of another version, under each other's names
    /// or taken away.
    pub(super) obstacles: bool,
    pub(super) settings_change: bool,
    /// Most writes of the cursor are not synced.
    pub(super) notes: bool,
}

pub(super) fn settings(random: &mut Rng) -> Settings {
    let frame_bytes_max = 512 * random.u64(1..8);
    let least = SEGMENT_HEADER_BYTES as u64 + 2 * frame_bytes_max;
    let segment_bytes = least + 512 * random.u64(0..40);
    Settings {
        segment_bytes,
        frame_bytes_max,
        bytes_max: segment_bytes * random.u64(SEGMENTS_MIN..9)
            + CURSOR_BYTES as u64
            + random.u64(0..4096),
        free_bytes_min: 0,
    }
}

impl Plan {
    pub(super) fn of(seed: u64, random: &mut Rng) -> Self {
        let mut one_in = |most: u32| {
            if random.u32(0..3) == 0 {
                random.u32(8..most)
            } else {
                0
            }
        };
        let faults = Faults {
            reads: one_in(80),
            writes: one_in(60),
            syncs: one_in(60),
            names: one_in(60),
        };
        let damage = random.u32(0..5) == 0;
        Self {
            faults,
            power_losses: random.u32(0..4) > 0,
            full_disk: random.u32(0..4) == 0,
            read_only: random.u32(0..8) == 0,
            damage,
            // With a damaged cursor and files taken away nothing tells how far numbers were given.
            obstacles: !damage && random.u32(0..3) == 0,
            settings_change: random.u32(0..6) == 0,
            // Not drawn, so that known seeds go on to show what they showed.
            notes: seed % 4 == 2,
        }
    }
}
