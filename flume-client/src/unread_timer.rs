//! [`UnreadTimer`]: when segments that cannot be read are looked at again, in one's own place and
//! in an adopted one. Told the time.

use std::time::{Duration, Instant};

use crate::spool::Log;

/// How long after the last look at segments that cannot be read; each wait is twice the last.
const UNREAD_AGAIN: Duration = Duration::from_secs(1);
const UNREAD_AGAIN_MAX: Duration = Duration::from_secs(30);

/// Does nothing while all segments can be read.
#[derive(Debug, Default)]
pub(crate) struct UnreadTimer {
    /// When the next look is, and how long the wait for it.
    next: Option<(Instant, Duration)>,
}

impl UnreadTimer {
    /// Looks at them if it is time. `true`: the segments are others now.
    pub(crate) fn look_again(&mut self, log: &mut Log, now: Instant) -> bool {
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
        log.look_again()
    }

    /// Has the first look come in a while, if there are such segments.
    pub(crate) fn begin(&mut self, log: &Log, now: Instant) {
        let has_unread = !log.unread().is_empty();
        self.next = has_unread.then_some((now + UNREAD_AGAIN, UNREAD_AGAIN));
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }
}
