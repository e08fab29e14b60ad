//! Channels, made from their configuration.

#[cfg(feature = "file-channel")]
use std::path::PathBuf;
use std::sync::Arc;

use super::error::StartError;
use crate::channel::Channel;
#[cfg(feature = "file-channel")]
use crate::channel::file::{FileChannel, FileSettings};
use crate::channel::memory::MemoryLimits;
use crate::config::{ChannelConfig, ChannelKind, FileChannelConfig};
use crate::fault::guard::FaultBoard;

pub(super) fn open_channel(
    config: &ChannelConfig,
    faults: &Arc<FaultBoard>,
) -> Result<Channel, StartError> {
    let name = config.name.as_str();
    match &config.kind {
        ChannelKind::Memory(memory) => {
            let limits = MemoryLimits {
                capacity: memory.capacity,
                transaction_capacity: memory.transaction_capacity,
                byte_slots: memory.byte_slots(),
            };
            Ok(Channel::memory(name, limits, memory.keep_alive))
        }
        ChannelKind::File(file) => open_file_channel(name, file, faults),
    }
}

#[cfg(not(feature = "file-channel"))]
fn open_file_channel(
    name: &str,
    _config: &FileChannelConfig,
    _faults: &Arc<FaultBoard>,
) -> Result<Channel, StartError> {
    Err(StartError::Feature {
        component: format!("channel {name}"),
        feature: "file-channel",
    })
}

#[cfg(feature = "file-channel")]
fn open_file_channel(
    name: &str,
    config: &FileChannelConfig,
    faults: &Arc<FaultBoard>,
) -> Result<Channel, StartError> {
    let opened = FileChannel::open(file_settings(config), Some(Arc::clone(faults)));
    let channel = opened.map_err(|error| StartError::Channel {
        channel: name.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Channel::file(name, channel))
}

#[cfg(feature = "file-channel")]
fn file_settings(config: &FileChannelConfig) -> FileSettings {
    let in_home = || {
        let home = std::env::home_dir().unwrap_or_default();
        home.join(".flume").join("file-channel").join("data")
    };
    let directory: PathBuf = config.data_dirs.first().cloned().unwrap_or_else(in_home);
    FileSettings {
        capacity: config.capacity,
        transaction_capacity: config.transaction_capacity,
        keep_alive: config.keep_alive,
        max_file_size: config.max_file_size,
        minimum_required_space: config.minimum_required_space,
        ..FileSettings::new(directory)
    }
}

/// A checked configuration has all the channels it names; one that was changed by hand may not.
pub(super) fn find(channels: &[Arc<Channel>], name: &str) -> Result<Arc<Channel>, StartError> {
    let found = channels.iter().find(|channel| channel.name() == name);
    found.cloned().ok_or_else(|| StartError::Channel {
        channel: name.to_owned(),
        reason: "the configuration has no such channel".to_owned(),
    })
}
