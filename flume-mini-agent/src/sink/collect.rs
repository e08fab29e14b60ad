//! The collect sink, which Flume does not have: events stay in memory for the test to look at.

use std::io;
use std::sync::Arc;

use super::SinkWriter;
use crate::agent::tally::Tally;
use crate::channel::StoredEvent;

/// Puts events where [`MiniAgent::received`](crate::MiniAgent::received) finds them.
pub(super) struct Collect {
    tally: Arc<Tally>,
    events_max: usize,
}

impl Collect {
    pub(super) fn new(tally: Arc<Tally>, events_max: usize) -> Self {
        Self { tally, events_max }
    }
}

impl SinkWriter for Collect {
    fn write(&mut self, events: &[StoredEvent]) -> io::Result<()> {
        if self.tally.collect(events, self.events_max) {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "it may hold {} events; raise `collect_max` or use another sink",
            self.events_max
        )))
    }
}
