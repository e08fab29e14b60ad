//! Counters of components, under Flume's names (its `SourceCounter`, `ChannelCounter` and
//! `SinkCounter`). Each start of the agent has new ones, as there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only its readers need to agree on.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// When a component was started and stopped, in milliseconds since 1970; 0 for never.
#[derive(Debug, Default)]
pub(crate) struct Lifetime {
    start: Counter,
    stop: Counter,
}

/// Counters of a source.
#[derive(Debug, Default)]
pub(crate) struct SourceCounters {
    pub(crate) lifetime: Lifetime,
    pub(crate) events_received: Counter,
    pub(crate) events_accepted: Counter,
    pub(crate) appends_received: Counter,
    pub(crate) appends_accepted: Counter,
    pub(crate) batches_received: Counter,
    pub(crate) batches_accepted: Counter,
    pub(crate) connections_open: Counter,
    pub(crate) read_fails: Counter,
    pub(crate) channel_write_fails: Counter,
    pub(crate) other_fails: Counter,
}

/// Counters of a channel.
#[derive(Debug, Default)]
pub(crate) struct ChannelCounters {
    pub(crate) lifetime: Lifetime,
    /// Events in it at the end of the latest transaction.
    pub(crate) size: Counter,
    pub(crate) put_attempts: Counter,
    pub(crate) put_successes: Counter,
    pub(crate) take_attempts: Counter,
    pub(crate) take_successes: Counter,
    /// Of a file channel only.
    pub(crate) put_errors: Counter,
    /// Of a file channel only.
    pub(crate) take_errors: Counter,
}

/// Counters of a sink.
#[derive(Debug, Default)]
pub(crate) struct SinkCounters {
    pub(crate) lifetime: Lifetime,
    pub(crate) connections_created: Counter,
    pub(crate) connections_closed: Counter,
    pub(crate) connections_failed: Counter,
    pub(crate) batches_empty: Counter,
    pub(crate) batches_underflow: Counter,
    pub(crate) batches_complete: Counter,
    pub(crate) drain_attempts: Counter,
    pub(crate) drain_successes: Counter,
    pub(crate) write_fails: Counter,
    pub(crate) channel_read_fails: Counter,
}

/// A connection that an Avro source counts as open, until dropped. Flume looks once a minute;
/// here the count is always right. Its other sources count none.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<SourceCounters>);

impl OpenConnection {
    pub(crate) fn new(counters: &Arc<SourceCounters>) -> Self {
        counters.connections_open.increment();
        Self(Arc::clone(counters))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections_open.decrement();
    }
}

impl Counter {
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Relaxed);
    }

    fn decrement(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

impl Lifetime {
    pub(crate) fn started_at(&self) -> u64 {
        self.start.value()
    }

    pub(crate) fn stopped_at(&self) -> u64 {
        self.stop.value()
    }

    /// Keeps the time of the stop.
    pub(crate) fn stop(&self, now_millis: u64) {
        self.stop.set(now_millis);
    }

    /// Keeps the time of the start.
    pub(crate) fn start(&self, now_millis: u64) {
        self.start.set(now_millis);
    }
}
