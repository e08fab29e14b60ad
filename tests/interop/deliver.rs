//! Our client against real agents.

use std::time::Duration;

use flume_client::{Client, Event, WindowMode};
use flume_tests::{RealFlume, Sink, Version, require_java, wait_until};

use crate::on_both_versions;

const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn no_connection_is_broken_by_early_pipelining_and_its_window_opens() {
    if !require_java() {
        return;
    }
    let agent = RealFlume::builder(Version::V1_11)
        .capacity(100_000)
        .start()
        .unwrap();
    for connection in 0..100 {
        let client = Client::builder().agent(agent.url()).build().unwrap();
        let events = (0..3_000)
            .map(|n| Event::new(format!("{connection} {n}")))
            .collect();
        drop(client.append_batch(events).unwrap());
        client.flush(TIMEOUT).wait().unwrap();
        let stats = client.stats();
        let agent = &stats.agents[0];
        assert_eq!(
            (stats.delivered, stats.batches_retried),
            (3_000, 0),
            "{stats:?}"
        );
        assert_eq!((stats.connects, agent.failures), (1, 0), "{stats:?}");
        assert!(agent.window_peak > 1, "connection {connection}: {stats:?}");
    }
    let accepted = agent
        .metrics()
        .unwrap()
        .counter("SOURCE.r1", "EventAcceptedCount");
    assert_eq!(accepted, Some(300_000));
}

#[test]
fn ordered_delivery_keeps_the_order_in_the_agents_file() {
    on_both_versions(
        |settings| settings.sink(Sink::FileRoll),
        |agent| {
            let client = Client::builder()
                .agent(agent.url())
                .window(WindowMode::Ordered);
            let client = client.build().unwrap();
            let lines: Vec<Vec<u8>> = (0..5_000).map(|n| format!("{n}").into_bytes()).collect();
            for line in &lines {
                drop(client.append_within(Event::new(line), TIMEOUT).unwrap());
            }
            assert!(client.close(TIMEOUT).wait().is_complete());
            agent.wait_for_drained(5_000, TIMEOUT).unwrap();
            let arrived = || agent.rolled_lines().unwrap().len() >= lines.len();
            wait_until("all lines in the agent's file", TIMEOUT, arrived).unwrap();
            assert!(
                agent.rolled_lines().unwrap() == lines,
                "the lines differ or changed places"
            );
        },
    );
}

#[test]
fn a_batch_over_the_transaction_capacity_is_refused_with_the_likely_reason() {
    on_both_versions(
        |settings| settings,
        |agent| {
            let client = Client::builder()
                .agent(agent.url())
                .batch_events(101)
                .build()
                .unwrap();
            let events = (0..101).map(|n| Event::new(n.to_string())).collect();
            drop(client.append_batch(events).unwrap());
            let error = client.flush(Duration::from_secs(2)).wait().unwrap_err();
            assert_eq!(error.pending, 101);
            let message = error.to_string();
            assert!(
                message.contains("FAILED") && message.contains("transactionCapacity"),
                "{message}"
            );
            let report = client.close(Duration::ZERO).wait();
            assert_eq!(report.lost.unknown, 101);
        },
    );
}
