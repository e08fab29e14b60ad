//! Flume's own clients and sinks against the mini-agent: to them it must be a Flume.

use std::time::Duration;

use flume_mini_agent::MiniAgent;
use flume_tests::{ClientType, JavaSdk, RealFlume, SdkRun, Version};

use crate::for_both_versions;

const TIMEOUT: Duration = Duration::from_secs(60);
const EVENTS: u64 = 100_000;

#[test]
fn the_java_clients_deliver_a_hundred_thousand_events_each_once() {
    for_both_versions(|version| {
        for (batch, threads) in [(1, 4), (100, 1), (1_000, 1)] {
            check_delivery(version, ClientType::Default, batch, threads);
            check_delivery(version, ClientType::Failover, batch, threads);
            check_delivery(version, ClientType::LoadBalance, batch, threads);
        }
    });
}

/// Two agents: the default client uses the first, failover too, and load balancing both.
fn check_delivery(version: Version, client_type: ClientType, batch: usize, threads: usize) {
    let agents = [agent(), agent()];
    let run = SdkRun {
        client_type,
        batch,
        threads,
        events: EVENTS,
        body_bytes: 12,
        ..SdkRun::to(&agents.each_ref().map(MiniAgent::addr))
    };
    let rounds = JavaSdk::run(version, &run).unwrap();
    assert_eq!(rounds[0].retries, 0);

    let shares = agents.each_ref().map(|agent| agent.stats().events_accepted);
    let mut numbers = Vec::new();
    for (agent, share) in agents.iter().zip(shares) {
        let events = agent.wait_for(share as usize, TIMEOUT).unwrap();
        numbers.extend(events.iter().map(|event| number(event.body())));
        assert!(
            events
                .iter()
                .all(|event| event.header_value("host") == Some("web-1"))
        );
    }
    numbers.sort_unstable();
    assert!(
        numbers.into_iter().eq(0..EVENTS),
        "{client_type:?}, batch {batch}: {shares:?}"
    );
    match client_type {
        ClientType::LoadBalance => assert!(shares.iter().all(|share| *share > 0), "{shares:?}"),
        _ => assert_eq!(shares, [EVENTS, 0]),
    }
}

#[test]
fn a_real_flumes_avro_sink_delivers_every_event_once() {
    for_both_versions(|version| {
        let next_hop = agent();
        let port = next_hop.addr().port().to_string();
        let hop = RealFlume::builder(version)
            .property("a1.sinks.k1.type", "avro")
            .property("a1.sinks.k1.hostname", "127.0.0.1")
            .property("a1.sinks.k1.port", &port)
            .start()
            .unwrap();
        let run = SdkRun {
            events: 10_000,
            body_bytes: 12,
            ..SdkRun::to(&[hop.addr()])
        };
        JavaSdk::run(version, &run).unwrap();
        let events = next_hop.wait_for(10_000, TIMEOUT).unwrap();
        let mut numbers: Vec<u64> = events.iter().map(|event| number(event.body())).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..10_000));
    });
}

fn agent() -> MiniAgent {
    let settings = MiniAgent::builder().capacity(EVENTS as usize);
    settings.transaction_capacity(1_000).start().unwrap()
}

/// A body of the Java program is the event's number.
fn number(body: &[u8]) -> u64 {
    std::str::from_utf8(body).unwrap().parse().unwrap()
}
