//! [`SimDisk`]: a disk that forgets what was not synced, and fails when it is told to.
//!
//! Every file has a live image, as processes see it, and a durable one, as it is found after the
//! power was lost. In between are sectors: each of them may or may not reach the disk, in any
//! order, until a sync. A sync that fails loses some of them and forgets that it did.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use flume_client::spool::{FileName, Storage};

use super::inode::{BLOCK, Inode};

/// A simulated disk with one directory.
#[derive(Debug)]
pub struct SimDisk {
    state: Mutex<State>,
}

/// How often things go wrong: one of so many operations, 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Reads and listings that fail, for a part of a file or for the process as a whole.
    pub reads: u32,
    /// Writes that fail, after a part of them or none.
    pub writes: u32,
    /// Syncs that fail, and lose what they should have kept.
    pub syncs: u32,
    /// Creations, renamings and removals that fail.
    pub names: u32,
}

/// What was done to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All operations.
    pub operations: u64,
    /// Syncs of segments that were asked for.
    pub segment_syncs: u64,
    /// Spares that became segments.
    pub begun: u64,
    /// Faults of all kinds.
    pub faults: u64,
    /// Crashes.
    pub crashes: u64,
}

#[derive(Debug)]
struct State {
    random: Rng,
    faults: Faults,
    live: BTreeMap<FileName, usize>,
    durable: BTreeMap<FileName, usize>,
    /// Changes of names since the last sync of the directory.
    renames: Vec<Change>,
    inodes: Vec<Inode>,
    capacity: u64,
    read_only: bool,
    names_fail: bool,
    crash_in: Option<u64>,
    tally: Tally,
    /// The most bytes that files ever took.
    peak: u64,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    unlink: Option<FileName>,
    link: Option<(FileName, usize)>,
}

impl SimDisk {
    /// An empty disk of so many bytes.
    #[must_use]
    pub fn new(seed: u64, capacity: u64) -> Self {
        Self {
            state: Mutex::new(State {
                random: Rng::with_seed(seed),
                faults: Faults::default(),
                live: BTreeMap::new(),
                durable: BTreeMap::new(),
                renames: Vec::new(),
                inodes: Vec::new(),
                capacity,
                read_only: false,
                names_fail: false,
                crash_in: None,
                tally: Tally::default(),
                peak: 0,
            }),
        }
    }

    /// From now on things go wrong so often. Gives back how often they did before.
    pub fn set_faults(&self, faults: Faults) -> Faults {
        std::mem::replace(&mut self.lock().faults, faults)
    }

    /// From now on the disk has so many bytes. Files keep what they have.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Whether writes fail from now on, as on a read-only file system.
    pub fn set_read_only(&self, read_only: bool) {
        self.lock().read_only = read_only;
    }

    /// Whether every sync of the directory fails from now on.
    pub fn set_names_fail(&self, names_fail: bool) {
        self.lock().names_fail = names_fail;
    }

    /// After so many operations nothing works any more until [`power_off_and_on`](Self::power_off_and_on).
    pub fn crash_in(&self, operations: u64) {
        self.lock().crash_in = Some(operations);
    }

    /// Whether a crash that was asked for has happened.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        self.lock().crash_in == Some(0)
    }

    /// What was done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.lock().tally
    }

    /// The most bytes that files took at once.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.lock().peak
    }

    /// Bytes that files take.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.lock().used()
    }

    /// The files and their lengths, without a fault.
    #[must_use]
    pub fn files(&self) -> Vec<(FileName, u64)> {
        self.lock().files()
    }

    /// The power is lost and comes back: what was not synced may be gone, each sector by itself.
    pub fn power_off_and_on(&self) {
        let mut state = self.lock();
        state.tally.crashes += 1;
        state.crash_in = None;
        state.lose_power();
    }

    /// The process ends, the machine goes on: nothing that was written is lost.
    pub fn end_process(&self) {
        self.lock().crash_in = None;
    }

    /// Turns over one bit of a file, on the disk and in memory.
    pub fn rot(&self, file: FileName, bit: u64) {
        let mut state = self.lock();
        let Some(inode) = state.inode(file) else {
            return;
        };
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        for image in [&mut inode.live, &mut inode.durable] {
            if let Some(byte) = image.get_mut(byte) {
                *byte ^= mask;
            }
        }
    }

    /// Puts a file of any content there, durably.
    pub fn place(&self, file: FileName, content: Vec<u8>) {
        let mut state = self.lock();
        state.keep_names();
        state.inodes.push(Inode::durable(content));
        let inode = state.inodes.len() - 1;
        state.live.insert(file, inode);
        state.durable.insert(file, inode);
    }

    /// Lets nobody read a file, or everybody again.
    pub fn deny(&self, file: FileName, denied: bool) {
        if let Some(inode) = self.lock().inode(file) {
            inode.denied = denied;
        }
    }

    /// Makes the block with this byte unreadable.
    pub fn break_block(&self, file: FileName, byte: u64) {
        if let Some(inode) = self.lock().inode(file) {
            inode.bad_block = Some(byte as usize / BLOCK * BLOCK);
        }
    }

    /// Lets everybody read all files and blocks again.
    pub fn make_readable(&self) {
        for inode in &mut self.lock().inodes {
            inode.denied = false;
            inode.bad_block = None;
        }
    }

    /// Somebody gives two files each other's name.
    pub fn swap(&self, one: FileName, other: FileName) {
        let mut state = self.lock();
        state.keep_names();
        let State { live, durable, .. } = &mut *state;
        for names in [live, durable] {
            let inodes = [one, other].map(|file| names.remove(&file));
            let [of_one, of_other] = inodes;
            names.extend(of_one.map(|inode| (other, inode)));
            names.extend(of_other.map(|inode| (one, inode)));
        }
    }

    /// Somebody removes a file, durably.
    pub fn take_away(&self, file: FileName) {
        let mut state = self.lock();
        state.keep_names();
        state.live.remove(&file);
        state.durable.remove(&file);
    }

    /// What a process reads in a file.
    #[must_use]
    pub fn content(&self, file: FileName) -> Vec<u8> {
        let mut state = self.lock();
        state
            .inode(file)
            .map_or_else(Vec::new, |inode| inode.live.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts an operation, and decides whether it fails.
    fn operate(&mut self, one_in: u32) -> io::Result<()> {
        self.tally.operations += 1;
        match &mut self.crash_in {
            Some(0) => return Err(io::Error::other("the machine has crashed")),
            Some(left) => *left -= 1,
            None => {}
        }
        if self.crash_in == Some(0) {
            return Err(io::Error::other("the machine crashes"));
        }
        if self.strikes(one_in) {
            // One that passes, and one that may be the file's.
            return Err(match self.random.bool() {
                true => io::ErrorKind::Interrupted.into(),
                false => io::Error::other("injected: input/output error"),
            });
        }
        Ok(())
    }

    fn strikes(&mut self, one_in: u32) -> bool {
        let strikes = one_in > 0 && self.random.u32(0..one_in) == 0;
        self.tally.faults += u64::from(strikes);
        strikes
    }

    fn may_write(&self) -> io::Result<()> {
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn inode(&mut self, file: FileName) -> Option<&mut Inode> {
        let inode = *self.live.get(&file)?;
        self.inodes.get_mut(inode)
    }

    fn existing(&mut self, file: FileName) -> io::Result<&mut Inode> {
        self.inode(file)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn files(&self) -> Vec<(FileName, u64)> {
        let length = |inode: usize| self.inodes.get(inode).map_or(0, |it| it.live.len() as u64);
        let files = self.live.iter();
        files.map(|(file, inode)| (*file, length(*inode))).collect()
    }

    /// The names are on the disk.
    fn keep_names(&mut self) {
        let changes = std::mem::take(&mut self.renames);
        apply(&mut self.durable, &changes);
    }

    fn used(&self) -> u64 {
        self.files().iter().map(|(_, bytes)| bytes).sum()
    }

    fn lose_power(&mut self) {
        // Journals keep the order of changes to names.
        let kept = self.random.usize(0..=self.renames.len());
        let changes: Vec<_> = self.renames.drain(..).take(kept).collect();
        apply(&mut self.durable, &changes);
        self.live = self.durable.clone();
        for inode in &mut self.inodes {
            inode.lose_power(&mut self.random);
        }
    }
}

fn apply(names: &mut BTreeMap<FileName, usize>, changes: &[Change]) {
    for change in changes {
        change.unlink.and_then(|file| names.remove(&file));
        names.extend(change.link);
    }
}

impl Storage for SimDisk {
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        let mut state = self.lock();
        let one_in = state.faults.reads;
        state.operate(one_in)?;
        Ok(state.files())
    }

    fn create(&self, file: FileName, bytes: u64) -> io::Result<()> {
        let mut state = self.lock();
        let one_in = state.faults.names;
        state.operate(one_in)?;
        state.may_write()?;
        if state.used() + bytes > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut inode = Inode::default();
        inode.write(0, &vec![0; bytes as usize]);
        state.inodes.push(inode);
        let inode = state.inodes.len() - 1;
        state.live.insert(file, inode);
        state.renames.push(Change {
            unlink: None,
            link: Some((file, inode)),
        });
        state.peak = state.peak.max(state.used());
        Ok(())
    }

    fn write(&self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let one_in = state.faults.writes;
        let outcome = state.operate(one_in);
        state.may_write()?;
        let written = match outcome {
            Ok(()) => bytes.len(),
            Err(_) => state.random.usize(0..=bytes.len()),
        };
        let inode = state.existing(file)?;
        inode.write(offset as usize, &bytes[..written]);
        state.peak = state.peak.max(state.used());
        outcome
    }

    fn read(&self, file: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        let one_in = state.faults.reads;
        state.operate(one_in)?;
        let inode = state.existing(file)?;
        inode.check(offset as usize, bytes.len())?;
        let from = inode.live.get(offset as usize..).unwrap_or_default();
        let read = from.len().min(bytes.len());
        bytes[..read].copy_from_slice(&from[..read]);
        Ok(read)
    }

    fn truncate(&self, file: FileName, bytes: u64) -> io::Result<()> {
        let mut state = self.lock();
        let one_in = state.faults.writes;
        state.operate(one_in)?;
        state.may_write()?;
        let inode = state.existing(file)?;
        inode.truncate(bytes as usize);
        Ok(())
    }

    fn sync(&self, file: FileName) -> io::Result<()> {
        let mut state = self.lock();
        let is_segment = matches!(file, FileName::Segment(_));
        state.tally.segment_syncs += u64::from(is_segment);
        state.operate(0)?;
        let one_in = state.faults.syncs;
        let fails = state.strikes(one_in);
        let mut random = state.random.fork();
        state.existing(file)?.sync(&mut random, fails);
        if fails {
            return Err(io::Error::other("injected: sync failed"));
        }
        Ok(())
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        let mut state = self.lock();
        let one_in = state.faults.names;
        state.operate(one_in)?;
        state.may_write()?;
        let inode = state.live.remove(&from);
        let inode = inode.ok_or(io::ErrorKind::NotFound)?;
        state.live.insert(to, inode);
        state.renames.push(Change {
            unlink: Some(from),
            link: Some((to, inode)),
        });
        if matches!((from, to), (FileName::Spare(_), FileName::Segment(_))) {
            state.tally.begun += 1;
        }
        Ok(())
    }

    fn remove(&self, file: FileName) -> io::Result<()> {
        let mut state = self.lock();
        let one_in = state.faults.names;
        state.operate(one_in)?;
        state.may_write()?;
        state.live.remove(&file).ok_or(io::ErrorKind::NotFound)?;
        state.renames.push(Change {
            unlink: Some(file),
            link: None,
        });
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.operate(0)?;
        let one_in = state.faults.syncs;
        if state.strikes(one_in) || state.names_fail {
            return Err(io::Error::other("injected: sync failed"));
        }
        state.keep_names();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let mut state = self.lock();
        let one_in = state.faults.reads;
        state.operate(one_in)?;
        Ok(state.capacity.saturating_sub(state.used()))
    }
}
