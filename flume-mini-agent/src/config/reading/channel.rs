//! A channel from its keys.

use std::path::PathBuf;

use super::section::{Bad, Number, Section};
use super::types;
use crate::config::channel::{
    ChannelConfig, ChannelKind, FILE_SIZE_MAX, FileChannelConfig, MINIMUM_REQUIRED_SPACE,
    MemoryChannelConfig,
};
use crate::config::problem::{ProblemKind, bad_value};

const REQUIRED_SPACE_LEAST: i64 = 1024 * 1024;

/// A channel of this name, unless its type is nobody's.
pub(super) fn read(name: &str, section: &mut Section<'_>) -> Option<ChannelConfig> {
    let type_name = section.required("type");
    if type_name.is_empty() {
        section.ignore_rest();
        return None;
    }
    let kind = match types::CHANNELS.resolve(&type_name) {
        Ok("memory") => ChannelKind::Memory(read_memory(section)),
        Ok(_) => ChannelKind::File(read_file(section)),
        Err(problem) => {
            section.error("type", problem);
            section.ignore_rest();
            return None;
        }
    };
    Some(ChannelConfig::new(name, kind))
}

pub(super) fn type_name(channel: &ChannelConfig) -> &'static str {
    match &channel.kind {
        ChannelKind::Memory(_) => "memory channels",
        ChannelKind::File(_) => "file channels",
    }
}

fn read_memory(section: &mut Section<'_>) -> MemoryChannelConfig {
    let events = Number::int(100, 1).bad(Bad::Default, Bad::Default);
    let bytes = Number::long(0, 0).bad(Bad::Default, Bad::Clamp);
    let percent = Number::int(20, 0).most(100).bad(Bad::Default, Bad::Clamp);
    let seconds = Number::int(3, 0).bad(Bad::Default, Bad::Clamp);
    let byte_capacity = section.bytes("byteCapacity", bytes);
    let percentage = section.number("byteCapacityBufferPercentage", percent);
    let parsed = section.text("byteCapacity").map(str::parse::<i64>);
    MemoryChannelConfig {
        capacity: section.count("capacity", events),
        transaction_capacity: section.count("transactionCapacity", events),
        // What is no number counts as not set.
        byte_capacity: parsed.and_then(Result::ok).map(|_| byte_capacity),
        byte_capacity_buffer_percentage: u8::try_from(percentage).unwrap_or(100),
        keep_alive: section.seconds("keep-alive", seconds),
    }
}

fn read_file(section: &mut Section<'_>) -> FileChannelConfig {
    let events = |default| Number::int(default, 1).bad(Bad::Break, Bad::Default);
    let seconds = |default, least| Number::int(default, least).bad(Bad::Break, Bad::Clamp);
    let size = Number::long(FILE_SIZE_MAX, 1).most(FILE_SIZE_MAX);
    let space = Number::long(MINIMUM_REQUIRED_SPACE, REQUIRED_SPACE_LEAST);
    let quiet = |number: Number| number.bad(Bad::Break, Bad::ClampQuietly);
    let interval = Number::long(30_000, 1).bad(Bad::Break, Bad::Default);
    let data_dirs = section.text("dataDirs").unwrap_or_default().split(',');
    let data_dirs = data_dirs.map(str::trim).filter(|dir| !dir.is_empty());
    let config = FileChannelConfig {
        data_dirs: data_dirs.map(PathBuf::from).collect(),
        checkpoint_dir: section.text("checkpointDir").map(PathBuf::from),
        capacity: section.count("capacity", events(1_000_000)),
        transaction_capacity: section.count("transactionCapacity", events(10_000)),
        keep_alive: section.seconds("keep-alive", seconds(3, 0)),
        checkpoint_interval: section.millis("checkpointInterval", interval),
        max_file_size: section.bytes("maxFileSize", quiet(size)),
        minimum_required_space: section.bytes("minimumRequiredSpace", quiet(space)),
        fsync_per_transaction: section.flag("fsyncPerTransaction", true),
        fsync_interval: section.seconds("fsyncInterval", seconds(5, 1)),
        checkpoint_on_close: section.flag("checkpointOnClose", true),
    };
    read_unused(section);
    config
}

fn read_unused(section: &mut Section<'_>) {
    if section.flag("useDualCheckpoints", false) {
        let backup = section.required("backupCheckpointDir");
        if Some(backup.as_str()) == section.text("checkpointDir") {
            let problem = bad_value(&backup, "another directory than checkpointDir");
            section.error("backupCheckpointDir", problem);
        }
    }
    section.no_effect(
        &[
            "useDualCheckpoints",
            "backupCheckpointDir",
            "compressBackupCheckpoint",
            "use-fast-replay",
            "use-log-replay-v1",
        ],
        "the mini-agent's file channel has a format of its own",
    );
    let encryption = [
        "encryption.keyProvider",
        "encryption.activeKey",
        "encryption.cipherProvider",
    ];
    for key in encryption {
        if section.text(key).is_some() {
            let (what, name) = ("file channel setting", key.to_owned());
            section.error(key, ProblemKind::LeftOut { what, name });
        }
    }
    section.no_effect_under(
        "encryption.",
        "the mini-agent's file channel does not encrypt",
    );
}
