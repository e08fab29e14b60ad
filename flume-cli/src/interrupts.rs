//! Ctrl-C once: the command finishes in good order. Twice: it ends at once.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whether the user has asked the command to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupts {
    state: Arc<(Mutex<bool>, Condvar)>,
}

impl Interrupts {
    /// Begins to watch for SIGINT and SIGTERM. The second one ends the process.
    #[cfg(unix)]
    pub(crate) fn watch() -> io::Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM};

        let interrupts = Self::default();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        let seen = interrupts.clone();
        std::thread::Builder::new()
            .name("flume-signals".into())
            .spawn(move || {
                for _ in signals.forever() {
                    if seen.set() {
                        std::process::exit(crate::exit::Exit::Interrupted as i32);
                    }
                }
            })?;
        Ok(interrupts)
    }

    /// Elsewhere Ctrl-C ends the process at once.
    #[cfg(not(unix))]
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// Whether there was one.
    pub(crate) fn is_set(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for one for this long. `false`: there was none.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let (set, changed) = &*self.state;
        let set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(set, timeout, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Notes one. `true`: it is not the first.
    #[cfg(unix)]
    fn set(&self) -> bool {
        let (set, changed) = &*self.state;
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        changed.notify_all();
        std::mem::replace(&mut *set, true)
    }
}
