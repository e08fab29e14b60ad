//! [`CursorTimer`]: when a cursor is written, and when that is synced, too: of one's own place, and of
//! an adopted one. Told the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::situations::reached;
use crate::spool::{Log, SpoolError};

/// How long an event that is retired waits until the cursor says so. After a kill, events retired in
/// that time are sent again. Each time costs a small write.
const NOTE_AFTER: Duration = Duration::from_millis(100);
/// How long what is retired or committed waits until the cursor is synced. After a power loss, events
/// retired in that time are sent again. Each time costs a sync of the device (`fsync`), which no
/// commit can pass: who waits for an event waits for it, too.
pub(super) const SAVE_AFTER: Duration = Duration::from_secs(1);
/// How long after an error the cursor is tried again, if nothing is retired or committed before.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// When a cursor is to be written, when it is to be synced, and why it cannot be.
#[derive(Debug, Default)]
pub(super) struct CursorTimer {
    /// If this is set, `save` is, too.
    note: Option<Instant>,
    save: Option<Instant>,
    trouble: Option<Arc<SpoolError>>,
}

/// What is to be done with a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// [`Log::note`].
    Note,
    /// [`Log::save`].
    Save,
}

impl CursorTimer {
    /// Events are retired.
    pub(super) fn on_retired(&mut self, now: Instant) {
        self.note.get_or_insert(now + NOTE_AFTER);
        self.save_within(SAVE_AFTER, now);
    }

    /// Has the cursor saved within this time.
    pub(super) fn save_within(&mut self, wait: Duration, now: Instant) {
        let at = now + wait;
        self.save = Some(self.save.map_or(at, |due| due.min(at)));
    }

    /// Whether there is something to save.
    pub(super) fn is_set(&self) -> bool {
        self.save.is_some()
    }

    /// Whether the cursor will be written soon, so that what is retired meanwhile can wait for that.
    pub(super) fn is_started(&self) -> bool {
        self.note.is_some()
    }

    /// Why the last save failed, or a write since.
    pub(super) fn trouble(&self) -> Option<&Arc<SpoolError>> {
        self.trouble.as_ref()
    }

    /// What is due, if anything. A segment that is drained is worth a sync.
    pub(super) fn due(&self, now: Instant, log: &Log) -> Option<Due> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.save) {
            return Some(Due::Save);
        }
        let note = is_due(self.note).then_some(Due::Note)?;
        // While saves fail, what cannot be done is not tried for each write.
        if self.trouble.is_none() && log.has_drained_segment() {
            reached!("the cursor is synced to reuse a segment");
            return Some(Due::Save);
        }
        Some(note)
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.note, self.save].into_iter().flatten().min()
    }

    /// It was done, or could not be.
    pub(super) fn on_done(&mut self, due: Due, done: Result<(), SpoolError>, now: Instant) {
        self.note = None;
        if due == Due::Save {
            (self.save, self.trouble) = (None, None);
        }
        if let Err(trouble) = done {
            reached!("the cursor cannot be saved");
            self.trouble = Some(Arc::new(trouble));
            self.save_within(RETRY_AFTER, now);
        }
    }
}

impl Due {
    /// Does it.
    pub(super) fn work(self, log: &mut Log) -> Result<(), SpoolError> {
        match self {
            Self::Note => {
                reached!("the cursor is written without a sync");
                log.note()
            }
            Self::Save => log.save(),
        }
    }
}
