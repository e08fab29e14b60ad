//! [`Raw`]: the message alone.

use super::plain::put_value;
use super::record::Record;
use super::{Layout, LayoutError};

/// The message alone, on one line: control characters in it are escaped. Fields and spans are left
/// out, unless headers carry them.
#[derive(Debug, Default)]
pub struct Raw(());

impl Raw {
    /// The message alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layout for Raw {
    fn render(&mut self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), LayoutError> {
        if let Some(message) = record.message() {
            put_value(out, &message, &[]);
        }
        Ok(())
    }
}
