//! What a spool is set up from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::builder::{FOREVER, long_enough, within};
use crate::chunk::CHUNK_BYTES;
use crate::delivery;
use crate::error::BuildError;
use crate::event_id::EVENT_ID_BYTES_MAX;
use crate::reliability::Reliability;
use crate::spool::{
    CURSOR_BYTES, Flushing, NetworkFileSystem, SEGMENT_HEADER_BYTES, SEGMENTS_MIN, Settings,
    frame_bytes,
};

/// When what is written to the spool is made to reach the device.
///
/// | | a stored event survives | costs |
/// |---|---|---|
/// | `Always` | the end of the process, of the system, of the power | a flush of the device for each commit |
/// | `Interval` | the end of the process; that of the system but for the last interval | a flush for each interval with writes |
/// | `Os` | the end of the process | nothing |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncMode {
    /// Before the event counts as stored.
    #[default]
    Always,
    /// So much later at the most.
    Interval(Duration),
    /// When the operating system sees fit, half a minute later as a rule. And when the client is
    /// closed.
    Os,
}

/// A spool's settings, checked with [`check`](Self::check).
#[derive(Clone, Debug)]
pub(crate) struct SpoolConfig {
    pub(crate) directory: PathBuf,
    pub(crate) bytes_max: u64,
    pub(crate) free_bytes_min: u64,
    pub(crate) shared: bool,
    pub(crate) network: NetworkFileSystem,
    pub(crate) sync: SyncMode,
}

/// Bytes of a segment, if the quota allows so many and events need no more.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
const PAGE_BYTES: u64 = 4096;
/// Upper bound of [`ClientBuilder::spool_bytes`](super::ClientBuilder::spool_bytes).
const SPOOL_BYTES_LIMIT: u64 = 1 << 50;

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::new(),
            bytes_max: 1024 * 1024 * 1024,
            free_bytes_min: 512 * 1024 * 1024,
            shared: true,
            network: NetworkFileSystem::Refused,
            sync: SyncMode::Always,
        }
    }
}

impl SpoolConfig {
    /// Settles the level, and whether it has a spool.
    pub(crate) fn of_level(
        self,
        directory: Option<PathBuf>,
        wanted: Option<Reliability>,
        delivery: &mut delivery::Settings,
    ) -> Result<Option<Self>, BuildError> {
        let has_spool = directory.is_some();
        let fitting = if has_spool {
            Reliability::EndToEnd
        } else {
            Reliability::default()
        };
        let reliability = wanted.unwrap_or(fitting);
        delivery.reliability = reliability;
        match (reliability, has_spool) {
            (Reliability::EndToEnd, false) => Err(BuildError::NoSpool),
            (_, true) if reliability != Reliability::EndToEnd => {
                Err(BuildError::IdleSpool { reliability })
            }
            _ => directory.map(|directory| self.at(&directory)).transpose(),
        }
    }

    /// In this directory, wherever the process may change to.
    fn at(self, directory: &Path) -> Result<Self, BuildError> {
        if directory.as_os_str().is_empty() {
            return Err(BuildError::EmptySpool);
        }
        let absolute = std::path::absolute(directory);
        let directory = absolute.map_err(|source| BuildError::SpoolUnreadable {
            directory: directory.to_owned(),
            source,
        })?;
        Ok(Self { directory, ..self })
    }

    pub(crate) fn check(&self, event_bytes_max: usize) -> Result<(), BuildError> {
        let segments = SEGMENTS_MIN * segment_bytes_min(event_bytes_max);
        let least = segments + CURSOR_BYTES as u64;
        within("spool_bytes", self.bytes_max, least, SPOOL_BYTES_LIMIT)?;
        // With more than any disk has it would never take anything.
        within(
            "spool_free_bytes",
            self.free_bytes_min,
            0,
            SPOOL_BYTES_LIMIT,
        )?;
        match self.sync {
            SyncMode::Interval(interval) => long_enough("sync", interval),
            SyncMode::Always | SyncMode::Os => Ok(()),
        }
    }

    /// Takes times beyond [`FOREVER`] for that.
    pub(crate) fn bound_times(&mut self) {
        if let SyncMode::Interval(interval) = &mut self.sync {
            *interval = FOREVER.min(*interval);
        }
    }

    pub(crate) fn flushing(&self) -> Flushing {
        match self.sync {
            SyncMode::Always => Flushing::Always,
            SyncMode::Interval(_) | SyncMode::Os => Flushing::OnRequest,
        }
    }

    /// The sizes that follow from these.
    pub(crate) fn settings(&self, event_bytes_max: usize) -> Settings {
        let fitting = (self.bytes_max - CURSOR_BYTES as u64) / SEGMENTS_MIN;
        let pages = fitting.min(SEGMENT_BYTES) / PAGE_BYTES * PAGE_BYTES;
        Settings {
            segment_bytes: pages.max(segment_bytes_min(event_bytes_max)),
            frame_bytes_max: frame_bytes_max(event_bytes_max),
            bytes_max: self.bytes_max,
            free_bytes_min: self.free_bytes_min,
        }
    }
}

/// Bytes of a segment that can take whatever comes.
fn segment_bytes_min(event_bytes_max: usize) -> u64 {
    let least = SEGMENT_HEADER_BYTES as u64 + 2 * frame_bytes_max(event_bytes_max);
    least.next_multiple_of(PAGE_BYTES)
}

/// Bytes of the frame of a whole chunk, or of one event that is larger.
fn frame_bytes_max(event_bytes_max: usize) -> u64 {
    let event = event_bytes_max + EVENT_ID_BYTES_MAX;
    // A chunk counts the places of its events, too.
    frame_bytes(1, CHUNK_BYTES.max(event)) as u64
}
