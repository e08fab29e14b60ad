//! Avro sinks with TLS: the next agent is the mini-agent, with certificates made here.

use std::fs;

use flume_mini_agent::config::{
    AgentConfig, AvroSinkConfig, AvroSourceConfig, MemoryChannelConfig, SinkTlsConfig,
};
use flume_mini_agent::{MiniAgent, StartError};

use crate::certificates::Authority;
use crate::support::{APPEND, Client, LIMIT, batch, status};

/// An agent that passes on what it gets.
fn hop(sink: AvroSinkConfig) -> Result<MiniAgent, StartError> {
    let config = AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .sink("k1", sink, "c1")
        .build();
    MiniAgent::configured(config.unwrap()).start()
}

fn sink_to(next: &MiniAgent, tls: SinkTlsConfig) -> AvroSinkConfig {
    let mut sink = AvroSinkConfig::new("127.0.0.1", next.addr().port());
    sink.tls = Some(tls);
    sink
}

/// Sends 91 events into a hop, all of which are to arrive.
fn deliver(sink: AvroSinkConfig, next: &MiniAgent) {
    let mut hop = hop(sink).unwrap();
    let mut client = Client::greeted(&hop);
    client.send(APPEND);
    client.expect(&status(1, "00"));
    client.send_bytes(&batch(2, 90));
    client.expect(&status(2, "00"));
    assert!(hop.drain(LIMIT).is_empty());
    assert_eq!(next.wait_for(91, LIMIT).unwrap().len(), 91);
    next.forget_received();
}

/// What a sink says that has failed; the next agent got nothing.
fn told(sink: AvroSinkConfig, next: &MiniAgent) -> String {
    let hop = hop(sink).unwrap();
    hop.wait_until(LIMIT, |stats| stats.sink_failures > 0)
        .unwrap();
    assert_eq!(next.stats().requests, 0);
    hop.sink_error().unwrap()
}

#[test]
fn an_avro_sink_passes_events_on_under_tls_with_either_version() {
    let authority = Authority::new();
    let next = MiniAgent::builder().tls(authority.sign("127.0.0.1").pem);
    let next = next.start().unwrap();
    let mut tls = SinkTlsConfig::new(authority.pem);
    deliver(sink_to(&next, tls.clone()), &next);
    tls.exclude_protocols = vec!["SSLv3".to_owned(), "TLSv1.2".to_owned()];
    deliver(sink_to(&next, tls), &next);
}

#[cfg(feature = "compression")]
#[test]
fn an_avro_sink_passes_events_on_under_tls_and_compression_in_either_nesting() {
    use flume_mini_agent::config::{Compression, Nesting};

    let authority = Authority::new();
    for nesting in [Nesting::TlsOutside, Nesting::ZlibOutside] {
        let builder = MiniAgent::builder().deflate().nesting(nesting);
        let next = builder.tls(authority.sign("127.0.0.1").pem).start();
        let next = next.unwrap();
        let mut sink = sink_to(&next, SinkTlsConfig::new(authority.pem.clone()));
        sink.compression = Compression::Deflate;
        sink.nesting = nesting;
        deliver(sink, &next);
    }
}

#[test]
fn an_agent_that_is_not_trusted_or_has_another_name_gets_nothing_and_is_told_of() {
    let (authority, other) = (Authority::new(), Authority::new());
    let agent = |identity| {
        let builder = MiniAgent::builder().tls(identity);
        builder.start().unwrap()
    };
    let next = agent(other.sign("127.0.0.1").pem);
    let tls = SinkTlsConfig::new(authority.pem);
    let unknown = told(sink_to(&next, tls.clone()), &next);
    assert!(
        unknown.contains("cannot connect to 127.0.0.1:"),
        "{unknown}"
    );
    assert!(unknown.contains("is not signed by"), "{unknown}");
    let next = agent(other.sign("elsewhere.example").pem);
    let misnamed = told(sink_to(&next, SinkTlsConfig::new(other.pem)), &next);
    assert!(misnamed.contains("elsewhere.example"), "{misnamed}");
    let plain = MiniAgent::builder().start().unwrap();
    let told = told(sink_to(&plain, tls), &plain);
    assert!(told.contains("closed the connection"), "{told}");
}

#[cfg(feature = "dangerous-trust-any-certificate")]
#[test]
fn a_sink_that_trusts_all_certificates_takes_any_of_any_name() {
    use flume_mini_agent::config::SinkTrust;

    let authority = Authority::new();
    let next = MiniAgent::builder().tls(authority.sign("elsewhere.example").pem);
    let next = next.start().unwrap();
    let mut tls = SinkTlsConfig::new(String::new());
    tls.trust = SinkTrust::Any;
    deliver(sink_to(&next, tls), &next);
}

#[test]
fn a_trust_store_or_a_setting_that_cannot_be_used_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("trust.pem");
    let refused = |tls: SinkTlsConfig| {
        let mut sink = AvroSinkConfig::new("127.0.0.1", 1);
        sink.tls = Some(tls);
        let text = hop(sink).unwrap_err().to_string();
        text.replace(&store.display().to_string(), "FILE")
    };
    let missing = refused(SinkTlsConfig::new(store.as_path()));
    assert_eq!(
        missing,
        "sink k1 cannot speak TLS: cannot read FILE: No such file or directory (os error 2); check \
         its path and its permissions"
    );
    fs::write(&store, "nothing").unwrap();
    let empty = refused(SinkTlsConfig::new(store.as_path()));
    assert!(
        empty.starts_with("sink k1 cannot speak TLS: cannot take certificates from"),
        "{empty}"
    );
    let mut tls = SinkTlsConfig::new(Authority::new().pem);
    tls.exclude_protocols = vec!["TLSv1.3".to_owned()];
    assert_eq!(
        refused(tls),
        "sink k1 cannot speak TLS: exclude-protocols has TLSv1.3, which a sink cannot do without; \
         exclude it at the next agent"
    );
}
