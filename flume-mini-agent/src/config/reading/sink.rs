//! A sink from its keys.

use std::path::PathBuf;

use super::section::{Bad, Number, Section};
use super::source::read_compression;
use super::tls;
use super::types;
use crate::config::sink::{
    AvroSinkConfig, CollectSinkConfig, FileRollSinkConfig, LoggerSinkConfig, NullSinkConfig,
    SinkConfig, SinkKind,
};

const BATCH_SIZE: i32 = 100;

/// A sink of this name, unless its type is nobody's.
pub(super) fn read(name: &str, section: &mut Section<'_>) -> Option<SinkConfig> {
    let channel = section.required("channel");
    let type_name = section.required("type");
    let kind = match types::SINKS.resolve(&type_name) {
        Ok("avro") => SinkKind::Avro(read_avro(section)),
        Ok("collect") => SinkKind::Collect(read_collect(section)),
        Ok("file_roll") => SinkKind::FileRoll(read_file_roll(section)),
        Ok("logger") => SinkKind::Logger(read_logger(section)),
        Ok(_) => SinkKind::Null(read_null(section)),
        Err(problem) => {
            if !type_name.is_empty() {
                section.error("type", problem);
            }
            section.ignore_rest();
            return None;
        }
    };
    Some(SinkConfig::new(name, kind, channel))
}

pub(super) fn type_name(sink: &SinkConfig) -> &'static str {
    match &sink.kind {
        SinkKind::Avro(_) => "avro sinks",
        SinkKind::Collect(_) => "collect sinks",
        SinkKind::FileRoll(_) => "file_roll sinks",
        SinkKind::Logger(_) => "logger sinks",
        SinkKind::Null(_) => "null sinks",
    }
}

fn read_avro(section: &mut Section<'_>) -> AvroSinkConfig {
    let forgiving = |number: Number| number.bad(Bad::Default, Bad::Default);
    let timeout = forgiving(Number::long(20_000, 1_000));
    let batch_size = forgiving(Number::int(BATCH_SIZE, 1));
    let reset = Number::int(0, 0).bad(Bad::Break, Bad::Clamp);
    let reset = section.seconds("reset-connection-interval", reset);
    let level = Number::int(6, 0).most(9).bad(Bad::Default, Bad::Clamp);
    let level = section.number("compression-level", level);
    section.no_effect(&["maxIoWorkers"], "Flume 1.11 does not use it either");
    AvroSinkConfig {
        hostname: section.host("hostname"),
        port: section.port("port"),
        batch_size: section.count("batch-size", batch_size),
        connect_timeout: section.millis("connect-timeout", timeout),
        request_timeout: section.millis("request-timeout", timeout),
        reset_connection_interval: (!reset.is_zero()).then_some(reset),
        compression: read_compression(section),
        compression_level: u8::try_from(level).unwrap_or(6),
        tls: tls::read_of_sink(section),
        nesting: tls::read_nesting(section),
    }
}

fn read_collect(section: &mut Section<'_>) -> CollectSinkConfig {
    CollectSinkConfig {
        batch_size: section.count("batchSize", Number::int(BATCH_SIZE, 1)),
        max_events: section.count("maxEvents", Number::int(1_000_000, 1)),
    }
}

fn read_file_roll(section: &mut Section<'_>) -> FileRollSinkConfig {
    for (key, types) in [
        ("sink.serializer", types::SERIALIZERS),
        ("sink.pathManager", types::PATH_MANAGERS),
    ] {
        if let Some(Err(problem)) = section.text(key).map(|name| types.resolve(name)) {
            section.error(key, problem);
        }
    }
    let roll = Number::long(30, 0).bad(Bad::Break, Bad::Clamp);
    let roll = section.seconds("sink.rollInterval", roll);
    FileRollSinkConfig {
        directory: PathBuf::from(section.required("sink.directory")),
        roll_interval: (!roll.is_zero()).then_some(roll),
        batch_size: section.count("sink.batchSize", Number::int(BATCH_SIZE, 1)),
        append_newline: section.flag("sink.serializer.appendNewline", true),
        prefix: section.text_or("sink.pathManager.prefix", ""),
        extension: section.text_or("sink.pathManager.extension", ""),
    }
}

fn read_logger(section: &mut Section<'_>) -> LoggerSinkConfig {
    let bytes = Number::int(16, 0).bad(Bad::Default, Bad::Clamp);
    LoggerSinkConfig {
        max_bytes_to_log: section.count("maxBytesToLog", bytes),
    }
}

fn read_null(section: &mut Section<'_>) -> NullSinkConfig {
    section.number("logEveryNEvents", Number::int(10_000, 1));
    section.no_effect(
        &["logEveryNEvents"],
        "the mini-agent's null sink logs nothing",
    );
    NullSinkConfig {
        batch_size: section.count("batchSize", Number::int(BATCH_SIZE, 1)),
    }
}
