//! Flume's own Thrift client and sink against the mini-agent: to them it must be a Flume.
//!
//! The cases are those of Flume's `TestThriftRpcClient` and `TestThriftSource`.

use std::time::Duration;

use flume_mini_agent::config::ThriftProtocol;
use flume_mini_agent::{Fault, MiniAgent, MiniAgentBuilder};
use flume_tests::{JavaClients, Version};
use serde_json::{Value, json};

use crate::one_client::OneClient;
use crate::suite::{AgentFactory, AgentUnderTest, Kind, MiniFactory, RealFactory, request};
use crate::{for_both_versions, hop};

const TIMEOUT: Duration = Duration::from_secs(60);
const TIMEOUT_MS: u32 = 60_000;

/// What the client is told of its protocol, and the source that it then reaches: it speaks binary
/// only if that is said in small letters.
const PROTOCOLS: [(&str, ThriftProtocol); 4] = [
    ("", ThriftProtocol::Compact),
    ("protocol=compact", ThriftProtocol::Compact),
    ("protocol=binary", ThriftProtocol::Binary),
    ("protocol=Binary", ThriftProtocol::Compact),
];

fn builder(protocol: ThriftProtocol) -> MiniAgentBuilder {
    let builder = MiniAgent::builder().thrift(protocol);
    builder.capacity(100_000).transaction_capacity(10_000)
}

#[test]
fn the_java_thrift_client_delivers_in_order_in_its_batches_from_one_thread_or_a_hundred() {
    for_both_versions(|version| {
        let mut java = JavaClients::start(version).unwrap();
        for (settings, protocol) in PROTOCOLS {
            deliver_in_order(&mut OneClient::thrift(&mut java), settings, protocol);
            deliver_in_a_storm(&mut OneClient::thrift(&mut java), settings, protocol);
        }
    });
}

/// Ten events one by one, then 16 and 12 in batches of up to ten.
fn deliver_in_order(client: &mut OneClient<'_>, settings: &str, protocol: ThriftProtocol) {
    let agent = builder(protocol).start().unwrap();
    let settings = format!("batch-size=10 {settings}");
    client.open(agent.addr(), TIMEOUT_MS, &settings);
    client.deliver_in_order([10, 16, 12], &agent);
    let batches: Vec<_> = agent.batches().iter().map(|batch| batch.events).collect();
    assert_eq!(batches, [vec![1; 10], vec![10, 6, 10, 2]].concat());
    // A big one.
    client.succeed("send c 0 5000");
    agent.wait_for(5_038, TIMEOUT).unwrap();
    client.succeed("close c");
}

fn deliver_in_a_storm(client: &mut OneClient<'_>, settings: &str, protocol: ThriftProtocol) {
    let agent = builder(protocol).start().unwrap();
    let settings = format!("maxConnections=5 batch-size=10 {settings}");
    client.open(agent.addr(), TIMEOUT_MS, &settings);
    client.deliver_from_a_hundred_threads(&agent);
    assert!(agent.stats().connections_opened <= 5, "{:?}", agent.stats());
    client.succeed("close c");
}

#[test]
fn the_java_thrift_client_waits_for_slow_answers_and_gives_up_on_those_that_are_too_slow() {
    for_both_versions(|version| {
        let mut java = JavaClients::start(version).unwrap();
        let mut client = OneClient::thrift(&mut java);
        let agent = builder(ThriftProtocol::Compact).start().unwrap();
        client.open(agent.addr(), 2_000, "batch-size=10");
        let slow = agent.fault(Fault::AnswerLate(Duration::from_millis(1_550)));
        client.succeed("send c 0 10 10 10 10 10");
        assert_eq!(slow.hits().len(), 5);
        drop(slow);
        let too_slow = agent.fault(Fault::AnswerLate(Duration::from_secs(5)));
        let (classes, message) = client.fail("call c append");
        let expected = [
            "org.apache.flume.EventDeliveryException",
            "java.util.concurrent.TimeoutException",
        ];
        assert_eq!(classes, expected);
        assert_eq!(message, "Failed to send event. ");
        drop(too_slow);
        client.succeed("call c append");
    });
}

const SOURCES: &str = "
sources.compact: type = thrift, port = {compact_port}, channels = good
sources.binary: type = thrift, port = {binary_port}, channels = good, protocol = binary
sources.full: type = thrift, port = {full_port}, channels = full
channels.good: type = memory
channels.full: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
";

/// A channel that throws: only real Flume starts with it, the mini-agent refuses to.
const BROKEN: &str = "
sources.broken: type = thrift, port = {broken_port}, channels = broken
channels.broken: type = file
  checkpointDir = /dev/null/checkpoint, dataDirs = /dev/null/data
";

/// The mini-agent throws as 1.11 does; of 1.9 the connection ends.
#[test]
fn the_java_thrift_clients_meet_the_same_exceptions_as_from_flume_1_11() {
    for_both_versions(|sdk| {
        let flume = RealFactory(Version::V1_11).start(&format!("{SOURCES}{BROKEN}"));
        let of_flume = exceptions(sdk, &*flume);
        let mini = MiniFactory.start(SOURCES);
        assert_eq!(exceptions(sdk, &*mini), of_flume);
    });
}

/// What a client meets in each condition.
fn exceptions(sdk: Version, agent: &dyn AgentUnderTest) -> Vec<(&'static str, Value)> {
    let mut java = JavaClients::start(sdk).unwrap();
    let mut client = OneClient::thrift(&mut java);
    let mut met = Vec::new();
    for (source, settings) in [
        ("compact_port", ""),
        ("compact_port", "protocol=Binary"),
        ("compact_port", "protocol=binary"),
        ("binary_port", "protocol=binary"),
        ("binary_port", "protocol=Binary"),
        ("full_port", ""),
    ] {
        client.open(agent.addr(source), TIMEOUT_MS, settings);
        // Of the source with a full channel the first one fits.
        for command in ["call c append", "call c append", "call c batch"] {
            met.push((source, client.meet(command)));
        }
    }
    let thrown = json!({"fault": "rpc_error", "text": "Internal error processing append"});
    let thrown_at_batch =
        json!({"fault": "rpc_error", "text": "Internal error processing appendBatch"});
    for (command, fault) in [("call c append", thrown), ("call c batch", thrown_at_batch)] {
        let source = match agent.kind() {
            Kind::Flume(_) => "broken_port",
            Kind::Mini => {
                let control = agent.monitoring();
                let put = request(control, "PUT", "/faults", None, fault.to_string());
                assert_eq!(put.status / 100, 2, "{put:?}");
                "compact_port"
            }
        };
        client.open(agent.addr(source), TIMEOUT_MS, "");
        met.push(("broken", client.meet(command)));
    }
    met
}

#[test]
fn a_real_flumes_thrift_sink_delivers_every_event_once() {
    for_both_versions(|version| {
        let next_hop = builder(ThriftProtocol::Compact).start().unwrap();
        hop::check(hop::before(&next_hop, version, "thrift"), &next_hop);
    });
}
