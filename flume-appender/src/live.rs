//! Which appenders there are in this process: for who has lost the guard, and for its exit.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::{Duration, Instant};

use flume_client::fork::Generation;

use crate::appender::{Appender, Shared};
use crate::flush::{Flush, FlushError, Goal};

/// A fork while another thread had the lock leaves it held for ever in the child, which then does
/// without.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(100);

static LIVE: Mutex<Vec<Live>> = Mutex::new(Vec::new());

struct Live {
    shared: Weak<Shared>,
    generation: Generation,
}

fn lock() -> Option<MutexGuard<'static, Vec<Live>>> {
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    loop {
        match LIVE.try_lock() {
            Ok(live) => return Some(live),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if deadline <= Instant::now() => return None,
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}

/// There is one more.
pub(crate) fn add(shared: &Arc<Shared>) {
    if let Some(mut live) = lock() {
        live.retain(|known| !known.generation.is_past() && known.shared.strong_count() > 0);
        live.push(Live {
            shared: Arc::downgrade(shared),
            generation: Generation::now(),
        });
    }
}

/// All that there are. In a forked process those that were built there.
pub(crate) fn all() -> Vec<Appender> {
    let Some(live) = lock() else {
        return Vec::new();
    };
    let ours = live.iter().filter(|known| !known.generation.is_past());
    let shared = ours.filter_map(|known| known.shared.upgrade());
    shared.map(|shared| Appender { shared }).collect()
}

/// Waits until everything logged so far, by all appenders of this process, is on the disk; without a
/// spool, until it is acknowledged. For who has no guard at hand, above all before
/// [`std::process::exit`], which drops nothing.
///
/// ```no_run
/// use std::time::Duration;
///
/// if let Err(error) = flume_appender::flush_all(Duration::from_secs(2)).wait() {
///     eprintln!("{error}");
/// }
/// std::process::exit(3);
/// ```
pub fn flush_all(timeout: Duration) -> FlushAll {
    let begin = |appender: &Appender| appender.begin_flush(Goal::Stored, timeout);
    FlushAll {
        flushes: all().iter().map(begin).collect(),
    }
}

/// What [`flush_all`] waits for.
#[derive(Debug)]
#[must_use = "it says whether what was logged is safe"]
pub struct FlushAll {
    flushes: Vec<Flush>,
}

impl FlushAll {
    /// Blocks the thread for the time that was given, and a little longer at the most.
    ///
    /// # Errors
    ///
    /// The first one of an appender whose records are not safe within it. Nothing is lost by that.
    pub fn wait(self) -> Result<(), FlushError> {
        let results: Vec<_> = self.flushes.into_iter().map(Flush::wait).collect();
        results.into_iter().collect()
    }

    /// The same for a task.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub async fn finished(self) -> Result<(), FlushError> {
        let mut all = Ok(());
        for flush in self.flushes {
            all = all.and(flush.await);
        }
        all
    }
}
