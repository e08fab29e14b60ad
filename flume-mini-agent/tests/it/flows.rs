//! Agents of many components: which events get where, and what becomes of failures in between.

use flume_client::Event;
use flume_mini_agent::config::{
    AgentConfig, AgentConfigBuilder, AvroSourceConfig, CollectSinkConfig, MultiplexingConfig,
    NullSinkConfig, SelectorConfig, SourceConfig,
};
use flume_mini_agent::{ConfiguredAgentBuilder, MiniAgent, StartError};
use tempfile::TempDir;

use crate::support::{APPEND, Client, LIMIT, batch, bodies, counter, file, memory, status};

fn null(batch_size: usize) -> NullSinkConfig {
    let mut config = NullSinkConfig::default();
    config.batch_size = batch_size;
    config
}

fn avro() -> AvroSourceConfig {
    AvroSourceConfig::new("127.0.0.1", 0)
}

fn agent(config: AgentConfigBuilder) -> ConfiguredAgentBuilder {
    MiniAgent::configured(config.build().unwrap())
}

fn sizes(agent: &MiniAgent) -> [usize; 2] {
    ["c1", "c2"].map(|channel| agent.channel_size(channel).unwrap())
}

/// Sends an event through our own client.
fn send(client: &flume_client::Client, event: Event) {
    client.append(event).unwrap().wait(LIMIT).unwrap();
}

#[test]
fn two_sources_fill_one_channel() {
    let config = AgentConfig::builder("a1")
        .channel("c1", memory(100))
        .source("r1", avro(), ["c1"])
        .source("r2", avro(), ["c1"])
        .sink("k1", CollectSinkConfig::default(), "c1");
    let agent = agent(config).start().unwrap();
    let addresses = ["r1", "r2"].map(|source| agent.addr_of(source).unwrap());
    assert_ne!(addresses[0], addresses[1]);
    for address in addresses {
        let mut client = Client::greeted_at(address);
        client.send(APPEND);
        client.expect(&status(1, "00"));
    }
    assert_eq!(bodies(&agent, 2), ["hi", "hi"]);
    for source in ["SOURCE.r1", "SOURCE.r2"] {
        assert_eq!(counter(&agent, source, "AppendAcceptedCount"), "1");
        assert_eq!(counter(&agent, source, "EventAcceptedCount"), "1");
    }
    assert_eq!(counter(&agent, "CHANNEL.c1", "EventPutSuccessCount"), "2");
    assert_eq!(counter(&agent, "SINK.k1", "EventDrainSuccessCount"), "2");
}

#[test]
fn s5_every_channel_gets_a_copy_and_an_optional_one_may_fail() {
    let selector = SelectorConfig::Replicating {
        optional: vec!["c2".to_owned()],
    };
    let config = AgentConfig::builder("a1")
        .channel("c1", memory(100))
        .channel("c2", memory(3))
        .add_source(SourceConfig::new("r1", avro(), ["c1", "c2"]).selector(selector));
    let agent = agent(config).start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 2));
    client.expect(&status(3, "00"));
    assert_eq!(sizes(&agent), [2, 2]);
    client.send_bytes(&batch(4, 2));
    client.expect(&status(4, "00"));
    assert_eq!(sizes(&agent), [4, 2]);
    assert_eq!(agent.stats().optional_failures, 1);
}

#[test]
fn s1_s2_s3_events_go_where_their_header_says_or_to_the_default_or_nowhere() {
    let route = |default: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut selector = MultiplexingConfig::new("to");
        selector.mapping.insert("b".to_owned(), owned(&["c2"]));
        selector
            .mapping
            .insert("both".to_owned(), owned(&["c2", "c1"]));
        selector.default = owned(default);
        let config = AgentConfig::builder("a1")
            .channel("c1", memory(100))
            .channel("c2", memory(100))
            .add_source(SourceConfig::new("r1", avro(), ["c1", "c2"]).selector(selector));
        let agent = agent(config).start().unwrap();
        let client = flume_client::Client::builder().agent(agent.url());
        let client = client.build().unwrap();
        for value in ["b", "both", "unmapped", " "] {
            send(&client, Event::new(value).header("to", value));
        }
        send(&client, Event::new("none"));
        agent
    };
    assert_eq!(sizes(&route(&["c1"])), [4, 2]);
    assert_eq!(sizes(&route(&[])), [1, 2]);
}

#[test]
fn s7_a_batch_that_fails_in_the_second_channel_is_in_the_first_and_doubled_when_sent_again() {
    let config = AgentConfig::builder("a1")
        .channel("c1", memory(100))
        .channel("c2", memory(2))
        .source("r1", avro(), ["c1", "c2"])
        .sink("k2", null(1), "c2");
    let agent = agent(config).sinks_paused(true).start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send(APPEND);
    client.expect(&status(1, "00"));
    client.send_bytes(&batch(3, 2));
    client.expect(&status(3, "02"));
    assert_eq!(sizes(&agent), [3, 1]);
    agent.resume_sink();
    agent
        .wait_until(LIMIT, |stats| stats.events_drained == 1)
        .unwrap();
    client.send_bytes(&batch(4, 2));
    client.expect(&status(4, "00"));
    agent
        .wait_until(LIMIT, |stats| stats.events_drained == 3)
        .unwrap();
    assert_eq!(sizes(&agent), [5, 0]);
    assert_eq!(counter(&agent, "SOURCE.r1", "ChannelWriteFail"), "1");
    assert_eq!(counter(&agent, "SOURCE.r1", "EventReceivedCount"), "5");
    assert_eq!(counter(&agent, "SOURCE.r1", "EventAcceptedCount"), "3");
    // A null sink has no counters in Flume.
    assert!(!agent.metrics_json().contains("SINK."));
}

#[test]
fn a_batch_that_waits_for_its_second_channel_goes_on_to_the_third() {
    let mut patient = memory(2);
    patient.keep_alive = LIMIT;
    let config = AgentConfig::builder("a1")
        .channel("c1", memory(100))
        .channel("c2", patient)
        .channel("c3", memory(100))
        .source("r1", avro(), ["c1", "c2", "c3"])
        .sink("k2", null(2), "c2");
    let agent = agent(config).sinks_paused(true).start().unwrap();
    let mut client = Client::greeted(&agent);
    client.send_bytes(&batch(3, 2));
    client.expect(&status(3, "00"));
    client.send_bytes(&batch(4, 2));
    agent
        .wait_until(LIMIT, |stats| stats.batches_waiting == 1)
        .unwrap();
    assert_eq!(agent.channel_size("c1"), Some(4));
    assert_eq!(agent.channel_size("c3"), Some(2));
    agent.resume_sink();
    client.expect(&status(4, "00"));
    assert_eq!(agent.channel_size("c3"), Some(4));
}

fn durable(directory: &TempDir) -> AgentConfigBuilder {
    AgentConfig::builder("a1")
        .channel("c1", file(directory.path()))
        .source("r1", avro(), ["c1"])
        .sink("k1", CollectSinkConfig::default(), "c1")
}

#[test]
fn what_a_file_channel_has_taken_outlives_the_agent() {
    let directory = tempfile::tempdir().unwrap();
    let config = || agent(durable(&directory));
    let first = config().sinks_paused(true).start().unwrap();
    let mut client = Client::greeted(&first);
    client.send(APPEND);
    client.expect(&status(1, "00"));
    client.send_bytes(&batch(3, 2));
    client.expect(&status(3, "00"));
    assert_eq!(counter(&first, "CHANNEL.c1", "EventPutSuccessCount"), "3");
    assert_eq!(counter(&first, "CHANNEL.c1", "Open"), "true");
    drop(first);
    let second = config().start().unwrap();
    assert_eq!(bodies(&second, 3), ["hi", "x", "x"]);
    second
        .wait_until(LIMIT, |stats| stats.channel_size == 0)
        .unwrap();
    drop(second);
    let third = config().start().unwrap();
    assert_eq!(third.channel_size("c1"), Some(0));
}

#[test]
fn a_start_that_fails_leaves_neither_port_nor_channel_behind() {
    let directory = tempfile::tempdir().unwrap();
    let other = MiniAgent::builder().start().unwrap();
    let taken = AvroSourceConfig::new("127.0.0.1", other.addr().port());
    let broken = durable(&directory).source("r2", taken, ["c1"]);
    let error = agent(broken).start().unwrap_err();
    assert!(matches!(error, StartError::Bind { .. }), "{error}");
    // The channel's directory is locked while it is open.
    drop(agent(durable(&directory)).start().unwrap());
}
