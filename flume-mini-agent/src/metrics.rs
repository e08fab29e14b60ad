//! Counters as Flume's monitoring shows them: components by `TYPE.name`, each with its attributes
//! as strings. Names and shape are those of Flume's `HTTPMetricsServer` and `MonitoredCounterGroup`.

use std::collections::BTreeMap;

use crate::channel::Channel;
use crate::counters::{Lifetime, SinkCounters, SourceCounters};

/// All components.
pub(crate) type Metrics = BTreeMap<String, Attributes>;

/// One component.
pub(crate) type Attributes = BTreeMap<&'static str, String>;

/// What Flume shows for a source.
pub(crate) fn source(counters: &SourceCounters) -> Attributes {
    let values = [
        ("EventReceivedCount", &counters.events_received),
        ("EventAcceptedCount", &counters.events_accepted),
        ("AppendReceivedCount", &counters.appends_received),
        ("AppendAcceptedCount", &counters.appends_accepted),
        ("AppendBatchReceivedCount", &counters.batches_received),
        ("AppendBatchAcceptedCount", &counters.batches_accepted),
        ("OpenConnectionCount", &counters.connections_open),
        ("EventReadFail", &counters.read_fails),
        ("ChannelWriteFail", &counters.channel_write_fails),
        ("GenericProcessingFail", &counters.other_fails),
    ];
    let values = values.map(|(name, counter)| (name, counter.value().to_string()));
    attributes("SOURCE", &counters.lifetime, values)
}

/// What Flume shows for a channel.
pub(crate) fn channel(channel: &Channel) -> Attributes {
    let counters = channel.counters();
    let (size, capacity) = (channel.len(), channel.capacity());
    let fill = size as f64 * 100.0 / capacity as f64;
    let values = [
        ("ChannelSize", size.to_string()),
        ("ChannelCapacity", capacity.to_string()),
        // With a fraction in any case, as Java writes it.
        ("ChannelFillPercentage", format!("{fill:?}")),
        (
            "EventPutAttemptCount",
            counters.put_attempts.value().to_string(),
        ),
        (
            "EventPutSuccessCount",
            counters.put_successes.value().to_string(),
        ),
        (
            "EventTakeAttemptCount",
            counters.take_attempts.value().to_string(),
        ),
        (
            "EventTakeSuccessCount",
            counters.take_successes.value().to_string(),
        ),
    ];
    attributes("CHANNEL", &counters.lifetime, values)
}

/// What Flume shows for a sink.
pub(crate) fn sink(counters: &SinkCounters) -> Attributes {
    let values = [
        ("ConnectionCreatedCount", &counters.connections_created),
        ("ConnectionClosedCount", &counters.connections_closed),
        ("ConnectionFailedCount", &counters.connections_failed),
        ("BatchEmptyCount", &counters.batches_empty),
        ("BatchUnderflowCount", &counters.batches_underflow),
        ("BatchCompleteCount", &counters.batches_complete),
        ("EventDrainAttemptCount", &counters.drain_attempts),
        ("EventDrainSuccessCount", &counters.drain_successes),
        ("EventWriteFail", &counters.write_fails),
        ("ChannelReadFail", &counters.channel_read_fails),
    ];
    let values = values.map(|(name, counter)| (name, counter.value().to_string()));
    attributes("SINK", &counters.lifetime, values)
}

fn attributes<const N: usize>(
    kind: &str,
    lifetime: &Lifetime,
    values: [(&'static str, String); N],
) -> Attributes {
    let mut attributes = Attributes::from(values);
    attributes.insert("Type", kind.to_owned());
    attributes.insert("StartTime", lifetime.started_at().to_string());
    attributes.insert("StopTime", lifetime.stopped_at().to_string());
    attributes
}
