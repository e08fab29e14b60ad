//! [`Flushes`]: what the disk was asked for, from the operating system.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::load::Result;

/// Counts the flushes of the disk that a directory is on, whoever asked for them.
pub(crate) struct Flushes {
    /// `None` where the kernel does not count them.
    stat: Option<PathBuf>,
}

/// Place of the flushes among the figures of Linux's `stat` of a block device.
const FLUSHES_FIELD: usize = 15;

impl Flushes {
    pub(crate) fn of(directory: &Path) -> Result<Self> {
        let device = std::fs::metadata(directory)?.dev();
        let (major, minor) = (
            (device >> 8) & 0xfff,
            (device & 0xff) | ((device >> 12) & !0xff),
        );
        let device = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        // A partition's flushes are counted at its disk.
        let is_partition = device.join("partition").exists();
        let stat = device.join(if is_partition { "../stat" } else { "stat" });
        Ok(Self {
            stat: stat.exists().then_some(stat),
        })
    }

    pub(crate) fn count(&self) -> Option<u64> {
        let figures = std::fs::read_to_string(self.stat.as_ref()?).ok()?;
        figures.split_whitespace().nth(FLUSHES_FIELD)?.parse().ok()
    }
}
