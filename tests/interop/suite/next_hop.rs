//! The avro sink while its next hop does not answer, is not there, and comes back.

use super::event::{Answer, Event, events};
use super::peer::Mode;
use super::{AgentUnderTest, Kind, Scenario, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(
        P8,
        p8_a_next_hop_that_does_not_answer_in_time_is_asked_again_over_a_new_connection
    ),
    flow!(
        P9,
        p9_a_next_hop_that_is_gone_is_tried_every_five_seconds_and_each_try_counts
    ),
    flow!(
        P11,
        p11_a_next_hop_that_never_was_fails_once_more_than_it_is_tried
    ),
    flow!(
        P10,
        p10_a_next_hop_that_was_away_in_between_is_connected_to_again_unseen
    ),
];

on_every_agent!(SCENARIOS);

const P8: &str = "
sources.p8: type = avro, port = {p8_port}, channels = p8
channels.p8: type = memory
sinks.p8: type = avro, port = {p8_peer}, batch-size = 2, request-timeout = 1000, channel = p8
";

fn p8_a_next_hop_that_does_not_answer_in_time_is_asked_again_over_a_new_connection(
    agent: &dyn AgentUnderTest,
) {
    let (mut client, peer) = (agent.client("p8_port"), agent.peer("p8_peer"));
    peer.set(Mode::Hold);
    assert_eq!(client.append_batch(&events(["1", "2"])), Answer::Ok);
    agent.wait_for_counter("SINK.p8", "EventWriteFail", "1");
    agent.wait_for_counter("CHANNEL.p8", "ChannelSize", "2");
    // What is held now is accepted, too late: the sink sends it once more.
    peer.set(Mode::Accept);
    peer.wait_for_accepted(4);
    assert_eq!(peer.accepted_texts(), ["1", "2", "1", "2"]);
    for (counter, value) in [
        ("EventDrainSuccessCount", "2"),
        ("EventDrainAttemptCount", "4"),
        ("BatchCompleteCount", "2"),
        ("ConnectionCreatedCount", "2"),
        ("ConnectionClosedCount", "1"),
        ("ConnectionFailedCount", "0"),
    ] {
        agent.wait_for_counter("SINK.p8", counter, value);
    }
}

const P9: &str = "
sources.p9: type = avro, port = {p9_port}, channels = p9
channels.p9: type = memory
sinks.p9: type = avro, port = {p9_peer}, batch-size = 1, channel = p9
";

fn p9_a_next_hop_that_is_gone_is_tried_every_five_seconds_and_each_try_counts(
    agent: &dyn AgentUnderTest,
) {
    let (mut client, peer) = (agent.client("p9_port"), agent.peer("p9_peer"));
    agent.wait_for_counter("SINK.p9", "ConnectionCreatedCount", "1");
    peer.close();
    assert_eq!(client.append(&Event::new("1")), Answer::Ok);
    // The first failure is that of the connection there was.
    agent.wait_for_counter("SINK.p9", "EventWriteFail", "3");
    for (counter, value) in [
        ("ConnectionCreatedCount", "1"),
        ("ConnectionClosedCount", "1"),
        ("ConnectionFailedCount", "2"),
        ("EventDrainAttemptCount", "1"),
    ] {
        agent.wait_for_counter("SINK.p9", counter, value);
    }
    agent.wait_for_counter("CHANNEL.p9", "ChannelSize", "1");
    peer.reopen();
    peer.wait_for_accepted(1);
    for (counter, value) in [
        ("EventDrainSuccessCount", "1"),
        ("EventDrainAttemptCount", "2"),
        ("ConnectionCreatedCount", "2"),
    ] {
        agent.wait_for_counter("SINK.p9", counter, value);
    }
    agent.wait_for_counter("CHANNEL.p9", "ChannelSize", "0");
}

const P10: &str = "
sources.p10: type = avro, port = {p10_port}, channels = p10
channels.p10: type = memory
sinks.p10: type = avro, port = {p10_peer}, batch-size = 1, channel = p10
";

fn p10_a_next_hop_that_was_away_in_between_is_connected_to_again_unseen(
    agent: &dyn AgentUnderTest,
) {
    let (mut client, peer) = (agent.client("p10_port"), agent.peer("p10_peer"));
    agent.wait_for_counter("SINK.p10", "ConnectionCreatedCount", "1");
    assert_eq!(client.append(&Event::new("1")), Answer::Ok);
    peer.wait_for_accepted(1);
    agent.wait_for_counter("SINK.p10", "EventDrainSuccessCount", "1");
    match agent.kind() {
        // It notices at some time or other, and a call before that fails.
        Kind::Flume(_) => peer.close_for_all(),
        // It looks just before each call.
        Kind::Mini => peer.close(),
    }
    peer.reopen();
    assert_eq!(client.append(&Event::new("2")), Answer::Ok);
    peer.wait_for_accepted(2);
    for (counter, value) in [
        ("EventDrainSuccessCount", "2"),
        ("EventDrainAttemptCount", "2"),
        ("EventWriteFail", "0"),
        ("ConnectionCreatedCount", "1"),
        ("ConnectionClosedCount", "0"),
    ] {
        agent.wait_for_counter("SINK.p10", counter, value);
    }
}

const P11: &str = "
sources.p11: type = avro, port = {p11_port}, channels = p11
channels.p11: type = memory
sinks.p11: type = avro, port = {p11_nobody}, channel = p11
";

fn p11_a_next_hop_that_never_was_fails_once_more_than_it_is_tried(agent: &dyn AgentUnderTest) {
    agent.wait_for_counter("SINK.p11", "EventWriteFail", "2");
    // The sink has tried at its start as well.
    for (counter, value) in [
        ("ConnectionFailedCount", "3"),
        ("ConnectionCreatedCount", "0"),
        ("ConnectionClosedCount", "0"),
        ("BatchEmptyCount", "0"),
    ] {
        agent.wait_for_counter("SINK.p11", counter, value);
    }
    agent.wait_for_counter("CHANNEL.p11", "EventTakeAttemptCount", "0");
}
