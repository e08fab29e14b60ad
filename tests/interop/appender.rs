//! The way of log lines through real agents: what Flume's own parts make of our headers and bodies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use apache_avro::types::Value;
use flume_appender::{AvroBody, HeaderProfile};
use flume_tests::{
    RealFlume, RealFlumeBuilder, Sink, Version, require_java, rolled_lines, run_java_program,
};
use flume_tracing::{Builder, FlumeLayer};
use serde_json::Value as Json;
use tracing_subscriber::prelude::*;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs `log` with a layer, and returns when the agent has acknowledged all of it.
fn logged(agent: &RealFlume, builder: Builder<FlumeLayer>, log: impl FnOnce()) {
    let (layer, guard) = builder.agent(agent.url()).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, log);
    guard.close(TIMEOUT).wait().into_result().unwrap();
}

/// An agent with a second channel and sink, between which a header chooses. What has one of `values`
/// goes to the files in `chosen`, all else to those of the first sink.
fn routing(header: &str, values: &[&str], chosen: &Path) -> RealFlumeBuilder {
    let mut agent = RealFlume::builder(Version::V1_11).sink(Sink::FileRoll);
    let directory = chosen.display().to_string();
    for (key, value) in [
        ("channels", "c1 c2"),
        ("channels.c2.type", "memory"),
        ("channels.c2.capacity", "10000"),
        ("sources.r1.channels", "c1 c2"),
        ("sources.r1.selector.type", "multiplexing"),
        ("sources.r1.selector.header", header),
        ("sources.r1.selector.default", "c1"),
        ("sinks", "k1 k2"),
        ("sinks.k2.channel", "c2"),
        ("sinks.k2.type", "file_roll"),
        ("sinks.k2.sink.rollInterval", "0"),
        ("sinks.k2.sink.directory", &directory),
    ] {
        agent = agent.property(format!("a1.{key}"), value);
    }
    for value in values {
        agent = agent.property(format!("a1.sources.r1.selector.mapping.{value}"), "c2");
    }
    agent
}

fn messages(lines: &[Vec<u8>]) -> Vec<String> {
    let message = |line: &Vec<u8>| -> String {
        let body: Json = serde_json::from_slice(line).unwrap();
        body["msg"].as_str().unwrap().to_owned()
    };
    lines.iter().map(message).collect()
}

#[test]
fn a_multiplexing_selector_routes_on_the_level_that_the_log4j_1_profile_writes() {
    if !require_java() {
        return;
    }
    let errors = tempfile::tempdir().unwrap();
    let header = "flume.client.log4j.log.level";
    // As Log4j 1 numbers WARN and ERROR.
    let mut agent = routing(header, &["30000", "40000"], errors.path())
        .start()
        .unwrap();
    logged(
        &agent,
        flume_tracing::layer().headers(HeaderProfile::LOG4J1),
        || {
            tracing::error!("first");
            tracing::info!("second");
            tracing::warn!("third");
            tracing::debug!("fourth");
            tracing::trace!("fifth");
        },
    );
    agent.stop().unwrap();
    let chosen = rolled_lines(errors.path()).unwrap();
    assert_eq!(messages(&chosen), ["first", "third"]);
    let others = agent.rolled_lines().unwrap();
    assert_eq!(messages(&others), ["second", "fourth", "fifth"]);
}

#[test]
fn a_multiplexing_selector_routes_on_a_field_that_is_a_header_as_log_4j_2_writes_its_context() {
    if !require_java() {
        return;
    }
    let gold = tempfile::tempdir().unwrap();
    let mut agent = routing("tenant", &["gold"], gold.path()).start().unwrap();
    // Log4j 2 puts the context into headers without a prefix.
    let builder = flume_tracing::layer()
        .headers(HeaderProfile::LOG4J2)
        .promote("tenant")
        .promote_prefixes("", "");
    logged(&agent, builder, || {
        tracing::info!(tenant = "gold", "first");
        tracing::info!(tenant = "tin", "second");
        let span = tracing::info_span!("request", tenant = "gold");
        span.in_scope(|| tracing::info!("third"));
        tracing::info!("fourth");
    });
    agent.stop().unwrap();
    let chosen = rolled_lines(gold.path()).unwrap();
    assert_eq!(messages(&chosen), ["first", "third"]);
    let others = agent.rolled_lines().unwrap();
    assert_eq!(messages(&others), ["second", "fourth"]);
}

/// An agent, stopped, that wrote what was logged into files by Flume's `avro_event` serializer.
fn with_avro_events(builder: Builder<FlumeLayer>, log: impl FnOnce()) -> RealFlume {
    let mut agent = RealFlume::builder(Version::V1_11)
        .sink(Sink::FileRoll)
        .property("a1.sinks.k1.sink.serializer", "avro_event")
        .start()
        .unwrap();
    logged(&agent, builder, log);
    agent.stop().unwrap();
    agent
}

/// Headers and body of each event that Flume's `avro_event` serializer wrote.
fn avro_events(files: &[PathBuf]) -> Vec<(BTreeMap<String, String>, Vec<u8>)> {
    let mut events = Vec::new();
    for file in files {
        let file = fs::File::open(file).unwrap();
        for record in apache_avro::Reader::new(file).unwrap() {
            let Value::Record(fields) = record.unwrap() else {
                panic!("no record");
            };
            let mut fields: BTreeMap<_, _> = fields.into_iter().collect();
            let (Some(Value::Map(headers)), Some(Value::Bytes(body))) =
                (fields.remove("headers"), fields.remove("body"))
            else {
                panic!("neither headers nor a body");
            };
            let text = |value| match value {
                Value::String(text) => text,
                other => panic!("{other:?}"),
            };
            let headers = headers.into_iter().map(|(key, value)| (key, text(value)));
            events.push((headers.collect(), body));
        }
    }
    events
}

#[test]
fn the_files_that_avro_event_writes_have_the_headers_of_all_profiles_and_the_body() {
    if !require_java() {
        return;
    }
    let profiles = HeaderProfile::NATIVE
        .and(HeaderProfile::LOG4J1)
        .and(HeaderProfile::LOG4J2);
    let builder = flume_tracing::layer().headers(profiles).host("web-1");
    let agent = with_avro_events(builder, || {
        tracing::warn!(target: "orders", order = 17, "late");
    });
    let events = avro_events(&agent.rolled_files().unwrap());
    let [(headers, body)] = &events[..] else {
        panic!("{events:?}");
    };
    for (key, value) in [
        ("host", "web-1"),
        ("level", "WARN"),
        ("target", "orders"),
        ("flume.client.log4j.logger.name", "orders"),
        ("flume.client.log4j.log.level", "30000"),
        ("flume.client.log4j.message.encoding", "UTF8"),
    ] {
        assert_eq!(headers.get(key).map(String::as_str), Some(value), "{key}");
    }
    let time = &headers["timestamp"];
    assert!(time.parse::<u64>().is_ok(), "{time}");
    assert_eq!(&headers["timeStamp"], time);
    assert_eq!(&headers["flume.client.log4j.timestamp"], time);
    assert_eq!(headers["guId"].len(), 36, "{}", headers["guId"]);
    let body: Json = serde_json::from_slice(body).unwrap();
    assert_eq!(body["msg"], "late");
    assert_eq!(body["fields"]["order"], 17);
}

/// An agent with an HDFS sink on the local disk, a directory for each host and day.
fn on_hdfs(top: &Path) -> RealFlumeBuilder {
    let mut agent = RealFlume::builder(Version::V1_11).sink(Sink::Null);
    let path = format!("file://{}/%{{host}}/%Y-%m-%d", top.display());
    for (key, value) in [
        ("type", "hdfs"),
        ("hdfs.path", path.as_str()),
        ("hdfs.timeZone", "UTC"),
        ("hdfs.fileType", "DataStream"),
        ("hdfs.rollInterval", "0"),
        ("hdfs.rollSize", "0"),
        ("hdfs.rollCount", "0"),
    ] {
        agent = agent.property(format!("a1.sinks.k1.{key}"), value);
    }
    agent
}

/// Each file of such a sink, with its host and day.
fn bucketed(top: &Path) -> Vec<(String, String, PathBuf)> {
    let list = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut files = Vec::new();
    for host in list(top) {
        for day in list(&host) {
            // Beside each file Hadoop writes its checksums.
            let all = list(&day).into_iter();
            for file in all.filter(|file| !name(file).starts_with('.')) {
                assert!(!name(&file).ends_with(".tmp"), "{} is open", file.display());
                files.push((name(&host), name(&day), file));
            }
        }
    }
    files
}

#[test]
fn every_line_of_a_service_ends_in_a_file_of_the_hdfs_sink_for_its_host_and_day() {
    const THREADS: u64 = 2;
    const LINES: u64 = 2_000;
    if !require_java() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let spool = tempfile::tempdir().unwrap();
    let mut agent = on_hdfs(top.path()).start().unwrap();
    let builder = flume_tracing::layer().host("web-1").spool(spool.path());
    logged(&agent, builder, || {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let dispatch = dispatch.clone();
                scope.spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || {
                        for number in 0..LINES {
                            tracing::info!(thread, number, "line");
                        }
                    });
                });
            }
        });
    });
    agent.wait_for_drained(THREADS * LINES, TIMEOUT).unwrap();
    agent.stop().unwrap();

    let mut found = BTreeSet::new();
    for (host, day, file) in bucketed(top.path()) {
        assert_eq!(host, "web-1");
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines() {
            let body: Json = serde_json::from_str(line).unwrap();
            // The sink made the day of the header, in Java.
            let time = body["ts"].as_str().unwrap();
            assert!(time.starts_with(&day), "{day}: {time}");
            let number = |name: &str| body["fields"][name].as_u64().unwrap();
            let name = (number("thread"), number("number"));
            assert!(found.insert(name), "{name:?} is there twice");
        }
    }
    let all = (0..THREADS).flat_map(|thread| (0..LINES).map(move |number| (thread, number)));
    assert_eq!(found, all.collect());
}

const ORDER_SCHEMA: &str = r#"{"type": "record", "name": "Line", "fields": [
    {"name": "level", "type": "string"},
    {"name": "message", "type": "string"},
    {"name": "order", "type": "long"},
    {"name": "note", "type": ["null", "string"], "default": null}]}"#;

fn log_orders() {
    tracing::info!(order = 17_i64, "placed");
    tracing::warn!(order = i64::MAX, note = "late ü", "paid");
}

/// The same two as fields of that schema.
fn orders() -> [Value; 2] {
    let order = |level: &str, message: &str, order, note: Option<&str>| {
        let note = match note {
            None => Value::Union(0, Box::new(Value::Null)),
            Some(note) => Value::Union(1, Box::new(Value::String(note.to_owned()))),
        };
        Value::Record(vec![
            ("level".to_owned(), Value::String(level.to_owned())),
            ("message".to_owned(), Value::String(message.to_owned())),
            ("order".to_owned(), Value::Long(order)),
            ("note".to_owned(), note),
        ])
    };
    [
        order("INFO", "placed", 17, None),
        order("WARN", "paid", i64::MAX, Some("late ü")),
    ]
}

/// What the HDFS sink's `AvroEventSerializer` makes of bodies: it needs the schema of each event.
fn is_read_back_by_the_hdfs_sink(layout: AvroBody) {
    let top = tempfile::tempdir().unwrap();
    let serializer = "org.apache.flume.sink.hdfs.AvroEventSerializer$Builder";
    let mut agent = on_hdfs(top.path())
        .property("a1.sinks.k1.serializer", serializer)
        .start()
        .unwrap();
    logged(&agent, flume_tracing::layer().layout(layout), log_orders);
    agent.wait_for_drained(2, TIMEOUT).unwrap();
    agent.stop().unwrap();
    let mut values = Vec::new();
    for (.., file) in bucketed(top.path()) {
        let file = fs::File::open(file).unwrap();
        let reader = apache_avro::Reader::new(file).unwrap();
        values.extend(reader.map(Result::unwrap));
    }
    assert_eq!(values, orders());
}

#[test]
fn avro_bodies_with_the_url_of_their_schema_are_read_back_by_the_hdfs_sink() {
    if require_java() {
        let directory = tempfile::tempdir().unwrap();
        let schema = directory.path().join("order.avsc");
        fs::write(&schema, ORDER_SCHEMA).unwrap();
        let layout = AvroBody::new(ORDER_SCHEMA).unwrap();
        let layout = layout.url(format!("file://{}", schema.display()));
        is_read_back_by_the_hdfs_sink(layout.unwrap());
    }
}

#[test]
fn avro_bodies_with_their_schema_are_read_back_by_the_hdfs_sink() {
    if require_java() {
        let layout = AvroBody::new(ORDER_SCHEMA).unwrap();
        is_read_back_by_the_hdfs_sink(layout.literal().unwrap());
    }
}

#[test]
fn a_java_program_that_knows_the_schema_finds_it_by_the_hash_and_reads_the_bodies() {
    if !require_java() {
        return;
    }
    let layout = AvroBody::new(ORDER_SCHEMA).unwrap();
    let agent = with_avro_events(flume_tracing::layer().layout(layout), log_orders);
    let directory = tempfile::tempdir().unwrap();
    let schema = directory.path().join("order.avsc");
    fs::write(&schema, ORDER_SCHEMA).unwrap();
    let mut arguments = vec![schema];
    arguments.extend(agent.rolled_files().unwrap());
    let text = run_java_program(Version::V1_11, "AvroBodies", &arguments).unwrap();
    let read: Vec<Json> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        read,
        [
            serde_json::json!({"level": "INFO", "message": "placed", "order": 17, "note": null}),
            serde_json::json!(
                {"level": "WARN", "message": "paid", "order": i64::MAX, "note": "late ü"}
            ),
        ]
    );
}
