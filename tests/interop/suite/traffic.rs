//! `/metrics` of the mini-agent against that of real Flume, after the same traffic: the same
//! components, the same counters, the same texts.
//!
//! Nothing here says what is right: real 1.11 does, and 1.9 where it agrees. What depends on the
//! time an agent has run is compared by its form, and [`by_form`] says why.

use std::collections::BTreeMap;

use flume_tests::{Version, require_java, wait_until};
use serde_json::Value;

use super::event::{Answer, Event, events};
use super::http::post;
use super::netcat::Cat;
use super::peer::Mode;
use super::{AgentFactory, AgentUnderTest, MiniFactory, RealFactory, TIMEOUT};

#[test]
fn the_same_traffic_gives_the_same_metrics() {
    if !require_java() {
        return;
    }
    let mini = printed(&MiniFactory);
    let flume = printed(&RealFactory(Version::V1_11));
    compare("1.11", &flume, &mini);
    compare("1.9", &printed(&RealFactory(Version::V1_9)), &mini);
}

/// | components | traffic |
/// |---|---|
/// | avro source `fan`, channels and sinks `null`, `log`, `roll`, `send` | one event, a batch, nothing, a batch that is too large |
/// | http source `web`, file channel `disk`, sink `disk` | events, nonsense, a batch that is too large |
/// | netcat source `cat`, channel `small` | a line, and one without room |
/// | avro source `split`, channels `one`, `also` (optional) | mapped, unmapped, more than the optional channel takes |
/// | avro source `twice`, channels `roomy`, `tight` | a batch that only one channel takes |
/// | avro source `retry`, channel and sink `retry` | a next hop that refuses, then takes |
/// | sink `idle` in a group with sink `busy` | one of two sinks is never used |
/// | sink `poll` | an empty channel, again and again |
const TRAFFIC: &str = "
sources.fan: type = avro, port = {fan_port}, channels = null log roll send
sources.web: type = http, port = {web_port}, channels = disk
sources.cat: type = netcat, port = {cat_port}, channels = small
sources.split: type = avro, port = {split_port}, channels = one also
  selector.type = multiplexing, selector.header = to
  selector.mapping.one = one, selector.optional.one = also
sources.twice: type = avro, port = {twice_port}, channels = roomy tight
sources.retry: type = avro, port = {retry_port}, channels = retry
sources.group: type = avro, port = {group_port}, channels = group
channels.null: type = memory, keep-alive = 600
channels.log: type = memory, keep-alive = 600
channels.roll: type = memory, keep-alive = 600
channels.send: type = memory, keep-alive = 600
channels.disk: type = file, capacity = 1000, transactionCapacity = 10
  checkpointDir = {checkpoint_dir}, dataDirs = {data_dir}, minimumRequiredSpace = 1048576
channels.small: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
channels.one: type = memory
channels.also: type = memory, capacity = 3, transactionCapacity = 2, keep-alive = 0
channels.roomy: type = memory
channels.tight: type = memory, capacity = 3, transactionCapacity = 3, keep-alive = 0
channels.retry: type = memory, keep-alive = 600
channels.group: type = memory, keep-alive = 600
channels.poll: type = memory, keep-alive = 0
sinks.null: type = null, batchSize = 1, channel = null
sinks.log: type = logger, channel = log
sinks.roll: type = file_roll, sink.directory = {roll_dir}, sink.rollInterval = 0
  sink.batchSize = 1, channel = roll
sinks.send: type = avro, port = {send_peer}, batch-size = 1, channel = send
sinks.disk: type = file_roll, sink.directory = {disk_dir}, sink.rollInterval = 0
  sink.batchSize = 10, channel = disk
sinks.retry: type = avro, port = {retry_peer}, batch-size = 2, channel = retry
sinks.busy: type = avro, port = {busy_peer}, batch-size = 1, channel = group
sinks.idle: type = avro, port = {idle_peer}, batch-size = 1, channel = group
sinks.poll: type = avro, port = {poll_peer}, channel = poll
sinkgroups.pair: sinks = busy idle, processor.type = failover
  processor.priority.busy = 2, processor.priority.idle = 1
";

/// Why a counter is compared by its form only, if it is.
fn by_form(component: &str, counter: &str) -> Option<&'static str> {
    match (component, counter) {
        (_, "StartTime") => Some("a time"),
        (
            "SOURCE.fan" | "SOURCE.split" | "SOURCE.twice" | "SOURCE.retry" | "SOURCE.group",
            "OpenConnectionCount",
        ) => Some("Flume looks once a minute; the mini-agent is always right"),
        ("CHANNEL.disk" | "CHANNEL.poll", "EventTakeAttemptCount")
        | ("SINK.poll", "BatchEmptyCount") => {
            Some("Flume looks at an empty channel every few seconds, the mini-agent at arrivals")
        }
        _ => None,
    }
}

/// `COMPONENT COUNTER` to its text.
type Printed = BTreeMap<String, String>;

fn printed(factory: &dyn AgentFactory) -> Printed {
    let agent = factory.start(TRAFFIC);
    traffic(&*agent);
    settle(&*agent);
    let metrics = agent.metrics();
    let mut printed = Printed::new();
    for (component, counters) in metrics.as_object().unwrap() {
        for (counter, value) in counters.as_object().unwrap() {
            let Value::String(text) = value else {
                panic!("{component} {counter} is no string: {value}");
            };
            let text = match by_form(component, counter) {
                Some(why) => {
                    assert!(text.parse::<u64>().is_ok(), "{component} {counter}: {text}");
                    assert!(counter != "StartTime" || text.len() == 13, "{text}");
                    why
                }
                None => text,
            };
            printed.insert(format!("{component} {counter}"), text.to_owned());
        }
    }
    printed
}

fn compare(version: &str, flume: &Printed, mini: &Printed) {
    let mut differing = Vec::new();
    for name in flume.keys().chain(mini.keys()) {
        let (flume, mini) = (flume.get(name), mini.get(name));
        let line = format!("{name}: Flume {version} {flume:?}, mini {mini:?}");
        if flume != mini && !differing.contains(&line) {
            differing.push(line);
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(flume.len() > 200, "{} counters", flume.len());
}

fn traffic(agent: &dyn AgentUnderTest) {
    let mut fan = agent.client("fan_port");
    assert_eq!(fan.append(&Event::new("1")), Answer::Ok);
    assert_eq!(fan.append_batch(&events(["2", "3"])), Answer::Ok);
    assert_eq!(fan.append_batch(&[]), Answer::Ok);
    assert_eq!(fan.append_batch(&events(vec!["x"; 101])), Answer::Failed);

    let web = agent.addr("web_port");
    assert_eq!(post(web, None, r#"[{"body": "1"}, {"body": "2"}]"#), 200);
    assert_eq!(post(web, None, "nonsense"), 400);
    assert_eq!(post(web, None, "[null]"), 500);
    let too_many = format!("[{}]", ["{}"; 11].join(","));
    assert_eq!(post(web, None, too_many), 503);

    let mut cat = Cat::connect(agent.addr("cat_port"));
    cat.say("fits\nfull\n");
    assert_eq!(cat.hear(), "OK");
    assert!(cat.hear().starts_with("FAILED: "));

    let mut split = agent.client("split_port");
    let mapped = Event::default().header("to", "one");
    assert_eq!(split.append(&mapped), Answer::Ok);
    assert_eq!(
        split.append_batch(&[mapped.clone(), Event::default()]),
        Answer::Ok
    );
    assert_eq!(split.append_batch(&vec![mapped.clone(); 3]), Answer::Ok);
    assert_eq!(split.append_batch(&vec![mapped; 2]), Answer::Ok);

    let mut twice = agent.client("twice_port");
    assert_eq!(twice.append_batch(&events(["1", "2"])), Answer::Ok);
    assert_eq!(twice.append_batch(&events(["3", "4"])), Answer::Failed);
    assert_eq!(twice.append(&Event::new("5")), Answer::Ok);
    assert_eq!(twice.append(&Event::new("6")), Answer::Failed);

    let peer = agent.peer("retry_peer");
    peer.set(Mode::Refuse);
    let mut retry = agent.client("retry_port");
    assert_eq!(retry.append_batch(&events(["1", "2"])), Answer::Ok);
    peer.wait_for_calls(1);
    peer.set(Mode::Accept);
    peer.wait_for_accepted(2);

    let mut group = agent.client("group_port");
    assert_eq!(group.append_batch(&events(["1", "2"])), Answer::Ok);
    agent.peer("busy_peer").wait_for_accepted(2);
}

/// Waits for what the sinks still have to do.
fn settle(agent: &dyn AgentUnderTest) {
    for channel in ["null", "log", "roll", "send"] {
        agent.wait_for_counter(&format!("CHANNEL.{channel}"), "EventTakeSuccessCount", "3");
        agent.wait_for_counter(&format!("CHANNEL.{channel}"), "EventTakeAttemptCount", "4");
    }
    agent.wait_for_counter("SINK.roll", "EventDrainSuccessCount", "3");
    agent.wait_for_counter("SINK.send", "EventDrainSuccessCount", "3");
    agent.wait_for_counter("SINK.disk", "EventDrainSuccessCount", "2");
    agent.wait_for_counter("SINK.retry", "EventDrainSuccessCount", "2");
    agent.wait_for_counter("CHANNEL.retry", "EventTakeAttemptCount", "5");
    agent.wait_for_counter("SINK.busy", "EventDrainSuccessCount", "2");
    agent.wait_for_counter("CHANNEL.group", "EventTakeAttemptCount", "3");
    // It has polled once or more.
    let mut polls = 0;
    let polled = wait_until("an empty batch", TIMEOUT, || {
        let count = agent.counter("SINK.poll", "BatchEmptyCount");
        polls = count.and_then(|count| count.parse().ok()).unwrap_or(0);
        polls > 0
    });
    assert!(polled.is_ok(), "{polls} empty batches");
}
