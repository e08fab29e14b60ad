//! [`Store`]: durable events for one caller; [`Raw`], the system calls alone.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::load::Result;

/// Makes events durable, for one caller at a time.
pub(crate) trait Store: Send {
    /// Returns when these events of [`event_bytes`](crate::load::event_bytes) each are durable.
    fn commit(&mut self, events: &[u8]) -> Result<()>;

    /// Does what it had put off. Not timed, so that it falls into nobody else's turn.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What the disk can do: a `pwrite` and an `fdatasync` in a file that has its blocks.
pub(crate) struct Raw {
    file: File,
    offset: u64,
}

const RAW_BYTES: u64 = 16 * 1024 * 1024;
const PAGE_BYTES: usize = 4096;

impl Raw {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let file = written(&directory.join("raw"), RAW_BYTES, PAGE_BYTES)?;
        Ok(Self { file, offset: 0 })
    }
}

impl Store for Raw {
    fn commit(&mut self, events: &[u8]) -> Result<()> {
        if self.offset + events.len() as u64 > RAW_BYTES {
            self.offset = 0;
        }
        self.file.write_all_at(events, self.offset)?;
        self.offset += events.len() as u64;
        Ok(self.file.sync_data()?)
    }
}

/// A file all of whose blocks are on the disk. Linux caches it in pieces as large as it was
/// written in; small writes are quicker to small ones, large writes to large ones.
pub(crate) fn written(path: &Path, bytes: u64, piece_bytes: usize) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(path)?;
    let zeros = vec![0; piece_bytes];
    for offset in (0..bytes).step_by(piece_bytes) {
        file.write_all_at(&zeros, offset)?;
    }
    file.sync_all()?;
    Ok(file)
}
