//! How long an agent rests (is not used) after a failure, and how long a batch that was not
//! acknowledged waits.

use std::time::Duration;

/// Full jitter after capping: a uniform draw between [`floor`](field@Self::floor) and
/// `min(cap, base * 2^n)`, where `n` counts the failures before this one since the last
/// acknowledgement.
///
/// A draw from the whole span, taken after the cap, keeps a thousand clients apart when an agent
/// comes back; jitter that is added before the cap leaves them in step.
///
/// ```
/// use std::time::Duration;
/// use flume_client::Backoff;
///
/// let patient = Backoff::default().cap(Duration::from_secs(300));
/// assert_eq!(patient.base, Duration::from_millis(250));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// Upper end of the first span. Default 250 ms.
    pub base: Duration,
    /// No span ends above this. Default 30 s: the longest an agent that came back waits.
    pub cap: Duration,
    /// Lower end of all spans, so that no failure is retried in a tight loop. Default 10 ms.
    pub floor: Duration,
    /// Whether the draw is from the whole span.
    has_jitter: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(250),
            cap: Duration::from_secs(30),
            floor: Duration::from_millis(10),
            has_jitter: true,
        }
    }
}

impl Backoff {
    /// The rests of Flume's own balancing client and sink processors: 2 s, doubled with each failure up
    /// to `max`, which is 30 s there by default, and without jitter. Clients that lose an agent
    /// together come back together, so the [default](Self::default) is better wherever there are many.
    ///
    /// Sources: Flume's `OrderSelector`, `FailoverSinkProcessor`. Here a success ends the row of
    /// failures, where `OrderSelector` counts on until an hour has passed without one.
    #[must_use]
    pub fn flume(max: Duration) -> Self {
        let default = Self::default();
        Self {
            base: Duration::from_secs(2),
            cap: max,
            floor: default.floor.min(max),
            has_jitter: false,
        }
    }

    /// With another [`base`](field@Self::base).
    #[must_use]
    pub fn base(self, base: Duration) -> Self {
        Self { base, ..self }
    }

    /// With another [`cap`](field@Self::cap).
    #[must_use]
    pub fn cap(self, cap: Duration) -> Self {
        Self { cap, ..self }
    }

    /// With another [`floor`](field@Self::floor).
    #[must_use]
    pub fn floor(self, floor: Duration) -> Self {
        Self { floor, ..self }
    }

    /// The longest time to wait after the `failures`-th failure in a row, counted from 1.
    #[must_use]
    pub fn longest(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.base
            .saturating_mul(1 << doublings)
            .min(self.cap)
            .max(self.floor)
    }

    /// The time to wait after the `failures`-th failure in a row, counted from 1.
    pub(super) fn delay(&self, failures: u32, random: &mut fastrand::Rng) -> Duration {
        let top = self.longest(failures);
        if !self.has_jitter {
            return top;
        }
        let span = top - self.floor;
        self.floor + span.mul_f64(random.f64())
    }
}

/// This time, a fifth more or less, so that those who began together do not end together.
pub(super) fn about(time: Duration, random: &mut fastrand::Rng) -> Duration {
    time.mul_f64(0.8 + 0.4 * random.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_fill_the_span_from_the_floor_to_the_doubled_base() {
        let backoff = Backoff::default();
        let mut random = fastrand::Rng::with_seed(1);
        for (failures, top_ms) in [(1, 250), (2, 500), (3, 1000), (8, 30_000), (200, 30_000)] {
            let delays: Vec<_> = (0..1000)
                .map(|_| backoff.delay(failures, &mut random))
                .collect();
            let top = Duration::from_millis(top_ms);
            let low = *delays.iter().min().unwrap();
            let high = *delays.iter().max().unwrap();
            assert!(
                low >= backoff.floor && low < top / 20 + backoff.floor,
                "{failures}: {low:?}"
            );
            assert!(high <= top && high > top * 19 / 20, "{failures}: {high:?}");
        }
    }

    #[test]
    fn as_in_flume_rests_double_from_two_seconds_and_stay_at_the_most() {
        let backoff = Backoff::flume(Duration::from_secs(30));
        let mut random = fastrand::Rng::with_seed(1);
        let rests = (1..7).map(|failures| backoff.delay(failures, &mut random).as_secs());
        assert_eq!(rests.collect::<Vec<_>>(), [2, 4, 8, 16, 30, 30]);
        // Flume's failover calculates in an `int`, which is 0 after 21 failures.
        for failures in 1..1000 {
            let endless = Backoff::flume(Duration::MAX).longest(failures);
            assert!(endless >= Duration::from_secs(2), "{failures}");
        }
        assert!(Backoff::flume(Duration::ZERO).longest(5).is_zero());
    }

    #[test]
    fn a_cap_below_the_floor_gives_the_floor() {
        let zero = Backoff {
            base: Duration::ZERO,
            cap: Duration::ZERO,
            ..Backoff::default()
        };
        assert_eq!(zero.delay(5, &mut fastrand::Rng::with_seed(1)), zero.floor);
    }
}
