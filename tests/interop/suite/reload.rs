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
a1.sources = r1 size
a1.channels = keep away size
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = {r1_port}
a1.sources.r1.channels = keep away
a1.channels.keep.type = memory
a1.channels.away.type = memory
a1.sources.size.type = avro
a1.sources.size.bind = 127.0.0.1
a1.sources.size.port = {size_port}
a1.sources.size.channels = size
a1.channels.size.type = memory
a1.channels.size.capacity = 2
a1.channels.size.transactionCapacity = 2
a1.channels.size.keep-alive = 0
";

/// One of them is gone, the other one has a sink.
const ONE: &str = "
a1.sources = r1 size
a1.channels = keep size
a1.sinks = keep
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = {r1_port}
a1.sources.r1.channels = keep
a1.channels.keep.type = memory
a1.channels.keep.keep-alive = 0
a1.sinks.keep.type = file_roll
a1.sinks.keep.sink.directory = {keep_dir}
a1.sinks.keep.sink.rollInterval = 0
a1.sinks.keep.channel = keep
a1.sources.size.type = avro
a1.sources.size.bind = 127.0.0.1
a1.sources.size.port = {size_port}
a1.sources.size.channels = size
a1.channels.size.type = memory
a1.channels.size.capacity = 4
a1.channels.size.transactionCapacity = 2
a1.channels.size.keep-alive = 0
";

/// It is back, with a sink, and the other one is gone.
const OTHER: &str = "
a1.sources = r1 size
a1.channels = away size
a1.sinks = away
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = {r1_port}
a1.sources.r1.channels = away
a1.channels.away.type = memory
a1.channels.away.keep-alive = 0
a1.sinks.away.type = file_roll
a1.sinks.away.sink.directory = {away_dir}
a1.sinks.away.sink.rollInterval = 0
a1.sinks.away.channel = away
a1.sources.size.type = avro
a1.sources.size.bind = 127.0.0.1
a1.sources.size.port = {size_port}
a1.sources.size.channels = size
a1.channels.size.type = memory
a1.channels.size.capacity = 1
a1.channels.size.transactionCapacity = 1
a1.channels.size.keep-alive = 0
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
