//! [`Stop`]: the end of a proxy, for threads that wait.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Stop {
    has_come: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn come(&self) {
        *self.has_come.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(super) fn has_come(&self) -> bool {
        *self.has_come.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for it, for so long at the most.
    pub(super) fn wait_for(&self, time: Duration) {
        let guard = self.has_come.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(guard, time, |come| !*come));
    }

    /// Waits for it.
    pub(super) fn wait(&self) {
        let guard = self.has_come.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(guard, |come| !*come));
    }
}
