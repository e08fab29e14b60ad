//! Layouts: what an event's body looks like.
//!
//! | file | holds |
//! |---|---|
//! | `record` | a record as layouts see it |
//! | `edits` | what the user's own hook changes in it |
//! | `json`, `logfmt`, `rfc5424`, `raw`, `avro` | the layouts |
//! | `merged` | members of which the last one of a name stands |
//! | `plain` | values on a line of plain text |

#[cfg(feature = "avro-body")]
pub mod avro;
mod edits;
pub mod json;
pub mod logfmt;
mod merged;
mod plain;
mod raw;
mod record;
pub mod rfc5424;
#[cfg(test)]
mod tests;

use std::fmt;

#[cfg(feature = "avro-body")]
pub use avro::AvroBody;
pub use edits::{Edits, Verdict};
pub use json::{Json, Member};
pub use logfmt::Logfmt;
pub(crate) use plain::put_bare;
pub use raw::Raw;
pub use record::Record;
pub use rfc5424::Rfc5424;

/// Turns a record into the body of an event. One of your own may panic or fail: that costs the
/// record, which is counted in [`LevelStats::unwritten`](crate::LevelStats::unwritten).
///
/// ```
/// use flume_appender::{Layout, LayoutError, Record};
///
/// #[derive(Debug)]
/// struct LevelAlone;
///
/// impl Layout for LevelAlone {
///     fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
///         out.extend_from_slice(record.level().as_str().as_bytes());
///         Ok(())
///     }
/// }
/// ```
pub trait Layout: fmt::Debug + Send {
    /// Writes the body of a record to `out`, which is empty. Called on the renderer's thread, once a
    /// record, and again if the body is too large.
    ///
    /// # Errors
    ///
    /// If the record cannot be written in this way. What is wrong is told on the standard error
    /// output, at most every 30 s.
    fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError>;

    /// Headers that readers of these bodies need, for all events. They may have reserved names.
    /// Default: none.
    fn headers(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether bodies are text: then one of more than 1 MiB is cut between two letters, and a record
    /// whose body is not is not written. Log4j 1's headers tell it, too. Default: they are.
    fn is_text(&self) -> bool {
        true
    }

    /// Looks whether its settings fit together, when the appender is built. Default: they do.
    ///
    /// # Errors
    ///
    /// If they do not; then the appender is not built.
    fn check(&self) -> Result<(), LayoutError> {
        Ok(())
    }
}

/// A record cannot be written, or a layout's settings do not fit together.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LayoutError {
    reason: String,
}

impl fmt::Debug for LayoutError {
    /// The message: it is what a `main` that returns the error prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl LayoutError {
    /// With this reason: what is wrong, and what to do. It is told on the standard error output, so
    /// it should name fields, and not their values.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { reason }
    }
}
