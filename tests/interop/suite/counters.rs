//! `/metrics`, field by field, after the same traffic.

use serde_json::{Value, json};

use super::event::{Answer, Event, events};
use super::http::{post, request};
use super::{AgentUnderTest, Kind, Scenario, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(K1, k1_every_counter_has_its_name_its_place_and_its_text),
    flow!("", k2_metrics_are_json_at_their_path_whatever_the_method),
];

on_every_agent!(SCENARIOS);

/// Each sink takes one event at a time, and then waits ten minutes for the next one: so even the
/// attempts to take are known.
const K1: &str = "
sources.k1: type = avro, port = {k1_port}, channels = k1null k1log k1roll k1avro
sources.k2: type = http, port = {k2_port}, channels = k2
channels.k1null: type = memory, keep-alive = 600
channels.k1log: type = memory, keep-alive = 600
channels.k1roll: type = memory, keep-alive = 600
channels.k1avro: type = memory, keep-alive = 600
channels.k2: type = file, capacity = 1000, transactionCapacity = 1000
  checkpointDir = {k2checkpoint_dir}, dataDirs = {k2data_dir}, minimumRequiredSpace = 1048576
sinks.k1null: type = null, batchSize = 1, channel = k1null
sinks.k1log: type = logger, channel = k1log
sinks.k1roll: type = file_roll, sink.directory = {k1_dir}, sink.rollInterval = 0
  sink.batchSize = 1, channel = k1roll
sinks.k1avro: type = avro, port = {k1_peer}, batch-size = 1, channel = k1avro
";

fn k1_every_counter_has_its_name_its_place_and_its_text(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("k1_port");
    assert_eq!(client.append(&Event::new("1")), Answer::Ok);
    assert_eq!(client.append_batch(&events(["2", "3"])), Answer::Ok);
    // The first channel refuses it, and the others never see it.
    assert_eq!(client.append_batch(&events(vec!["x"; 101])), Answer::Failed);
    let addr = agent.addr("k2_port");
    assert_eq!(post(addr, None, r#"[{"body": "1"}, {"body": "2"}]"#), 200);
    assert_eq!(post(addr, None, "nonsense"), 400);
    for channel in ["k1null", "k1log", "k1roll", "k1avro"] {
        let channel = format!("CHANNEL.{channel}");
        agent.wait_for_counter(&channel, "EventTakeSuccessCount", "3");
        agent.wait_for_counter(&channel, "EventTakeAttemptCount", "4");
    }
    let mut metrics = agent.metrics();
    for counters in metrics.as_object_mut().unwrap().values_mut() {
        let started = &mut counters["StartTime"];
        let millis: Option<u64> = started.as_str().and_then(|text| text.parse().ok());
        assert!(millis > Some(0), "{started}");
        *started = "milliseconds".into();
    }
    let seen = metrics.as_object().unwrap().iter();
    // Null and logger sinks have no counters.
    let expected = [channels(), sinks(), sources(agent.kind())].concat();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, counters)| (*name, counters))
        .collect();
    for ((seen_name, seen), (name, counters)) in seen.clone().zip(&expected) {
        assert_eq!(seen_name, name);
        assert_eq!(&seen, counters, "{name}");
    }
    assert_eq!(seen.len(), expected.len(), "{metrics}");
}

fn channels() -> Vec<(&'static str, Value)> {
    let memory = |put_attempts: &str| {
        json!({
            "Type": "CHANNEL",
            "StartTime": "milliseconds",
            "StopTime": "0",
            "ChannelCapacity": "100",
            "ChannelSize": "0",
            "ChannelFillPercentage": "0.0",
            "EventPutAttemptCount": put_attempts,
            "EventPutSuccessCount": "3",
            "EventTakeAttemptCount": "4",
            "EventTakeSuccessCount": "3",
        })
    };
    let file = json!({
        "Type": "CHANNEL",
        "StartTime": "milliseconds",
        "StopTime": "0",
        "ChannelCapacity": "1000",
        "ChannelSize": "2",
        "ChannelFillPercentage": "0.2",
        "EventPutAttemptCount": "2",
        "EventPutSuccessCount": "2",
        "EventPutErrorCount": "0",
        "EventTakeAttemptCount": "0",
        "EventTakeSuccessCount": "0",
        "EventTakeErrorCount": "0",
        "CheckpointWriteErrorCount": "0",
        "CheckpointBackupWriteErrorCount": "0",
        "Open": "true",
        "Closed": "0",
        "Unhealthy": "0",
    });
    vec![
        ("CHANNEL.k1avro", memory("3")),
        ("CHANNEL.k1log", memory("3")),
        // Every put is an attempt, the one that was too many as well.
        ("CHANNEL.k1null", memory("104")),
        ("CHANNEL.k1roll", memory("3")),
        ("CHANNEL.k2", file),
    ]
}

fn sinks() -> Vec<(&'static str, Value)> {
    let sink = |complete: &str| {
        json!({
            "Type": "SINK",
            "StartTime": "milliseconds",
            "StopTime": "0",
            "ConnectionCreatedCount": "1",
            "ConnectionClosedCount": "0",
            "ConnectionFailedCount": "0",
            "BatchEmptyCount": "0",
            "BatchUnderflowCount": "0",
            "BatchCompleteCount": complete,
            "EventDrainAttemptCount": "3",
            "EventDrainSuccessCount": "3",
            "EventWriteFail": "0",
            "ChannelReadFail": "0",
        })
    };
    // The file_roll sink counts no batches.
    vec![("SINK.k1avro", sink("3")), ("SINK.k1roll", sink("0"))]
}

fn sources(kind: Kind) -> Vec<(&'static str, Value)> {
    // Flume looks once a minute only; here it is always right.
    let open_connections = if kind == Kind::Mini { "1" } else { "0" };
    let avro = json!({
        "Type": "SOURCE",
        "StartTime": "milliseconds",
        "StopTime": "0",
        "EventReceivedCount": "104",
        "EventAcceptedCount": "3",
        "AppendReceivedCount": "1",
        "AppendAcceptedCount": "1",
        "AppendBatchReceivedCount": "2",
        "AppendBatchAcceptedCount": "1",
        "OpenConnectionCount": open_connections,
        "EventReadFail": "0",
        "ChannelWriteFail": "1",
        "GenericProcessingFail": "0",
    });
    let http = json!({
        "Type": "SOURCE",
        "StartTime": "milliseconds",
        "StopTime": "0",
        "EventReceivedCount": "2",
        "EventAcceptedCount": "2",
        "AppendReceivedCount": "0",
        "AppendAcceptedCount": "0",
        "AppendBatchReceivedCount": "1",
        "AppendBatchAcceptedCount": "1",
        "OpenConnectionCount": "0",
        "EventReadFail": "1",
        "ChannelWriteFail": "0",
        "GenericProcessingFail": "0",
    });
    vec![("SOURCE.k1", avro), ("SOURCE.k2", http)]
}

fn k2_metrics_are_json_at_their_path_whatever_the_method(agent: &dyn AgentUnderTest) {
    let addr = agent.monitoring();
    let cases = [
        ("GET", "/metrics", 200),
        ("GET", "/metrics?x=y", 200),
        ("GET", "/METRICS", 200),
        ("GET", "/", 200),
        ("GET", "/metrics/", 404),
        ("GET", "/nosuch", 404),
        ("POST", "/metrics", 200),
        ("PUT", "/metrics", 200),
        ("TRACE", "/metrics", 403),
        ("OPTIONS", "/metrics", 403),
    ];
    for (method, path, status) in cases {
        let reply = request(addr, method, path, None, "");
        assert_eq!(reply.status, status, "{method} {path}");
        if status == 200 && path != "/" {
            let head = reply.head.to_ascii_lowercase();
            assert!(
                head.contains("content-type: application/json;charset=utf-8"),
                "{head}"
            );
        }
    }
}
