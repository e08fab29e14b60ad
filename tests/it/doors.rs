//! Agents that are reached by different protocols, by one client.

use std::collections::BTreeSet;
use std::time::Duration;

use flume_client::{Client, ClientBuilder, Event, Reliability, Selection};
use flume_mini_agent::config::ThriftProtocol;
use flume_mini_agent::{Fault, MiniAgent, MiniAgentBuilder};
use flume_tests::wait_until;

use crate::support::{PATIENCE, assert_balanced, block_on, client_at, event};

/// What a Thrift source takes in one call (libthrift's limit for a frame).
const THRIFT_FRAME_MAX: usize = 16_384_000;

fn roomy() -> MiniAgentBuilder {
    MiniAgent::builder()
        .capacity(100_000)
        .transaction_capacity(10_000)
        .max_frame_bytes(64 << 20)
}

fn thrift(protocol: ThriftProtocol) -> MiniAgent {
    roomy().thrift(protocol).start().unwrap()
}

fn client_of(agents: &[&MiniAgent]) -> ClientBuilder {
    client_at(agents.iter().map(|agent| agent.url()).collect::<Vec<_>>())
}

fn bodies(agent: &MiniAgent, count: usize) -> Vec<String> {
    let received = agent.wait_for(count, PATIENCE).unwrap();
    let bodies = received
        .iter()
        .map(|it| String::from_utf8_lossy(it.body()).into_owned());
    bodies.collect()
}

fn names(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| format!("event {number}")).collect()
}

#[test]
fn each_thrift_protocol_takes_all_events_in_order_and_once() {
    for (protocol, connects) in [(ThriftProtocol::Compact, 1), (ThriftProtocol::Binary, 2)] {
        let agent = thrift(protocol);
        let client = client_of(&[&agent]).build().unwrap();
        for number in 0..5_000 {
            client.append_within(event(number), PATIENCE).unwrap();
        }
        client.flush(PATIENCE).wait().unwrap();
        let stats = client.stats();
        assert_balanced(&stats);
        assert_eq!((stats.delivered, stats.connects), (5_000, connects));
        assert!(stats.agents[0].last_error.is_none(), "{stats:?}");
        let all: BTreeSet<_> = bodies(&agent, 5_000).into_iter().collect();
        assert!(all == names(0..5_000).into_iter().collect());
        assert_eq!(agent.received_count(), 5_000);
    }
}

#[test]
fn a_dialect_that_was_found_out_is_the_first_one_the_next_time() {
    let mut agent = thrift(ThriftProtocol::Binary);
    let client = client_of(&[&agent]).build().unwrap();
    let send = |number| {
        client
            .append(event(number))
            .unwrap()
            .wait(PATIENCE)
            .unwrap()
    };
    send(0);
    let before = client.stats().connects;
    agent.restart().unwrap();
    // The connection that broke may be noticed by this one.
    send(1);
    let anew = client.stats().connects - before;
    assert!(agent.connections().len() as u64 <= before + anew);
    let greeted_wrongly = agent
        .connections()
        .iter()
        .filter(|it| it.requests == 0)
        .count();
    assert!(greeted_wrongly <= 1, "{:?}", agent.connections());
}

#[test]
fn what_a_thrift_source_refuses_is_sent_again() {
    let agent = thrift(ThriftProtocol::Compact);
    let client = client_of(&[&agent]).build().unwrap();
    let rule = agent.fault(Fault::Failed.times(3));
    let receipt = client.append(event(1)).unwrap();
    receipt.wait(PATIENCE).unwrap();
    drop(rule);
    let stats = client.stats();
    // The first one struck the greeting, which is answered then, too.
    assert_eq!(
        (stats.delivered, stats.batches_retried),
        (1, 2),
        "{stats:?}"
    );
    let error = stats.agents[0].last_error.as_ref().unwrap().to_string();
    assert!(error.contains("FAILED"), "{error}");
}

#[test]
fn events_too_many_for_a_frame_of_thrift_are_sent_as_halves() {
    let agent = thrift(ThriftProtocol::Compact);
    let client = client_of(&[&agent])
        .batch_bytes(64 << 20)
        .event_bytes(20 << 20);
    let client = client
        .buffer_bytes(512 << 20)
        .linger(Duration::from_millis(200));
    let client = client.build().unwrap();
    let large = |number: u8| Event::new(vec![number; 5 << 20]);
    drop(client.append_batch((0..8).map(large).collect()).unwrap());
    client.flush(PATIENCE * 3).wait().unwrap();
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.lost.total()), (8, 0), "{stats:?}");
    let received = agent.wait_for(8, PATIENCE).unwrap();
    let first: Vec<u8> = received.iter().map(|it| it.body()[0]).collect();
    let all: BTreeSet<u8> = first.iter().copied().collect();
    assert_eq!((first.len(), all), (8, (0..8).collect()));
}

#[test]
fn an_event_too_large_for_thrift_goes_to_another_kind_of_agent_and_others_do_not() {
    let (small, large) = (thrift(ThriftProtocol::Compact), roomy().start().unwrap());
    let client = client_of(&[&small, &large]).event_bytes(20 << 20);
    let client = client
        .batch_bytes(20 << 20)
        .buffer_bytes(512 << 20)
        .build()
        .unwrap();
    client.append(event(1)).unwrap().wait(PATIENCE).unwrap();
    let too_large = client
        .append(Event::new(vec![0; THRIFT_FRAME_MAX]))
        .unwrap();
    let ack = too_large.wait(PATIENCE * 3).unwrap();
    assert_eq!(ack.agent.to_string(), large.url());
    let receipt = client.append(event(2)).unwrap();
    assert_eq!(
        receipt.wait(PATIENCE).unwrap().agent.to_string(),
        small.url()
    );
    let stats = client.stats();
    assert_balanced(&stats);
    assert_eq!(
        (stats.delivered, stats.batches_retried),
        (3, 0),
        "{stats:?}"
    );
    let error = stats.agents[0].last_error.as_ref().unwrap().to_string();
    assert!(error.contains("16384000 bytes"), "{error}");
}

#[test]
fn an_event_that_no_agent_can_take_is_lost_and_told_and_holds_up_no_other() {
    let agents = [ThriftProtocol::Compact, ThriftProtocol::Binary].map(thrift);
    for level in [Reliability::InMemory, Reliability::BestEffort] {
        let client = client_of(&[&agents[0], &agents[1]]).event_bytes(20 << 20);
        let client = client.batch_bytes(20 << 20).buffer_bytes(512 << 20);
        let client = client.reliability(level).build().unwrap();
        let too_large = client
            .append(Event::new(vec![0; THRIFT_FRAME_MAX]))
            .unwrap();
        let others: Vec<_> = (0..10)
            .map(|number| client.append(event(number)).unwrap())
            .collect();
        for receipt in others {
            block_on(receipt.delivered()).unwrap();
        }
        let error = too_large.wait(PATIENCE * 3).unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
        let stats = client.stats();
        assert_balanced(&stats);
        assert_eq!((stats.delivered, stats.lost.rejected), (10, 1), "{stats:?}");
    }
}

/// One agent for each protocol.
fn mixed() -> [MiniAgent; 3] {
    let thrifts = [ThriftProtocol::Compact, ThriftProtocol::Binary].map(thrift);
    let [compact, binary] = thrifts;
    [roomy().start().unwrap(), compact, binary]
}

#[test]
fn agents_of_all_kinds_share_the_load() {
    let agents = mixed();
    let client = client_of(&[&agents[0], &agents[1], &agents[2]]);
    let client = client.selection(Selection::RoundRobin).build().unwrap();
    for number in 0..30_000 {
        client.append_within(event(number), PATIENCE).unwrap();
    }
    client.flush(PATIENCE).wait().unwrap();
    assert_eq!(client.stats().delivered, 30_000);
    let total = || agents.iter().map(MiniAgent::received_count).sum::<u64>() == 30_000;
    wait_until("all to be received", PATIENCE, total).unwrap();
    let counts = agents.each_ref().map(MiniAgent::received_count);
    assert!(counts.iter().all(|count| *count > 3_000), "{counts:?}");
}

#[test]
fn one_of_another_kind_takes_over_and_gives_back() {
    let mut agents = mixed();
    let client = client_of(&[&agents[0], &agents[1], &agents[2]])
        .build()
        .unwrap();
    let send = |client: &Client, number| {
        let receipt = client.append(event(number)).unwrap();
        receipt.wait(PATIENCE).unwrap().agent.to_string()
    };
    let urls = agents.each_ref().map(MiniAgent::url);
    assert_eq!(send(&client, 0), urls[0]);
    agents[0].stop();
    assert_eq!(send(&client, 1), urls[1]);
    agents[1].stop();
    assert_eq!(send(&client, 2), urls[2]);
    agents[0].start_again().unwrap();
    let is_back = || send(&client, 3) == urls[0];
    wait_until("the first to take over", PATIENCE, is_back).unwrap();
}
