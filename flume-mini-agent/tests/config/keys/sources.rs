//! The keys of sources.

use std::path::PathBuf;

use flume_mini_agent::config::{
    AvroSourceConfig, Compression, Encoding, HttpSourceConfig, InterceptorConfig, Nesting,
    NetcatSourceConfig, SourceKind, ThriftProtocol, ThriftSourceConfig, TlsConfig,
};

use super::{Breaks, Is, Noted, Or, check, source, with};
use crate::support::{agent, finds, same, strict};

#[test]
fn an_avro_source_has_these_keys() {
    let base = AvroSourceConfig::new("h", 1);
    let deflate = with(base.clone(), |c| c.compression = Compression::Deflate);
    let before = source("sources.r2.type = AVRO\nsources.r2.bind = h\nsources.r2.port = 1");
    let tls_off = "has no effect here: ssl is not on";
    check(
        &before,
        vec![
            ("sources.r2.compression-type = none", Is(base.clone())),
            ("sources.r2.compression-type = Deflate", Is(deflate)),
            (
                "sources.r2.compression-type = gzip",
                Or(
                    base.clone(),
                    "is \"gzip\", but must be none or deflate; Flume takes none",
                ),
            ),
            (
                "sources.r2.threads = 4",
                Noted(
                    base.clone(),
                    "has no effect here: Flume 1.11 does not use it either",
                ),
            ),
            ("sources.r2.ssl = false", Is(base.clone())),
            ("sources.r2.keystore = /k.jks", Noted(base.clone(), tls_off)),
            ("sources.r2.ipFilter = false", Is(base.clone())),
            (
                "sources.r2.need-client-auth = true",
                Noted(base.clone(), tls_off),
            ),
            (
                "sources.r2.nesting = tls-outside",
                Is(with(base.clone(), |c| c.nesting = Nesting::TlsOutside)),
            ),
            (
                "sources.r2.nesting = both",
                Breaks("is \"both\", but must be zlib-outside or tls-outside"),
            ),
            (
                "sources.r2.ssl = yes",
                Or(
                    base.clone(),
                    "is \"yes\", but must be true or false; Flume takes it as false",
                ),
            ),
            (
                "sources.r2.batchSize = 1",
                Or(base, "is unknown for avro sources"),
            ),
        ],
        |config| match &config.sources.get(1)?.kind {
            SourceKind::Avro(avro) => Some(avro.clone()),
            _ => None,
        },
    );
}

/// All of Flume's keys for TLS, and those of the mini-agent's own.
#[test]
fn avro_and_thrift_sources_have_these_keys_for_tls() {
    for kind in ["avro", "thrift"] {
        let before = source(&format!(
            "sources.r2.type = {kind}\nsources.r2.bind = h\nsources.r2.port = 1\n\
             sources.r2.ssl = true\nsources.r2.keystore = /k.pem"
        ));
        let base = TlsConfig::new(PathBuf::from("/k.pem"));
        let pem = "has no effect here: the key store is a PEM file";
        let versions = ["TLSv1.2", "TLSv1.3"].map(str::to_owned).to_vec();
        let suite = vec!["TLS_AES_128_GCM_SHA256".to_owned()];
        check(
            &before,
            vec![
                (
                    "sources.r2.keystore-password = secret",
                    Noted(base.clone(), pem),
                ),
                ("sources.r2.keystore-type = JKS", Noted(base.clone(), pem)),
                (
                    "sources.r2.include-protocols = TLSv1.2 TLSv1.3",
                    Is(with(base.clone(), |c| c.include_protocols = versions)),
                ),
                (
                    "sources.r2.exclude-protocols = SSLv3",
                    Is(with(base.clone(), |c| {
                        c.exclude_protocols = vec!["SSLv3".to_owned()];
                    })),
                ),
                (
                    "sources.r2.include-cipher-suites = TLS_AES_128_GCM_SHA256",
                    Is(with(base.clone(), |c| {
                        c.include_cipher_suites = suite.clone();
                    })),
                ),
                (
                    "sources.r2.exclude-cipher-suites = TLS_AES_128_GCM_SHA256",
                    Is(with(base.clone(), |c| c.exclude_cipher_suites = suite)),
                ),
                (
                    "sources.r2.need-client-auth = true\na1.sources.r2.truststore = /ca.pem",
                    Is(with(base.clone(), |c| {
                        c.client_authorities = Some(PathBuf::from("/ca.pem").into());
                    })),
                ),
                (
                    "sources.r2.truststore = /ca.pem",
                    Noted(
                        base,
                        "has no effect here: no client certificate is asked for",
                    ),
                ),
            ],
            |config| match &config.sources.get(1)?.kind {
                SourceKind::Avro(avro) => avro.tls.clone(),
                SourceKind::Thrift(thrift) => thrift.tls.clone(),
                _ => None,
            },
        );
    }
}

#[test]
fn tls_needs_its_key_store_and_authorities_if_it_asks_for_clients_certificates() {
    let before = source(
        "sources.r2.type = avro\nsources.r2.bind = h\nsources.r2.port = 1\nsources.r2.ssl = true",
    );
    finds(
        &before,
        &["a1.sources.r2.keystore: is not set, and must be"],
    );
    let asking =
        format!("{before}a1.sources.r2.keystore = /k.pem\na1.sources.r2.need-client-auth = true\n");
    finds(
        &asking,
        &["a1.sources.r2.truststore: is not set, and must be"],
    );
}

#[test]
fn an_http_source_has_these_keys_for_tls_old_ones_among_them() {
    let before = source(
        "sources.r2.type = http\nsources.r2.port = 1\nsources.r2.keystore = /k.pem\n\
         sources.r2.enableSSL = true",
    );
    let base = TlsConfig::new(PathBuf::from("/k.pem"));
    check(
        &before,
        vec![
            ("sources.r2.ssl = true", Is(base.clone())),
            (
                "sources.r2.keystorePassword = secret",
                Noted(
                    base.clone(),
                    "has no effect here: the key store is a PEM file",
                ),
            ),
            (
                "sources.r2.excludeProtocols = SSLv3 TLSv1.2",
                Is(with(base.clone(), |c| {
                    c.exclude_protocols = ["SSLv3", "TLSv1.2"].map(str::to_owned).to_vec();
                })),
            ),
            (
                "sources.r2.SslContextFactory.needClientAuth = true\n\
                 a1.sources.r2.truststore = /ca.pem",
                Is(with(base.clone(), |c| {
                    c.client_authorities = Some(PathBuf::from("/ca.pem").into());
                })),
            ),
            (
                "sources.r2.SslContextFactory.renegotiationAllowed = false",
                Noted(
                    base,
                    "has no effect here: it is a setting of Jetty, which is not in here",
                ),
            ),
        ],
        |config| match &config.sources.get(1)?.kind {
            SourceKind::Http(http) => http.tls.clone(),
            _ => None,
        },
    );
}

#[test]
fn a_port_is_a_number_up_to_65535() {
    let before = source("sources.r2.type = avro\nsources.r2.bind = h");
    let bad = "is \"65536\", but must be a port, 0 to 65535";
    check(
        &before,
        vec![
            ("sources.r2.port = 0", Is(AvroSourceConfig::new("h", 0))),
            (
                "sources.r2.port = 65535",
                Is(AvroSourceConfig::new("h", 65535)),
            ),
            ("sources.r2.port = 65536", Breaks(bad)),
            (
                "sources.r2.port = http",
                Breaks("is \"http\", but must be a port, 0 to 65535"),
            ),
        ],
        |config| match &config.sources.get(1)?.kind {
            SourceKind::Avro(avro) => Some(avro.clone()),
            _ => None,
        },
    );
}

#[test]
fn an_http_source_has_these_keys() {
    let base = HttpSourceConfig::new("0.0.0.0", 1);
    let before =
        source("sources.r2.type = org.apache.flume.source.http.HTTPSource\nsources.r2.port = 1");
    check(
        &before,
        vec![
            ("sources.r2.bind = ::1", Is(HttpSourceConfig::new("::1", 1))),
            (
                "sources.r2.handler = org.apache.flume.source.http.JSONHandler",
                Is(base.clone()),
            ),
            (
                "sources.r2.handler.x = 1",
                Noted(
                    base.clone(),
                    "has no effect here: the JSON handler has no settings",
                ),
            ),
            (
                "sources.r2.QueuedThreadPool.maxThreads = 9",
                Noted(
                    base,
                    "has no effect here: it is a setting of Jetty, which is not in here",
                ),
            ),
            (
                "sources.r2.handler = JSONHandler",
                Breaks(
                    "there is no HTTP source handler \"JSONHandler\"; \
                        did you mean \"org.apache.flume.source.http.JSONHandler\"?",
                ),
            ),
            (
                "sources.r2.handler = com.example.Mine",
                Breaks(
                    "the HTTP source handler \"com.example.Mine\" looks like a Java class; \
                        the mini-agent loads none",
                ),
            ),
        ],
        |config| match &config.sources.get(1)?.kind {
            SourceKind::Http(http) => Some(http.clone()),
            _ => None,
        },
    );
}

#[test]
fn a_netcat_source_has_these_keys() {
    let base = NetcatSourceConfig::new("h", 1);
    let before = source("sources.r2.type = netcat\nsources.r2.bind = h\nsources.r2.port = 1");
    let quiet = with(base.clone(), |c| c.ack_every_event = false);
    let short = with(base.clone(), |c| c.max_line_length = 9);
    let latin1 = with(base.clone(), |c| c.encoding = Encoding::Latin1);
    let ascii = with(base, |c| c.encoding = Encoding::Ascii);
    check(
        &before,
        vec![
            ("sources.r2.ack-every-event = False", Is(quiet)),
            ("sources.r2.max-line-length = 9", Is(short)),
            ("sources.r2.encoding = ISO-8859-1", Is(latin1)),
            ("sources.r2.encoding = us-ascii", Is(ascii)),
            (
                "sources.r2.encoding = utf-16",
                Breaks(
                    "is \"utf-16\", but must be utf-8, iso-8859-1 or us-ascii in the mini-agent",
                ),
            ),
            (
                "sources.r2.max-line-length = 0",
                Breaks("is \"0\", but must be a whole number, at least 1"),
            ),
        ],
        |config| match &config.sources.get(1)?.kind {
            SourceKind::Netcat(netcat) => Some(netcat.clone()),
            _ => None,
        },
    );
}

#[test]
fn a_thrift_source_has_these_keys() {
    let base = ThriftSourceConfig::new("h", 1);
    let before = source(
        "sources.r2.type = org.apache.flume.source.ThriftSource\nsources.r2.bind = h\n\
         sources.r2.port = 1",
    );
    let binary = with(base.clone(), |c| c.protocol = ThriftProtocol::Binary);
    let threads = with(base.clone(), |c| c.threads = 4);
    check(
        &before,
        vec![
            ("sources.r2.protocol = binary", Is(binary)),
            ("sources.r2.protocol = COMPACT", Is(base.clone())),
            (
                "sources.r2.protocol = Binary",
                Or(
                    base.clone(),
                    "is \"Binary\", but must be \"binary\" in small letters; Flume speaks compact",
                ),
            ),
            (
                "sources.r2.protocol = json",
                Breaks("is \"json\", but must be compact or binary"),
            ),
            ("sources.r2.threads = 4", Is(threads)),
            ("sources.r2.threads = 0", Is(base.clone())),
            (
                "sources.r2.threads = -1",
                Noted(base.clone(), "is -1, taken as 0"),
            ),
            (
                "sources.r2.threads = many",
                Or(
                    base.clone(),
                    "is \"many\", but must be a whole number, at least 0; Flume takes 0",
                ),
            ),
            (
                "sources.r2.kerberos = true",
                Breaks(
                    "the thrift source setting \"kerberos\" is a real Flume thrift source setting \
                        that the mini-agent leaves out",
                ),
            ),
            (
                "sources.r2.agent-principal = p",
                Noted(base, "has no effect here: kerberos is not on"),
            ),
        ],
        |config| match &config.sources.get(1)?.kind {
            SourceKind::Thrift(thrift) => Some(thrift.clone()),
            _ => None,
        },
    );
}

#[test]
fn interceptors_have_these_keys() {
    let uuid = "org.apache.flume.sink.solr.morphline.UUIDInterceptor$Builder";
    let check = |settings: &str, expected: InterceptorConfig| {
        let settings: String = settings
            .lines()
            .map(|line| format!("sources.r1.interceptors.i1.{line}\n"))
            .collect();
        let text = agent(&[], &format!("sources.r1.interceptors = i1\n{settings}"));
        let config = strict(&text).unwrap().config;
        same(&config.sources[0].interceptors, &vec![expected], &text);
    };
    let timestamp = |header: &str, preserve_existing| InterceptorConfig::Timestamp {
        header: header.into(),
        preserve_existing,
    };
    check("type = timestamp", timestamp("timestamp", false));
    check(
        "type = TimeStamp\nheaderName = t\npreserveExisting = true",
        timestamp("t", true),
    );
    check(
        "type = org.apache.flume.interceptor.TimestampInterceptor$Builder",
        timestamp("timestamp", false),
    );
    let host = |header: &str, use_ip, preserve_existing| InterceptorConfig::Host {
        header: header.into(),
        use_ip,
        preserve_existing,
    };
    check("type = host", host("host", true, false));
    check(
        "type = host\nhostHeader = h\nuseIP = false\npreserveExisting = true",
        host("h", false, true),
    );
    let fixed = |key: &str, value: &str, preserve_existing| InterceptorConfig::Static {
        key: key.into(),
        value: value.into(),
        preserve_existing,
    };
    check("type = static", fixed("key", "value", true));
    check(
        "type = static\nkey = dc\nvalue = N Y\npreserveExisting = false",
        fixed("dc", "N Y", false),
    );
    let filter = |regex: &str, exclude_events| InterceptorConfig::RegexFilter {
        regex: regex.into(),
        exclude_events,
    };
    check("type = regex_filter", filter(".*", false));
    check(
        "type = regex_filter\nregex = ^\\\\d+$\nexcludeEvents = true",
        filter("^\\d+$", true),
    );
    let random = |header: &str, preserve_existing, prefix: &str| InterceptorConfig::Uuid {
        header: header.into(),
        preserve_existing,
        prefix: prefix.into(),
    };
    check(&format!("type = {uuid}"), random("id", true, ""));
    check(
        &format!("type = {uuid}\nheaderName = x\npreserveExisting = false\nprefix = p-"),
        random("x", false, "p-"),
    );
}
