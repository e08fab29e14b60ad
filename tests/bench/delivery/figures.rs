//! [`Latency`]: the figures of one measurement.

/// What calls took.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    /// Microseconds.
    pub(crate) p50: f64,
    /// Microseconds.
    pub(crate) p99: f64,
    /// Events per second.
    pub(crate) rate: f64,
    /// Microseconds of the client's process per event.
    pub(crate) cpu: f64,
}
