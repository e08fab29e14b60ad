//! [`Noted`]: what a start must know to be retired.

use flume_client::seq::{Seq, SeqRange, SeqSet};
use flume_client::spool::Log;

type Broken = (&'static str, String);

/// Ranges ahead of the watermark that the format has room for.
const RANGES_MAX: usize = 64;

/// What the cursor said last.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Written: the next process knows it.
    written: SeqSet,
    /// Synced: the next process knows it though the power was lost.
    synced: SeqSet,
}

impl Noted {
    /// The cursor was written and not synced.
    pub(super) fn note(&mut self, log: &Log) {
        self.written = log.retired().lowest(RANGES_MAX);
    }

    /// The cursor was written and synced.
    pub(super) fn save(&mut self, log: &Log) {
        self.note(log);
        self.synced = self.written.clone();
    }

    /// The power is lost, or a write failed in the middle of what was not synced.
    pub(super) fn lose(&mut self) {
        self.written = self.synced.clone();
    }

    /// Whether a log that was opened knows of it.
    pub(super) fn check(&self, log: &Log) -> Result<(), Broken> {
        let below = SeqRange::new(Seq::ZERO, self.written.watermark());
        let mut ranges = [below].into_iter().chain(self.written.ahead());
        match ranges.find(|range| !log.retired().covers(*range)) {
            None => Ok(()),
            Some(range) => Err((
                "what is noted does not come again",
                format!("{range:?} is not in {:?}", log.retired()),
            )),
        }
    }
}
