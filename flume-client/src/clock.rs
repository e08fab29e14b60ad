//! [`Clock`]: what tells the time, so that a simulator can.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time to a thread whose work itself takes long, so that one look at the beginning would
/// not do.
pub trait Clock: fmt::Debug + Send + Sync {
    /// For waits: it never goes back.
    fn now(&self) -> Instant;

    /// For people: milliseconds since 1970, by the system's word.
    fn unix_ms(&self) -> u64;
}

/// What time it is: as a runtime has it that plays with time, in tests, else the system's.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// For how long the machine was suspended since it was started. Where that cannot be told, never.
pub(crate) fn slept() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::time::{ClockId, clock_gettime};
        let [all, awake] = [ClockId::Boottime, ClockId::Monotonic].map(|clock| {
            let time = clock_gettime(clock);
            Duration::new(time.tv_sec.unsigned_abs(), 0) + Duration::from_nanos(time.tv_nsec as u64)
        });
        all.saturating_sub(awake)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    Duration::ZERO
}

/// The system's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        now()
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }
}
