//! A real Flume between Flume's own client and a mini-agent: its sink delivers every event once.

use std::time::Duration;

use flume_mini_agent::MiniAgent;
use flume_tests::{JavaSdk, RealFlume, RealFlumeBuilder, SdkRun, Version};

const TIMEOUT: Duration = Duration::from_secs(60);
const EVENTS: u64 = 10_000;

/// A real Flume whose sink, of this kind, sends to the next hop.
pub(crate) fn before(next_hop: &MiniAgent, version: Version, kind: &str) -> RealFlumeBuilder {
    RealFlume::builder(version)
        .property("a1.sinks.k1.type", kind)
        .property("a1.sinks.k1.hostname", "127.0.0.1")
        .property("a1.sinks.k1.port", next_hop.addr().port().to_string())
}

/// Sends events into it; each is to arrive at the next hop once.
pub(crate) fn check(hop: RealFlumeBuilder, next_hop: &MiniAgent) {
    let hop = hop.start().unwrap();
    let run = SdkRun {
        events: EVENTS,
        body_bytes: 12,
        ..SdkRun::to(&[hop.addr()])
    };
    JavaSdk::run(hop.version(), &run).unwrap();
    next_hop.wait_for(EVENTS as usize, TIMEOUT).unwrap();
    assert!(numbers(&[next_hop]).into_iter().eq(0..EVENTS));
}

/// What Java's client has sent to these, in the order of its numbers. A body is the event's number.
pub(crate) fn numbers(agents: &[&MiniAgent]) -> Vec<u64> {
    let events = agents.iter().flat_map(|agent| agent.received());
    let mut numbers: Vec<u64> = events
        .map(|event| {
            assert_eq!(event.header_value("host"), Some("web-1"));
            std::str::from_utf8(event.body()).unwrap().parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}
