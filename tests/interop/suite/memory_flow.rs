//! The memory channel between a source and sinks: waiting for room, rollback, order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::event::{Answer, Event, events};
use super::peer::Mode;
use super::{AgentUnderTest, Scenario, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(M3, m3_room_comes_back_with_the_sinks_commit_and_not_before),
    flow!(M6, m6_a_batch_waits_for_room_as_long_as_keep_alive_allows),
    flow!(
        M8,
        m8_what_the_next_hop_refuses_comes_again_in_the_same_order
    ),
    flow!(M9, m9_several_sources_and_sinks_deliver_every_event_once),
    flow!(
        M10,
        m10_a_sink_waits_for_a_full_batch_as_long_as_keep_alive_allows
    ),
];

on_every_agent!(SCENARIOS);

const M3: &str = "
sources.m3: type = avro, port = {m3_port}, channels = m3
channels.m3: type = memory, capacity = 3, transactionCapacity = 3, keep-alive = 0
sinks.m3: type = avro, port = {m3_peer}, batch-size = 3, channel = m3
";

fn m3_room_comes_back_with_the_sinks_commit_and_not_before(agent: &dyn AgentUnderTest) {
    let (mut client, peer) = (agent.client("m3_port"), agent.peer("m3_peer"));
    peer.set(Mode::Hold);
    assert_eq!(client.append_batch(&events(["1", "2", "3"])), Answer::Ok);
    // The sink has taken all three, and holds their slots.
    assert_eq!(peer.wait_for_calls(1), [events(["1", "2", "3"])]);
    assert_eq!(client.append(&Event::new("early")), Answer::Failed);
    peer.set(Mode::Accept);
    agent.wait_for_counter("CHANNEL.m3", "EventTakeSuccessCount", "3");
    agent.wait_for_counter("CHANNEL.m3", "ChannelSize", "0");
    // Over the transaction capacity: all of it is rolled back, and its room is free.
    assert_eq!(
        client.append_batch(&events(["4", "5", "6", "7"])),
        Answer::Failed
    );
    assert_eq!(client.append_batch(&events(["4", "5", "6"])), Answer::Ok);
    peer.wait_for_accepted(6);
    assert_eq!(peer.accepted_texts(), ["1", "2", "3", "4", "5", "6"]);
}

const M6: &str = "
sources.m6: type = avro, port = {m6_port}, channels = m6
channels.m6: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 600
sinks.m6: type = avro, port = {m6_peer}, batch-size = 1, channel = m6
";

fn m6_a_batch_waits_for_room_as_long_as_keep_alive_allows(agent: &dyn AgentUnderTest) {
    let (mut client, peer) = (agent.client("m6_port"), agent.peer("m6_peer"));
    peer.set(Mode::Hold);
    assert_eq!(client.append(&Event::new("1")), Answer::Ok);
    peer.wait_for_calls(1);
    let released = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(client.append(&Event::new("2")), Answer::Ok);
            assert!(released.load(Ordering::SeqCst), "answered without room");
        });
        agent.wait_for_counter("SOURCE.m6", "AppendReceivedCount", "2");
        released.store(true, Ordering::SeqCst);
        peer.set(Mode::Accept);
    });
    peer.wait_for_accepted(2);
    assert_eq!(peer.accepted_texts(), ["1", "2"]);
}

const M8: &str = "
sources.m8: type = avro, port = {m8_port}, channels = m8
channels.m8: type = memory
sinks.m8: type = avro, port = {m8_peer}, batch-size = 3, channel = m8
";

fn m8_what_the_next_hop_refuses_comes_again_in_the_same_order(agent: &dyn AgentUnderTest) {
    let (mut client, peer) = (agent.client("m8_port"), agent.peer("m8_peer"));
    let five = events(["1", "2", "3", "4", "5"]);
    peer.set(Mode::Refuse);
    assert_eq!(client.append_batch(&five), Answer::Ok);
    peer.wait_for_calls(1);
    agent.wait_for_counter("SINK.m8", "EventWriteFail", "1");
    agent.wait_for_counter("CHANNEL.m8", "ChannelSize", "5");
    // Five seconds after the first failure the sink tries again; this time over a new connection.
    peer.set(Mode::HangUp);
    peer.wait_for_calls(2);
    agent.wait_for_counter("SINK.m8", "EventWriteFail", "2");
    agent.wait_for_counter("CHANNEL.m8", "ChannelSize", "5");
    peer.set(Mode::Accept);
    assert_eq!(peer.wait_for_accepted(5), five);
    let (head, tail) = five.split_at(3);
    assert_eq!(peer.calls(), [head, head, head, tail]);
    // A batch is complete when it is full, sent or not; attempts count every event each time.
    for (counter, value) in [
        ("BatchCompleteCount", "3"),
        ("BatchUnderflowCount", "1"),
        ("EventDrainAttemptCount", "11"),
        ("EventDrainSuccessCount", "5"),
        ("ConnectionCreatedCount", "3"),
        ("ConnectionClosedCount", "2"),
        ("ConnectionFailedCount", "0"),
    ] {
        agent.wait_for_counter("SINK.m8", counter, value);
    }
}

const M9: &str = "
sources.m9a: type = avro, port = {m9a_port}, channels = m9
sources.m9b: type = avro, port = {m9b_port}, channels = m9
channels.m9: type = memory, capacity = 1000
sinks.m9a: type = file_roll, sink.directory = {m9a_dir}, sink.rollInterval = 0, channel = m9
sinks.m9b: type = file_roll, sink.directory = {m9b_dir}, sink.rollInterval = 0, channel = m9
";

fn m9_several_sources_and_sinks_deliver_every_event_once(agent: &dyn AgentUnderTest) {
    thread::scope(|scope| {
        for (sender, port) in ["m9a_port", "m9a_port", "m9b_port", "m9b_port"]
            .iter()
            .enumerate()
        {
            scope.spawn(move || {
                let mut client = agent.client(port);
                for batch in 0..10 {
                    let bodies = (0..20).map(|event| format!("{sender} {batch} {event}"));
                    assert_eq!(client.append_batch(&events(bodies)), Answer::Ok);
                }
            });
        }
    });
    agent.wait_for_counter("CHANNEL.m9", "EventTakeSuccessCount", "800");
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for line in [agent.rolled("m9a_dir", 0), agent.rolled("m9b_dir", 0)].concat() {
        *times.entry(line).or_default() += 1;
    }
    assert_eq!(times.len(), 800);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

const M10: &str = "
sources.m10: type = avro, port = {m10_port}, channels = m10
channels.m10: type = memory, keep-alive = 600
sinks.m10: type = avro, port = {m10_peer}, batch-size = 2, channel = m10
";

fn m10_a_sink_waits_for_a_full_batch_as_long_as_keep_alive_allows(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("m10_port");
    assert_eq!(client.append(&Event::new("1")), Answer::Ok);
    // The sink has it in its hands, and waits for a second one.
    agent.wait_for_counter("CHANNEL.m10", "EventTakeAttemptCount", "2");
    assert_eq!(client.append(&Event::new("2")), Answer::Ok);
    assert_eq!(
        agent.peer("m10_peer").wait_for_calls(1),
        [events(["1", "2"])]
    );
}
