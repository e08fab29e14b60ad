//! What an agent keeps when its configuration changes.

use std::net::TcpStream;

use flume_tests::wait_until;

use super::event::{Answer, Client, Event, events};
use super::{AgentFactory, AgentUnderTest, Kind, Scenario, TIMEOUT, alone, on_every_agent};
pub(super) const SCENARIOS: &[Scenario] = &[alone!(
    c3_m6_a_memory_channel_keeps_its_events_over_a_reload_unless_it_was_away
)];

on_every_agent!(SCENARIOS);

/// Both channels, and nobody who takes from them. The directories are for later.
const BOTH: &str = "
# {keep_dir} {away_dir}
sources.r1: type = avro, port = {r1_port}, channels = keep away
sources.size: type = avro, port = {size_port}, channels = size
channels.keep: type = memory
channels.away: type = memory
channels.size: type = memory, capacity = 2, transactionCapacity = 2, keep-alive = 0
";

/// One of them is gone, the other one has a sink.
const ONE: &str = "
sources.r1: type = avro, port = {r1_port}, channels = keep
sources.size: type = avro, port = {size_port}, channels = size
channels.keep: type = memory, keep-alive = 0
channels.size: type = memory, capacity = 4, transactionCapacity = 2, keep-alive = 0
sinks.keep: type = file_roll, sink.directory = {keep_dir}, sink.rollInterval = 0, channel = keep
";

/// It is back, with a sink, and the other one is gone.
const OTHER: &str = "
sources.r1: type = avro, port = {r1_port}, channels = away
sources.size: type = avro, port = {size_port}, channels = size
channels.away: type = memory, keep-alive = 0
channels.size: type = memory, capacity = 1, transactionCapacity = 1, keep-alive = 0
sinks.away: type = file_roll, sink.directory = {away_dir}, sink.rollInterval = 0, channel = away
";

fn c3_m6_a_memory_channel_keeps_its_events_over_a_reload_unless_it_was_away(
    agents: &dyn AgentFactory,
) {
    let mut agent = agents.start_reloading(BOTH);
    let mut client = agent.client("r1_port");
    assert_eq!(client.append_batch(&events(["1", "2"])), Answer::Ok);
    agent.wait_for_counter("CHANNEL.away", "ChannelSize", "2");
    fill(&*agent, 2);

    agent.reload(ONE);
    assert_eq!(agent.rolled("keep_dir", 2), ["1", "2"]);
    // All of the agent was stopped, connections too.
    assert!(client.is_closed());
    match agents.kind() {
        // Flume keeps the counters of what is no longer there.
        Kind::Flume(_) => {
            let stopped = agent.counter("CHANNEL.away", "StopTime");
            assert!(stopped.is_some_and(|time| time != "0"));
        }
        Kind::Mini => assert_eq!(agent.counter("CHANNEL.away", "StopTime"), None),
    }
    // M6: there is more room at once.
    fill(&*agent, 4);

    agent.reload(OTHER);
    let up = wait_until("the sink of the channel that is back", TIMEOUT, || {
        agent
            .counter("SINK.away", "ConnectionCreatedCount")
            .as_deref()
            == Some("1")
    });
    up.unwrap();
    append(&*agent, "3");
    assert_eq!(agent.rolled("away_dir", 1), ["3"]);
    assert_eq!(agent.rolled("keep_dir", 2), ["1", "2"]);
    // Four events are more than fit into one place, so the channel stays as large as it was.
    fill(&*agent, 4);
}

fn append(agent: &dyn AgentUnderTest, body: &str) {
    assert_eq!(
        connect(agent, "r1_port").append(&Event::new(body)),
        Answer::Ok
    );
}

/// Sees to it that the channel has so many events, and takes no more.
fn fill(agent: &dyn AgentUnderTest, events: usize) {
    let mut client = connect(agent, "size_port");
    let size = || agent.counter("CHANNEL.size", "ChannelSize").unwrap();
    while size() != events.to_string() {
        assert_eq!(client.append(&Event::new("x")), Answer::Ok);
    }
    assert_eq!(client.append(&Event::new("x")), Answer::Failed);
    agent.wait_for_counter("CHANNEL.size", "ChannelCapacity", &events.to_string());
}

/// A source may start a moment after a sink.
fn connect(agent: &dyn AgentUnderTest, port: &str) -> Client {
    let addr = agent.addr(port);
    let waited = wait_until("the source", TIMEOUT, || TcpStream::connect(addr).is_ok());
    waited.unwrap();
    Client::connect(addr)
}
