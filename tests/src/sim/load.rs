//! What the application does: bursts, trickles, single events, flushes, and full load.

use flume_client::delivery::Input;

use super::options::{Kind, MS, SECOND};
use super::world::{Happening, World};
use super::{Check, ensure};

/// Batches that may wait before the application is held back, as by a bounded buffer.
const BACKLOG_BATCHES: u64 = 300;
const BURST_EVENTS_MAX: usize = 1_000;
/// The same in a full-load scenario: enough to keep a window full between two looks.
const FULL_LOAD_BATCHES: u64 = 40;

/// The state of a full-load scenario.
#[derive(Debug, Default)]
pub(super) struct Load {
    begun: bool,
    /// How often the window was looked at, and the sum of its sizes, since the mark.
    looks: u32,
    sum: u32,
    smallest: u32,
    is_sequential: bool,
}

/// Time between two looks at a full-load scenario.
const LOOK: u64 = 2 * MS;
/// A large event comes in between.
const LARGE_AT: u64 = SECOND;
/// The window must have opened by now; it is looked at for a while.
const OPEN_FROM: u64 = 2 * SECOND;
/// The agent gets worse.
const TURN_AT: u64 = 3 * SECOND;
/// The window must have closed by now; it is looked at for a while.
const CLOSED_FROM: u64 = 7 * SECOND;
const END_AT: u64 = 8 * SECOND;
/// Smallest mean window on an agent with a dozen workers or more.
const OPEN_MEAN: f64 = 4.0;
/// Largest mean window on an agent that handles one call at a time.
const CLOSED_MEAN: f64 = 7.0;

impl World {
    pub(super) fn on_load(&mut self, episode: usize) -> Check {
        if self.book.abandoned {
            return Ok(());
        }
        let most = self.scenario.settings.batch_events_max as usize;
        match self.rng.u32(0..20) {
            0..=8 => {
                let batches = self.rng.usize(1..12);
                let events = self.rng.usize(1..=most * batches);
                self.append(events.min(BURST_EVENTS_MAX))?;
            }
            9..=12 => self.append(1)?,
            13..=16 => {
                let events = self.rng.usize(1..=10);
                self.append(events)?;
            }
            17..=18 => {
                self.trace.note(self.now, "flush", []);
                self.step(Input::Flush)?;
            }
            _ => {}
        }
        let span = self.scenario.episodes[episode];
        let next = self.now + self.rng.u64(0..=2 * span.load_gap);
        if next < span.until {
            self.schedule(next, Happening::Load { episode });
        }
        Ok(())
    }

    /// Accepts events unless too many wait.
    pub(super) fn append(&mut self, events: usize) -> Check {
        let settings = &self.scenario.settings;
        let (pending, bytes) = self.book.pending();
        let is_full = pending >= BACKLOG_BATCHES * u64::from(settings.batch_events_max)
            || bytes >= BACKLOG_BATCHES * u64::from(settings.batch_bytes_max);
        if is_full {
            return Ok(());
        }
        let large = settings.batch_bytes_max * 2;
        let mut ends = Vec::with_capacity(events);
        let mut end = 0;
        for _ in 0..events {
            let is_large = self.rng.f64() < self.scenario.large_share;
            let bytes = if is_large {
                self.rng.u32(1..=large)
            } else {
                self.rng.u32(1..=self.scenario.event_bytes_max)
            };
            end += bytes;
            ends.push(end);
            self.book.accept(self.now, bytes);
        }
        self.feed(&ends)
    }

    fn feed(&mut self, ends: &[u32]) -> Check {
        self.trace
            .note(self.now, "append {} events", [ends.len() as u64]);
        self.step(Input::Append { ends })?;
        if self.scenario.kind == Kind::Load {
            return Ok(());
        }
        let linger = self.scenario.settings.linger.as_nanos() as u64;
        let at = self.now + linger + self.scenario.late_max + 2;
        self.schedule(at, Happening::Audit { again: false });
        if !self.is_auditing {
            self.is_auditing = true;
            self.schedule(self.now + MS, Happening::Audit { again: true });
        }
        Ok(())
    }

    /// Full load: keeps the backlog up, and looks at the window.
    pub(super) fn on_turn(&mut self) -> Check {
        let now = self.now;
        let most = self.scenario.settings.batch_events_max;
        let backlog = FULL_LOAD_BATCHES * u64::from(most);
        while self.book.pending().0 < backlog && now < END_AT {
            let ends: Vec<_> = (1..=most * 10).map(|place| place * 100).collect();
            for _ in &ends {
                self.book.accept(now, 100);
            }
            self.feed(&ends)?;
        }
        let passes = |mark: u64| (mark..mark + LOOK).contains(&now);
        if !self.load.begun {
            self.load.begun = true;
            self.load.is_sequential = self.rng.u32(0..3) > 0;
        } else if passes(LARGE_AT) && self.rng.bool() {
            self.book.accept(now, 200_000);
            self.feed(&[200_000])?;
        } else if passes(TURN_AT) {
            self.check_open()?;
            self.worsen();
        } else if passes(END_AT) {
            return self.check_closed();
        }
        if passes(OPEN_FROM) || passes(TURN_AT) {
            self.load.looks = 0;
            self.load.sum = 0;
            self.load.smallest = u32::MAX;
        } else if passes(CLOSED_FROM) {
            self.load.looks = 0;
            self.load.sum = 0;
        }
        let window = self.core.window(0);
        self.load.looks += 1;
        self.load.sum += window;
        self.load.smallest = self.load.smallest.min(window);
        self.schedule(now + LOOK, Happening::Turn);
        Ok(())
    }

    fn worsen(&mut self) {
        let agent = &mut self.agents[0];
        self.trace.note(self.now, "the agent worsens", []);
        if self.load.is_sequential {
            agent.shape.workers = 1;
        } else {
            agent.shape.service *= 15;
        }
    }

    fn check_open(&self) -> Check {
        let mean = f64::from(self.load.sum) / f64::from(self.load.looks.max(1));
        ensure(mean >= OPEN_MEAN, "window never opens", || {
            let workers = self.agents[0].shape.workers;
            format!("{mean:.1} in the mean before {workers} workers")
        })
    }

    fn check_closed(&mut self) -> Check {
        let Load {
            sum,
            looks,
            smallest,
            is_sequential,
            ..
        } = self.load;
        let mean = f64::from(sum) / f64::from(looks.max(1));
        // A slower agent that is still parallel is found out by the next probe, and used fully.
        let holds = smallest <= 6 && (mean <= CLOSED_MEAN || !is_sequential);
        ensure(holds, "window never closes", || {
            format!("{mean:.1} in the mean, {smallest} at least, sequential: {is_sequential}")
        })?;
        self.healed_at = Some(self.now);
        Ok(())
    }
}
