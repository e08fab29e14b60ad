//! [`Awaited`]: for which events somebody waits until an agent has them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::wakeup;
use crate::reliability::{PerLevel, Reliability};
use crate::seq::Seq;
use crate::situations::reached;

/// For which events somebody waits until an agent has them: such do not wait until their batch is
/// full. Told by receipts, heard by the sender.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    /// Of each level, all below this.
    upto: PerLevel<AtomicU64>,
    /// The sender while it sleeps, if it could send at once what somebody begins to wait for.
    sender: Mutex<Option<Waker>>,
}

impl Awaited {
    /// Somebody waits for this event of a level.
    pub(super) fn ask(&self, level: Reliability, event: Seq) {
        let upto = event.next().number();
        // With the lock of `listen` each sees what the other has done.
        if self.upto[level].fetch_max(upto, Ordering::SeqCst) < upto {
            let sender = self.lock().take();
            if sender.is_some() {
                reached!("who waits for an event wakes the sender");
            }
            wakeup::wake(sender);
        }
    }

    /// Somebody waits for events of each level below this.
    pub(crate) fn upto(&self) -> PerLevel<Seq> {
        PerLevel::new(|level| Seq::new(self.upto[level].load(Ordering::SeqCst)))
    }

    /// The sender goes to sleep until somebody waits for more than this. `false`: somebody does.
    pub(crate) fn listen(&self, known: PerLevel<Seq>, waker: &Waker) -> bool {
        *self.lock() = Some(waker.clone());
        self.upto() == known
    }

    /// The sender would not send at once what somebody waits for.
    pub(crate) fn do_not_listen(&self) {
        drop(self.lock().take());
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_waits_for_a_later_event_wakes_the_sender_once_and_others_do_not() {
        let (awaited, level) = (Awaited::default(), Reliability::InMemory);
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let none = awaited.upto();
        assert!(awaited.listen(none, &waker), "nobody waits");
        awaited.ask(level, Seq::new(4));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(awaited.upto()[level], Seq::new(5));
        assert_eq!(awaited.upto()[Reliability::EndToEnd], Seq::ZERO);
        assert!(
            !awaited.listen(none, &waker),
            "somebody does since it looked"
        );
        awaited.ask(level, Seq::new(3));
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "that is known");
        awaited.do_not_listen();
        awaited.ask(level, Seq::new(9));
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "an answer wakes it");
    }
}
