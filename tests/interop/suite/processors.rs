//! Sink groups, failover and load balance, over avro sinks that take one event at a time.
//!
//! Flume keeps the sinks of a group in the order of a Java hash set. The groups here list theirs
//! in that order, so that an agent that keeps the file's order does the same.

use super::event::{Answer, Event, events};
use super::peer::{Mode, Peer};
use super::{AgentUnderTest, Scenario, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(
        P1,
        p1_failover_takes_the_highest_priority_that_works_and_returns_to_it
    ),
    flow!(P4, p4_round_robin_gives_each_sink_its_turn),
    flow!(P5, p5_while_all_sinks_fail_the_events_stay_in_the_channel),
    flow!(P6, p6_with_backoff_a_failed_sink_is_left_out_and_rejoins),
    flow!(
        P7,
        p7_without_backoff_a_dead_sink_is_asked_every_turn_and_the_next_one_works_for_it
    ),
    flow!(
        P7R,
        p7_random_with_backoff_gives_everything_to_the_sink_that_is_left_and_to_nobody_after_it
    ),
];

on_every_agent!(SCENARIOS);

fn accepted(peers: [&Peer; 3]) -> [usize; 3] {
    peers.map(|peer| peer.accepted().len())
}

const P1: &str = "
sources.p1: type = avro, port = {p1_port}, channels = p1
channels.p1: type = memory
sinks.p1b: type = avro, port = {p1b_peer}, batch-size = 1, channel = p1
sinks.p1a: type = avro, port = {p1a_peer}, batch-size = 1, channel = p1
sinks.p1c: type = avro, port = {p1c_peer}, batch-size = 1, channel = p1
sinkgroups.p1: sinks = p1b p1a p1c, processor.type = failover, processor.maxpenalty = 1000
  processor.priority.p1a = 30, processor.priority.p1b = 20, processor.priority.p1c = 10
";

fn p1_failover_takes_the_highest_priority_that_works_and_returns_to_it(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("p1_port");
    let peers = ["p1a_peer", "p1b_peer", "p1c_peer"].map(|name| agent.peer(name));
    peers[0].set(Mode::AcceptUpTo(10));
    peers[1].set(Mode::AcceptUpTo(50));
    assert_eq!(client.append_batch(&vec![Event::new("x"); 15]), Answer::Ok);
    peers[1].wait_for_accepted(5);
    assert_eq!(client.append_batch(&vec![Event::new("x"); 50]), Answer::Ok);
    peers[2].wait_for_accepted(5);
    assert_eq!(accepted(peers), [10, 50, 5]);

    // P2: once its penalty is over, the first sink is tried again, and then gets everything.
    peers[0].set(Mode::Accept);
    let mut taken = 65;
    while peers[0].accepted().len() == 10 {
        assert_eq!(client.append(&Event::new("x")), Answer::Ok);
        taken += 1;
        agent.wait_for_counter("CHANNEL.p1", "EventTakeSuccessCount", &taken.to_string());
    }
    let [first, second, third] = accepted(peers);
    assert_eq!(client.append_batch(&vec![Event::new("x"); 100]), Answer::Ok);
    peers[0].wait_for_accepted(first + 100);
    assert_eq!(accepted(peers), [first + 100, second, third]);
}

const P4: &str = "
sources.p4: type = avro, port = {p4_port}, channels = p4
channels.p4: type = memory
sinks.p4a: type = avro, port = {p4a_peer}, batch-size = 1, channel = p4
sinks.p4c: type = avro, port = {p4c_peer}, batch-size = 1, channel = p4
sinks.p4b: type = avro, port = {p4b_peer}, batch-size = 1, channel = p4
sinkgroups.p4: sinks = p4a p4c p4b, processor.type = load_balance
";

fn p4_round_robin_gives_each_sink_its_turn(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("p4_port");
    let peers = ["p4a_peer", "p4c_peer", "p4b_peer"].map(|name| agent.peer(name));
    // One commit: while the channel has events, no sink's turn is spent on an empty channel.
    assert_eq!(client.append_batch(&vec![Event::new("x"); 30]), Answer::Ok);
    agent.wait_for_counter("CHANNEL.p4", "EventTakeSuccessCount", "30");
    assert_eq!(accepted(peers), [10, 10, 10]);
}

const P5: &str = "
sources.p5: type = avro, port = {p5_port}, channels = p5
channels.p5: type = memory
sinks.p5b: type = avro, port = {p5b_peer}, batch-size = 1, channel = p5
sinks.p5a: type = avro, port = {p5a_peer}, batch-size = 1, channel = p5
sinks.p5c: type = avro, port = {p5c_peer}, batch-size = 1, channel = p5
sinkgroups.p5: sinks = p5b p5a p5c, processor.type = failover
  processor.priority.p5a = 30, processor.priority.p5b = 20, processor.priority.p5c = 10
";

fn p5_while_all_sinks_fail_the_events_stay_in_the_channel(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("p5_port");
    let peers = ["p5a_peer", "p5b_peer", "p5c_peer"].map(|name| agent.peer(name));
    for peer in peers {
        peer.set(Mode::Refuse);
    }
    assert_eq!(client.append_batch(&events(["1", "2", "3"])), Answer::Ok);
    for peer in peers {
        peer.wait_for_calls(1);
    }
    agent.wait_for_counter("CHANNEL.p5", "ChannelSize", "3");
    agent.wait_for_counter("CHANNEL.p5", "EventTakeSuccessCount", "0");
    for peer in peers {
        peer.set(Mode::Accept);
    }
    agent.wait_for_counter("CHANNEL.p5", "EventTakeSuccessCount", "3");
    // Which sink is the first to be tried again is a matter of milliseconds.
    let mut arrived = peers.map(Peer::accepted_texts).concat();
    arrived.sort();
    assert_eq!(arrived, ["1", "2", "3"]);
}

const P6: &str = "
sources.p6: type = avro, port = {p6_port}, channels = p6
channels.p6: type = memory
sinks.p6a: type = avro, port = {p6a_peer}, batch-size = 1, channel = p6
sinks.p6c: type = avro, port = {p6c_peer}, batch-size = 1, channel = p6
sinks.p6b: type = avro, port = {p6b_peer}, batch-size = 1, channel = p6
sinkgroups.p6: sinks = p6a p6c p6b, processor.type = load_balance, processor.backoff = true
";

fn p6_with_backoff_a_failed_sink_is_left_out_and_rejoins(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("p6_port");
    let peers = ["p6a_peer", "p6c_peer", "p6b_peer"].map(|name| agent.peer(name));
    peers[1].set(Mode::Refuse);
    assert_eq!(client.append_batch(&vec![Event::new("x"); 30]), Answer::Ok);
    let mut taken = 30;
    agent.wait_for_counter("CHANNEL.p6", "EventTakeSuccessCount", "30");
    // Without backoff it were ten. One, if the thirty events take less than two seconds.
    assert!(
        (1..10).contains(&peers[1].calls().len()),
        "{}",
        peers[1].calls().len()
    );
    assert_eq!(accepted(peers)[1], 0);
    peers[1].set(Mode::Accept);
    while accepted(peers)[1] == 0 {
        assert_eq!(client.append(&Event::new("x")), Answer::Ok);
        taken += 1;
        agent.wait_for_counter("CHANNEL.p6", "EventTakeSuccessCount", &taken.to_string());
    }
}

const P7: &str = "
sources.p7: type = avro, port = {p7_port}, channels = p7
channels.p7: type = memory
sinks.p7b: type = avro, port = {p7b_peer}, batch-size = 1, channel = p7
sinks.p7a: type = avro, port = {p7a_peer}, batch-size = 1, channel = p7
sinks.p7c: type = avro, port = {p7c_peer}, batch-size = 1, channel = p7
sinkgroups.p7: sinks = p7b p7a p7c, processor.type = load_balance
";

fn p7_without_backoff_a_dead_sink_is_asked_every_turn_and_the_next_one_works_for_it(
    agent: &dyn AgentUnderTest,
) {
    let mut client = agent.client("p7_port");
    let peers = ["p7b_peer", "p7a_peer", "p7c_peer"].map(|name| agent.peer(name));
    peers[1].set(Mode::Refuse);
    assert_eq!(client.append_batch(&vec![Event::new("x"); 30]), Answer::Ok);
    agent.wait_for_counter("CHANNEL.p7", "EventTakeSuccessCount", "30");
    assert_eq!(peers[1].calls().len(), 10);
    assert_eq!(accepted(peers), [10, 0, 20]);
}

const P7R: &str = "
sources.p7r: type = avro, port = {p7r_port}, channels = p7r
channels.p7r: type = memory
sinks.p7ra: type = avro, port = {p7ra_peer}, batch-size = 1, channel = p7r
sinks.p7rb: type = avro, port = {p7rb_peer}, batch-size = 1, channel = p7r
sinks.p7rc: type = avro, port = {p7rc_peer}, batch-size = 1, channel = p7r
sinkgroups.p7rg: sinks = p7ra p7rb p7rc, processor.type = load_balance
  processor.selector = random, processor.backoff = true
";

fn p7_random_with_backoff_gives_everything_to_the_sink_that_is_left_and_to_nobody_after_it(
    agent: &dyn AgentUnderTest,
) {
    let mut client = agent.client("p7r_port");
    let peers = ["p7ra_peer", "p7rb_peer", "p7rc_peer"].map(|name| agent.peer(name));
    peers[0].set(Mode::Refuse);
    peers[1].set(Mode::Refuse);
    assert_eq!(client.append_batch(&vec![Event::new("x"); 50]), Answer::Ok);
    agent.wait_for_counter("CHANNEL.p7r", "EventTakeSuccessCount", "50");
    assert_eq!(accepted(peers), [0, 0, 50]);
    peers[2].set(Mode::Refuse);
    assert_eq!(client.append(&Event::new("last")), Answer::Ok);
    peers[2].wait_for_calls(51);
    agent.wait_for_counter("SINK.p7rc", "EventWriteFail", "1");
    agent.wait_for_counter("CHANNEL.p7r", "ChannelSize", "1");
    for peer in peers {
        peer.set(Mode::Accept);
    }
    agent.wait_for_counter("CHANNEL.p7r", "EventTakeSuccessCount", "51");
    assert_eq!(accepted(peers).iter().sum::<usize>(), 51);
}
