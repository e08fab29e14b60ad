//! [`Scripted`]: a disk that fails as the agent's scripted faults want it.

use std::io;
use std::sync::Arc;

use super::storage::{SpaceProbe, Storage};
use crate::fault::Fault;
use crate::fault::guard::FaultBoard;
use crate::fault::rule::Point;

/// A disk under faults. Without a rule it costs a look at a flag for each write and sync.
///
/// A log writes a round and syncs it before it writes the next, so when the power goes in the
/// middle of a write that round is all there is behind the last sync.
#[derive(Debug)]
pub(super) struct Scripted<S> {
    storage: S,
    faults: Arc<FaultBoard>,
    /// Nothing works any more.
    dark: bool,
}

impl<S> Scripted<S> {
    pub(super) fn new(storage: S, faults: Arc<FaultBoard>) -> Self {
        Self {
            storage,
            faults,
            dark: false,
        }
    }

    fn lit(&mut self) -> io::Result<&mut S> {
        match self.dark {
            false => Ok(&mut self.storage),
            true => Err(io::Error::other("the power is off, a fault wants it so")),
        }
    }
}

impl<S: Storage> Scripted<S> {
    /// Writes the first `count` bytes and fails.
    fn tear(
        &mut self,
        (segment, offset): (u64, u64),
        bytes: &[u8],
        count: usize,
    ) -> io::Result<()> {
        let (torn, _) = bytes.split_at(count.min(bytes.len()));
        self.storage.write(segment, offset, torn)
    }
}

impl<S: Storage> Storage for Scripted<S> {
    fn list(&mut self) -> io::Result<Vec<u64>> {
        self.lit()?.list()
    }

    fn read(&mut self, segment: u64) -> io::Result<Vec<u8>> {
        self.lit()?.read(segment)
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        self.lit()?.create(segment)
    }

    fn publish(&mut self, segment: u64) -> io::Result<()> {
        self.lit()?.publish(segment)
    }

    fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.lit()?;
        match self.faults.on_disk(Point::Write) {
            Some(Fault::DiskFull) => {
                self.tear((segment, offset), bytes, bytes.len() / 2)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(Fault::PowerLoss { torn_bytes }) => {
                self.dark = true;
                self.tear((segment, offset), bytes, torn_bytes)?;
                Err(io::Error::other("the power went, a fault wants it so"))
            }
            _ => self.storage.write(segment, offset, bytes),
        }
    }

    fn truncate(&mut self, segment: u64, length: u64) -> io::Result<()> {
        self.lit()?.truncate(segment, length)
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        self.lit()?;
        match self.faults.on_disk(Point::Sync) {
            Some(_) => Err(io::Error::other("the disk failed, a fault wants it so")),
            None => self.storage.sync(segment),
        }
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.lit()?.sync_directory()
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.lit()?.remove(segment)
    }

    fn name(&self, segment: u64) -> String {
        self.storage.name(segment)
    }

    fn space_probe(&self) -> SpaceProbe {
        self.storage.space_probe()
    }
}
