//! Flume's own clients, sinks and source at the other end of the mini-agent's compressed and encrypted
//! connections.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use flume_mini_agent::config::{
    AgentConfig, AvroSinkConfig, AvroSourceConfig, Compression, MemoryChannelConfig, Nesting,
    SinkTlsConfig, ThriftProtocol, TlsConfig,
};
use flume_mini_agent::{MiniAgent, MiniAgentBuilder};
use flume_tests::{JavaClients, Version};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::keys::Keys;
use crate::one_client::OneClient;
use crate::suite::{AgentFactory, RealFactory};
use crate::{for_both_versions, hop};

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
            client.deliver_in_order([10, 100, 500], &agent);
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
            client.deliver_from_a_hundred_threads(&agent);
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
            let settings = hop::before(&next_hop, version, sink)
                .property("a1.sinks.k1.compression-type", compression);
            let hop = trust
                .settings()
                .into_iter()
                .fold(settings, |hop, (key, value)| {
                    hop.property(format!("a1.sinks.k1.{key}"), value)
                });
            hop::check(hop, &next_hop);
        }
    });
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
            client.deliver_in_order([10, 100, 500], &agent);
            client.succeed("close c");
        }
    });
}

#[test]
fn a_real_flumes_compressed_avro_sink_delivers_every_event_once() {
    for_both_versions(|version| {
        let next_hop = deflate();
        let hop = hop::before(&next_hop, version, "avro")
            .property("a1.sinks.k1.compression-type", "deflate");
        hop::check(hop, &next_hop);
    });
}

const SOURCES: &str = "
sources.packed: type = avro, port = {packed_port}, channels = c, compression-type = deflate
sources.tls: type = avro, port = {tls_port}, channels = c, ssl = true
  keystore = {tls_keystore}, keystore-password = changeit, keystore-type = JKS
sources.both: type = avro, port = {both_port}, channels = c, compression-type = deflate, ssl = true
  keystore = {both_keystore}, keystore-password = changeit, keystore-type = JKS
channels.c: type = memory, capacity = 10000
sinks.k: type = null, channel = c
";

#[test]
fn the_mini_agents_avro_sink_delivers_into_a_real_flumes_compressed_and_encrypted_sources() {
    for_both_versions(|version| {
        let flume = RealFactory(version).start(SOURCES);
        let mut java = JavaClients::start(version).unwrap();
        for (source, compression, is_encrypted) in [
            ("packed", Compression::Deflate, false),
            ("tls", Compression::None, true),
            ("both", Compression::Deflate, true),
        ] {
            let next = flume.addr(&format!("{source}_port"));
            let mut sink = AvroSinkConfig::new("127.0.0.1", next.port());
            sink.compression = compression;
            sink.nesting = nesting(version);
            // A trust store as Flume's own sinks have it.
            let trust = || SinkTlsConfig::new(PathBuf::from(Keys::get().jks("trust")));
            sink.tls = is_encrypted.then(trust);
            let mut channel = MemoryChannelConfig::default();
            (channel.capacity, channel.transaction_capacity) = (10_000, 1_000);
            let config = AgentConfig::builder("a1")
                .channel("c1", channel)
                .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
                .sink("k1", sink, "c1")
                .build();
            let mut agent = MiniAgent::configured(config.unwrap()).start().unwrap();
            let mut client = OneClient::avro(&mut java);
            client.open(agent.addr(), TIMEOUT_MS, "");
            client.succeed("send c 10 100 500");
            assert!(agent.drain(TIMEOUT).is_empty(), "{source}");
            client.succeed("close c");
            flume.wait_for_counter(&format!("SOURCE.{source}"), "EventAcceptedCount", "610");
        }
    });
}
