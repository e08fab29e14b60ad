//! What settings are held against.

use std::time::Duration;

use crate::error::BuildError;

/// Bytes at which a chunk is closed and the next one begun.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// A time that never comes, and that can still be added to another.
pub(crate) const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Whether a time is not so short that it must be a mistake.
pub(super) fn long_enough(setting: &'static str, value: Duration) -> Result<(), BuildError> {
    if value < Duration::from_millis(1) {
        return Err(BuildError::TooShort { setting, value });
    }
    Ok(())
}

pub(super) fn within(
    setting: &'static str,
    value: u64,
    min: u64,
    max: u64,
) -> Result<(), BuildError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(BuildError::OutOfRange {
        setting,
        value,
        min,
        max,
    })
}
