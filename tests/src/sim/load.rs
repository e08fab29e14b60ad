//! What the application does: bursts, trickles, single events and flushes.

use flume_client::Reliability;
use flume_client::delivery::Input;

use super::options::{Kind, LEVELS};
use super::time::MS;
use super::violation::{Check, ensure};
use super::world::{Happening, World};

const BURST_EVENTS_MAX: usize = 1_000;
/// Batches that may wait before the application is held back, as by a bounded buffer.
const BACKLOG_BATCHES: u64 = 300;

impl World {
    pub(super) fn on_load(&mut self, episode: usize) -> Check {
        if self.books.abandoned {
            return Ok(());
        }
        let levels = &self.scenario.levels;
        let level = levels[self.rng.usize(0..levels.len())];
        let most = self.scenario.settings.batch_events_max as usize;
        let is_steady = self.scenario.kind == Kind::Steady;
        match self.rng.u32(0..23) {
            0..=8 if !is_steady => {
                let batches = self.rng.usize(1..12);
                let events = self.rng.usize(1..=most * batches);
                self.append(level, events.min(BURST_EVENTS_MAX))?;
            }
            0..=12 => self.append(level, 1)?,
            13..=16 => {
                let events = self.rng.usize(1..=10);
                self.append(level, events)?;
            }
            18 if !self.books.calm => self.shed(level)?,
            17..=18 => {
                self.trace.note(self.now, "flush", []);
                self.books.seal();
                self.step(Input::Flush)?;
                let is_open = |level: &Reliability| self.core.open_batch(*level).is_some();
                let open = LEVELS.iter().find(|level| is_open(level));
                ensure(open.is_none(), "flush", || {
                    format!("{open:?} has an open batch")
                })?;
            }
            19 => {
                let events = self.rng.usize(1..=1_000);
                let next = self.books.skip(level, events);
                let args = [level as u64, next.number()];
                self.trace.note(self.now, "skip level {} to {}", args);
                self.step(Input::Skip { level, next })?;
            }
            _ => self.wait(level)?,
        }
        let span = self.scenario.episodes[episode];
        let next = self.now + self.rng.u64(0..=2 * span.load_gap);
        if next < span.until {
            self.schedule(next, Happening::Load { episode });
        }
        Ok(())
    }

    /// Somebody waits for events that came, or, before they do, for some that come next.
    fn wait(&mut self, level: Reliability) -> Check {
        if self.rng.bool() {
            self.append(level, 1)?;
        }
        let events = self.rng.usize(0..5);
        let upto = self.books.of_mut(level).wait_for(events);
        let args = [level as u64, upto.number()];
        self.trace.note(self.now, "await level {} upto {}", args);
        self.step(Input::Await { level, upto })
    }

    /// There is room for so many bytes less, so the oldest events go that wait.
    fn shed(&mut self, level: Reliability) -> Check {
        // What is due now is not part of it.
        self.books.seal();
        self.step(Input::Flush)?;
        let waiting = self.books.of(level).waiting_bytes();
        let bytes = self.rng.u64(0..=waiting + 100);
        let args = [level as u64, bytes];
        self.trace.note(self.now, "shed level {} {} bytes", args);
        self.books.of_mut(level).shedding = Some(bytes);
        self.step(Input::Shed { level, bytes })?;
        self.books.of_mut(level).shedding = None;
        let left = self.books.of(level).waiting_bytes();
        ensure(left <= waiting.saturating_sub(bytes), "shed enough", || {
            format!("{left} of {waiting} bytes wait after {bytes}")
        })?;
        Ok(())
    }

    /// Accepts events unless too many wait.
    pub(super) fn append(&mut self, level: Reliability, events: usize) -> Check {
        let settings = &self.scenario.settings;
        let (pending, bytes) = self.books.of(level).pending();
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
            self.books.of_mut(level).accept(self.now, bytes);
        }
        self.feed(level, &ends)
    }

    pub(super) fn feed(&mut self, level: Reliability, ends: &[u32]) -> Check {
        let args = [level as u64, ends.len() as u64];
        self.trace.note(self.now, "append level {} {} events", args);
        self.step(Input::Append { level, ends })?;
        if self.scenario.kind == Kind::FullLoad {
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
}
