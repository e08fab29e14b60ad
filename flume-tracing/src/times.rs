//! [`Times`]: how long a span was entered, and how long it waited.

use std::time::{Duration, Instant};

/// How long a span was entered, and how long it was not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// When it was entered or left last.
    last: Instant,
    /// How often it is entered now: threads may be in one span at once.
    entered: u32,
    busy: Duration,
    idle: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            last: Instant::now(),
            entered: 0,
            busy: Duration::ZERO,
            idle: Duration::ZERO,
        }
    }
}

impl Times {
    pub(crate) fn enter(&mut self, now: Instant) {
        self.pass(now);
        self.entered += 1;
    }

    pub(crate) fn exit(&mut self, now: Instant) {
        self.pass(now);
        self.entered = self.entered.saturating_sub(1);
    }

    /// Nanoseconds that it was entered, and that it was not.
    pub(crate) fn end(mut self, now: Instant) -> (u64, u64) {
        self.pass(now);
        (self.busy.as_nanos() as u64, self.idle.as_nanos() as u64)
    }

    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.last);
        match self.entered {
            0 => self.idle += passed,
            _ => self.busy += passed,
        }
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_that_two_threads_are_in_is_busy_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut times = Times {
            last: start,
            ..Times::default()
        };
        times.enter(at(1));
        times.enter(at(3));
        times.exit(at(6));
        times.exit(at(10));
        times.enter(at(15));
        times.exit(at(21));
        let ns = |ms: u64| ms * 1_000_000;
        assert_eq!(times.end(at(28)), (ns(9 + 6), ns(1 + 5 + 7)));
    }
}
