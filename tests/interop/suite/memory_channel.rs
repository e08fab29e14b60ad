//! The memory channel's room, seen through an Avro source whose channel nobody empties.

use super::event::{Answer, Event, events};
use super::{AgentUnderTest, Scenario, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(
        M1,
        m1_a_batch_over_the_transaction_capacity_fails_at_once_and_leaves_nothing
    ),
    flow!(M2, m2_a_commit_without_room_fails_and_what_was_there_stays),
    flow!(
        M4,
        m4_bodies_are_counted_in_slots_of_a_hundred_bytes_and_headers_are_not
    ),
    flow!(M5, m5_an_empty_body_takes_one_slot_and_a_refused_batch_none),
    flow!(M7, m7_sizes_below_one_become_the_defaults),
];

on_every_agent!(SCENARIOS);

const M1: &str = "
sources.m1: type = avro, port = {m1_port}, channels = m1
channels.m1: type = memory, capacity = 100, transactionCapacity = 2, keep-alive = 600
";

fn m1_a_batch_over_the_transaction_capacity_fails_at_once_and_leaves_nothing(
    agent: &dyn AgentUnderTest,
) {
    let mut client = agent.client("m1_port");
    // "At once": an answer after the keep-alive of ten minutes would be too late for the client.
    assert_eq!(
        client.append_batch(&events(["1", "2", "3"])),
        Answer::Failed
    );
    agent.wait_for_counter("CHANNEL.m1", "ChannelSize", "0");
    assert_eq!(client.append_batch(&events(["1", "2"])), Answer::Ok);
    agent.wait_for_counter("CHANNEL.m1", "ChannelSize", "2");
}

const M2: &str = "
sources.m2: type = avro, port = {m2_port}, channels = m2
channels.m2: type = memory, capacity = 5, transactionCapacity = 5, keep-alive = 0
";

fn m2_a_commit_without_room_fails_and_what_was_there_stays(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("m2_port");
    let three = events(["1", "2", "3"]);
    assert_eq!(client.append_batch(&three), Answer::Ok);
    assert_eq!(client.append_batch(&three), Answer::Failed);
    agent.wait_for_counter("CHANNEL.m2", "ChannelSize", "3");
    assert_eq!(client.append_batch(&three[..2]), Answer::Ok);
    agent.wait_for_counter("CHANNEL.m2", "ChannelSize", "5");
}

const M4: &str = "
sources.m4: type = avro, port = {m4_port}, channels = m4
channels.m4: type = memory, byteCapacity = 2000, byteCapacityBufferPercentage = 20, keep-alive = 0
";

fn m4_bodies_are_counted_in_slots_of_a_hundred_bytes_and_headers_are_not(
    agent: &dyn AgentUnderTest,
) {
    let mut client = agent.client("m4_port");
    // 80 % of 2,000 bytes are 16 slots; 405 bytes take five of them, whatever the header.
    let event = Event::new("x".repeat(405)).header("name", &"v".repeat(5_000));
    assert_eq!(client.append_batch(&vec![event.clone(); 3]), Answer::Ok);
    assert_eq!(client.append_batch(&vec![event; 2]), Answer::Failed);
    assert_eq!(client.append(&Event::new("x".repeat(101))), Answer::Failed);
    assert_eq!(client.append(&Event::new("x".repeat(100))), Answer::Ok);
    assert_eq!(client.append(&Event::new("")), Answer::Failed);
    agent.wait_for_counter("CHANNEL.m4", "ChannelSize", "4");
}

const M5: &str = "
sources.m5: type = avro, port = {m5_port}, channels = m5
channels.m5: type = memory, capacity = 100, transactionCapacity = 9, byteCapacity = 1000
  keep-alive = 0
";

fn m5_an_empty_body_takes_one_slot_and_a_refused_batch_none(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("m5_port");
    let empty = vec![Event::default(); 10];
    // Over the transaction capacity, and over the eight slots.
    assert_eq!(client.append_batch(&empty[..10]), Answer::Failed);
    assert_eq!(client.append_batch(&empty[..9]), Answer::Failed);
    for _ in 0..8 {
        assert_eq!(client.append(&empty[0]), Answer::Ok);
    }
    assert_eq!(client.append(&empty[0]), Answer::Failed);
    agent.wait_for_counter("CHANNEL.m5", "ChannelSize", "8");
}

const M7: &str = "
sources.m7: type = avro, port = {m7_port}, channels = m7 m7bytes
channels.m7: type = memory, capacity = -1, transactionCapacity = 0, keep-alive = 0
channels.m7bytes: type = memory, byteCapacity = -1
";

fn m7_sizes_below_one_become_the_defaults(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("m7_port");
    agent.wait_for_counter("CHANNEL.m7", "ChannelCapacity", "100");
    agent.wait_for_counter("CHANNEL.m7bytes", "ChannelCapacity", "100");
    let event = Event::new("x");
    assert_eq!(
        client.append_batch(&vec![event.clone(); 101]),
        Answer::Failed
    );
    assert_eq!(client.append_batch(&vec![event.clone(); 100]), Answer::Ok);
    assert_eq!(client.append(&event), Answer::Failed);
}
