//! [`Gate`]: how sinks are made to pause, and to hurry.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Lets the sinks of an agent do one piece of work after another, or keeps them from the next. It
/// is there as long as the agent, over its starts and stops.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    idle: Condvar,
    resumed: Notify,
    hurry: Notify,
}

#[derive(Debug, Default)]
struct State {
    paused: bool,
    hurried: bool,
    /// Pieces of work under way.
    busy: usize,
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

    /// Waits until a sink is to be done with its piece of work soon: somebody wants it to pause or
    /// to hurry.
    pub(crate) async fn hurry_wanted(&self) {
        loop {
            let hurry = self.hurry.notified();
            if self.is_hurried() {
                return;
            }
            hurry.await;
        }
    }

    /// Keeps the sinks from waiting for more work to do at once, or lets them do so again.
    pub(crate) fn set_hurried(&self, hurried: bool) {
        self.lock().hurried = hurried;
        self.hurry.notify_waiters();
    }

    /// Keeps the sinks from further work. When this returns, none is under way.
    pub(crate) fn pause(&self) {
        let mut state = self.lock();
        state.paused = true;
        self.hurry.notify_waiters();
        while state.busy > 0 {
            state = self
                .idle
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn resume(&self) {
        self.lock().paused = false;
        self.resumed.notify_waiters();
    }

    fn is_hurried(&self) -> bool {
        let state = self.lock();
        state.paused || state.hurried
    }

    fn try_pass(&self) -> Option<Pass<'_>> {
        let mut state = self.lock();
        if state.paused {
            return None;
        }
        state.busy += 1;
        Some(Pass(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy -= 1;
        if state.paused {
            self.0.idle.notify_all();
        }
    }
}
