//! Flume's own clients, sinks and source at the other end of the mini-agent's compressed and encrypted
//! connections.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use flume_mini_agent::config::{
    AgentConfig, AvroSinkConfig, AvroSourceConfig, Compression, MemoryChannelConfig, Nesting,
    ThriftProtocol, TlsConfig,
};
use flume_mini_agent::{MiniAgent, MiniAgentBuilder};
use flume_tests::{JavaClients, JavaSdk, RealFlume, SdkRun, Version};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::for_both_versions;
use crate::one_client::OneClient;
use crate::suite::{AgentFactory, RealFactory};

const TIMEOUT: Duration = Duration::from_secs(60);
const TIMEOUT_MS: u32 = 60_000;

fn builder() -> MiniAgentBuilder {
    let builder = MiniAgent::builder().capacity(100_000);
    builder.transaction_capacity(1_000)
}

fn deflate() -> MiniAgent {
    builder().deflate().start().unwrap()
}

/// A key store for agents, and a trust store of Java's that trusts it.
struct Trust {
    keystore: String,
    directory: TempDir,
}

impl Trust {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let params = CertificateParams::new(names.to_vec()).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();

        let directory = tempfile::tempdir().unwrap();
        let pem = directory.path().join("ca.pem");
        fs::write(&pem, authority.pem()).unwrap();
        let mut keytool = Command::new("keytool");
        keytool.args(["-importcert", "-noprompt", "-alias", "ca", "-file"]);
        keytool.arg(pem).args(["-storetype", "JKS"]);
        keytool.args(["-storepass", "secret1", "-keystore"]);
        let made = keytool.arg(directory.path().join("trust.jks")).output();
        assert!(made.unwrap().status.success());
        Self {
            keystore: certificate.pem() + &key.serialize_pem(),
            directory,
        }
    }

    /// An agent's TLS, as the Avro clients of this version can meet it.
    ///
    /// Those of 1.9 drop what comes in one read with the server's first message of TLS 1.3: Netty 3
    /// looks no further when Java has something to say in between.
    fn of_agent(&self, version: Version) -> TlsConfig {
        let mut tls = TlsConfig::new(self.keystore.clone());
        if version == Version::V1_9 {
            tls.exclude_protocols.push("TLSv1.3".to_owned());
        }
        tls
    }

    /// What Flume's clients and sinks are told.
    fn settings(&self) -> [(&'static str, String); 4] {
        let path = self.directory.path().join("trust.jks");
        [
            ("ssl", "true".to_owned()),
            ("truststore", path.display().to_string()),
            ("truststore-password", "secret1".to_owned()),
            ("truststore-type", "JKS".to_owned()),
        ]
    }

    fn words(&self) -> String {
        let pairs = self.settings().map(|(key, value)| format!("{key}={value}"));
        pairs.join(" ")
    }
}

/// As that version's own sources have it.
fn nesting(version: Version) -> Nesting {
    match version {
        Version::V1_9 => Nesting::TlsOutside,
        _ => Nesting::ZlibOutside,
    }
}

#[test]
fn the_java_clients_deliver_into_sources_with_tls_and_with_tls_and_compression() {
    for_both_versions(|version| {
        let trust = Trust::new();
        let mut java = JavaClients::start(version).unwrap();
        let plain = trust.words();
        let both = format!("{plain} compression-type=deflate");
        let tls = || builder().tls(trust.of_agent(version));
        let layered = tls().deflate().nesting(nesting(version));
        for (agent, settings) in [(tls(), plain), (layered, both)] {
            let agent = agent.start().unwrap();
            let mut client = OneClient::avro(&mut java);
            client.open(agent.addr(), TIMEOUT_MS, &settings);
            client.succeed("send c 10 100 500");
            let events = agent.wait_for(610, TIMEOUT).unwrap();
            let bodies = events.iter().map(|event| event.body().to_vec());
            let expected = (0..610).map(|n: u32| n.to_string().into_bytes());
            assert!(bodies.eq(expected), "{settings}");
            client.succeed("close c");
        }
        for (protocol, name) in [
            (ThriftProtocol::Compact, "compact"),
            (ThriftProtocol::Binary, "binary"),
        ] {
            let agent = builder().tls(trust.keystore.clone());
            let agent = agent.thrift(protocol).start().unwrap();
            let mut client = OneClient::thrift(&mut java);
            let settings = format!("{} protocol={name} maxConnections=5", trust.words());
            client.open(agent.addr(), TIMEOUT_MS, &settings);
            client.succeed("storm c 100 10 10");
            let events = agent.wait_for(10_000, TIMEOUT).unwrap();
            let different: BTreeSet<_> = events.iter().map(|event| event.body().to_vec()).collect();
            assert_eq!((events.len(), different.len()), (10_000, 10_000));
            client.succeed("close c");
        }
    });
}

/// So says [`Trust::of_agent`]; a real source of 1.9 is met only because it sends in pieces.
#[test]
fn the_avro_client_of_1_9_does_not_end_a_handshake_of_tls_1_3_that_comes_at_once() {
    for_both_versions(|version| {
        if version != Version::V1_9 {
            return;
        }
        let trust = Trust::new();
        let agent = builder().tls(trust.keystore.clone()).start().unwrap();
        let mut java = JavaClients::start(version).unwrap();
        let mut client = OneClient::avro(&mut java);
        client.open(agent.addr(), 5_000, &trust.words());
        let (_, message) = client.fail("send c 1");
        assert!(message.ends_with("Failed to send event"), "{message}");
        assert!(agent.received().is_empty());
    });
}

#[test]
fn a_real_flumes_encrypted_sinks_deliver_every_event_once() {
    for_both_versions(|version| {
        let trust = Trust::new();
        let tls = || builder().tls(trust.of_agent(version));
        let thrift = builder().tls(trust.keystore.clone());
        let thrift = thrift.thrift(ThriftProtocol::Compact);
        let both = tls().deflate().nesting(nesting(version));
        for (next_hop, sink, compression) in [
            (tls(), "avro", "none"),
            (both, "avro", "deflate"),
            (thrift, "thrift", "none"),
        ] {
            let next_hop = next_hop.start().unwrap();
            let settings = RealFlume::builder(version)
                .property("a1.sinks.k1.type", sink)
                .property("a1.sinks.k1.hostname", "127.0.0.1")
                .property("a1.sinks.k1.port", next_hop.addr().port().to_string())
                .property("a1.sinks.k1.compression-type", compression);
            let hop = trust
                .settings()
                .into_iter()
                .fold(settings, |hop, (key, value)| {
                    hop.property(format!("a1.sinks.k1.{key}"), value)
                });
            deliver_through(version, &hop.start().unwrap(), &next_hop);
        }
    });
}

/// Sends 10,000 events into a hop; each is to arrive at the next one once.
fn deliver_through(version: Version, hop: &RealFlume, next_hop: &MiniAgent) {
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
        deliver_through(version, &hop, &next_hop);
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
