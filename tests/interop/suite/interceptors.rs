//! Interceptors between a source and its channels.

use std::net::IpAddr;

use super::event::{Answer, Event};
use super::{AgentUnderTest, Scenario, flow, on_every_agent};

pub(super) const SCENARIOS: &[Scenario] = &[
    flow!(
        I1,
        i1_headers_are_added_in_order_and_kept_where_it_is_so_wanted
    ),
    flow!(I2, i2_what_a_filter_drops_is_accepted_and_stored_nowhere),
];

on_every_agent!(SCENARIOS);

const I1: &str = "
sources.i1: type = avro, port = {i1_port}, channels = i1
  interceptors = first second over time host, interceptors.first.type = static
  interceptors.first.key = a, interceptors.first.value = first, interceptors.second.type = static
  interceptors.second.key = a, interceptors.second.value = second
  interceptors.over.type = static, interceptors.over.key = b, interceptors.over.value = over
  interceptors.over.preserveExisting = false, interceptors.time.type = timestamp
  interceptors.host.type = host, interceptors.host.preserveExisting = true
channels.i1: type = memory
sinks.i1: type = avro, port = {i1_peer}, batch-size = 2, channel = i1
";

fn i1_headers_are_added_in_order_and_kept_where_it_is_so_wanted(agent: &dyn AgentUnderTest) {
    let mut client = agent.client("i1_port");
    let full = Event::new("full")
        .header("a", "own")
        .header("b", "own")
        .header("timestamp", "1")
        .header("host", "own");
    let batch = [Event::new("bare"), full];
    assert_eq!(client.append_batch(&batch), Answer::Ok);
    let mut arrived = agent.peer("i1_peer").wait_for_accepted(2);
    for event in &mut arrived {
        // Overwritten, since nobody wants it preserved.
        let time = event.headers.remove("timestamp").unwrap();
        assert!(time.len() == 13 && time.parse::<u64>().is_ok(), "{time}");
    }
    let host = arrived[0].headers.remove("host").unwrap();
    assert!(host.parse::<IpAddr>().is_ok(), "{host}");
    let expected = [
        Event::new("bare").header("a", "first").header("b", "over"),
        Event::new("full")
            .header("a", "own")
            .header("b", "over")
            .header("host", "own"),
    ];
    assert_eq!(arrived, expected);
}

const I2: &str = "
sources.i2: type = avro, port = {i2_port}, channels = i2, interceptors = drop
  interceptors.drop.type = regex_filter, interceptors.drop.regex = ^debug
  interceptors.drop.excludeEvents = true
sources.i2only: type = avro, port = {i2only_port}, channels = i2only, interceptors = pass
  interceptors.pass.type = regex_filter, interceptors.pass.regex = err[0-9]+
channels.i2: type = memory
channels.i2only: type = memory
";

fn i2_what_a_filter_drops_is_accepted_and_stored_nowhere(agent: &dyn AgentUnderTest) {
    let batch = ["debug 1", "a debug", "an err7"].map(Event::new);
    for (source, stored) in [("i2", "2"), ("i2only", "1")] {
        let mut client = agent.client(&format!("{source}_port"));
        assert_eq!(client.append_batch(&batch), Answer::Ok);
        assert_eq!(client.append(&Event::new("debug 2")), Answer::Ok);
        let channel = format!("CHANNEL.{source}");
        agent.wait_for_counter(&channel, "ChannelSize", stored);
        agent.wait_for_counter(&channel, "EventPutAttemptCount", stored);
        let source = format!("SOURCE.{source}");
        agent.wait_for_counter(&source, "EventAcceptedCount", "4");
    }
}
