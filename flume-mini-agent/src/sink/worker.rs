//! [`SinkWorker`]: a sink at its channel, one transaction at a time (Flume's `Sink.process`).

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::SinkWriter;
use super::avro::AvroSink;
use crate::channel::{Channel, ChannelError, Taken};
use crate::counters::SinkCounters;
use crate::sink_group::Outcome;

/// A sink with its name, its channel and its counters, from one start of the agent to its stop.
pub(crate) struct SinkWorker {
    /// As in messages: `the logger sink`, or `sink k1`.
    label: String,
    channel: Arc<Channel>,
    batch_size: usize,
    /// Whether it waits for a whole batch as long as its channel allows, as Flume's sinks do.
    waits: bool,
    work: Work,
    /// Flume counts nothing for its logger and null sinks.
    counters: Option<Arc<SinkCounters>>,
}

/// What is done with a batch.
pub(crate) enum Work {
    /// It is written, here and now.
    Write(Box<dyn SinkWriter>),
    /// It is passed on to another agent.
    Send(Box<AvroSink>),
}

/// What a sink has done in one turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drained {
    /// Events taken and committed.
    pub(crate) events: usize,
    /// Ready or backoff.
    pub(crate) outcome: Outcome,
}

/// What kept a sink from it. The events are back in the channel.
#[derive(Debug)]
pub(crate) struct SinkFailure {
    /// Events it had in its hands.
    pub(crate) events: usize,
    pub(crate) reason: String,
}

impl SinkWorker {
    pub(crate) fn new(
        label: String,
        channel: Arc<Channel>,
        (batch_size, waits): (usize, bool),
        work: Work,
        counters: Option<Arc<SinkCounters>>,
    ) -> Self {
        let worker = Self {
            label,
            channel,
            batch_size,
            waits,
            work,
            counters,
        };
        if let Work::Write(_) = worker.work {
            worker.count(|counters| counters.connections_created.increment());
        }
        worker
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Connects before there is anything to send, as Flume does when it starts a sink, used or
    /// not. If it cannot, the first batch is the next try.
    pub(crate) async fn open(&mut self) {
        if self.connect().await.is_err() {
            self.count(|counters| counters.connections_failed.increment());
        }
    }

    /// Takes a batch and gets rid of it, or leaves it in the channel. `hurry` ends the wait for a
    /// whole batch.
    pub(crate) async fn process(
        &mut self,
        hurry: impl Future<Output = ()>,
    ) -> Result<Drained, SinkFailure> {
        match &self.work {
            Work::Write(_) => self.write(hurry).await,
            Work::Send(_) => self.send(hurry).await,
        }
    }

    async fn write(&mut self, hurry: impl Future<Output = ()>) -> Result<Drained, SinkFailure> {
        let taken = self.take(hurry).await?;
        let events = taken.events().len();
        // Flume's local sinks call it a backoff when they see the channel's end.
        let outcome = if events < self.batch_size {
            Outcome::Backoff
        } else {
            Outcome::Ready
        };
        if events == 0 {
            return Ok(Drained { events, outcome });
        }
        self.count(|counters| counters.drain_attempts.add(events));
        let Work::Write(writer) = &mut self.work else {
            unreachable!("a sink stays what it is");
        };
        // A user's `Write` may panic; the events must go back to the channel all the same.
        let written = catch_unwind(AssertUnwindSafe(|| writer.write(taken.events())))
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")));
        if let Err(error) = written {
            return Err(self.fail(taken, error.to_string()));
        }
        self.commit(taken).await?;
        Ok(Drained { events, outcome })
    }

    async fn send(&mut self, hurry: impl Future<Output = ()>) -> Result<Drained, SinkFailure> {
        let connected = self.connect().await;
        if let Err(error) = connected {
            self.count(|counters| {
                counters.connections_failed.increment();
                counters.write_fails.increment();
            });
            return Err(SinkFailure::new(0, error));
        }
        let taken = self.take(hurry).await?;
        let events = taken.events().len();
        if events == 0 {
            self.count(|counters| counters.batches_empty.increment());
            let outcome = Outcome::Backoff;
            return Ok(Drained { events, outcome });
        }
        self.count(|counters| {
            if events < self.batch_size {
                counters.batches_underflow.increment();
            } else {
                counters.batches_complete.increment();
            }
            counters.drain_attempts.add(events);
        });
        let Work::Send(sink) = &mut self.work else {
            unreachable!("a sink stays what it is");
        };
        if let Err(error) = sink.append_batch(taken.events()).await {
            sink.disconnect();
            self.count(|counters| counters.connections_closed.increment());
            return Err(self.fail(taken, error.to_string()));
        }
        self.commit(taken).await?;
        let outcome = Outcome::Ready;
        Ok(Drained { events, outcome })
    }

    /// Sees to a connection that is open and not due for a reset.
    async fn connect(&mut self) -> Result<(), String> {
        let Work::Send(sink) = &mut self.work else {
            return Ok(());
        };
        let was_open = sink.drop_if_old();
        let opened = sink.connect().await.map_err(|error| error.to_string());
        self.count(|counters| {
            if was_open {
                counters.connections_closed.increment();
            }
            if opened == Ok(true) {
                counters.connections_created.increment();
            }
        });
        opened.map(drop)
    }

    async fn take(&mut self, hurry: impl Future<Output = ()>) -> Result<Taken, SinkFailure> {
        let taken = if self.waits {
            self.channel.take_patiently(self.batch_size, hurry).await
        } else {
            self.channel.take(self.batch_size)
        };
        taken.map_err(|error| self.channel_failure(0, &error))
    }

    async fn commit(&mut self, taken: Taken) -> Result<(), SinkFailure> {
        let events = taken.events().len();
        let committed = taken.commit().await;
        committed.map_err(|error| self.channel_failure(events, &error))?;
        self.count(|counters| counters.drain_successes.add(events));
        Ok(())
    }

    /// Gives the events back to the channel.
    fn fail(&self, taken: Taken, reason: String) -> SinkFailure {
        let events = taken.events().len();
        drop(taken);
        self.count(|counters| counters.write_fails.increment());
        SinkFailure::new(events, reason)
    }

    fn channel_failure(&self, events: usize, error: &ChannelError) -> SinkFailure {
        self.count(|counters| counters.channel_read_fails.increment());
        let channel = self.channel.name();
        SinkFailure::new(events, format!("channel {channel} failed: {error}"))
    }

    fn count(&self, change: impl FnOnce(&SinkCounters)) {
        if let Some(counters) = &self.counters {
            change(counters);
        }
    }
}

impl Drop for SinkWorker {
    /// Counts the end of its connection, of which a file is one to Flume.
    fn drop(&mut self) {
        let closes = match &mut self.work {
            Work::Write(_) => true,
            Work::Send(sink) => sink.disconnect(),
        };
        if closes {
            self.count(|counters| counters.connections_closed.increment());
        }
    }
}

impl SinkFailure {
    fn new(events: usize, reason: String) -> Self {
        Self { events, reason }
    }
}
