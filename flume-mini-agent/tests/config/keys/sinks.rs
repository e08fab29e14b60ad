//! The keys of sinks.

use std::path::PathBuf;
use std::time::Duration;

use flume_mini_agent::config::{
    AgentConfig, AvroSinkConfig, CollectSinkConfig, Compression, FailoverConfig,
    FileRollSinkConfig, LoadBalanceConfig, LoggerSinkConfig, Nesting, NullSinkConfig,
    ProcessorConfig, Selection, SinkKind, SinkTlsConfig, SinkTrust,
};

use super::{Breaks, Is, Noted, Or, check, sink, with};
use crate::support::{agent, finds};

#[test]
fn an_avro_sink_has_these_keys() {
    let base = AvroSinkConfig::new("h", 1);
    let at = |change: fn(&mut AvroSinkConfig)| with(base.clone(), change);
    let timeout = "but must be a whole number, at least 1000; Flume takes 20000";
    check(
        &sink("sinks.k2.type = avro\nsinks.k2.hostname = h\nsinks.k2.port = 1"),
        vec![
            ("sinks.k2.batch-size = 10", Is(at(|c| c.batch_size = 10))),
            (
                "sinks.k2.batch-size = 0",
                Or(
                    base.clone(),
                    "is \"0\", but must be a whole number, at least 1; Flume takes 100",
                ),
            ),
            (
                "sinks.k2.connect-timeout = 1000",
                Is(at(|c| c.connect_timeout = Duration::from_secs(1))),
            ),
            (
                "sinks.k2.connect-timeout = 999",
                Or(base.clone(), format!("is \"999\", {timeout}").leak()),
            ),
            (
                "sinks.k2.request-timeout = 2500",
                Is(at(|c| c.request_timeout = Duration::from_millis(2500))),
            ),
            (
                "sinks.k2.request-timeout = 1s",
                Or(base.clone(), format!("is \"1s\", {timeout}").leak()),
            ),
            (
                "sinks.k2.reset-connection-interval = 60",
                Is(at(|c| {
                    c.reset_connection_interval = Some(Duration::from_secs(60));
                })),
            ),
            ("sinks.k2.reset-connection-interval = 0", Is(base.clone())),
            (
                "sinks.k2.compression-type = deflate",
                Is(at(|c| c.compression = Compression::Deflate)),
            ),
            (
                "sinks.k2.compression-level = 1",
                Is(at(|c| c.compression_level = 1)),
            ),
            (
                "sinks.k2.batchSize = 10",
                Or(
                    base,
                    "is unknown for avro sinks; did you mean \"batch-size\"?",
                ),
            ),
        ],
        |config| match &config.sink("k2")?.kind {
            SinkKind::Avro(avro) => Some(avro.clone()),
            _ => None,
        },
    );
}

#[test]
fn an_avro_sink_has_these_keys_for_tls() {
    let avro = "sinks.k2.type = avro\nsinks.k2.hostname = h\nsinks.k2.port = 1";
    let with_tls =
        |tls: SinkTlsConfig| with(AvroSinkConfig::new("h", 1), |sink| sink.tls = Some(tls));
    let base = SinkTlsConfig::new(PathBuf::from("/t.jks"));
    let read = |config: &AgentConfig| match &config.sink("k2")?.kind {
        SinkKind::Avro(avro) => Some(avro.clone()),
        _ => None,
    };
    let mut with_password = base.clone();
    with_password.trust = SinkTrust::Store {
        truststore: PathBuf::from("/t.jks").into(),
        password: Some("secret".to_owned()),
    };
    let mut excluding = base.clone();
    excluding.exclude_protocols = vec!["SSLv3".to_owned(), "TLSv1.2".to_owned()];
    let offered = "has no effect here: a sink offers what there is less exclude-protocols";
    check(
        &sink(&format!(
            "{avro}\nsinks.k2.ssl = true\nsinks.k2.truststore = /t.jks"
        )),
        vec![
            (
                "sinks.k2.truststore-password = secret",
                Is(with_tls(with_password)),
            ),
            (
                "sinks.k2.truststore-type = JKS",
                Noted(
                    with_tls(base.clone()),
                    "has no effect here: the file's first bytes tell its type",
                ),
            ),
            (
                "sinks.k2.exclude-protocols = SSLv3 TLSv1.2",
                Is(with_tls(excluding)),
            ),
            (
                "sinks.k2.include-protocols = TLSv1.2",
                Noted(with_tls(base.clone()), offered),
            ),
            (
                "sinks.k2.nesting = tls-outside",
                Is(with(with_tls(base), |sink| {
                    sink.nesting = Nesting::TlsOutside;
                })),
            ),
        ],
        read,
    );
    let mut any = SinkTlsConfig::new(String::new());
    any.trust = SinkTrust::Any;
    check(
        &sink(&format!("{avro}\nsinks.k2.ssl = true")),
        vec![("sinks.k2.trust-all-certs = true", Is(with_tls(any)))],
        read,
    );
    finds(
        &sink(&format!("{avro}\nsinks.k2.ssl = true")),
        &["a1.sinks.k2.truststore: is not set, and must be"],
    );
    check(
        &sink(avro),
        vec![(
            "sinks.k2.truststore = /t.jks",
            Noted(
                AvroSinkConfig::new("h", 1),
                "has no effect here: ssl is not on",
            ),
        )],
        read,
    );
}

#[test]
fn a_file_roll_sink_has_these_keys() {
    let base = FileRollSinkConfig::new("/d");
    let at = |change: fn(&mut FileRollSinkConfig)| with(base.clone(), change);
    check(
        &sink("sinks.k2.type = FILE_ROLL\nsinks.k2.sink.directory = /d"),
        vec![
            (
                "sinks.k2.sink.rollInterval = 5",
                Is(at(|c| c.roll_interval = Some(Duration::from_secs(5)))),
            ),
            (
                "sinks.k2.sink.rollInterval = 0",
                Is(at(|c| c.roll_interval = None)),
            ),
            (
                "sinks.k2.sink.rollInterval = never",
                Breaks("is \"never\", but must be a whole number, at least 0"),
            ),
            ("sinks.k2.sink.batchSize = 7", Is(at(|c| c.batch_size = 7))),
            ("sinks.k2.sink.serializer = text", Is(base.clone())),
            (
                "sinks.k2.sink.serializer.appendNewline = false",
                Is(at(|c| c.append_newline = false)),
            ),
            (
                "sinks.k2.sink.serializer = avro_event",
                Breaks(
                    "the event serializer \"avro_event\" is a real Flume event serializer \
                        that the mini-agent leaves out",
                ),
            ),
            (
                "sinks.k2.sink.pathManager.prefix = p-",
                Is(at(|c| c.prefix = "p-".into())),
            ),
            (
                "sinks.k2.sink.pathManager.extension = log",
                Is(at(|c| c.extension = "log".into())),
            ),
            (
                "sinks.k2.directory = /e",
                Or(
                    base,
                    "is unknown for file_roll sinks; did you mean \"sink.directory\"?",
                ),
            ),
        ],
        |config| match &config.sink("k2")?.kind {
            SinkKind::FileRoll(roll) => Some(roll.clone()),
            _ => None,
        },
    );
}

#[test]
fn the_smaller_sinks_have_these_keys() {
    let logger = |bytes| {
        SinkKind::Logger(with(LoggerSinkConfig::default(), |c| {
            c.max_bytes_to_log = bytes;
        }))
    };
    let null = |events| SinkKind::Null(with(NullSinkConfig::default(), |c| c.batch_size = events));
    let collect = with(CollectSinkConfig::default(), |c| c.max_events = 5);
    let read = |config: &AgentConfig| Some(config.sink("k2")?.kind.clone());
    check(
        &sink("sinks.k2.type = logger"),
        vec![
            ("sinks.k2.maxBytesToLog = 64", Is(logger(64))),
            (
                "sinks.k2.maxBytesToLog = all",
                Or(
                    logger(16),
                    "is \"all\", but must be a whole number, at least 0; Flume takes 16",
                ),
            ),
        ],
        read,
    );
    check(
        &sink("sinks.k2.type = null"),
        vec![
            ("sinks.k2.batchSize = 5", Is(null(5))),
            (
                "sinks.k2.batchSize = 0",
                Breaks("is \"0\", but must be a whole number, at least 1"),
            ),
            (
                "sinks.k2.logEveryNEvents = 5",
                Noted(
                    null(100),
                    "has no effect here: the mini-agent's null sink logs nothing",
                ),
            ),
        ],
        read,
    );
    check(
        &sink("sinks.k2.type = collect"),
        vec![("sinks.k2.maxEvents = 5", Is(SinkKind::Collect(collect)))],
        read,
    );
}

#[test]
fn sink_processors_have_these_keys() {
    let group = agent(
        &["sinks = "],
        "sinks = k1 k2\nsinks.k2.type = null\nsinks.k2.channel = c1\nsinkgroups = g1\nsinkgroups.g1.sinks = k1 k2",
    );
    let failover = |priorities: [(&str, i32); 2], millis| {
        ProcessorConfig::Failover(with(FailoverConfig::new(priorities), |c| {
            c.max_penalty = Duration::from_millis(millis);
        }))
    };
    let read = |config: &AgentConfig| Some(config.groups.first()?.processor.clone());
    let unset = failover([("k1", -1), ("k2", -2)], 30_000);
    check(
        &format!("{group}a1.sinkgroups.g1.processor.type = failover\n"),
        vec![
            (
                "sinkgroups.g1.processor.priority.k2 = 5",
                Is(failover([("k2", 5), ("k1", -1)], 30_000)),
            ),
            (
                "sinkgroups.g1.processor.maxpenalty = 10",
                Is(failover([("k1", -1), ("k2", -2)], 10)),
            ),
            (
                "sinkgroups.g1.processor.maxpenalty = x",
                Or(
                    unset.clone(),
                    "is \"x\", but must be a whole number, at least 0; Flume takes 30000",
                ),
            ),
            (
                "sinkgroups.g1.processor.priority.k3 = 5",
                Or(unset.clone(), "is unknown for this processor"),
            ),
            (
                "sinkgroups.g1.processor.priority.k2 = high",
                Or(
                    unset,
                    "is \"high\", but must be a whole number; Flume takes the lowest",
                ),
            ),
        ],
        read,
    );
    let balance = |change: fn(&mut LoadBalanceConfig)| {
        ProcessorConfig::LoadBalance(with(LoadBalanceConfig::default(), change))
    };
    check(
        &format!("{group}a1.sinkgroups.g1.processor.type = load_balance\n"),
        vec![
            (
                "sinkgroups.g1.processor.backoff = true",
                Is(balance(|c| c.backoff = true)),
            ),
            (
                "sinkgroups.g1.processor.selector = ROUND_ROBIN",
                Is(balance(|_| {})),
            ),
            (
                "sinkgroups.g1.processor.selector = random",
                Is(balance(|c| c.selection = Selection::Random)),
            ),
            (
                "sinkgroups.g1.processor.selector.maxTimeOut = 5",
                Is(balance(|c| c.max_backoff = Duration::from_millis(5))),
            ),
            (
                "sinkgroups.g1.processor.selector.maxTimeOut = 0",
                Is(balance(|_| {})),
            ),
            (
                "sinkgroups.g1.processor.selector = fastest",
                Breaks("there is no sink selector \"fastest\""),
            ),
        ],
        read,
    );
}
