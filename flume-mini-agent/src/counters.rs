//! Counters of components, under Flume's names (its `SourceCounter`, `ChannelCounter` and
//! `SinkCounter`). They begin anew at each start of the agent, as there.

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

    fn start<const N: usize>(&self, now_millis: u64, counters: [&Counter; N]) {
        for counter in counters {
            counter.set(0);
        }
        self.stop.set(0);
        self.start.set(now_millis);
    }
}

impl SourceCounters {
    /// Begins anew.
    pub(crate) fn start(&self, now_millis: u64) {
        let counters = [
            &self.events_received,
            &self.events_accepted,
            &self.appends_received,
            &self.appends_accepted,
            &self.batches_received,
            &self.batches_accepted,
            &self.connections_open,
            &self.read_fails,
            &self.channel_write_fails,
            &self.other_fails,
        ];
        self.lifetime.start(now_millis, counters);
    }
}

impl ChannelCounters {
    /// Begins anew.
    pub(crate) fn start(&self, now_millis: u64) {
        let counters = [
            &self.put_attempts,
            &self.put_successes,
            &self.take_attempts,
            &self.take_successes,
            &self.put_errors,
            &self.take_errors,
        ];
        self.lifetime.start(now_millis, counters);
    }
}

impl SinkCounters {
    /// Begins anew.
    pub(crate) fn start(&self, now_millis: u64) {
        let counters = [
            &self.connections_created,
            &self.connections_closed,
            &self.connections_failed,
            &self.batches_empty,
            &self.batches_underflow,
            &self.batches_complete,
            &self.drain_attempts,
            &self.drain_successes,
            &self.write_fails,
            &self.channel_read_fails,
        ];
        self.lifetime.start(now_millis, counters);
    }
}
