//! [`Metrics`]: all counters of an agent, as Flume's `GET /metrics` prints them.

use std::fmt::Write;
use std::sync::Arc;

use crate::channel::Channel;
use crate::counters::{ChannelCounters, Counter, Lifetime, SinkCounters, SourceCounters};

/// The counters of all components that have any.
#[derive(Debug)]
pub(crate) struct Metrics {
    sources: Vec<(String, Arc<SourceCounters>)>,
    channels: Vec<Arc<Channel>>,
    sinks: Vec<(String, Arc<SinkCounters>)>,
}

/// Names and values of one component. Flume prints numbers as strings, too.
type Attributes = Vec<(&'static str, String)>;

impl Metrics {
    pub(super) fn new(
        sources: Vec<(String, Arc<SourceCounters>)>,
        channels: Vec<Arc<Channel>>,
        sinks: Vec<(String, Arc<SinkCounters>)>,
    ) -> Self {
        Self {
            sources,
            channels,
            sinks,
        }
    }

    /// `{"SOURCE.r1":{"EventAcceptedCount":"3",...},...}`
    pub(crate) fn json(&self) -> String {
        let sources = self.sources.iter();
        let sources = sources.map(|(name, counters)| component("SOURCE", name, source(counters)));
        let channels = self.channels.iter();
        let channels = channels.map(|channel| component("CHANNEL", channel.name(), of(channel)));
        let sinks = self.sinks.iter();
        let sinks = sinks.map(|(name, counters)| component("SINK", name, sink(counters)));
        let components: Vec<String> = sources.chain(channels).chain(sinks).collect();
        format!("{{{}}}", components.join(","))
    }

    /// Notes the time of the start.
    pub(super) fn start(&self, now_millis: u64) {
        self.lifetimes().for_each(|it| it.start(now_millis));
    }

    /// Notes the time of the stop.
    pub(super) fn stop(&self, now_millis: u64) {
        self.lifetimes().for_each(|it| it.stop(now_millis));
    }

    fn lifetimes(&self) -> impl Iterator<Item = &Lifetime> {
        let sources = self.sources.iter().map(|(_, source)| &source.lifetime);
        let channels = self.channels.iter();
        let channels = channels.map(|channel| &channel.counters().lifetime);
        let sinks = self.sinks.iter().map(|(_, sink)| &sink.lifetime);
        sources.chain(channels).chain(sinks)
    }
}

fn source(counters: &SourceCounters) -> Attributes {
    let mut attributes = attributes([
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
    ]);
    attributes.extend(times(&counters.lifetime));
    attributes
}

fn of(channel: &Channel) -> Attributes {
    let counters: &ChannelCounters = channel.counters();
    let mut attributes = attributes([
        ("EventPutAttemptCount", &counters.put_attempts),
        ("EventPutSuccessCount", &counters.put_successes),
        ("EventTakeAttemptCount", &counters.take_attempts),
        ("EventTakeSuccessCount", &counters.take_successes),
    ]);
    let (size, capacity) = (counters.size.value(), channel.capacity());
    attributes.extend([
        ("ChannelSize", size.to_string()),
        ("ChannelCapacity", capacity.to_string()),
        (
            "ChannelFillPercentage",
            java_double(fill_percentage(size, capacity)),
        ),
    ]);
    if channel.is_file() {
        let open = counters.lifetime.stopped_at() == 0;
        attributes.extend([
            ("Open", open.to_string()),
            ("Closed", u8::from(!open).to_string()),
            // A channel that cannot be opened keeps the agent from starting.
            ("Unhealthy", "0".to_owned()),
            (
                "EventPutErrorCount",
                counters.put_errors.value().to_string(),
            ),
            (
                "EventTakeErrorCount",
                counters.take_errors.value().to_string(),
            ),
            ("CheckpointWriteErrorCount", "0".to_owned()),
            ("CheckpointBackupWriteErrorCount", "0".to_owned()),
        ]);
    }
    attributes.extend(times(&counters.lifetime));
    attributes
}

fn sink(counters: &SinkCounters) -> Attributes {
    let mut attributes = attributes([
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
    ]);
    attributes.extend(times(&counters.lifetime));
    attributes
}

fn attributes<const N: usize>(counters: [(&'static str, &Counter); N]) -> Attributes {
    let printed = |(name, counter): (&'static str, &Counter)| (name, counter.value().to_string());
    counters.into_iter().map(printed).collect()
}

fn times(lifetime: &Lifetime) -> [(&'static str, String); 2] {
    [
        ("StartTime", lifetime.started_at().to_string()),
        ("StopTime", lifetime.stopped_at().to_string()),
    ]
}

fn component(kind: &'static str, name: &str, mut attributes: Attributes) -> String {
    attributes.push(("Type", kind.to_owned()));
    attributes.sort_unstable_by_key(|(name, _)| *name);
    let mut json = String::new();
    put_string(&mut json, &format!("{kind}.{name}"));
    let mut separator = ":{";
    for (name, value) in attributes {
        json.push_str(separator);
        put_string(&mut json, name);
        json.push(':');
        put_string(&mut json, &value);
        separator = ",";
    }
    json.push('}');
    json
}

fn put_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                json.push('\\');
                json.push(character);
            }
            '\0'..='\x1f' => {
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Flume calculates with doubles, too"
)]
fn fill_percentage(size: u64, capacity: usize) -> f64 {
    size as f64 / capacity as f64 * 100.0
}

/// As Java prints a `double` from 0 to 10^7: `12.0`, and `1.0E-4` for what is below a thousandth.
fn java_double(number: f64) -> String {
    if number == 0.0 || number >= 1e-3 {
        return format!("{number:?}");
    }
    let printed = format!("{number:E}");
    match printed.split_once('E') {
        Some((digits, power)) if !digits.contains('.') => format!("{digits}.0E{power}"),
        _ => printed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::channel::memory::MemoryLimits;

    #[test]
    fn every_component_has_its_counters_as_strings_under_flumes_names() {
        let limits = MemoryLimits {
            capacity: 8,
            transaction_capacity: 8,
            byte_slots: None,
        };
        let channel = Arc::new(Channel::memory("c1", limits, Duration::ZERO));
        let event = crate::channel::StoredEvent::from_parts(&[], b"");
        let _ = channel.put(vec![event]);
        let source = Arc::<SourceCounters>::default();
        let metrics = Metrics::new(
            vec![("r1".to_owned(), Arc::clone(&source))],
            vec![channel],
            vec![("k\"1".to_owned(), Arc::default())],
        );
        source.lifetime.start(1234);
        source.events_received.add(3);
        let expected = concat!(
            r#"{"SOURCE.r1":{"AppendAcceptedCount":"0","AppendBatchAcceptedCount":"0","#,
            r#""AppendBatchReceivedCount":"0","AppendReceivedCount":"0","ChannelWriteFail":"0","#,
            r#""EventAcceptedCount":"0","EventReadFail":"0","EventReceivedCount":"3","#,
            r#""GenericProcessingFail":"0","OpenConnectionCount":"0","StartTime":"1234","#,
            r#""StopTime":"0","Type":"SOURCE"},"#,
            r#""CHANNEL.c1":{"ChannelCapacity":"8","ChannelFillPercentage":"12.5","#,
            r#""ChannelSize":"1","EventPutAttemptCount":"1","EventPutSuccessCount":"1","#,
            r#""EventTakeAttemptCount":"0","EventTakeSuccessCount":"0","StartTime":"0","#,
            r#""StopTime":"0","Type":"CHANNEL"},"#,
            r#""SINK.k\"1":{"BatchCompleteCount":"0","BatchEmptyCount":"0","#,
            r#""BatchUnderflowCount":"0","ChannelReadFail":"0","ConnectionClosedCount":"0","#,
            r#""ConnectionCreatedCount":"0","ConnectionFailedCount":"0","#,
            r#""EventDrainAttemptCount":"0","EventDrainSuccessCount":"0","EventWriteFail":"0","#,
            r#""StartTime":"0","StopTime":"0","Type":"SINK"}}"#,
        );
        assert_eq!(metrics.json(), expected);
    }

    #[test]
    fn percentages_are_printed_as_java_prints_them() {
        assert_eq!(java_double(0.0), "0.0");
        assert_eq!(java_double(12.0), "12.0");
        assert_eq!(java_double(fill_percentage(1, 3)), "33.33333333333333");
        assert_eq!(java_double(1e-3), "0.001");
        assert_eq!(java_double(1e-4), "1.0E-4");
        assert_eq!(java_double(1.5e-5), "1.5E-5");
    }
}
