//! Full load on one parallel agent, that later gets worse: does the window follow?
//!
//! | seconds | |
//! |---|---|
//! | 1 | perhaps one event is large, or all are small from now on |
//! | 2 to 3 | the window must be open |
//! | 3 | the agent handles one call at a time, or each call takes 15 times as long |
//! | 7 to 8 | the window must have closed |
//! | 130 to 140 | if calls are slow but still parallel, it must be open again |

use super::time::{MS, Nanos, SECOND};
use super::violation::{Check, ensure};
use super::world::{Happening, World};

const BACKLOG_BATCHES: u64 = 40;
const EVENT_BYTES: u32 = 100;
const SMALL_BYTES: u32 = 20;
const LARGE_BYTES: u32 = 200_000;

const LOOK_EVERY: Nanos = 2 * MS;
const LOOK_RARELY: Nanos = 20 * MS;
const SIZES_CHANGE_AT: Nanos = SECOND;
const OPEN_FROM: Nanos = 2 * SECOND;
const WORSE_AT: Nanos = 3 * SECOND;
const CLOSED_FROM: Nanos = 7 * SECOND;
const CLOSED_AT: Nanos = 8 * SECOND;
const REOPENED_FROM: Nanos = 130 * SECOND;
const REOPENED_AT: Nanos = 140 * SECOND;

/// Smallest mean window on an agent with a dozen workers or more.
const OPEN_MEAN: f64 = 8.0;
/// Largest mean window on an agent that handles one call at a time.
const CLOSED_MEAN: f64 = 7.0;
/// Smallest window seen after calls became slow.
const CLOSED_SMALLEST: u32 = 6;
const SLOWER: Nanos = 15;

impl World {
    pub(super) fn plan_full_load(&mut self) {
        self.full_load.is_sequential = self.rng.u32(0..3) > 0;
        self.full_load.shrinks = self.rng.bool();
        self.schedule(MS, Happening::Look);
    }

    /// Keeps the backlog up, and looks at the window.
    pub(super) fn on_look(&mut self) -> Check {
        let now = self.now;
        self.fill_up()?;
        let looked_at = std::mem::replace(&mut self.full_load.looked_at, now);
        let passes = |mark: Nanos| looked_at < mark && mark <= now;
        if passes(SIZES_CHANGE_AT) && self.rng.bool() {
            let level = self.scenario.levels[0];
            self.books.of_mut(level).accept(now, LARGE_BYTES);
            self.feed(level, &[LARGE_BYTES])?;
        } else if passes(WORSE_AT) {
            self.check_open()?;
            self.worsen();
            self.full_load.smallest = u32::MAX;
        } else if passes(CLOSED_AT) {
            self.check_closed()?;
            if self.full_load.is_sequential {
                self.healed_at = Some(now);
                return Ok(());
            }
        } else if passes(REOPENED_AT) {
            self.check_open()?;
            self.healed_at = Some(now);
            return Ok(());
        }
        if passes(OPEN_FROM) || passes(CLOSED_FROM) || passes(REOPENED_FROM) {
            self.full_load.forget();
        }
        let window = self.window(0);
        let load = &mut self.full_load;
        load.looks += 1;
        load.sum += window;
        load.smallest = load.smallest.min(window);
        let gap = if now < CLOSED_AT {
            LOOK_EVERY
        } else {
            LOOK_RARELY
        };
        self.schedule(now + gap, Happening::Look);
        Ok(())
    }

    fn fill_up(&mut self) -> Check {
        let most = self.scenario.settings.batch_events_max;
        let backlog = BACKLOG_BATCHES * u64::from(most);
        let bytes = if self.full_load.shrinks && self.now > SIZES_CHANGE_AT {
            SMALL_BYTES
        } else {
            EVENT_BYTES
        };
        for level in self.scenario.levels.clone() {
            while self.books.of(level).pending().0 < backlog {
                let ends: Vec<_> = (1..=most * 10).map(|place| place * bytes).collect();
                for _ in &ends {
                    self.books.of_mut(level).accept(self.now, bytes);
                }
                self.feed(level, &ends)?;
            }
        }
        Ok(())
    }

    fn worsen(&mut self) {
        self.trace.note(self.now, "the agent worsens", []);
        let shape = &mut self.agents[0].shape;
        if self.full_load.is_sequential {
            shape.workers = 1;
        } else {
            shape.service *= SLOWER;
        }
    }

    fn check_open(&self) -> Check {
        let mean = self.full_load.mean();
        ensure(mean >= OPEN_MEAN, "window never opens", || {
            let workers = self.agents[0].shape.workers;
            format!("{mean:.1} in the mean before {workers} workers")
        })
    }

    fn check_closed(&self) -> Check {
        let load = &self.full_load;
        let mean = load.mean();
        // Calls that are slow and parallel may have been measured afresh already.
        let is_small = mean <= CLOSED_MEAN || !load.is_sequential;
        let holds = is_small && load.smallest <= CLOSED_SMALLEST;
        ensure(holds, "window never closes", || {
            format!("{mean:.1} in the mean: {load:?}")
        })
    }
}
