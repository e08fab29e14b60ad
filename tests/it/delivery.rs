//! Fault-free runs: everything arrives, once, as it was given.

use std::collections::BTreeSet;
use std::thread;

use flume_client::{Client, Event, Reliability, WindowMode};
use flume_mini_agent::MiniAgent;

use crate::support::{Agent, HOUR, PATIENCE, append_all, assert_each_once, client_of, event};

/// Appends `count` events and checks that they arrive once.
fn check_once(count: u64) {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    let receipts = append_all(&client, 0..count);
    let report = client.close(PATIENCE).wait();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.delivered, count);
    assert_each_once(agent.stored(), count);
    for receipt in receipts {
        assert_eq!(
            receipt.wait(PATIENCE).unwrap().agent.to_string(),
            agent.url()
        );
    }
}

#[test]
fn one_event_arrives_once() {
    check_once(1);
}

#[test]
fn a_full_batch_arrives_once() {
    check_once(100);
}

#[test]
fn a_full_batch_and_one_event_arrive_once() {
    check_once(101);
}

#[test]
fn ten_thousand_events_arrive_once() {
    check_once(10_000);
}

#[test]
fn the_ordered_mode_keeps_the_order_over_many_batches() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).window(WindowMode::Ordered).build();
    let client = client.unwrap();
    append_all(&client, 0..5000);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_eq!(agent.stored(), (0..5000).collect::<Vec<_>>());
}

#[test]
fn each_thread_s_events_keep_their_order_in_the_ordered_mode() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).window(WindowMode::Ordered).build();
    let client = client.unwrap();
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let client = &client;
            scope.spawn(move || append_all(client, (0..1000).map(|n| thread * 1000 + n)));
        }
    });
    assert!(client.close(PATIENCE).wait().is_complete());
    let stored = agent.stored();
    for thread in 0..4_u64 {
        let own = stored.iter().filter(|number| **number / 1000 == thread);
        assert!(own.copied().eq(thread * 1000..(thread + 1) * 1000));
    }
    assert_each_once(stored, 4000);
}

#[test]
fn headers_and_bodies_arrive_byte_for_byte() {
    let bodies: [Vec<u8>; 4] = [
        Vec::new(),
        (0..=255).collect(),
        "żółw 🐢".into(),
        vec![0xff; 300_000],
    ];
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    for body in &bodies {
        let event = Event::new(body).header("host", "web-1").header("ü", "");
        drop(client.append(event).unwrap());
    }
    assert!(client.close(PATIENCE).wait().is_complete());
    let headers = [("host", "web-1"), ("ü", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let requests = agent.requests();
    let mut received: Vec<_> = requests.into_iter().flat_map(|r| r.events).collect();
    received.sort_by_key(|event| bodies.iter().position(|body| *body == event.body));
    assert_eq!(received.len(), bodies.len());
    for (event, body) in received.iter().zip(&bodies) {
        assert_eq!(event.headers, headers);
        assert!(event.body == *body, "a body of {} bytes", body.len());
    }
}

#[test]
fn events_are_named_unless_there_are_no_copies_to_tell_apart() {
    let named = |reliability| {
        let agent = Agent::good();
        let client = Client::builder()
            .agent(agent.url())
            .reliability(reliability);
        let client = client.build().unwrap();
        append_all(&client, 0..300);
        assert!(client.close(PATIENCE).wait().is_complete());
        let events = agent.requests().into_iter().flat_map(|it| it.events);
        let headers = events.flat_map(|event| event.headers);
        headers.collect::<BTreeSet<(String, String)>>()
    };
    let names = named(Reliability::InMemory);
    assert_eq!(names.len(), 300);
    for (key, value) in &names {
        assert_eq!(key, "guid");
        let (run, number) = value.split_once('-').unwrap();
        assert_eq!((run.len(), number.len()), (16, 16), "{value}");
    }
    assert!(named(Reliability::BestEffort).is_empty());
}

#[test]
fn a_faithful_agent_receives_everything_once_from_four_threads() {
    let agent = MiniAgent::builder().start().unwrap();
    let client = Client::builder().agent(agent.url()).build().unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let client = &client;
            scope.spawn(move || append_all(client, thread * 5000..(thread + 1) * 5000));
        }
    });
    assert!(client.close(PATIENCE).wait().is_complete());
    let events = agent.wait_for(20_000, PATIENCE).unwrap();
    let mut bodies: Vec<_> = events.iter().map(|event| event.body()).collect();
    let mut expected: Vec<_> = (0..20_000).map(event).collect();
    bodies.sort_unstable();
    expected.sort_by(|a, b| a.body().cmp(b.body()));
    assert!(bodies.into_iter().eq(expected.iter().map(Event::body)));
}

#[test]
fn nothing_is_sent_and_no_connection_made_before_the_first_event() {
    let agent = Agent::good();
    let client = client_of(&[&agent]).build().unwrap();
    client.flush(HOUR).wait().unwrap();
    assert!(client.close(HOUR).wait().is_complete());
    assert_eq!(agent.connections(), 0);
}
