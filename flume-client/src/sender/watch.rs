//! [`Watch`]: when the sender looks at the client's health by itself, and what it makes of that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::speaker::Speaker;
use crate::error::ClientThread;
use crate::health::change::{Change, Episodes};
use crate::health::{Health, Limits, Problem, STALLED_AFTER};
use crate::stats::Stats;

/// However much happens, health is looked at no more often.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Looks when something happened that can change health, and when time alone can. A client without
/// pending events and problems has nothing to look for and is not woken.
pub(super) struct Watch {
    episodes: Episodes,
    speaker: Speaker,
    limits: Limits,
    /// What was found about the spool, and told.
    noted: Arc<[String]>,
    last_look: Option<Instant>,
    /// When to look next.
    next_look: Option<Instant>,
}

impl Watch {
    pub(super) fn new(speaker: Speaker, limits: Limits) -> Self {
        Self {
            episodes: Episodes::default(),
            speaker,
            limits,
            noted: Arc::default(),
            last_look: None,
            next_look: None,
        }
    }

    /// Tells what was found about the spool, each once.
    pub(super) fn note(&mut self, notes: &Arc<[String]>) {
        if self.speaker.is_heard() && !Arc::ptr_eq(notes, &self.noted) {
            let new = notes.iter().filter(|note| !self.noted.contains(note));
            self.speaker.tell(new.cloned().map(Change::Noted));
            self.noted = notes.clone();
        }
    }

    /// Whether to look now.
    pub(super) fn is_due(&mut self, has_news: bool, has_pending: bool, now: Instant) -> bool {
        if !self.speaker.is_heard() {
            self.next_look = None;
            return false;
        }
        if has_news {
            let soon = self.last_look.map_or(now, |last| last + LOOK_PAUSE);
            self.next_look = Some(self.next_look.map_or(soon, |at| at.min(soon)));
        } else if has_pending && self.next_look.is_none() {
            self.next_look = Some(now + STALLED_AFTER + self.limits.linger);
        }
        self.next_look.is_some_and(|at| at <= now)
    }

    /// Whether anybody is told.
    pub(super) fn is_heard(&self) -> bool {
        self.speaker.is_heard()
    }

    /// Tells what has changed.
    pub(super) fn look(&mut self, stats: &Stats, now: Instant) {
        self.last_look = Some(now);
        if let Some(spool) = &stats.spool {
            self.note(&spool.notes);
        }
        let health = Health::of(stats, self.limits);
        let changes = self.episodes.observe(&health, now);
        let by_time = Health::changes_after(stats, self.limits).map(|after| now + after);
        let calm = self.episodes.deadline(now);
        let next = by_time.into_iter().chain(calm).min();
        self.next_look = next.map(|at| at.max(now + LOOK_PAUSE));
        self.speaker.tell(changes);
    }

    /// When to look next, if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_look
    }
}

/// Nobody looks any more when the sender panics.
impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() && self.speaker.is_heard() {
            let thread = ClientThread::Sender;
            let failed = Change::Began(Problem::Failed { thread });
            self.speaker.tell([failed]);
        }
    }
}
