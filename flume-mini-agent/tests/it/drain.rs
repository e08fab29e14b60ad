//! A stop in good order.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use flume_mini_agent::config::{
    AgentConfig, AvroSinkConfig, AvroSourceConfig, CollectSinkConfig, MemoryChannelConfig,
    NullSinkConfig,
};
use flume_mini_agent::{MiniAgent, Sink};

use crate::support::{Client, LIMIT, batch, file, put, status};

#[test]
fn the_sources_stop_first_and_the_sinks_empty_the_channels() {
    let far = MiniAgent::builder()
        .capacity(1)
        .transaction_capacity(1)
        .keep_alive(LIMIT)
        .sink_paused(true)
        .start()
        .unwrap();
    put(far.addr(), 1);
    let mut hop = AvroSinkConfig::new("127.0.0.1", far.addr().port());
    hop.batch_size = 1;
    let config = AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .sink("k1", hop, "c1");
    let mut agent = MiniAgent::configured(config.build().unwrap())
        .start()
        .unwrap();
    let address = agent.addr();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(1, 20));
    client.expect(&status(1, "00"));
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| agent.drain(LIMIT));
        client.expect_closed();
        assert!(TcpStream::connect(address).is_err());
        assert_eq!(far.received_count(), 0, "the channel is not empty yet");
        far.resume_sink();
        assert_eq!(drain.join().unwrap(), []);
    });
    far.wait_until(LIMIT, |stats| stats.events_drained == 21)
        .unwrap();
}

#[test]
fn all_that_was_stored_is_drained() {
    let mut agent = MiniAgent::builder().batch_size(1).start().unwrap();
    put(agent.addr(), 100);
    assert_eq!(agent.drain(LIMIT), []);
    assert_eq!(agent.received_count(), 100);
    assert_eq!(agent.stats().channel_size, 0);
    agent.start_again().unwrap();
    put(agent.addr(), 1);
}

/// An agent whose sink waits for more than there ever is, and has 7 events in its hands.
fn waiting() -> MiniAgent {
    let mut channel = MemoryChannelConfig::default();
    channel.keep_alive = 2 * LIMIT;
    let config = AgentConfig::builder("a1")
        .channel("c1", channel)
        .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .sink("k1", NullSinkConfig::default(), "c1");
    let agent = MiniAgent::configured(config.build().unwrap())
        .start()
        .unwrap();
    put(agent.addr(), 7);
    agent
        .wait_until(LIMIT, |stats| stats.events_accepted == 7)
        .unwrap();
    agent
}

#[test]
fn a_sink_that_waits_for_a_whole_batch_does_so_no_longer() {
    let mut agent = waiting();
    assert_eq!(agent.drain(LIMIT), []);
    assert_eq!(agent.received_count(), 7);
}

#[test]
fn a_sink_that_waits_for_a_whole_batch_can_be_paused() {
    let agent = waiting();
    let start = Instant::now();
    agent.pause_sink();
    assert!(start.elapsed() < LIMIT, "it waited on");
    let left = agent.stats().channel_size;
    assert_eq!(left + agent.received_count(), 7);
}

#[test]
fn what_is_left_after_the_time_is_told_and_stays() {
    let builder = MiniAgent::builder().sink(Sink::Null).sink_paused(true);
    let mut agent = builder.start().unwrap();
    put(agent.addr(), 7);
    let left = agent.drain(Duration::from_millis(1));
    let [left] = left.as_slice() else {
        panic!("{left:?}")
    };
    assert_eq!(
        (left.channel.as_str(), left.events, left.durable),
        ("c1", 7, false)
    );
    agent.resume_sink();
    agent.start_again().unwrap();
    agent
        .wait_until(LIMIT, |stats| stats.events_drained == 7)
        .unwrap();
}

#[test]
fn a_channel_without_a_sink_is_told_without_a_wait() {
    let directory = tempfile::tempdir().unwrap();
    let avro = || AvroSourceConfig::new("127.0.0.1", 0);
    let config = AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .channel("c2", file(directory.path()))
        .source("r1", avro(), ["c1"])
        .source("r2", avro(), ["c2"])
        .sink("k1", CollectSinkConfig::default(), "c1");
    let mut agent = MiniAgent::configured(config.build().unwrap())
        .start()
        .unwrap();
    put(agent.addr(), 3);
    put(agent.addr_of("r2").unwrap(), 5);
    let left = agent.drain(Duration::MAX);
    let [left] = left.as_slice() else {
        panic!("{left:?}")
    };
    assert_eq!(
        (left.channel.as_str(), left.events, left.durable),
        ("c2", 5, true)
    );
    assert_eq!(agent.received_count(), 3);
}
