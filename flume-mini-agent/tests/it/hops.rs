//! Agents that pass events on to agents.

use std::time::Duration;

use flume_client::{Client, Event};
use flume_mini_agent::config::{
    AgentConfig, AvroSinkConfig, AvroSourceConfig, FailoverConfig, LoadBalanceConfig,
    MemoryChannelConfig, ProcessorConfig,
};
use flume_mini_agent::{Fault, MiniAgent};

use crate::support::{LIMIT, batch, status};

/// Waits after failures; long enough to look at what a failure left.
const BACKOFF: Duration = Duration::from_millis(20);
const CAPACITY: usize = 10;
const BATCH: usize = 5;

/// Ten events, batches of five, no wait for room.
fn memory() -> MemoryChannelConfig {
    let mut config = MemoryChannelConfig::default();
    config.capacity = CAPACITY;
    config.transaction_capacity = BATCH;
    config.keep_alive = Duration::ZERO;
    config
}

fn avro_sink(to: &MiniAgent, batch_size: usize) -> AvroSinkConfig {
    let mut config = AvroSinkConfig::new("127.0.0.1", to.addr().port());
    config.batch_size = batch_size;
    config
}

/// An agent that passes everything on to `to`.
fn hop(to: &MiniAgent) -> MiniAgent {
    let config = AgentConfig::builder("a1")
        .channel("c1", memory())
        .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .sink("k1", avro_sink(to, BATCH), "c1");
    MiniAgent::configured(config.build().unwrap())
        .sink_backoff(BACKOFF)
        .start()
        .unwrap()
}

fn client(agent: &MiniAgent) -> Client {
    let builder = Client::builder().agent(agent.url());
    builder.batch_events(BATCH as u32).build().unwrap()
}

fn event(id: usize) -> Event {
    Event::new("x").header("id", id.to_string())
}

fn wait_for_size(agent: &MiniAgent, events: usize) {
    let reached = agent.wait_until(LIMIT, |stats| stats.channel_size == events as u64);
    reached.unwrap();
}

#[test]
fn a_chain_fills_back_from_a_dead_end_and_drains_without_a_loss_when_it_is_back() {
    let mut c = MiniAgent::builder().start().unwrap();
    let b = hop(&c);
    let a = hop(&b);
    let client = client(&a);
    client.append(event(0)).unwrap().wait(LIMIT).unwrap();
    c.wait_for(1, LIMIT).unwrap();
    c.stop();
    let mut sent = vec![event(0)];
    // B fills, then A; the client has what is answered OK.
    for id in 1..=2 * CAPACITY {
        sent.push(event(id));
        client.append(event(id)).unwrap().wait(LIMIT).unwrap();
        let in_b = id.min(CAPACITY);
        wait_for_size(&b, in_b);
        wait_for_size(&a, id - in_b);
    }
    let extra = event(2 * CAPACITY + 1);
    sent.push(extra.clone());
    let last = client.append(extra).unwrap();
    a.wait_until(LIMIT, |stats| stats.batches_failed > 0)
        .unwrap();
    assert!(a.sink_error().unwrap().contains("it answered FAILED"));
    assert!(b.sink_error().unwrap().contains("cannot connect to"));
    c.start_again().unwrap();
    last.wait(LIMIT).unwrap();
    c.wait_for(sent.len(), LIMIT).unwrap();
    let ledger = c.ledger("id");
    ledger.assert_no_loss(&sent);
    assert!(ledger.duplicates().is_empty());
    wait_for_size(&a, 0);
    wait_for_size(&b, 0);
}

#[test]
fn an_answer_that_gets_lost_between_two_agents_doubles_events_and_loses_none() {
    let b = MiniAgent::builder().start().unwrap();
    let a = hop(&b);
    let fault = b.fault(Fault::CommitThenDrop.times(1));
    let client = client(&a);
    client.append(event(0)).unwrap().wait(LIMIT).unwrap();
    b.wait_for(2, LIMIT).unwrap();
    drop(fault);
    client.append(event(1)).unwrap().wait(LIMIT).unwrap();
    b.wait_for(3, LIMIT).unwrap();
    let ledger = b.ledger("id");
    ledger.assert_no_loss(&[event(0), event(1)]);
    assert_eq!(ledger.duplicates().len(), 1);
}

#[test]
fn p8_an_agent_that_does_not_answer_in_time_is_tried_again_over_a_new_connection() {
    let b = MiniAgent::builder().start().unwrap();
    let hang = b.fault(Fault::Hang.header("id", "0").times(1));
    let mut sink = avro_sink(&b, BATCH);
    sink.request_timeout = BACKOFF;
    sink.connect_timeout = BACKOFF;
    let config = AgentConfig::builder("a1")
        .channel("c1", memory())
        .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .sink("k1", sink, "c1");
    let a = MiniAgent::configured(config.build().unwrap())
        .sink_backoff(BACKOFF)
        .start()
        .unwrap();
    client(&a).append(event(0)).unwrap().wait(LIMIT).unwrap();
    b.wait_for(1, LIMIT).unwrap();
    assert_eq!(hang.hits().len(), 1);
    let error = a.sink_error().unwrap();
    assert!(
        error.contains("within 20ms") || error.contains("did not answer"),
        "{error}"
    );
}

#[test]
fn p9_failures_and_turns_are_counted_as_in_flume() {
    let mut b = MiniAgent::builder().start().unwrap();
    b.stop();
    let mut a = hop(&b);
    a.wait_until(LIMIT, |stats| stats.sink_failures >= 5)
        .unwrap();
    let json = a.metrics_json();
    assert!(!json.contains(r#""ConnectionFailedCount":"0""#), "{json}");
    assert!(!json.contains(r#""EventWriteFail":"0""#), "{json}");
    b.start_again().unwrap();
    b.wait_until(LIMIT, |stats| stats.connections_open == 1)
        .unwrap();
    client(&a).append(event(0)).unwrap().wait(LIMIT).unwrap();
    b.wait_for(1, LIMIT).unwrap();
    a.stop();
    let json = a.metrics_json();
    for expected in [
        r#""ConnectionCreatedCount":"1""#,
        r#""ConnectionClosedCount":"1""#,
        r#""BatchUnderflowCount":"1""#,
        r#""BatchCompleteCount":"0""#,
        r#""EventDrainAttemptCount":"1""#,
    ] {
        assert!(json.contains(expected), "{expected} in {json}");
    }
}

#[test]
fn a_connection_that_the_next_agent_closed_is_replaced_without_a_failure() {
    let mut b = MiniAgent::builder().start().unwrap();
    let a = hop(&b);
    let client = client(&a);
    client.append(event(0)).unwrap().wait(LIMIT).unwrap();
    // Its commit shows that the answer has come.
    a.wait_until(LIMIT, |stats| stats.events_drained == 1)
        .unwrap();
    b.restart().unwrap();
    client.append(event(1)).unwrap().wait(LIMIT).unwrap();
    b.wait_for(2, LIMIT).unwrap();
    assert_eq!(a.stats().sink_failures, 0);
}

/// An agent with a group of sinks to `b` and `c` and 40 events in its channel, when it starts.
fn group(b: &MiniAgent, c: &MiniAgent, processor: impl Into<ProcessorConfig>) -> MiniAgent {
    let mut memory = memory();
    memory.capacity = 40;
    let config = AgentConfig::builder("a1")
        .channel("c1", memory)
        .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .sink("k1", avro_sink(b, BATCH), "c1")
        .sink("k2", avro_sink(c, BATCH), "c1")
        .group("g1", ["k1", "k2"], processor);
    let agent = MiniAgent::configured(config.build().unwrap())
        .sink_backoff(BACKOFF)
        .sinks_paused(true)
        .start()
        .unwrap();
    let mut client = crate::support::Client::greeted(&agent);
    for serial in 1..=8 {
        client.send_bytes(&batch(serial, BATCH));
        client.expect(&status(serial, "00"));
    }
    agent.resume_sink();
    agent
}

#[test]
fn a_load_balancing_group_shares_batches_evenly() {
    let [b, c] = [(); 2].map(|()| MiniAgent::builder().start().unwrap());
    let _a = group(&b, &c, LoadBalanceConfig::default());
    b.wait_for(20, LIMIT).unwrap();
    c.wait_for(20, LIMIT).unwrap();
}

#[test]
fn a_failover_group_uses_the_better_sink_and_the_other_when_that_is_dead() {
    let [b, mut c] = [(); 2].map(|()| MiniAgent::builder().start().unwrap());
    let priorities = || FailoverConfig::new([("k1", 1), ("k2", 2)]);
    let _a = group(&b, &c, priorities());
    c.wait_for(40, LIMIT).unwrap();
    assert_eq!(b.received_count(), 0);
    c.stop();
    let a = group(&b, &c, priorities());
    b.wait_for(40, LIMIT).unwrap();
    assert!(a.stats().sink_failures > 0);
}

#[test]
fn two_sinks_share_a_channel_and_each_event_goes_to_one_of_them() {
    let [b, c] = [(); 2].map(|()| MiniAgent::builder().start().unwrap());
    let mut memory = memory();
    memory.capacity = 1000;
    let config = AgentConfig::builder("a1")
        .channel("c1", memory)
        .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .sink("k1", avro_sink(&b, BATCH), "c1")
        .sink("k2", avro_sink(&c, BATCH), "c1");
    let a = MiniAgent::configured(config.build().unwrap())
        .start()
        .unwrap();
    let client = client(&a);
    let receipts: Vec<_> = (0..500)
        .map(|id| client.append(event(id)).unwrap())
        .collect();
    for receipt in receipts {
        receipt.wait(LIMIT).unwrap();
    }
    a.wait_until(LIMIT, |stats| stats.events_drained == 500)
        .unwrap();
    // What has arrived there is not yet in the hands of their sinks.
    let received = [&b, &c].map(|agent| {
        let accepted = usize::try_from(agent.stats().events_accepted).unwrap();
        agent.wait_for(accepted, LIMIT).unwrap()
    });
    let received = received.concat();
    let ids = received
        .iter()
        .map(|event| event.header_value("id").unwrap());
    assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), 500);
    assert_eq!(received.len(), 500);
}
