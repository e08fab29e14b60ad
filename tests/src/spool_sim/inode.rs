//! [`Inode`]: a file as processes see it, and as it is found after the power was lost.

use std::collections::BTreeMap;
use std::io;

use fastrand::Rng;

/// Bytes that can be read or not, together.
pub(super) const BLOCK: usize = 4096;
/// Bytes that reach the disk together.
const SECTOR: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Inode {
    /// Nobody may read it.
    pub(super) denied: bool,
    /// Bytes from here to the end of their block cannot be read.
    pub(super) bad_block: Option<usize>,
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// For each sector that was written since the last sync, what it held in between.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl Inode {
    /// A file that is on the disk.
    pub(super) fn durable(content: Vec<u8>) -> Self {
        Self {
            live: content.clone(),
            durable: content,
            ..Self::default()
        }
    }

    /// Whether these bytes can be read.
    pub(super) fn check(&self, offset: usize, bytes: usize) -> io::Result<()> {
        if self.denied {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let ends = (offset + bytes).min(self.live.len());
        match self.bad_block {
            Some(block) if offset < block + BLOCK && ends > block => {
                Err(io::Error::other("injected: a block cannot be read"))
            }
            _ => Ok(()),
        }
    }

    fn sector(&self, number: usize) -> Vec<u8> {
        let start = (number * SECTOR).min(self.live.len());
        let end = (start + SECTOR).min(self.live.len());
        self.live[start..end].to_vec()
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        for number in offset / SECTOR..end.div_ceil(SECTOR) {
            let sector = self.sector(number);
            self.dirty.entry(number).or_default().push(sector);
        }
    }

    fn keep(&mut self, number: usize, sector: &[u8]) {
        let start = number * SECTOR;
        let end = start + sector.len();
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.durable[start..end].copy_from_slice(sector);
    }

    /// After a failure only some sectors are kept, and all count as clean.
    pub(super) fn sync(&mut self, random: &mut Rng, fails: bool) {
        for (number, _) in std::mem::take(&mut self.dirty) {
            if !fails || random.bool() {
                let sector = self.sector(number);
                self.keep(number, &sector);
            }
        }
        if !fails || random.bool() {
            self.durable.resize(self.live.len(), 0);
        }
    }

    pub(super) fn lose_power(&mut self, random: &mut Rng) {
        for (number, versions) in std::mem::take(&mut self.dirty) {
            let choice = random.usize(0..=versions.len());
            if let Some(sector) = choice.checked_sub(1).and_then(|it| versions.get(it)) {
                self.keep(number, &sector.clone());
            }
        }
        if random.bool() {
            self.durable.resize(self.live.len(), 0);
        }
        self.live = self.durable.clone();
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.live.truncate(length);
        let sectors = length.div_ceil(SECTOR);
        self.dirty.retain(|number, _| *number < sectors);
    }
}
