//! Bounded waiting for a foreign process: the only place in the tests that polls.

use std::thread;
use std::time::{Duration, Instant};

use crate::{HarnessError, Result};

/// How long to park between two looks: short against a JVM's start, long against a metrics call.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Looks at `condition` until it holds; an error names `what` was awaited when `timeout` is over.
///
/// Use it only for what another process does. Inside our own process, wait for an event instead.
///
/// # Errors
///
/// When `condition` does not hold within `timeout`. It is looked at least once.
pub fn wait_until(
    what: &str,
    timeout: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<()> {
    let start = Instant::now();
    loop {
        if condition() {
            return Ok(());
        }
        if start.elapsed() >= timeout {
            return Err(HarnessError::new(format!(
                "waited {timeout:?} in vain for {what}"
            )));
        }
        // Another process cannot unpark us. A spurious wake-up only makes us look earlier.
        thread::park_timeout(POLL_INTERVAL);
    }
}
