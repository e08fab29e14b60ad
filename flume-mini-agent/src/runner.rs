//! The sink runner: moves events from the channel to the sink, a transaction at a time.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::coop;

use crate::agent::tally::Tally;
use crate::channel::{Channel, Taken};
use crate::gate::Gate;
use crate::sink::SinkWriter;

/// Takes up to `batch_size` events, has them written, commits. On an error it rolls back and
/// waits before the next try, as Flume's `SinkRunner` does.
pub(crate) struct SinkRunner {
    channel: Arc<Channel>,
    tally: Arc<Tally>,
    name: &'static str,
    batch_size: usize,
    backoff: Duration,
    writer: Mutex<Box<dyn SinkWriter>>,
    gate: Gate,
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
            gate: Gate::default(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Gets the sink ready, at every start of the agent.
    pub(crate) fn start(&self) -> io::Result<()> {
        self.writer().start()
    }

    /// Runs until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            match self.round().await {
                Round::Drained => coop::consume_budget().await,
                Round::Idle => self.channel.arrival().await,
                Round::Failed => tokio::time::sleep(self.backoff).await,
            }
        }
    }

    /// Stops taking events. When it returns, no batch is in the sink's hands.
    pub(crate) fn pause(&self) {
        self.gate.pause();
    }

    pub(crate) fn resume(&self) {
        self.gate.resume();
    }

    async fn round(&self) -> Round {
        let _pass = self.gate.pass().await;
        let taken = match self.channel.take(self.batch_size) {
            Ok(taken) => taken,
            Err(error) => {
                self.tally.sink_failed(error.to_string());
                return Round::Failed;
            }
        };
        let events = taken.events().len();
        if events == 0 {
            return Round::Idle;
        }
        let written = self.write(&taken);
        let written = match written {
            Ok(()) => taken.commit().await.map_err(io::Error::other),
            Err(error) => {
                drop(taken);
                Err(error)
            }
        };
        match written {
            Ok(()) => {
                self.tally
                    .count(|stats| stats.events_drained += events as u64);
                Round::Drained
            }
            Err(error) => {
                self.tally.sink_failed(format!(
                    "the {} sink could not write {events} events: {error}; \
                     they are back in the channel, next try in {:?}",
                    self.name, self.backoff
                ));
                Round::Failed
            }
        }
    }

    /// A user's `Write` may panic; the events must go back to the channel all the same.
    fn write(&self, taken: &Taken) -> io::Result<()> {
        let mut writer = self.writer();
        catch_unwind(AssertUnwindSafe(|| writer.write(taken.events())))
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
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
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
