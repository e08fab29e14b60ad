//! The keys of channels.

use std::path::PathBuf;
use std::time::Duration;

use flume_mini_agent::config::{ChannelKind, FileChannelConfig, MemoryChannelConfig};

use super::{Breaks, Is, Noted, Or, channel, check, with};

#[test]
fn a_memory_channel_has_these_keys() {
    let base = MemoryChannelConfig::default();
    let at = |change: fn(&mut MemoryChannelConfig)| with(base.clone(), change);
    let events = "but must be a whole number, at least 1; Flume takes 100";
    let events = |value: &str| -> &'static str { format!("is {value:?}, {events}").leak() };
    check(
        &channel("channels.c2.type = Memory"),
        vec![
            ("channels.c2.capacity = 1000", Is(at(|c| c.capacity = 1000))),
            ("channels.c2.capacity = 0", Or(base.clone(), events("0"))),
            (
                "channels.c2.capacity = 1e3",
                Or(base.clone(), events("1e3")),
            ),
            // More than an int holds is no number.
            (
                "channels.c2.capacity = 3000000000",
                Or(base.clone(), events("3000000000")),
            ),
            (
                "channels.c2.transactionCapacity = 10",
                Is(at(|c| c.transaction_capacity = 10)),
            ),
            (
                "channels.c2.transactionCapacity = -1",
                Or(base.clone(), events("-1")),
            ),
            (
                "channels.c2.byteCapacity = 3000000000",
                Is(at(|c| c.byte_capacity = Some(3_000_000_000))),
            ),
            (
                "channels.c2.byteCapacity = 80%",
                Or(
                    base.clone(),
                    "is \"80%\", but must be a whole number, at least 0; Flume takes 0",
                ),
            ),
            (
                "channels.c2.byteCapacityBufferPercentage = 0",
                Is(at(|c| c.byte_capacity_buffer_percentage = 0)),
            ),
            (
                "channels.c2.byteCapacityBufferPercentage = 101",
                Or(
                    at(|c| c.byte_capacity_buffer_percentage = 100),
                    "is \"101\", but must be a whole number from 0 to 100",
                ),
            ),
            (
                "channels.c2.keep-alive = 0",
                Is(at(|c| c.keep_alive = Duration::ZERO)),
            ),
            (
                "channels.c2.keepalive = 1",
                Or(
                    base.clone(),
                    "is unknown for memory channels; did you mean \"keep-alive\"?",
                ),
            ),
        ],
        |config| match &config.channel("c2")?.kind {
            ChannelKind::Memory(memory) => Some(memory.clone()),
            _ => None,
        },
    );
}

#[test]
fn bytes_of_a_memory_channel_are_counted_in_slots_of_100_after_the_buffer() {
    let slots = |bytes, percentage| {
        let mut config = MemoryChannelConfig::default();
        config.byte_capacity = bytes;
        config.byte_capacity_buffer_percentage = percentage;
        config.byte_slots()
    };
    assert_eq!(slots(None, 20), None);
    assert_eq!(slots(Some(2000), 20), Some(16));
    assert_eq!(slots(Some(1000), 20), Some(8));
    assert_eq!(slots(Some(199), 0), Some(1));
    assert_eq!(
        slots(Some(99), 0),
        None,
        "less than a slot means no bound in Flume"
    );
    assert_eq!(slots(Some(0), 20), None);
    assert_eq!(slots(Some(u64::MAX), 0), Some(0x7fff_ffff));
}

#[test]
fn a_file_channel_has_these_keys() {
    let base = FileChannelConfig::default();
    let at = |change: fn(&mut FileChannelConfig)| with(base.clone(), change);
    let own = "has no effect here: the mini-agent's file channel has a format of its own";
    check(
        &channel("channels.c2.type = file"),
        vec![
            (
                "channels.c2.checkpointDir = /c",
                Is(at(|c| c.checkpoint_dir = Some("/c".into()))),
            ),
            (
                "channels.c2.dataDirs = /a, /b,,",
                Is(at(|c| {
                    c.data_dirs = vec![PathBuf::from("/a"), PathBuf::from("/b")];
                })),
            ),
            (
                "channels.c2.capacity = 20000",
                Is(at(|c| c.capacity = 20_000)),
            ),
            (
                "channels.c2.capacity = -5",
                Or(
                    base.clone(),
                    "is \"-5\", but must be a whole number, at least 1; Flume takes 1000000",
                ),
            ),
            (
                "channels.c2.capacity = many",
                Breaks("is \"many\", but must be a whole number, at least 1"),
            ),
            (
                "channels.c2.transactionCapacity = 5",
                Is(at(|c| c.transaction_capacity = 5)),
            ),
            (
                "channels.c2.keep-alive = 9",
                Is(at(|c| c.keep_alive = Duration::from_secs(9))),
            ),
            (
                "channels.c2.checkpointInterval = 500",
                Is(at(|c| c.checkpoint_interval = Duration::from_millis(500))),
            ),
            (
                "channels.c2.maxFileSize = 1000",
                Is(at(|c| c.max_file_size = 1000)),
            ),
            (
                // The default by Flume's guide, which its code does not allow.
                "channels.c2.maxFileSize = 2146435071",
                Noted(base.clone(), "is 2146435071, taken as 1623195647"),
            ),
            (
                "channels.c2.minimumRequiredSpace = 1",
                Noted(
                    at(|c| c.minimum_required_space = 1_048_576),
                    "is 1, taken as 1048576",
                ),
            ),
            (
                "channels.c2.fsyncPerTransaction = false",
                Is(at(|c| c.fsync_per_transaction = false)),
            ),
            (
                "channels.c2.fsyncInterval = 1",
                Is(at(|c| c.fsync_interval = Duration::from_secs(1))),
            ),
            (
                "channels.c2.checkpointOnClose = false",
                Is(at(|c| c.checkpoint_on_close = false)),
            ),
            (
                "channels.c2.use-fast-replay = true",
                Noted(base.clone(), own),
            ),
            (
                "channels.c2.compressBackupCheckpoint = true",
                Noted(base.clone(), own),
            ),
            (
                "channels.c2.encryption.activeKey = k",
                Breaks(
                    "the file channel setting \"encryption.activeKey\" is a real Flume \
                        file channel setting that the mini-agent leaves out",
                ),
            ),
        ],
        |config| match &config.channel("c2")?.kind {
            ChannelKind::File(file) => Some(file.clone()),
            _ => None,
        },
    );
}
