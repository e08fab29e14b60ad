//! Agents of many components: which events get where, and what becomes of failures in between.

use std::path::PathBuf;
use std::time::Duration;

use flume_client::Event;
use flume_mini_agent::config::{
    AgentConfig, AgentConfigBuilder, AvroSourceConfig, CollectSinkConfig, FileChannelConfig,
    InterceptorConfig, MemoryChannelConfig, MultiplexingConfig, NullSinkConfig, SelectorConfig,
    SourceConfig,
};
use flume_mini_agent::{ConfiguredAgentBuilder, MiniAgent, StartError};

use crate::support::{APPEND, Client, LIMIT, batch, bodies, status};

/// A channel that fails at once when it is full.
fn memory(capacity: usize) -> MemoryChannelConfig {
    let mut config = MemoryChannelConfig::default();
    config.capacity = capacity;
    config.transaction_capacity = capacity;
    config.keep_alive = Duration::ZERO;
    config
}

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

/// The value of a counter, which is to be there.
fn counter(agent: &MiniAgent, component: &str, name: &str) -> String {
    let json = agent.metrics_json();
    let (_, component) = json.split_once(&format!("\"{component}\":{{")).unwrap();
    let (component, _) = component.split_once('}').unwrap();
    let (_, value) = component.split_once(&format!("\"{name}\":\"")).unwrap();
    value.split_once('"').unwrap().0.to_owned()
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

#[test]
fn interceptors_change_and_drop_events_and_a_dropped_one_is_answered_ok() {
    let filter = InterceptorConfig::RegexFilter {
        regex: "^keep".to_owned(),
        exclude_events: false,
    };
    let fixed = InterceptorConfig::Static {
        key: "dc".to_owned(),
        value: "north".to_owned(),
        preserve_existing: true,
    };
    let source = SourceConfig::new("r1", avro(), ["c1"])
        .interceptor(filter)
        .interceptor(fixed);
    let config = AgentConfig::builder("a1")
        .channel("c1", memory(100))
        .add_source(source)
        .sink("k1", CollectSinkConfig::default(), "c1");
    let agent = agent(config).start().unwrap();
    let client = flume_client::Client::builder().agent(agent.url());
    let client = client.build().unwrap();
    send(&client, Event::new("drop me"));
    send(&client, Event::new("keep me"));
    send(&client, Event::new("keep mine").header("dc", "south"));
    let events = agent.wait_for(2, LIMIT).unwrap();
    let found = events
        .iter()
        .map(|event| (event.body(), event.header_value("dc")));
    let wanted = [
        (b"keep me".as_slice(), Some("north")),
        (b"keep mine", Some("south")),
    ];
    assert!(found.eq(wanted));
    assert_eq!(counter(&agent, "SOURCE.r1", "EventAcceptedCount"), "3");
}

/// A directory of its own, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("flume-mini-agent-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn durable(directory: &Directory) -> AgentConfigBuilder {
    let mut channel =
        FileChannelConfig::new(directory.0.join("checkpoint"), directory.0.join("data"));
    channel.minimum_required_space = 1 << 20;
    AgentConfig::builder("a1")
        .channel("c1", channel)
        .source("r1", avro(), ["c1"])
        .sink("k1", CollectSinkConfig::default(), "c1")
}

#[test]
fn what_a_file_channel_has_taken_outlives_the_agent() {
    let directory = Directory::new("durable");
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
    let directory = Directory::new("start");
    let other = MiniAgent::builder().start().unwrap();
    let taken = AvroSourceConfig::new("127.0.0.1", other.addr().port());
    let broken = durable(&directory).source("r2", taken, ["c1"]);
    let error = agent(broken).start().unwrap_err();
    assert!(matches!(error, StartError::Bind { .. }), "{error}");
    // The channel's directory is locked while it is open.
    drop(agent(durable(&directory)).start().unwrap());
}

#[test]
fn what_the_agent_does_not_have_yet_is_told_by_component() {
    let mut deflate = AvroSourceConfig::new("127.0.0.1", 0);
    deflate.compression = flume_mini_agent::config::Compression::Deflate;
    let config = AgentConfig::builder("a1")
        .channel("c1", memory(100))
        .source("r1", deflate, ["c1"]);
    let error = agent(config).start().unwrap_err();
    assert_eq!(
        error.to_string(),
        "source r1 asks for compression-type deflate, which this agent does not have yet"
    );
}
