//! What a spool is set up from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bounds::{CHUNK_BYTES, FOREVER, long_enough, within};
use crate::error::BuildError;
use crate::event_id::EVENT_ID_BYTES_MAX;
use crate::reliability::Reliability;
use crate::spool::{
    Access, CURSOR_BYTES, FileSizeLimit, Flushing, Limits, SEGMENT_BYTES, SEGMENT_HEADER_BYTES,
    SEGMENTS_MIN, Settings, Shared, frame_bytes,
};

/// When what is written to the spool is made to reach the device, by a sync (`fsync`).
///
/// | | a stored event survives | costs |
/// |---|---|---|
/// | `Always` | the end of the process, of the system, of the power | a sync for each commit |
/// | `Interval` | the end of the process; that of the system except for the last interval | a sync for each interval with writes |
/// | `Os` | the end of the process | nothing |
///
/// A sync that fails costs no event with `Always`: none of those that it covers counts as stored,
/// and they are written again. With the others they were told to be stored before. What of them is
/// not sent is read from the disk as far as the system still has it; the rest is counted as
/// `lost.corrupt`, at once or after the next start. The trouble is in `stats().spool.trouble` and
/// in `health()` until a sync succeeds, tried every 2 seconds with `Interval` and once, at the end,
/// with `Os`; what comes meanwhile goes to another file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncMode {
    /// Before the event counts as stored.
    #[default]
    Always,
    /// At most this long after the event counts as stored.
    Interval(Duration),
    /// When the operating system sees fit, half a minute later as a rule. And when the client is
    /// closed.
    Os,
}

/// A spool's settings, checked with [`check`](Self::check).
#[derive(Clone, Debug)]
pub(crate) struct SpoolConfig {
    pub(crate) directory: PathBuf,
    /// As given. If not, it depends on the disk.
    pub(crate) bytes_max: Option<u64>,
    /// Likewise.
    pub(crate) free_bytes_min: Option<u64>,
    pub(crate) shared: bool,
    pub(crate) access: Access,
    pub(crate) sync: SyncMode,
}

const PAGE_BYTES: u64 = 4096;
/// Bytes of all files, unless others are given: but at most this part of a small disk.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;
const DISK_PART_USED: u64 = 2;
/// Bytes that stay free on the disk, unless others are given: but at most this part of a small one.
const FREE_BYTES_MIN: u64 = 512 * 1024 * 1024;
const DISK_PART_FREE: u64 = 8;
/// Upper bound of [`ClientBuilder::spool_bytes`](crate::ClientBuilder::spool_bytes).
const SPOOL_BYTES_LIMIT: u64 = 1 << 50;

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::new(),
            bytes_max: None,
            free_bytes_min: None,
            shared: true,
            access: Access::default(),
            sync: SyncMode::Always,
        }
    }
}

impl SpoolConfig {
    /// Settles the client's own level, and whether there is a spool.
    pub(crate) fn of_level(
        self,
        directory: Option<PathBuf>,
        wanted: Option<Reliability>,
    ) -> Result<(Reliability, Option<Self>), BuildError> {
        let spool = directory.map(|directory| self.at(&directory)).transpose()?;
        let fitting = match spool {
            Some(_) => Reliability::EndToEnd,
            None => Reliability::default(),
        };
        match (wanted.unwrap_or(fitting), &spool) {
            (level, None) if level.has_spool() => Err(BuildError::NoSpool),
            (level, _) => Ok((level, spool)),
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
        if let Some(bytes) = self.bytes_max {
            let least = bytes_min(event_bytes_max);
            within("spool_bytes", bytes, least, SPOOL_BYTES_LIMIT)?;
        }
        // With more than any disk has it would never take anything.
        if let Some(bytes) = self.free_bytes_min {
            within("spool_free_bytes", bytes, 0, SPOOL_BYTES_LIMIT)?;
        }
        match self.sync {
            SyncMode::Interval(interval) => long_enough("sync", interval),
            SyncMode::Always | SyncMode::Os => Ok(()),
        }
    }

    /// Shortens times above [`FOREVER`] to it.
    pub(crate) fn bound_times(&mut self) {
        if let SyncMode::Interval(interval) = &mut self.sync {
            *interval = FOREVER.min(*interval);
        }
    }

    /// The places beside its own, if it shares its directory with others.
    pub(crate) fn neighbours(&self) -> Option<Shared> {
        self.shared.then(|| Shared {
            root: self.directory.clone(),
            access: self.access,
            flushing: self.flushing(),
        })
    }

    pub(crate) fn flushing(&self) -> Flushing {
        match self.sync {
            SyncMode::Always => Flushing::Always,
            SyncMode::Interval(_) | SyncMode::Os => Flushing::OnRequest,
        }
    }

    /// The sizes that follow from these for what a disk and this process allow. Fails if it may not
    /// write files as large as a segment has to be.
    pub(crate) fn settings(
        &self,
        event_bytes_max: usize,
        limits: Limits,
    ) -> Result<Settings, FileSizeLimit> {
        let segment_bytes_min = segment_bytes_min(event_bytes_max);
        if limits.file_bytes < segment_bytes_min {
            return Err(FileSizeLimit {
                needed: segment_bytes_min,
                limit: limits.file_bytes,
            });
        }
        let disk_bytes = limits.disk_bytes.unwrap_or(u64::MAX);
        let fitting = BYTES_MAX.min(disk_bytes / DISK_PART_USED);
        let fitting = fitting.max(bytes_min(event_bytes_max));
        let bytes_max = self.bytes_max.unwrap_or(fitting);
        let fitting = FREE_BYTES_MIN.min(disk_bytes / DISK_PART_FREE);
        let free_bytes_min = self.free_bytes_min.unwrap_or(fitting);
        let segment_bytes = (bytes_max - CURSOR_BYTES as u64) / SEGMENTS_MIN;
        let segment_bytes = segment_bytes.min(SEGMENT_BYTES).min(limits.file_bytes);
        let pages = segment_bytes / PAGE_BYTES * PAGE_BYTES;
        Ok(Settings {
            segment_bytes: pages.max(segment_bytes_min),
            frame_bytes_max: frame_bytes_max(event_bytes_max),
            bytes_max,
            free_bytes_min,
        })
    }
}

/// Bytes that the spool's files can do with.
fn bytes_min(event_bytes_max: usize) -> u64 {
    SEGMENTS_MIN * segment_bytes_min(event_bytes_max) + CURSOR_BYTES as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const UNLIMITED: Limits = Limits {
        disk_bytes: None,
        file_bytes: u64::MAX,
    };

    fn settings(limits: Limits) -> Result<Settings, FileSizeLimit> {
        SpoolConfig::default().settings(MIB as usize, limits)
    }

    #[test]
    fn a_small_disk_makes_a_small_spool_and_a_small_reserve() {
        let of_disk = |mebibytes| {
            let disk_bytes = Some(mebibytes * MIB);
            let settings = settings(Limits {
                disk_bytes,
                ..UNLIMITED
            })
            .unwrap();
            assert!(settings.are_sound(), "{settings:?}");
            (settings.bytes_max / MIB, settings.free_bytes_min / MIB)
        };
        assert_eq!(of_disk(64), (32, 8));
        assert_eq!(of_disk(400), (200, 50));
        assert_eq!(of_disk(1 << 20), (1024, 512));
        // As little as four segments of two of the largest events take.
        assert_eq!(of_disk(2), (8, 0));
        let unknown = settings(UNLIMITED).unwrap();
        assert_eq!(
            (unknown.bytes_max, unknown.free_bytes_min),
            (1024 * MIB, 512 * MIB)
        );
    }

    #[test]
    fn what_was_given_is_not_made_smaller() {
        let config = SpoolConfig {
            bytes_max: Some(900 * MIB),
            free_bytes_min: Some(100 * MIB),
            ..SpoolConfig::default()
        };
        let disk_bytes = Some(64 * MIB);
        let settings = config.settings(
            4096,
            Limits {
                disk_bytes,
                ..UNLIMITED
            },
        );
        let settings = settings.unwrap();
        assert_eq!(settings.bytes_max, 900 * MIB);
        assert_eq!(settings.free_bytes_min, 100 * MIB);
    }

    #[test]
    fn no_segment_is_larger_than_the_process_may_write_a_file() {
        let limited = |file_bytes| {
            settings(Limits {
                file_bytes,
                ..UNLIMITED
            })
        };
        let segment_bytes = |limit| limited(limit).unwrap().segment_bytes;
        assert_eq!(segment_bytes(u64::MAX), 16 * MIB);
        assert_eq!(segment_bytes(16 * MIB), 16 * MIB);
        assert_eq!(segment_bytes(8 * MIB + 1), 8 * MIB);
        let told = limited(MIB).unwrap_err();
        assert_eq!(told.limit, MIB);
        assert!(told.needed > 2 * MIB && told.needed < 3 * MIB, "{told:?}");
        assert_eq!(segment_bytes(told.needed), told.needed);
    }
}
