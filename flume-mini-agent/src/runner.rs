//! The sink runner: moves events from the channel to the sink, a transaction at a time.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::coop;

use crate::agent::tally::Tally;
use crate::channel::Channel;
use crate::sink::SinkWriter;

/// Takes up to `batch_size` events, has them written, commits. On an error it rolls back and
/// waits before the next try, as Flume's `SinkRunner` does.
pub(crate) struct SinkRunner {
    channel: Arc<Channel>,
    tally: Arc<Tally>,
    name: &'static str,
    batch_size: usize,
    backoff: Duration,
    /// Locked while a batch is in the sink's hands.
    writer: Mutex<Box<dyn SinkWriter>>,
    paused: AtomicBool,
}

/// What came of one look at the channel.
enum Round {
    Drained,
    Idle,
    Failed,
}

impl SinkRunner {
    pub(crate) fn new(
        (channel, tally): (Arc<Channel>, Arc<Tally>),
        (name, writer): (&'static str, Box<dyn SinkWriter>),
        batch_size: usize,
        backoff: Duration,
    ) -> Self {
        Self {
            channel,
            tally,
            name,
            batch_size,
            backoff,
            writer: Mutex::new(writer),
            paused: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Gets the sink ready, at every start of the agent.
    pub(crate) fn start(&self) -> io::Result<()> {
        self.writer().start()
    }

    /// Runs until dropped. Never dropped inside a transaction: there is no await in one.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            match self.round() {
                Round::Drained => coop::consume_budget().await,
                Round::Idle => self.channel.arrival().await,
                Round::Failed => tokio::time::sleep(self.backoff).await,
            }
        }
    }

    /// Stops taking events. When it returns, no batch is in the sink's hands.
    pub(crate) fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        drop(self.writer());
    }

    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
        self.channel.wake_sink();
    }

    fn round(&self) -> Round {
        let mut writer = self.writer();
        if self.paused.load(Ordering::SeqCst) {
            return Round::Idle;
        }
        let transaction = self.channel.take_batch(self.batch_size);
        let events = transaction.taken().len();
        if events == 0 {
            return Round::Idle;
        }
        // A user's `Write` may panic; the events must go back to the channel all the same.
        let written = catch_unwind(AssertUnwindSafe(|| writer.write(transaction.taken())))
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")));
        match written {
            Ok(()) => {
                let committed = self.channel.try_commit(transaction);
                debug_assert!(committed.is_ok(), "takes alone need no room");
                self.tally
                    .count(|stats| stats.events_drained += events as u64);
                Round::Drained
            }
            Err(error) => {
                self.channel.rollback(transaction);
                self.tally.sink_failed(format!(
                    "the {} sink could not write {events} events: {error}; \
                     they are back in the channel, next try in {:?}",
                    self.name, self.backoff
                ));
                Round::Failed
            }
        }
    }

    fn writer(&self) -> MutexGuard<'_, Box<dyn SinkWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SinkRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkRunner")
            .field("name", &self.name)
            .field("batch_size", &self.batch_size)
            .field("paused", &self.paused)
            .finish_non_exhaustive()
    }
}
