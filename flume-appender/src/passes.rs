//! [`Passes`]: how the threads of a service and the renderer wait for each other.
//!
//! The renderer works in passes: it takes everything that lies in the shards, renders it and hands it
//! to the client. Who waits for a record waits for a pass that began after the record was laid down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::thread::Thread;
use std::time::{Duration, Instant};

use flume_client::Receipt;

#[derive(Debug, Default)]
pub(crate) struct Passes {
    /// The renderer sleeps until something comes.
    is_idle: AtomicBool,
    /// The next pass is not to wait for more.
    is_urgent: AtomicBool,
    renderer: OnceLock<Thread>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    /// Passes that began.
    begun: u64,
    /// Of them, those that have taken what lay in the shards.
    taken: u64,
    /// Of them, those whose records are all handed on, or given up.
    done: u64,
    has_ended: bool,
    /// Of the last record that was handed on.
    receipt: Option<Receipt>,
    /// Tasks that wait, and until when.
    waiting: Vec<(Instant, Waker)>,
}

/// How far a pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The shards are empty again.
    Taken,
    /// Its records are with the client.
    Done,
}

impl Passes {
    /// Wakes the renderer if it sleeps until something comes.
    #[inline]
    pub(crate) fn wake_idle(&self) {
        if self.is_idle.load(Ordering::SeqCst) && self.is_idle.swap(false, Ordering::SeqCst) {
            self.unpark();
        }
    }

    /// Has the next pass begin at once.
    pub(crate) fn hurry(&self) {
        if !self.is_urgent.swap(true, Ordering::SeqCst) {
            self.unpark();
        }
    }

    /// Has a pass begin that takes what lies in the shards now. Returns its number.
    pub(crate) fn hurry_for_next(&self) -> u64 {
        let pass = self.lock().begun + 1;
        self.hurry();
        pass
    }

    /// Waits until a pass is so far. `false`: it is not, at the deadline, or never will be.
    pub(crate) fn wait(&self, pass: u64, stage: Stage, deadline: Instant) -> bool {
        let mut progress = self.lock();
        loop {
            if progress.is_at(pass, stage) {
                return true;
            }
            let left = left_until(deadline);
            if left.is_zero() || progress.has_ended {
                return false;
            }
            let waited = self.changed.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The same for a task, which is woken if it has to wait: `None`.
    pub(crate) fn poll(
        &self,
        pass: u64,
        stage: Stage,
        deadline: Instant,
        waker: &Waker,
    ) -> Option<bool> {
        let mut progress = self.lock();
        if progress.is_at(pass, stage) {
            return Some(true);
        }
        if progress.has_ended || deadline <= Instant::now() {
            return Some(false);
        }
        progress.wait_until(deadline, waker);
        drop(progress);
        // It looks at the new deadline.
        self.unpark();
        None
    }

    /// Has a task woken at this time. It may be woken before.
    pub(crate) fn wake_at(&self, deadline: Instant, waker: &Waker) {
        self.lock().wait_until(deadline, waker);
        self.unpark();
    }

    /// For the renderer, which is the clock of those tasks: wakes those whose time has come. Returns
    /// the next one's.
    pub(crate) fn wake_due(&self) -> Option<Instant> {
        let mut progress = self.lock();
        if progress.waiting.is_empty() {
            return None;
        }
        let now = Instant::now();
        let is_due = |waiting: &mut (Instant, Waker)| waiting.0 <= now;
        let due: Vec<_> = progress.waiting.extract_if(.., is_due).collect();
        let next = progress.waiting.iter().map(|(deadline, _)| *deadline).min();
        drop(progress);
        wake(due);
        next
    }

    /// Waits until all that lies in the shards is stored. `false`: it is not, within this time.
    pub(crate) fn wait_stored(&self, within: Duration) -> bool {
        let deadline = deadline_after(within);
        let pass = self.hurry_for_next();
        if !self.wait(pass, Stage::Done, deadline) {
            return false;
        }
        let left = left_until(deadline);
        let receipt = self.receipt();
        receipt.is_none_or(|receipt| receipt.wait_stored(left).is_ok())
    }

    /// Of the last record that was handed on.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        self.lock().receipt.clone()
    }

    /// The calling thread is the renderer.
    pub(crate) fn enter(&self) {
        let _ = self.renderer.set(std::thread::current());
    }

    /// For the renderer: sleeps until something comes, and then, unless it is urgent, for `linger`
    /// more.
    pub(crate) fn rest(&self, is_empty: impl FnOnce() -> bool, linger: Duration) {
        self.is_idle.store(true, Ordering::SeqCst);
        // What came before this is seen here; who comes after it sees that we sleep.
        if is_empty() {
            while self.is_idle.load(Ordering::SeqCst) && !self.is_urgent.load(Ordering::SeqCst) {
                match self.wake_due() {
                    Some(next) => std::thread::park_timeout(left_until(next)),
                    None => std::thread::park(),
                }
            }
        }
        self.is_idle.store(false, Ordering::SeqCst);
        self.linger(linger);
    }

    /// For the renderer: sleeps for so long, unless the next pass is urgent.
    pub(crate) fn linger(&self, linger: Duration) {
        let deadline = deadline_after(linger);
        while !self.is_urgent.load(Ordering::SeqCst) && !left_until(deadline).is_zero() {
            let next = self.wake_due().map_or(deadline, |next| next.min(deadline));
            std::thread::park_timeout(left_until(next));
        }
    }

    /// For the renderer: a pass begins. It takes the shards' records after this.
    pub(crate) fn begin(&self) {
        // First: who hurries the pass after this one, once it has begun, must not be forgotten.
        self.is_urgent.store(false, Ordering::SeqCst);
        self.lock().begun += 1;
    }

    /// For the renderer: the pass is so far.
    pub(crate) fn tell(&self, stage: Stage, receipt: Option<Receipt>) {
        let mut progress = self.lock();
        match stage {
            Stage::Taken => progress.taken = progress.begun,
            Stage::Done => progress.done = progress.begun,
        }
        let replaced = receipt.map(|receipt| progress.receipt.replace(receipt));
        let waiting = std::mem::take(&mut progress.waiting);
        drop(progress);
        self.changed.notify_all();
        drop(replaced);
        wake(waiting);
    }

    /// For the renderer: the last pass took all there was. Who asks for a later one has nothing to wait
    /// for.
    pub(crate) fn finish(&self) {
        let mut progress = self.lock();
        progress.taken = u64::MAX;
        progress.done = u64::MAX;
    }

    /// For the renderer: there will be no further pass.
    pub(crate) fn end(&self) {
        let mut progress = self.lock();
        progress.has_ended = true;
        let waiting = std::mem::take(&mut progress.waiting);
        drop(progress);
        self.changed.notify_all();
        wake(waiting);
    }

    fn unpark(&self) {
        if let Some(renderer) = self.renderer.get() {
            renderer.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Longer waits are as good as endless.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

pub(crate) fn deadline_after(within: Duration) -> Instant {
    Instant::now() + within.min(FOREVER)
}

pub(crate) fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

impl Progress {
    fn wait_until(&mut self, deadline: Instant, waker: &Waker) {
        let is_known = |(at, known): &(Instant, Waker)| *at == deadline && known.will_wake(waker);
        if !self.waiting.iter().any(is_known) {
            self.waiting.push((deadline, waker.clone()));
        }
    }

    fn is_at(&self, pass: u64, stage: Stage) -> bool {
        let reached = match stage {
            Stage::Taken => self.taken,
            Stage::Done => self.done,
        };
        reached >= pass
    }
}

/// Wakers are the callers' code, and may panic.
fn wake(waiting: Vec<(Instant, Waker)>) {
    for (_, waker) in waiting {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::task::Wake;

    use super::*;

    struct Told(Sender<()>);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.send(()).unwrap();
        }
    }

    #[test]
    fn a_task_s_time_comes_also_while_the_renderer_waits_for_more_records() {
        let passes = Arc::new(Passes::default());
        let (entered, has_entered) = channel();
        let renderer = passes.clone();
        let thread = std::thread::spawn(move || {
            renderer.enter();
            entered.send(()).unwrap();
            renderer.linger(Duration::MAX);
        });
        has_entered.recv().unwrap();
        let (told, hears) = channel();
        let soon = Instant::now() + Duration::from_millis(20);
        passes.wake_at(soon, &Arc::new(Told(told)).into());
        hears.recv_timeout(Duration::from_secs(60)).unwrap();
        passes.hurry();
        thread.join().unwrap();
    }
}
