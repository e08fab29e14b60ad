//! Our client at each kind of source that real agents have.

use std::time::{Duration, Instant};

use flume_client::{Client, ClientBuilder, Event, Receipt};
use flume_tests::{RealFlume, RealFlumeBuilder};

use crate::on_both_versions;

const TIMEOUT: Duration = Duration::from_secs(30);
const EVENTS: u64 = 10_000;

fn source(settings: RealFlumeBuilder, lines: &[(&str, &str)]) -> RealFlumeBuilder {
    lines.iter().fold(settings, |settings, (key, value)| {
        settings.property(format!("a1.sources.r1.{key}"), *value)
    })
}

fn accepted(agent: &RealFlume) -> Option<u64> {
    let metrics = agent.metrics().unwrap();
    metrics.counter("SOURCE.r1", "EventAcceptedCount")
}

fn url(agent: &RealFlume, scheme: &str, option: &str) -> String {
    format!("{scheme}://{}{option}", agent.addr())
}

/// A client of an agent, as this address says it.
fn client(url: &str) -> ClientBuilder {
    Client::builder().agent(url).linger(Duration::ZERO)
}

/// Delivers events, once each, after so many connections, with bodies and headers of every kind.
fn check(agent: &RealFlume, scheme: &str, connects: u64) {
    let client = client(&url(agent, scheme, "")).build().unwrap();
    let version = agent.version();
    let started = Instant::now();
    let first: Receipt = client
        .append(Event::new("first").header("größe", "ü"))
        .unwrap();
    first.wait(TIMEOUT).unwrap();
    let took = started.elapsed();
    println!("{scheme} of {version}: found out and acknowledged after {took:?}");
    let events = (1..EVENTS).map(|number| {
        let body: Vec<u8> = (0..number % 300).map(|byte| byte as u8).collect();
        Event::new(body).header("number", number.to_string())
    });
    drop(client.append_batch(events.collect()).unwrap());
    client.flush(TIMEOUT).wait().unwrap();
    let stats = client.stats();
    assert_eq!(
        (stats.delivered, stats.batches_retried),
        (EVENTS, 0),
        "{stats:?}"
    );
    assert_eq!(
        (stats.connects, stats.agents[0].failures),
        (connects, 0),
        "{stats:?}"
    );
    assert!(client.close(TIMEOUT).wait().is_complete());
    assert_eq!(accepted(agent), Some(EVENTS), "{scheme} of {version}");
}

#[test]
fn a_source_with_deflate_takes_all_events_once() {
    on_both_versions(
        |settings| source(settings, &[("compression-type", "deflate")]),
        |agent| check(&agent, "avro+deflate", 1),
    );
}

#[test]
fn a_thrift_source_takes_all_events_once() {
    on_both_versions(
        |settings| source(settings, &[("type", "thrift")]),
        |agent| check(&agent, "thrift", 1),
    );
}

#[test]
fn a_binary_thrift_source_is_found_out_with_a_second_connection_and_no_rest() {
    on_both_versions(
        |settings| source(settings, &[("type", "thrift"), ("protocol", "binary")]),
        |agent| check(&agent, "thrift", 2),
    );
}

/// What is told of an agent whose address says another kind of source, after an event that is kept.
fn refusal(agent: &RealFlume, scheme: &str) -> String {
    let client = client(&url(agent, scheme, "")).build().unwrap();
    let receipt = client.append(Event::new("kept")).unwrap();
    let told = || {
        let agents = client.stats().agents;
        agents[0].last_error.as_ref().map(ToString::to_string)
    };
    flume_tests::wait_until("a word about the agent", TIMEOUT, || told().is_some()).unwrap();
    assert!(receipt.wait(Duration::ZERO).is_err());
    let report = client.close(Duration::ZERO).wait();
    // It was not sent.
    assert_eq!((report.lost.closed, report.lost.unknown), (1, 0));
    let metrics = agent.metrics().unwrap();
    let received = metrics.counter("SOURCE.r1", "EventReceivedCount");
    assert_eq!(received, Some(0), "{scheme} of {}", agent.version());
    told().unwrap()
}

#[test]
fn at_another_kind_of_source_nothing_is_sent_and_the_reason_is_told() {
    type Lines = &'static [(&'static str, &'static str)];
    let cases: [(Lines, &[&str], &str); 3] = [
        (&[], &["thrift", "avro+deflate"], "source"),
        (&[("type", "thrift")], &["avro", "avro+deflate"], "source"),
        (
            &[("compression-type", "deflate")],
            &["avro", "thrift"],
            "source",
        ),
    ];
    for (lines, schemes, word) in cases {
        on_both_versions(
            |settings| source(settings, lines),
            |agent| {
                for scheme in schemes {
                    let told = refusal(&agent, scheme);
                    println!("{scheme} at {lines:?} of {}: {told}", agent.version());
                    assert!(told.contains(word), "{told}");
                }
            },
        );
    }
}
