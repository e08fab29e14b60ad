//! The one error of the harness: a text for the person who reads the failed test.

use std::fmt;

/// What the harness returns.
pub type Result<T, E = HarnessError> = std::result::Result<T, E>;

/// Why something around a real Flume did not work, often with the tail of a log.
///
/// `Debug` prints the plain text, so that an `unwrap` in a test shows the log line by line.
#[derive(Clone)]
pub struct HarnessError(String);

impl HarnessError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// Names what was being done when `cause` happened.
    pub(crate) fn doing(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self(format!("{what}: {cause}"))
    }
}

impl fmt::Debug for HarnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HarnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HarnessError {}
