//! CPU time of this process, from the operating system.

use rustix::time::{ClockId, clock_gettime};

/// Seconds of CPU that all threads of this process have used, ended ones included.
pub(crate) fn seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
