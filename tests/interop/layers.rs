//! Flume's own client, sink and source at the other end of the mini-agent's compressed connections.

use std::time::Duration;

use flume_mini_agent::MiniAgent;
use flume_mini_agent::config::{
    AgentConfig, AvroSinkConfig, AvroSourceConfig, Compression, MemoryChannelConfig,
};
use flume_tests::{JavaClients, JavaSdk, RealFlume, SdkRun};

use crate::for_both_versions;
use crate::one_client::OneClient;
use crate::suite::{AgentFactory, RealFactory};

const TIMEOUT: Duration = Duration::from_secs(60);
const TIMEOUT_MS: u32 = 60_000;

fn deflate() -> MiniAgent {
    let builder = MiniAgent::builder().capacity(100_000);
    let builder = builder.transaction_capacity(1_000).deflate();
    builder.start().unwrap()
}

#[test]
fn the_java_client_delivers_into_a_compressed_source_at_every_level() {
    for_both_versions(|version| {
        let mut java = JavaClients::start(version).unwrap();
        for level in [0, 1, 6, 9] {
            let agent = deflate();
            let mut client = OneClient::avro(&mut java);
            let settings = format!("compression-type=deflate compression-level={level}");
            client.open(agent.addr(), TIMEOUT_MS, &settings);
            client.succeed("send c 10 100 500");
            let events = agent.wait_for(610, TIMEOUT).unwrap();
            let bodies = events.iter().map(|event| event.body().to_vec());
            let expected = (0..610).map(|n: u32| n.to_string().into_bytes());
            assert!(bodies.eq(expected), "level {level}");
            client.succeed("close c");
        }
    });
}

#[test]
fn a_real_flumes_compressed_avro_sink_delivers_every_event_once() {
    for_both_versions(|version| {
        let next_hop = deflate();
        let port = next_hop.addr().port().to_string();
        let hop = RealFlume::builder(version)
            .property("a1.sinks.k1.type", "avro")
            .property("a1.sinks.k1.hostname", "127.0.0.1")
            .property("a1.sinks.k1.port", &port)
            .property("a1.sinks.k1.compression-type", "deflate")
            .start()
            .unwrap();
        let run = SdkRun {
            events: 10_000,
            body_bytes: 12,
            ..SdkRun::to(&[hop.addr()])
        };
        JavaSdk::run(version, &run).unwrap();
        let events = next_hop.wait_for(10_000, TIMEOUT).unwrap();
        let number = |body: &[u8]| std::str::from_utf8(body).unwrap().parse::<u64>().unwrap();
        let mut numbers: Vec<_> = events.iter().map(|event| number(event.body())).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..10_000));
    });
}

const SOURCE: &str = "
sources.d: type = avro, port = {d_port}, channels = c, compression-type = deflate
channels.c: type = memory, capacity = 10000
sinks.k: type = null, channel = c
";

#[test]
fn the_mini_agents_avro_sink_delivers_into_a_real_flumes_compressed_source() {
    for_both_versions(|version| {
        let flume = RealFactory(version).start(SOURCE);
        let mut sink = AvroSinkConfig::new("127.0.0.1", flume.addr("d_port").port());
        sink.compression = Compression::Deflate;
        let mut channel = MemoryChannelConfig::default();
        (channel.capacity, channel.transaction_capacity) = (10_000, 1_000);
        let config = AgentConfig::builder("a1")
            .channel("c1", channel)
            .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
            .sink("k1", sink, "c1")
            .build();
        let mut agent = MiniAgent::configured(config.unwrap()).start().unwrap();
        let mut java = JavaClients::start(version).unwrap();
        let mut client = OneClient::avro(&mut java);
        client.open(agent.addr(), TIMEOUT_MS, "");
        client.succeed("send c 10 100 500");
        assert!(agent.drain(TIMEOUT).is_empty());
        flume.wait_for_counter("SOURCE.d", "EventAcceptedCount", "610");
    });
}
