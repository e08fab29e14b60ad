//! Virtual time.

/// Nanoseconds since the beginning of a run.
pub(super) type Nanos = u64;

pub(super) const MICRO: Nanos = 1_000;
pub(super) const MS: Nanos = 1_000_000;
pub(super) const SECOND: Nanos = 1_000_000_000;
pub(super) const MINUTE: Nanos = 60 * SECOND;

/// A draw whose logarithm is uniform: as often between 1 and 10 as between 10 and 100.
pub(super) fn log_uniform(rng: &mut fastrand::Rng, low: Nanos, high: Nanos) -> Nanos {
    let (low, high) = ((low.max(1) as f64).ln(), (high.max(1) as f64).ln());
    (low + (high - low) * rng.f64()).exp() as Nanos
}
