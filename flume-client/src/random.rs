//! Random numbers that nobody else draws: what events are named by, salts, the spread of retries.
//!
//! A generator of this process will not do. One that is seeded from a clock says the same on two
//! machines of a fleet sooner or later, and one that was seeded before a fork, or before a machine
//! was cloned, says the same in all the copies. So each number is drawn from the system, which
//! mixes anew after all of these.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process;
use std::thread;
use std::time::{Instant, SystemTime};

/// A number drawn from the system: one system call.
pub(crate) fn draw() -> u64 {
    getrandom::u64().unwrap_or_else(|_| stand_in())
}

/// For a system that has no random numbers to give, as in a sandbox that forbids the call.
fn stand_in() -> u64 {
    let mut hasher = DefaultHasher::new();
    let now = (SystemTime::now(), Instant::now());
    (now, process::id(), thread::current().id()).hash(&mut hasher);
    hasher.finish()
}
