//! The Avro source as its clients see it, and what becomes of its channel when the agent ends.

use std::net::TcpStream;

use super::event::{Answer, Event, events};
use super::{AgentFactory, AgentUnderTest, Kind, Scenario, alone, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(A0, a0_bodies_arrive_in_the_sinks_files_in_their_order),
    flow!(A6, a6_a_channel_that_refuses_is_answered_failed_and_counted),
    alone!(a1_a_source_whose_port_is_taken_shows_it_and_harms_nobody_else),
    alone!(a2_a_source_whose_host_is_unknown_shows_it_and_harms_nobody_else),
    alone!(a7_a_stopped_agent_closes_its_connections_and_refuses_new_ones),
    alone!(f1_a_file_channel_keeps_its_events_through_stop_and_kill_and_memory_does_not),
];

on_every_agent!(SCENARIOS);

const A0: &str = "
sources.a0: type = avro, port = {a0_port}, channels = a0
channels.a0: type = memory
sinks.a0: type = file_roll, sink.directory = {a0_dir}, sink.rollInterval = 0, channel = a0
";

fn a0_bodies_arrive_in_the_sinks_files_in_their_order(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("a0_port");
    let event = |body: &str| Event::new(body).header("name", "value");
    assert_eq!(client.append(&event("1")), Answer::Ok);
    let batch: Vec<_> = (2..=100).map(|n| event(&n.to_string())).collect();
    assert_eq!(client.append_batch(&batch), Answer::Ok);
    assert_eq!(client.append(&event("")), Answer::Ok);
    assert_eq!(client.append(&event("é")), Answer::Ok);
    let mut lines: Vec<_> = (1..=100).map(|n| n.to_string()).collect();
    lines.extend([String::new(), "é".to_owned()]);
    assert_eq!(agent.rolled("a0_dir", 102), lines);
}

const A6: &str = "
sources.a6: type = avro, port = {a6_port}, channels = a6
channels.a6: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
";

fn a6_a_channel_that_refuses_is_answered_failed_and_counted(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("a6_port");
    assert_eq!(client.append(&Event::new("fits")), Answer::Ok);
    assert_eq!(client.append(&Event::new("full")), Answer::Failed);
    assert_eq!(client.append_batch(&events(["full"])), Answer::Failed);
    // Nothing always fits.
    assert_eq!(client.append_batch(&[]), Answer::Ok);
    for (counter, value) in [
        ("AppendReceivedCount", "2"),
        ("AppendAcceptedCount", "1"),
        ("AppendBatchReceivedCount", "2"),
        ("AppendBatchAcceptedCount", "1"),
        ("EventReceivedCount", "3"),
        ("EventAcceptedCount", "1"),
        ("ChannelWriteFail", "2"),
    ] {
        agent.wait_for_counter("SOURCE.a6", counter, value);
    }
}

const A1: &str = "
sources.taken: type = avro, port = {taken_peer}, channels = c1
sources.free: type = avro, port = {free_port}, channels = c1
channels.c1: type = memory
";

fn a1_a_source_whose_port_is_taken_shows_it_and_harms_nobody_else(agents: &dyn AgentFactory) {
    match agents.kind() {
        // Flume logs it, has no counters for the source, and tries again every three seconds.
        Kind::Flume(_) => {
            let agent = agents.start(A1);
            assert_eq!(agent.client("free_port").append_batch(&[]), Answer::Ok);
            assert!(
                agent
                    .log()
                    .contains("Unable to start EventDrivenSourceRunner")
            );
            assert_eq!(agent.counter("SOURCE.taken", "StartTime"), None);
            agent.peer("taken_peer").close();
            agent.wait_for_counter("SOURCE.taken", "AppendBatchReceivedCount", "0");
            let mut client = super::event::Client::connect(agent.peer("taken_peer").addr());
            assert_eq!(client.append_batch(&[]), Answer::Ok);
        }
        // An agent for tests is of no use without its source: it refuses to start.
        Kind::Mini => {
            let refused = agents.try_start(A1).err().unwrap();
            assert!(refused.contains("127.0.0.1:"), "{refused}");
        }
    }
}

const A2: &str = "
sources.unknown: type = avro, bind = no-such-host.invalid, port = 4141, channels = c1
sources.free: type = avro, port = {free_port}, channels = c1
channels.c1: type = memory
";

fn a2_a_source_whose_host_is_unknown_shows_it_and_harms_nobody_else(agents: &dyn AgentFactory) {
    match agents.kind() {
        Kind::Flume(_) => {
            let agent = agents.start(A2);
            assert_eq!(agent.client("free_port").append_batch(&[]), Answer::Ok);
            assert!(agent.log().contains("no-such-host.invalid"));
            assert_eq!(agent.counter("SOURCE.unknown", "StartTime"), None);
        }
        Kind::Mini => {
            let refused = agents.try_start(A2).err().unwrap();
            assert!(refused.contains("no-such-host.invalid"), "{refused}");
        }
    }
}

const A7: &str = "
sources.r1: type = avro, port = {a7_port}, channels = c1
channels.c1: type = memory
";

fn a7_a_stopped_agent_closes_its_connections_and_refuses_new_ones(agents: &dyn AgentFactory) {
    let mut agent = agents.start(A7);
    let mut client = agent.client("a7_port");
    for body in ["1", "2", "3", "4"] {
        assert_eq!(client.append(&Event::new(body)), Answer::Ok);
    }
    agent.stop();
    assert!(client.is_closed());
    assert!(TcpStream::connect(agent.addr("a7_port")).is_err());
}

const F1: &str = "
sources.r1: type = avro, port = {f1_port}, channels = memory file
channels.memory: type = memory
channels.file: type = file, checkpointDir = {checkpoint_dir}, dataDirs = {data_dir}
  minimumRequiredSpace = 1048576
";

fn f1_a_file_channel_keeps_its_events_through_stop_and_kill_and_memory_does_not(
    agents: &dyn AgentFactory,
) {
    let mut agent = agents.start(F1);
    assert_eq!(
        agent.client("f1_port").append_batch(&events(["1", "2"])),
        Answer::Ok
    );
    agent.stop();
    agent.restart();
    agent.wait_for_counter("CHANNEL.file", "ChannelSize", "2");
    assert_eq!(agent.client("f1_port").append(&Event::new("3")), Answer::Ok);
    agent.kill();
    agent.restart();
    agent.wait_for_counter("CHANNEL.file", "ChannelSize", "3");
    agent.wait_for_counter("CHANNEL.memory", "ChannelSize", "0");
}
