//! What asks for a feature that is not compiled in does not start, and says which one it is.

#[cfg(not(all(
    feature = "compression",
    feature = "file-channel",
    feature = "http",
    feature = "regex",
    feature = "tls"
)))]
fn check(
    channel: impl Into<flume_mini_agent::config::ChannelKind>,
    source: flume_mini_agent::config::SourceConfig,
    told: &str,
) {
    use flume_mini_agent::MiniAgent;
    use flume_mini_agent::config::{AgentConfig, CollectSinkConfig};

    let config = AgentConfig::builder("a1")
        .channel("c1", channel)
        .add_source(source)
        .sink("k1", CollectSinkConfig::default(), "c1")
        .build();
    let error = MiniAgent::configured(config.unwrap()).start().unwrap_err();
    assert_eq!(error.to_string(), told);
}

#[cfg(not(feature = "file-channel"))]
#[test]
fn a_file_channel_without_its_feature_does_not_start() {
    use flume_mini_agent::config::{AvroSourceConfig, FileChannelConfig, SourceConfig};

    check(
        FileChannelConfig::default(),
        SourceConfig::new("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"]),
        "channel c1 needs the feature `file-channel` of flume-mini-agent",
    );
}

#[cfg(not(feature = "http"))]
#[test]
fn an_http_source_without_its_feature_does_not_start() {
    use flume_mini_agent::config::{HttpSourceConfig, MemoryChannelConfig, SourceConfig};

    let source = SourceConfig::new("r1", HttpSourceConfig::new("127.0.0.1", 0), ["c1"]);
    check(
        MemoryChannelConfig::default(),
        source,
        "source r1 needs the feature `http` of flume-mini-agent",
    );
}

#[cfg(not(feature = "regex"))]
#[test]
fn a_regex_filter_without_its_feature_does_not_start() {
    use flume_mini_agent::config::{
        AvroSourceConfig, InterceptorConfig, MemoryChannelConfig, SourceConfig,
    };

    let filter = InterceptorConfig::RegexFilter {
        regex: ".*".to_owned(),
        exclude_events: false,
    };
    let avro = AvroSourceConfig::new("127.0.0.1", 0);
    check(
        MemoryChannelConfig::default(),
        SourceConfig::new("r1", avro, ["c1"]).interceptor(filter),
        "an interceptor of source r1 cannot start: a regex_filter needs the feature `regex` of \
         flume-mini-agent",
    );
}

#[cfg(not(feature = "compression"))]
#[test]
fn a_compressed_source_without_its_feature_does_not_start() {
    use flume_mini_agent::config::{
        AvroSourceConfig, Compression, MemoryChannelConfig, SourceConfig,
    };

    let mut avro = AvroSourceConfig::new("127.0.0.1", 0);
    avro.compression = Compression::Deflate;
    check(
        MemoryChannelConfig::default(),
        SourceConfig::new("r1", avro, ["c1"]),
        "source r1 needs the feature `compression` of flume-mini-agent",
    );
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_source_with_tls_without_its_feature_does_not_start() {
    use flume_mini_agent::config::{
        MemoryChannelConfig, SourceConfig, ThriftSourceConfig, TlsConfig,
    };

    let mut thrift = ThriftSourceConfig::new("127.0.0.1", 0);
    thrift.tls = Some(TlsConfig::new("PEM".to_owned()));
    check(
        MemoryChannelConfig::default(),
        SourceConfig::new("r1", thrift, ["c1"]),
        "source r1 needs the feature `tls` of flume-mini-agent",
    );
}

#[cfg(not(feature = "dangerous-trust-any-certificate"))]
fn check_sink(tls: flume_mini_agent::config::SinkTlsConfig, told: &str) {
    use flume_mini_agent::MiniAgent;
    use flume_mini_agent::config::{
        AgentConfig, AvroSinkConfig, AvroSourceConfig, MemoryChannelConfig,
    };

    let mut sink = AvroSinkConfig::new("127.0.0.1", 1);
    sink.tls = Some(tls);
    let config = AgentConfig::builder("a1")
        .channel("c1", MemoryChannelConfig::default())
        .source("r1", AvroSourceConfig::new("127.0.0.1", 0), ["c1"])
        .sink("k1", sink, "c1")
        .build();
    let error = MiniAgent::configured(config.unwrap()).start().unwrap_err();
    assert_eq!(error.to_string(), told);
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_sink_with_tls_without_its_feature_does_not_start() {
    check_sink(
        flume_mini_agent::config::SinkTlsConfig::new("PEM".to_owned()),
        "sink k1 needs the feature `tls` of flume-mini-agent",
    );
}

#[cfg(all(feature = "tls", not(feature = "dangerous-trust-any-certificate")))]
#[test]
fn a_sink_that_trusts_all_certificates_without_its_feature_does_not_start() {
    use flume_mini_agent::config::{SinkTlsConfig, SinkTrust};

    let mut tls = SinkTlsConfig::new(String::new());
    tls.trust = SinkTrust::Any;
    check_sink(
        tls,
        "sink k1 cannot speak TLS: trust-all-certs needs the feature \
         `dangerous-trust-any-certificate` of flume-mini-agent",
    );
}
