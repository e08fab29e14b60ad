//! Sources with TLS: the same calls, by clients that trust the agent's certificate or another one.

use std::path::Path;

use flume_tests::TlsBridge;

use super::event::{Answer, Client, Event, events};
use super::thrift_source::{self, APPEND, APPEND_OK};
use super::{AgentUnderTest, Kind, Scenario, flow, on_every_agent};
use crate::keys::{Keys, PemKeys, client_trusting};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(L1, l1_avro_calls_are_answered_and_stored_under_tls),
    flow!(L2, l2_thrift_calls_are_answered_and_stored_under_tls),
    flow!(
        L3,
        l3_clients_that_do_not_trust_the_agent_or_speak_no_tls_leave_nothing
    ),
];

on_every_agent!(SCENARIOS);

/// A client's way to the source on this port.
fn bridge(agent: &dyn AgentUnderTest, port: &str) -> TlsBridge {
    let trusted = match agent.kind() {
        Kind::Flume(_) => Keys::get().pem("agent"),
        Kind::Mini => PemKeys::get().ca.clone(),
    };
    bridge_trusting(agent, port, &trusted)
}

fn bridge_trusting(agent: &dyn AgentUnderTest, port: &str, trusted: &Path) -> TlsBridge {
    TlsBridge::beginning(agent.addr(port), client_trusting(trusted)).unwrap()
}

const L1: &str = "
sources.l1: type = avro, port = {l1_port}, channels = l1, ssl = true
  keystore = {l1_keystore}, keystore-password = changeit, keystore-type = JKS
channels.l1: type = memory
sinks.l1: type = file_roll, sink.directory = {l1_dir}, sink.rollInterval = 0, channel = l1
";

fn l1_avro_calls_are_answered_and_stored_under_tls(agent: &dyn AgentUnderTest) {
    let bridge = bridge(agent, "l1_port");
    let mut client = Client::connect(bridge.addr());
    assert_eq!(client.append(&Event::new("1")), Answer::Ok);
    // More than a record holds.
    let long = "x".repeat(40_000);
    assert_eq!(client.append_batch(&events(["2", &long])), Answer::Ok);
    assert_eq!(client.append_batch(&events(vec!["x"; 101])), Answer::Failed);
    assert_eq!(agent.rolled("l1_dir", 3), ["1", "2", &long]);
    for (counter, value) in [
        ("EventReceivedCount", "104"),
        ("EventAcceptedCount", "3"),
        ("AppendBatchAcceptedCount", "1"),
    ] {
        agent.wait_for_counter("SOURCE.l1", counter, value);
    }
}

const L2: &str = "
sources.l2: type = thrift, port = {l2_port}, channels = l2, ssl = true
  keystore = {l2_keystore}, keystore-password = changeit, keystore-type = JKS
channels.l2: type = memory
sinks.l2: type = file_roll, sink.directory = {l2_dir}, sink.rollInterval = 0, channel = l2
";

fn l2_thrift_calls_are_answered_and_stored_under_tls(agent: &dyn AgentUnderTest) {
    let bridge = bridge(agent, "l2_port");
    let mut client = thrift_source::Client::connect_to(bridge.addr());
    for _ in 0..2 {
        client.send(APPEND);
        client.expect(APPEND_OK);
    }
    assert_eq!(agent.rolled("l2_dir", 2), ["hi", "hi"]);
    agent.wait_for_counter("SOURCE.l2", "EventAcceptedCount", "2");
}

const L3: &str = "
sources.l3a: type = avro, port = {l3a_port}, channels = l3, ssl = true
  keystore = {l3_keystore}, keystore-password = changeit, keystore-type = JKS
sources.l3t: type = thrift, port = {l3t_port}, channels = l3, ssl = true
  keystore = {l3_keystore}, keystore-password = changeit, keystore-type = JKS
channels.l3: type = memory
";

fn l3_clients_that_do_not_trust_the_agent_or_speak_no_tls_leave_nothing(
    agent: &dyn AgentUnderTest,
) {
    let stranger = PemKeys::new();
    for (port, source) in [("l3a_port", "SOURCE.l3a"), ("l3t_port", "SOURCE.l3t")] {
        let bridge = bridge_trusting(agent, port, &stranger.ca);
        for address in [bridge.addr(), agent.addr(port)] {
            let mut client = thrift_source::Client::connect_to(address);
            client.send(APPEND);
            client.wait_for_the_end();
        }
        agent.wait_for_counter(source, "EventReceivedCount", "0");
    }
}
