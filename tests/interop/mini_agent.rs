//! Flume's own clients and sinks against the mini-agent: to them it must be a Flume.

use std::time::Duration;

use flume_mini_agent::MiniAgent;
use flume_tests::{ClientType, JavaSdk, SdkRun, Version};

use crate::{for_both_versions, hop};

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
    for (agent, share) in agents.iter().zip(shares) {
        agent.wait_for(share as usize, TIMEOUT).unwrap();
    }
    assert!(
        hop::numbers(&agents.each_ref()).into_iter().eq(0..EVENTS),
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
        hop::check(hop::before(&next_hop, version, "avro"), &next_hop);
    });
}

fn agent() -> MiniAgent {
    let settings = MiniAgent::builder().capacity(EVENTS as usize);
    settings.transaction_capacity(1_000).start().unwrap()
}
