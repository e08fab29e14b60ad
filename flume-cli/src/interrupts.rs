//! Ctrl-C once: the command finishes in good order. Twice: it ends at once.
//!
//! A hang-up, for the terminal goes, is as good as one Ctrl-C, however often it comes: the kernel
//! and the shell each send one. Under `nohup` there are none.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whether the user has asked the command to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupts {
    state: Arc<(Mutex<bool>, Condvar)>,
}

impl Interrupts {
    /// Begins to watch for SIGINT, SIGTERM and SIGHUP. The second one that is no hang-up ends the
    /// process.
    #[cfg(unix)]
    pub(crate) fn watch() -> io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

        let interrupts = Self::default();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        if !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        let seen = interrupts.clone();
        std::thread::Builder::new()
            .name("flume-signals".into())
            .spawn(move || {
                let mut asked = false;
                for signal in signals.forever() {
                    seen.set();
                    if signal == SIGHUP {
                        continue;
                    }
                    if asked {
                        std::process::exit(crate::exit::Exit::Interrupted as i32);
                    }
                    asked = true;
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

    #[cfg(unix)]
    fn set(&self) {
        let (set, changed) = &*self.state;
        *set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }
}

/// Whether whoever started this process wants a signal to be ignored. Linux tells; elsewhere nobody
/// does without a call that could change it.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let signals = ignored.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    signals.is_some_and(|signals| signals >> (signal - 1) & 1 == 1)
}
