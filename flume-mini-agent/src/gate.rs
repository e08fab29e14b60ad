//! [`Gate`]: how a sink's worker is made to pause.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Lets a worker do one piece of work after another, or keeps it from the next.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    idle: Condvar,
    resumed: Notify,
    pausing: Notify,
}

#[derive(Debug, Default)]
struct State {
    paused: bool,
    busy: bool,
}

/// A piece of work under way.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a Gate);

impl Gate {
    /// Waits until work may be done.
    pub(crate) async fn pass(&self) -> Pass<'_> {
        loop {
            // Made before the look, so that a resume in between is not missed.
            let resumed = self.resumed.notified();
            if let Some(pass) = self.try_pass() {
                return pass;
            }
            resumed.await;
        }
    }

    /// Waits until somebody wants the worker to pause.
    pub(crate) async fn pause_wanted(&self) {
        loop {
            let pausing = self.pausing.notified();
            if self.lock().paused {
                return;
            }
            pausing.await;
        }
    }

    /// Keeps the worker from further work. When this returns, none is under way.
    pub(crate) fn pause(&self) {
        let mut state = self.lock();
        state.paused = true;
        self.pausing.notify_waiters();
        while state.busy {
            state = self
                .idle
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn resume(&self) {
        self.lock().paused = false;
        self.resumed.notify_one();
    }

    fn try_pass(&self) -> Option<Pass<'_>> {
        let mut state = self.lock();
        if state.paused {
            return None;
        }
        state.busy = true;
        Some(Pass(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy = false;
        if state.paused {
            self.0.idle.notify_all();
        }
    }
}
