//! [`BlockingThread`]: a thread for work that may block, so that its caller need not.
//!
//! It is started once and kept until nobody has work for it, so a system that is short of threads
//! later holds nothing up. It sleeps while there is no work.

use std::io;
#[cfg(feature = "hallway")]
use std::sync::mpsc::Receiver;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::oneshot::{Ticket, oneshot};
use crate::own_thread;

/// A thread that does one piece of work after the other. The clones share it.
///
/// A caller waits for one result before the next, so what waits here is one piece of work
/// for each caller at the most.
#[derive(Clone, Debug)]
pub(crate) struct BlockingThread {
    work: Sender<Work>,
    /// No thread: nothing is done while somebody waits.
    is_by_hand: bool,
}

/// A piece of work.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

impl BlockingThread {
    /// Starts a thread of this name. It ends when the last clone is dropped and the work is done.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let (sender, receiver) = channel::<Work>();
        own_thread::spawn(name, move || receiver.into_iter().for_each(|work| work()))?;
        Ok(Self {
            work: sender,
            is_by_hand: false,
        })
    }

    /// No thread: the work is done by whoever takes it out.
    #[cfg(feature = "hallway")]
    pub(crate) fn by_hand() -> (Self, Receiver<Work>) {
        let (work, receiver) = channel();
        let is_by_hand = true;
        (Self { work, is_by_hand }, receiver)
    }

    /// Waits so long at the most for work that is nobody's any more.
    pub(crate) fn wait_out<T>(&self, ticket: &Ticket<T>, timeout: Duration) {
        if !self.is_by_hand {
            drop(ticket.wait(timeout));
        }
    }

    /// Does the work after what was submitted before. The ticket gets its result, or tells that
    /// none will come if it, or work before it, panicked.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Ticket<T> {
        let (promise, ticket) = oneshot();
        let work = move || {
            let waker = promise.fulfil(work());
            // A waker of the client's own thread: it does not panic.
            waker.into_iter().for_each(std::task::Waker::wake);
        };
        // A thread that is gone gives the work back, and its promise is dropped with it.
        let _ = self.work.send(Box::new(work));
        ticket
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::*;
    use crate::queue::oneshot::Waited;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn work_is_done_in_order_on_one_thread_that_ends_with_its_last_clone() {
        let thread = BlockingThread::start("flume-test").unwrap();
        let clone = thread.clone();
        let first = thread.submit(|| (1, std::thread::current().id()));
        let second = clone.submit(|| (2, std::thread::current().id()));
        let done = |ticket: Ticket<_>| ticket.wait(PATIENCE).done().unwrap();
        let ((first, one), (second, other)) = (done(first), done(second));
        assert_eq!((first, second), (1, 2));
        assert_eq!(one, other);
        let (ended, ends) = sync_channel::<()>(0);
        let last = clone.submit(move || drop(ended));
        drop((thread, clone));
        assert!(matches!(last.wait(PATIENCE), Waited::Done(())));
        assert!(ends.recv().is_err());
    }

    #[test]
    fn whoever_waits_for_work_that_panics_is_told() {
        let thread = BlockingThread::start("flume-test").unwrap();
        let ticket = thread.submit(|| assert_eq!(1, 2, "on purpose"));
        assert!(matches!(ticket.wait(PATIENCE), Waited::Gone));
        let after = thread.submit(|| ());
        assert!(matches!(after.wait(PATIENCE), Waited::Gone));
    }
}
