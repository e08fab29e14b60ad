//! [`SimClock`]: virtual time. An idle hour costs nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flume_client::hallway::Clock;

#[derive(Debug)]
pub(super) struct SimClock {
    start: Instant,
    nanos: AtomicU64,
}

impl SimClock {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            nanos: AtomicU64::new(0),
        }
    }

    /// Since the world began.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    pub(super) fn pass(&self, time: Duration) {
        let nanos = time.as_nanos() as u64;
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// What the client calls by this instant.
    pub(super) fn of(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.start)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        self.start + self.elapsed()
    }

    fn unix_ms(&self) -> u64 {
        1_700_000_000_000 + self.elapsed().as_millis() as u64
    }
}
