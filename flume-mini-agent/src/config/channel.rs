//! [`ChannelConfig`]: a channel's settings.
//!
//! Sources: Flume's `MemoryChannel.configure`, `FileChannel.configure`,
//! `FileChannelConfiguration`.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::{Finding, ProblemKind, bad_value};

/// A channel: its name and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelConfig {
    /// The name other components call it by.
    pub name: String,
    /// What it is.
    pub kind: ChannelKind,
}

/// The types of channels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelKind {
    /// `type = memory`.
    Memory(MemoryChannelConfig),
    /// `type = file`.
    File(FileChannelConfig),
}

/// `type = memory`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryChannelConfig {
    /// `capacity`, in events: 100.
    pub capacity: usize,
    /// `transactionCapacity`, in events: 100.
    pub transaction_capacity: usize,
    /// `byteCapacity`. Not set, Flume takes 80 % of the Java heap; here that is no bound at all.
    pub byte_capacity: Option<u64>,
    /// `byteCapacityBufferPercentage`: the part of `byteCapacity` left to headers, 20.
    pub byte_capacity_buffer_percentage: u8,
    /// `keep-alive`: how long a put waits for room and a take for an event, 3 s.
    pub keep_alive: Duration,
}

/// `type = file`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileChannelConfig {
    /// `checkpointDir`. Not set: `~/.flume/file-channel/checkpoint`.
    pub checkpoint_dir: Option<PathBuf>,
    /// `dataDirs`, separated by commas. Empty: `~/.flume/file-channel/data`.
    pub data_dirs: Vec<PathBuf>,
    /// `capacity`, in events: 1,000,000.
    pub capacity: usize,
    /// `transactionCapacity`, in events: 10,000.
    pub transaction_capacity: usize,
    /// `keep-alive`: how long a put waits for room, 3 s.
    pub keep_alive: Duration,
    /// `checkpointInterval`, in milliseconds: 30,000.
    pub checkpoint_interval: Duration,
    /// `maxFileSize`, in bytes: 1,623,195,647, which is also the most. Files have at most 1 MiB
    /// whatever it says, except for a transaction that needs more.
    pub max_file_size: u64,
    /// `minimumRequiredSpace`, in bytes: 500 MiB, and at least 1 MiB.
    pub minimum_required_space: u64,
    /// `fsyncPerTransaction`: true.
    pub fsync_per_transaction: bool,
    /// `fsyncInterval`, in seconds: 5. Counts only without `fsyncPerTransaction`.
    pub fsync_interval: Duration,
    /// `checkpointOnClose`: true.
    pub checkpoint_on_close: bool,
}

/// Flume counts bytes of bodies in slots of this size.
const BYTES_PER_SLOT: f64 = 100.0;

pub(super) const FILE_SIZE_MAX: i64 = i32::MAX as i64 - 500 * 1024 * 1024;
pub(super) const MINIMUM_REQUIRED_SPACE: i64 = 500 * 1024 * 1024;

impl ChannelConfig {
    /// A channel of this name.
    pub fn new(name: impl Into<String>, kind: impl Into<ChannelKind>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
        }
    }

    /// Events the channel holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        match &self.kind {
            ChannelKind::Memory(memory) => memory.capacity,
            ChannelKind::File(file) => file.capacity,
        }
    }

    /// Events one transaction holds.
    #[must_use]
    pub fn transaction_capacity(&self) -> usize {
        match &self.kind {
            ChannelKind::Memory(memory) => memory.transaction_capacity,
            ChannelKind::File(file) => file.transaction_capacity,
        }
    }

    /// Flume's rule for its capacities; a value of 0 can only come from code.
    pub(super) fn check(&self, prefix: &str) -> Option<Finding> {
        let (capacity, transaction_capacity) = (self.capacity(), self.transaction_capacity());
        if transaction_capacity > capacity {
            let key = format!("{prefix}transactionCapacity");
            let kind = ProblemKind::TransactionOverCapacity {
                transaction_capacity,
                capacity,
            };
            return Some(Finding::error(key, kind));
        }
        let key = format!("{prefix}transactionCapacity");
        let is_zero = transaction_capacity == 0;
        is_zero.then(|| Finding::error(key, bad_value("0", "at least 1")))
    }
}

impl MemoryChannelConfig {
    /// Slots of 100 bytes that bodies may take up, by Flume's arithmetic. `None`: no bound.
    ///
    /// 0 bytes mean no bound, too: Flume then counts to `Integer.MAX_VALUE`.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "Flume calculates with doubles and casts, which saturates in Java as here"
    )]
    pub fn byte_slots(&self) -> Option<u32> {
        let usable = 1.0 - f64::from(self.byte_capacity_buffer_percentage) * 0.01;
        let slots = (self.byte_capacity? as f64 * usable / BYTES_PER_SLOT) as i32;
        u32::try_from(slots).ok().filter(|slots| *slots >= 1)
    }
}

impl Default for MemoryChannelConfig {
    fn default() -> Self {
        Self {
            capacity: 100,
            transaction_capacity: 100,
            byte_capacity: None,
            byte_capacity_buffer_percentage: 20,
            keep_alive: Duration::from_secs(3),
        }
    }
}

impl FileChannelConfig {
    /// A channel in these directories, with Flume's defaults.
    pub fn new(checkpoint_dir: impl Into<PathBuf>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            checkpoint_dir: Some(checkpoint_dir.into()),
            data_dirs: vec![data_dir.into()],
            ..Self::default()
        }
    }
}

impl Default for FileChannelConfig {
    fn default() -> Self {
        Self {
            checkpoint_dir: None,
            data_dirs: Vec::new(),
            capacity: 1_000_000,
            transaction_capacity: 10_000,
            keep_alive: Duration::from_secs(3),
            checkpoint_interval: Duration::from_secs(30),
            max_file_size: FILE_SIZE_MAX.unsigned_abs(),
            minimum_required_space: MINIMUM_REQUIRED_SPACE.unsigned_abs(),
            fsync_per_transaction: true,
            fsync_interval: Duration::from_secs(5),
            checkpoint_on_close: true,
        }
    }
}

impl From<MemoryChannelConfig> for ChannelKind {
    fn from(config: MemoryChannelConfig) -> Self {
        Self::Memory(config)
    }
}

impl From<FileChannelConfig> for ChannelKind {
    fn from(config: FileChannelConfig) -> Self {
        Self::File(config)
    }
}
