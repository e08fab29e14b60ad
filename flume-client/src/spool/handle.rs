//! [`Handle`]: a file that is open for writing, and how much of it is more than reserved space.
#![expect(
    clippy::disallowed_types,
    reason = "part of the directory, which knows a file system"
)]

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::folder::Identity;
use super::system::{begin_write_back, reserve, write_at};

/// An open file.
///
/// The first write to reserved space changes the file system's metadata, which costs a second
/// flush of the device in the sync that follows. So space is reserved when a file is made, which
/// takes no time, and zeros are written a little ahead of small writes. Large ones do not mind.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) file: File,
    pub(super) identity: Option<Identity>,
    bytes: u64,
    /// Everything before this was written.
    written_upto: AtomicU64,
}

/// Writes below this are small.
const SMALL_BYTES: usize = 64 * 1024;
/// Zeros are written so far ahead of them,
const AHEAD_BYTES: u64 = 256 * 1024;
/// in pieces: after large ones kernels handle the file in large pieces, at every later write.
const ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
/// Large writes are made in pieces: the disk takes in the last one while the next is copied.
const PIECE_BYTES: usize = 512 * 1024;

impl Handle {
    /// A new file of `bytes` zeros, with disk space behind them.
    pub(super) fn make(file: File, bytes: u64) -> io::Result<Self> {
        let is_reserved = reserve(&file, bytes)?;
        let handle = Self {
            identity: Identity::of(&file)?,
            file,
            bytes,
            written_upto: AtomicU64::new(0),
        };
        if !is_reserved {
            handle.zero_upto(bytes, 0)?;
        }
        Ok(handle)
    }

    /// A file that is there. `written`: all of it, or nothing is known.
    pub(super) fn of(file: File, written: bool) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self {
            identity: Identity::of(&file)?,
            file,
            bytes,
            written_upto: AtomicU64::new(if written { bytes } else { 0 }),
        })
    }

    /// Writes all of `bytes`.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_at(&self.file, offset, bytes)?;
        let end = offset + bytes.len() as u64;
        if offset <= self.written_upto.load(Ordering::Relaxed) {
            self.written_upto.fetch_max(end, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The same for a file that is written from its start to its end. `sync_follows`: at once.
    pub(super) fn append(&self, offset: u64, bytes: &[u8], sync_follows: bool) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        let is_small = bytes.len() < SMALL_BYTES;
        if is_small && end > self.written_upto.load(Ordering::Relaxed) {
            // Without them the sync takes longer. If the disk fails, the write that follows tells.
            let _ = self.zero_upto((end + AHEAD_BYTES).min(self.bytes), end);
        }
        if !sync_follows || bytes.len() < PIECE_BYTES {
            return self.write(offset, bytes);
        }
        let mut offset = offset;
        for piece in bytes.chunks(PIECE_BYTES) {
            self.write(offset, piece)?;
            begin_write_back(&self.file, offset, piece.len());
            offset += piece.len() as u64;
        }
        Ok(())
    }

    /// Writes zeros after what was written, but not before `from`.
    fn zero_upto(&self, end: u64, from: u64) -> io::Result<()> {
        let mut offset = self.written_upto.load(Ordering::Relaxed).max(from);
        while offset < end {
            let length = ZEROS.len().min((end - offset) as usize);
            write_at(&self.file, offset, ZEROS.get(..length).unwrap_or(&ZEROS))?;
            offset += length as u64;
        }
        self.written_upto.fetch_max(offset, Ordering::Relaxed);
        Ok(())
    }
}
