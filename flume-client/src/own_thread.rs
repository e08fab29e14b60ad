//! Which threads are ours: what they log must not become an event, or its delivery would be logged,
//! and that again.
//!
//! All threads of a client are, and so are those that others start with [`spawn`] to feed clients. A
//! log appender takes no record from them. Your code is yours on a client's threads, too: what
//! a waker or [`on_change`](crate::ClientBuilder::on_change) logs is taken.

use std::cell::Cell;
use std::io;
use std::thread::Builder;

thread_local! {
    // Without a destructor, so that it can be asked for to a thread's very end.
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
    static CLIENTS_WAIT_FOR_IT: Cell<bool> = const { Cell::new(false) };
}

/// Whether what the calling thread logs now is about clients' own work.
#[inline]
#[must_use]
pub fn is_own_thread() -> bool {
    IS_OWN.get()
}

/// Whether the calling thread may wait for a client, for example for room. One that sends or stores
/// events may not, also while it calls code of yours, such as a waker: it would wait for itself.
#[inline]
#[must_use]
pub fn may_wait() -> bool {
    !CLIENTS_WAIT_FOR_IT.get()
}

/// The calling thread sends or stores events.
pub(crate) fn let_clients_wait_for_it() {
    CLIENTS_WAIT_FOR_IT.set(true);
}

/// Runs what sends events on whatever thread this is: see [`is_own_thread`] and [`may_wait`].
pub(crate) fn run_as_clients<T>(run: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            CLIENTS_WAIT_FOR_IT.set(self.0);
        }
    }
    let _before = Before(CLIENTS_WAIT_FOR_IT.replace(true));
    run_as(true, run)
}

/// Starts a thread that is one of ours.
///
/// # Errors
///
/// The system has no thread left for this process.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name(name.to_owned()).spawn(|| {
        IS_OWN.set(true);
        body();
    })?;
    Ok(())
}

/// Runs what is ours (`is_own`), or code of somebody else, on whatever thread this is.
pub(crate) fn run_as<T>(is_own: bool, run: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IS_OWN.set(self.0);
        }
    }
    let _before = Before(IS_OWN.replace(is_own));
    run()
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn code_of_others_is_theirs_on_our_threads_and_ours_again_after_it_panicked() {
        let (sender, told) = channel();
        spawn("flume-test", move || {
            let before = is_own_thread();
            let within = run_as(false, || (is_own_thread(), run_as(true, is_own_thread)));
            catch_unwind(|| run_as(false, || panic!("on purpose"))).unwrap_err();
            sender.send((before, within, is_own_thread())).unwrap();
        })
        .unwrap();
        assert_eq!(told.recv().unwrap(), (true, (false, true), true));
        assert!(!is_own_thread());
    }
}
