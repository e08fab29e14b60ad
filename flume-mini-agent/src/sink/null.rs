//! The null sink.

use std::io;

use super::SinkWriter;
use crate::channel::StoredEvent;

/// Drops every event. The runner counts them.
pub(crate) struct Null;

impl SinkWriter for Null {
    fn write(&mut self, _events: &[StoredEvent]) -> io::Result<()> {
        Ok(())
    }
}
