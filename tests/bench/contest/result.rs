//! [`Result`]: what all of this gives.

/// Whatever goes wrong ends the benchmark.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
