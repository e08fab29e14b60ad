//! The locks and atomics of the shards, in one place: a test has another scheduler's in theirs.

pub(super) use std::sync::atomic::{AtomicUsize, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
