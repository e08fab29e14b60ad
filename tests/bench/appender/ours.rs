//! How far our events are.

use std::time::Duration;

use flume_appender::test::Captured;
use flume_appender::{Guard, Stats};

use crate::running::{Result, Through};

const WAIT_MAX: Duration = Duration::from_secs(120);

/// Rendered, and thrown away.
pub(crate) struct Discarded(pub(crate) Captured);

impl Through for Discarded {
    fn wait(&mut self, calls: u64) -> Result<()> {
        drop(self.0.take());
        check(&self.0.guard().stats(), calls)
    }
}

/// Acknowledged by the agent.
pub(crate) struct Delivered(pub(crate) Guard);

impl Through for Delivered {
    fn wait(&mut self, calls: u64) -> Result<()> {
        self.0.flush(WAIT_MAX).wait()?;
        check(&self.0.stats(), calls)
    }
}

fn check(stats: &Stats, calls: u64) -> Result<()> {
    let all = stats.total();
    if all.handed_on != calls {
        return Err(format!("{calls} calls, but {all:?}").into());
    }
    Ok(())
}
