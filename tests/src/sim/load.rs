//! What the application does: bursts, trickles, single events and flushes.

use flume_client::delivery::Input;

use super::options::Kind;
use super::time::MS;
use super::violation::{Check, ensure};
use super::world::{Happening, World};

const BURST_EVENTS_MAX: usize = 1_000;
/// Batches that may wait before the application is held back, as by a bounded buffer.
const BACKLOG_BATCHES: u64 = 300;

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
            18 if !self.book.calm => self.shed()?,
            17..=18 => {
                self.trace.note(self.now, "flush", []);
                self.step(Input::Flush)?;
            }
            19 => {
                let events = self.rng.usize(1..=1_000);
                let next = self.book.skip(events);
                self.trace.note(self.now, "skip to {}", [next.number()]);
                self.step(Input::Skip { next })?;
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

    /// There is room for so many bytes less, so the oldest events go that wait.
    fn shed(&mut self) -> Check {
        // What is due now is not part of it.
        self.step(Input::Flush)?;
        let waiting = self.book.waiting_bytes();
        let bytes = self.rng.u64(0..=waiting + 100);
        self.trace.note(self.now, "shed {} bytes", [bytes]);
        self.book.shedding = Some(bytes);
        self.step(Input::Shed { bytes })?;
        self.book.shedding = None;
        let left = self.book.waiting_bytes();
        ensure(left <= waiting.saturating_sub(bytes), "shed enough", || {
            format!("{left} of {waiting} bytes wait after {bytes}")
        })?;
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

    pub(super) fn feed(&mut self, ends: &[u32]) -> Check {
        self.trace
            .note(self.now, "append {} events", [ends.len() as u64]);
        self.step(Input::Append { ends })?;
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
