//! [`Level`]: how much a record matters.

use std::fmt;
use std::str::FromStr;

/// How much a record matters. Ordered: `Error` is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The finest detail.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// What a service does.
    Info,
    /// What may become an error.
    Warn,
    /// What went wrong.
    Error,
}

impl Level {
    /// All of them, the least first.
    pub const ALL: [Self; 5] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
    ];

    /// `TRACE` to `ERROR`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no level.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no level: error, warn, info, debug and trace are")]
pub struct LevelError {
    text: String,
}

impl fmt::Debug for LevelError {
    /// The message: it is what a `main` that returns the error prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Level {
    type Err = LevelError;

    /// Upper and lower case alike.
    fn from_str(text: &str) -> Result<Self, LevelError> {
        let named = |level: &Self| level.as_str().eq_ignore_ascii_case(text);
        let found = Self::ALL.into_iter().find(named);
        found.ok_or_else(|| LevelError { text: text.into() })
    }
}
