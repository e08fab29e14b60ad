//! The collect sink, which Flume does not have: events stay in memory for the test to look at.

use std::io;
use std::sync::Arc;

use super::SinkWriter;
use crate::channel::StoredEvent;
use crate::observed::Observed;

/// Puts events where [`MiniAgent::received`](crate::MiniAgent::received) finds them.
pub(crate) struct Collect {
    observed: Arc<Observed>,
    events_max: usize,
}

impl Collect {
    pub(crate) fn new(observed: Arc<Observed>, events_max: usize) -> Self {
        Self {
            observed,
            events_max,
        }
    }
}

impl SinkWriter for Collect {
    fn write(&mut self, events: &[StoredEvent]) -> io::Result<()> {
        if self.observed.collect(events, self.events_max) {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "it may hold {} events; raise `collect_max` or use another sink",
            self.events_max
        )))
    }
}
