//! [`Loss`]: what a callback is told of records that were lost.

use std::time::SystemTime;

use crate::stats::LevelStats;

/// Records that were lost since the callback was last told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// By level, the least first, and by reason: only what counts as [lost](LevelStats::lost) is
    /// not zero.
    pub levels: [LevelStats; 5],
    /// They were lost after this.
    pub since: SystemTime,
    /// And before this.
    pub until: SystemTime,
}

impl Loss {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.levels.iter().map(LevelStats::lost).sum()
    }
}
