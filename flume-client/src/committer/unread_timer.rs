//! [`UnreadTimer`]: when segments that cannot be read are looked at again, in one's own place and
//! in an adopted one. Told the time.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::queue::{BlockingThread, Ticket};
use crate::situations::reached;
use crate::spool::{Log, Looked};

/// How long after the last look at segments that cannot be read; each wait is twice the last.
const UNREAD_AGAIN: Duration = Duration::from_secs(1);
const UNREAD_AGAIN_MAX: Duration = Duration::from_secs(30);
/// A look that took long is followed by a pause this many times as long, so that other reads have
/// their turn.
const PAUSE_PER_LOOK: u32 = 10;
/// The longest of these pauses.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// How long the end of a client waits for a look that has begun: until then the place is locked.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// Does nothing while all segments can be read. The looks are taken where reading may block.
#[derive(Debug, Default)]
pub(crate) struct UnreadTimer {
    /// When the next look is, and how long we wait for it.
    next: Option<(Instant, Duration)>,
    /// One that is being taken, and since when.
    looking: Option<(Instant, Ticket<Looked>)>,
}

impl UnreadTimer {
    /// Looks at them if it is time, and has the `waker` woken with what was seen. `true`: the list
    /// of segments has changed.
    pub(crate) fn look_again(
        &mut self,
        log: &mut Log,
        reading: &BlockingThread,
        now: Instant,
        waker: &Waker,
    ) -> bool {
        if self.looking.is_none() {
            if log.unread().is_empty() {
                self.next = None;
                return false;
            }
            let (at, wait) = *self.next.get_or_insert((now + UNREAD_AGAIN, UNREAD_AGAIN));
            if now < at {
                return false;
            }
            let wait = (wait * 2).min(UNREAD_AGAIN_MAX);
            self.next = Some((now + wait, wait));
            reached!("files that cannot be read are looked at again");
            let look = log.begin_look();
            self.looking = Some((now, reading.submit(|| look.take())));
        }
        let Some((begun, looking)) = &self.looking else {
            return false;
        };
        let Poll::Ready(looked) = looking.poll(&mut Context::from_waker(waker)) else {
            return false;
        };
        let took = now.saturating_duration_since(*begun);
        self.looking = None;
        if let Some((at, _)) = &mut self.next {
            *at = (*at).max(now + (took * PAUSE_PER_LOOK).min(PAUSE_MAX));
        }
        // Reading never panics, whatever the bytes. If it did, flume-read would be dead and we
        // could not go on.
        log.end_look(looked.done().expect("looking at segments does not panic"))
    }

    /// Has the first look come in a while, if there are such segments.
    pub(crate) fn begin(&mut self, log: &Log, now: Instant) {
        let has_unread = !log.unread().is_empty();
        self.next = has_unread.then_some((now + UNREAD_AGAIN, UNREAD_AGAIN));
    }

    /// When to look next; `None` if there is nothing to look at, or a look is being taken.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let next = self.next.filter(|_| self.looking.is_none());
        next.map(|(at, _)| at)
    }

    #[cfg(test)]
    pub(crate) fn is_looking(&self) -> bool {
        self.looking.is_some()
    }

    /// Waits for a look that is being taken.
    pub(crate) fn finish(&mut self, reading: &BlockingThread) {
        if let Some((_, looking)) = self.looking.take() {
            reading.wait_out(&looking, LOOK_TIMEOUT);
        }
    }
}
