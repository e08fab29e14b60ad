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
a1.sources = p1
a1.channels = p1
a1.sinks = p1b p1a p1c
a1.sinkgroups = p1
a1.sources.p1.type = avro
a1.sources.p1.bind = 127.0.0.1
a1.sources.p1.port = {p1_port}
a1.sources.p1.channels = p1
a1.channels.p1.type = memory
a1.sinkgroups.p1.sinks = p1b p1a p1c
a1.sinkgroups.p1.processor.type = failover
a1.sinkgroups.p1.processor.priority.p1a = 30
a1.sinkgroups.p1.processor.priority.p1b = 20
a1.sinkgroups.p1.processor.priority.p1c = 10
a1.sinkgroups.p1.processor.maxpenalty = 1000
a1.sinks.p1a.type = avro
a1.sinks.p1a.hostname = 127.0.0.1
a1.sinks.p1a.port = {p1a_peer}
a1.sinks.p1a.batch-size = 1
a1.sinks.p1a.channel = p1
a1.sinks.p1b.type = avro
a1.sinks.p1b.hostname = 127.0.0.1
a1.sinks.p1b.port = {p1b_peer}
a1.sinks.p1b.batch-size = 1
a1.sinks.p1b.channel = p1
a1.sinks.p1c.type = avro
a1.sinks.p1c.hostname = 127.0.0.1
a1.sinks.p1c.port = {p1c_peer}
a1.sinks.p1c.batch-size = 1
a1.sinks.p1c.channel = p1
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
a1.sources = p4
a1.channels = p4
a1.sinks = p4a p4c p4b
a1.sinkgroups = p4
a1.sources.p4.type = avro
a1.sources.p4.bind = 127.0.0.1
a1.sources.p4.port = {p4_port}
a1.sources.p4.channels = p4
a1.channels.p4.type = memory
a1.sinkgroups.p4.sinks = p4a p4c p4b
a1.sinkgroups.p4.processor.type = load_balance
a1.sinks.p4a.type = avro
a1.sinks.p4a.hostname = 127.0.0.1
a1.sinks.p4a.port = {p4a_peer}
a1.sinks.p4a.batch-size = 1
a1.sinks.p4a.channel = p4
a1.sinks.p4b.type = avro
a1.sinks.p4b.hostname = 127.0.0.1
a1.sinks.p4b.port = {p4b_peer}
a1.sinks.p4b.batch-size = 1
a1.sinks.p4b.channel = p4
a1.sinks.p4c.type = avro
a1.sinks.p4c.hostname = 127.0.0.1
a1.sinks.p4c.port = {p4c_peer}
a1.sinks.p4c.batch-size = 1
a1.sinks.p4c.channel = p4
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
a1.sources = p5
a1.channels = p5
a1.sinks = p5b p5a p5c
a1.sinkgroups = p5
a1.sources.p5.type = avro
a1.sources.p5.bind = 127.0.0.1
a1.sources.p5.port = {p5_port}
a1.sources.p5.channels = p5
a1.channels.p5.type = memory
a1.sinkgroups.p5.sinks = p5b p5a p5c
a1.sinkgroups.p5.processor.type = failover
a1.sinkgroups.p5.processor.priority.p5a = 30
a1.sinkgroups.p5.processor.priority.p5b = 20
a1.sinkgroups.p5.processor.priority.p5c = 10
a1.sinks.p5a.type = avro
a1.sinks.p5a.hostname = 127.0.0.1
a1.sinks.p5a.port = {p5a_peer}
a1.sinks.p5a.batch-size = 1
a1.sinks.p5a.channel = p5
a1.sinks.p5b.type = avro
a1.sinks.p5b.hostname = 127.0.0.1
a1.sinks.p5b.port = {p5b_peer}
a1.sinks.p5b.batch-size = 1
a1.sinks.p5b.channel = p5
a1.sinks.p5c.type = avro
a1.sinks.p5c.hostname = 127.0.0.1
a1.sinks.p5c.port = {p5c_peer}
a1.sinks.p5c.batch-size = 1
a1.sinks.p5c.channel = p5
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
a1.sources = p6
a1.channels = p6
a1.sinks = p6a p6c p6b
a1.sinkgroups = p6
a1.sources.p6.type = avro
a1.sources.p6.bind = 127.0.0.1
a1.sources.p6.port = {p6_port}
a1.sources.p6.channels = p6
a1.channels.p6.type = memory
a1.sinkgroups.p6.sinks = p6a p6c p6b
a1.sinkgroups.p6.processor.type = load_balance
a1.sinkgroups.p6.processor.backoff = true
a1.sinks.p6a.type = avro
a1.sinks.p6a.hostname = 127.0.0.1
a1.sinks.p6a.port = {p6a_peer}
a1.sinks.p6a.batch-size = 1
a1.sinks.p6a.channel = p6
a1.sinks.p6b.type = avro
a1.sinks.p6b.hostname = 127.0.0.1
a1.sinks.p6b.port = {p6b_peer}
a1.sinks.p6b.batch-size = 1
a1.sinks.p6b.channel = p6
a1.sinks.p6c.type = avro
a1.sinks.p6c.hostname = 127.0.0.1
a1.sinks.p6c.port = {p6c_peer}
a1.sinks.p6c.batch-size = 1
a1.sinks.p6c.channel = p6
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
a1.sources = p7
a1.channels = p7
a1.sinks = p7b p7a p7c
a1.sinkgroups = p7
a1.sources.p7.type = avro
a1.sources.p7.bind = 127.0.0.1
a1.sources.p7.port = {p7_port}
a1.sources.p7.channels = p7
a1.channels.p7.type = memory
a1.sinkgroups.p7.sinks = p7b p7a p7c
a1.sinkgroups.p7.processor.type = load_balance
a1.sinks.p7a.type = avro
a1.sinks.p7a.hostname = 127.0.0.1
a1.sinks.p7a.port = {p7a_peer}
a1.sinks.p7a.batch-size = 1
a1.sinks.p7a.channel = p7
a1.sinks.p7b.type = avro
a1.sinks.p7b.hostname = 127.0.0.1
a1.sinks.p7b.port = {p7b_peer}
a1.sinks.p7b.batch-size = 1
a1.sinks.p7b.channel = p7
a1.sinks.p7c.type = avro
a1.sinks.p7c.hostname = 127.0.0.1
a1.sinks.p7c.port = {p7c_peer}
a1.sinks.p7c.batch-size = 1
a1.sinks.p7c.channel = p7
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
a1.sources = p7r
a1.channels = p7r
a1.sinks = p7ra p7rb p7rc
a1.sinkgroups = p7rg
a1.sources.p7r.type = avro
a1.sources.p7r.bind = 127.0.0.1
a1.sources.p7r.port = {p7r_port}
a1.sources.p7r.channels = p7r
a1.channels.p7r.type = memory
a1.sinkgroups.p7rg.sinks = p7ra p7rb p7rc
a1.sinkgroups.p7rg.processor.type = load_balance
a1.sinkgroups.p7rg.processor.selector = random
a1.sinkgroups.p7rg.processor.backoff = true
a1.sinks.p7ra.type = avro
a1.sinks.p7ra.hostname = 127.0.0.1
a1.sinks.p7ra.port = {p7ra_peer}
a1.sinks.p7ra.batch-size = 1
a1.sinks.p7ra.channel = p7r
a1.sinks.p7rb.type = avro
a1.sinks.p7rb.hostname = 127.0.0.1
a1.sinks.p7rb.port = {p7rb_peer}
a1.sinks.p7rb.batch-size = 1
a1.sinks.p7rb.channel = p7r
a1.sinks.p7rc.type = avro
a1.sinks.p7rc.hostname = 127.0.0.1
a1.sinks.p7rc.port = {p7rc_peer}
a1.sinks.p7rc.batch-size = 1
a1.sinks.p7rc.channel = p7r
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
