//! CPU time of this process, from the operating system.

use std::fs;

/// Seconds of CPU that all threads of this process have used, ended ones included.
pub(crate) fn seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux tells a process its times");
    let fields = stat.rsplit(')').next().expect("the name is in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks
        .map(|field| field.parse::<f64>().expect("a number of ticks"))
        .sum();
    ticks / TICKS_PER_SECOND
}

/// `USER_HZ`, the same on every Linux architecture Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
