//! [`SimDisk`]: the spool's simulated disk, with a fault at any operation, syncs that wait, and a
//! disk that takes no more files.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use flume_client::spool::{FileName, Storage};

#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the spool's simulator, which uses all of it"
)]
#[path = "../../../../../tests/src/spool_sim/disk.rs"]
mod disk;
#[path = "../../../../../tests/src/spool_sim/inode.rs"]
mod inode;

/// More than any test fills.
const CAPACITY: u64 = 1 << 40;

/// Shared by a channel and its test.
#[derive(Clone)]
pub(super) struct SimDisk(Arc<Shared>);

struct Shared {
    disk: disk::SimDisk,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    random: fastrand::Rng,
    operations: usize,
    fault: Option<(usize, Fault)>,
    dead: bool,
    free_bytes: u64,
    syncs: usize,
    syncs_held: bool,
    syncs_waiting: usize,
}

/// What an operation meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It may be done in part; nothing works from then on.
    Crash,
    /// It fails; a write may be done in part.
    Error,
    /// The thread ends.
    Panic,
}

impl SimDisk {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            operations: 0,
            fault: None,
            dead: false,
            free_bytes: u64::MAX,
            syncs: 0,
            syncs_held: false,
            syncs_waiting: 0,
        };
        Self(Arc::new(Shared {
            disk: disk::SimDisk::new(seed, CAPACITY),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    pub(super) fn storage(&self) -> Arc<dyn Storage> {
        self.0.clone()
    }

    /// The operation after `operations` more meets `fault`.
    pub(super) fn fail_after(&self, operations: usize, fault: Fault) {
        let mut state = self.0.state();
        state.fault = Some((state.operations + operations, fault));
    }

    /// Whether a fault was met since the last [`fail_after`](Self::fail_after).
    pub(super) fn has_failed(&self) -> bool {
        self.0.state().fault.is_none()
    }

    pub(super) fn operations(&self) -> usize {
        self.0.state().operations
    }

    /// No file can be made from now on, as on a full disk, or again.
    pub(super) fn set_full(&self, full: bool) {
        let used = self.0.disk.used_bytes();
        self.0.disk.set_capacity(if full { used } else { CAPACITY });
    }

    pub(super) fn set_free_bytes(&self, bytes: u64) {
        self.0.state().free_bytes = bytes;
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.0.disk.used_bytes()
    }

    /// Syncs of segments that were begun.
    pub(super) fn syncs(&self) -> usize {
        self.0.state().syncs
    }

    /// Syncs of segments wait until [`release_syncs`](Self::release_syncs).
    pub(super) fn hold_syncs(&self) {
        self.0.state().syncs_held = true;
    }

    pub(super) fn release_syncs(&self) {
        self.0.state().syncs_held = false;
        self.0.changed.notify_all();
    }

    pub(super) fn wait_for_a_held_sync(&self) {
        let waits = |state: &mut State| state.syncs_waiting == 0;
        drop(self.0.changed.wait_while(self.0.state(), waits).unwrap());
    }

    /// The process has died: what it wrote is there, what it meant to do is not.
    pub(super) fn kill(&self) {
        self.0.live_again();
        self.0.disk.end_process();
    }

    /// The power was lost: only what is durable is sure to be there.
    pub(super) fn lose_power(&self) {
        self.0.live_again();
        self.0.disk.power_off_and_on();
    }

    pub(super) fn content(&self, file: FileName) -> Vec<u8> {
        self.0.disk.content(file)
    }

    /// Replaces a file, or makes it.
    pub(super) fn set_content(&self, file: FileName, bytes: &[u8]) {
        self.0.disk.place(file, bytes.to_vec());
    }

    pub(super) fn delete(&self, file: FileName) {
        self.0.disk.take_away(file);
    }

    pub(super) fn files(&self) -> Vec<FileName> {
        let files = self.0.disk.files();
        files.into_iter().map(|(file, _)| file).collect()
    }

    pub(super) fn segments(&self) -> Vec<FileName> {
        let mut files = self.files();
        files.retain(|file| matches!(file, FileName::Segment(_)));
        files
    }

    /// A copy with the same live content, all of it durable.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new(0);
        for file in self.files() {
            copy.set_content(file, &self.content(file));
        }
        copy
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn live_again(&self) {
        let mut state = self.state();
        state.dead = false;
        state.fault = None;
    }

    /// Counts an operation. The fault it meets, or an error if the disk is gone.
    fn begin(&self) -> io::Result<Option<Fault>> {
        let mut state = self.state();
        if state.dead {
            return Err(io::Error::other("the power is off"));
        }
        let now = state.operations;
        let due = state.fault.take_if(|(at, _)| *at <= now);
        state.operations += 1;
        let fault = due.map(|(_, fault)| fault);
        state.dead = fault == Some(Fault::Crash);
        drop(state);
        assert_ne!(fault, Some(Fault::Panic), "a fault wants it so");
        Ok(fault)
    }

    /// An operation that is done whole or not at all.
    fn operate(&self, operate: impl FnOnce(&disk::SimDisk) -> io::Result<()>) -> io::Result<()> {
        let fault = self.begin()?;
        if fault.is_none() || (fault == Some(Fault::Crash) && self.state().random.bool()) {
            operate(&self.disk)?;
        }
        outcome(fault)
    }
}

impl Storage for Shared {
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        outcome(self.begin()?)?;
        self.disk.list()
    }

    fn create(&self, file: FileName, bytes: u64) -> io::Result<()> {
        self.operate(|disk| disk.create(file, bytes))
    }

    fn write(&self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let fault = self.begin()?;
        let written = match fault {
            None => bytes.len(),
            Some(_) => self.state().random.usize(..=bytes.len()),
        };
        self.disk.write(file, offset, &bytes[..written])?;
        outcome(fault)
    }

    fn read(&self, file: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        outcome(self.begin()?)?;
        self.disk.read(file, offset, bytes)
    }

    fn truncate(&self, file: FileName, bytes: u64) -> io::Result<()> {
        self.operate(|disk| disk.truncate(file, bytes))
    }

    fn sync(&self, file: FileName) -> io::Result<()> {
        let fault = self.begin()?;
        if let FileName::Segment(_) = file {
            let mut state = self.state();
            state.syncs += 1;
            state.syncs_waiting += 1;
            self.changed.notify_all();
            let held = |state: &mut State| state.syncs_held;
            state = self.changed.wait_while(state, held).unwrap();
            state.syncs_waiting -= 1;
        }
        match fault {
            None => self.disk.sync(file)?,
            // It loses a part, and forgets that it did.
            Some(Fault::Error) => {
                self.disk.set_faults(disk::Faults {
                    syncs: 1,
                    ..disk::Faults::default()
                });
                self.disk.sync(file).unwrap_err();
                self.disk.set_faults(disk::Faults::default());
            }
            Some(_) => {}
        }
        outcome(fault)
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        self.operate(|disk| disk.rename(from, to))
    }

    fn remove(&self, file: FileName) -> io::Result<()> {
        self.operate(|disk| disk.remove(file))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.operate(Storage::sync_directory)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state().free_bytes)
    }
}

fn outcome(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::Crash) => Err(io::Error::other("the power was lost")),
        Some(_) => Err(io::ErrorKind::StorageFull.into()),
    }
}
