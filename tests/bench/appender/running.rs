//! A contender that runs.

use crate::event::{Around, Call};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One that runs, as the logger of this process.
pub(crate) struct Running {
    pub(crate) call: Call,
    pub(crate) around: Around,
    pub(crate) through: Box<dyn Through>,
}

impl Running {
    /// Waits until all of so many calls are through.
    pub(crate) fn settle(&mut self, calls: u64) -> Result<()> {
        self.through.wait(calls)
    }
}

/// Who knows how much of what was logged has been dealt with.
pub(crate) trait Through {
    /// Waits until all of so many calls are: an error if one never will be.
    fn wait(&mut self, calls: u64) -> Result<()>;
}
