//! [`SimDisk`]: a disk with two images of everything, what the process sees and what is durable.
//!
//! A power loss keeps any part of what was not synced: single chunks of a write, a length without
//! its data, a name without the one before it. A sync that fails may have kept any part as well
//! and forgets the rest: the next one succeeds without it, as Linux does it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::super::storage::{SpaceProbe, Storage};

/// Shared by a channel and its test.
#[derive(Clone)]
pub(super) struct SimDisk(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    random: fastrand::Rng,
    files: BTreeMap<u64, File>,
    unpublished: BTreeMap<u64, File>,
    /// What a power loss leaves of the directory.
    durable_names: BTreeMap<u64, File>,
    pending_names: Vec<NameChange>,
    operations: usize,
    fault: Option<(usize, Fault)>,
    dead: bool,
    full: bool,
    free_bytes: u64,
    syncs: usize,
    syncs_held: bool,
    syncs_waiting: usize,
}

/// Shared by the directory and its durable image, as an inode is.
type File = Arc<Mutex<Content>>;

#[derive(Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

enum NameChange {
    Publish(u64, File),
    Remove(u64),
}

/// What an operation meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It may be done in part; nothing works from then on.
    Crash,
    /// It fails; a write may be done in part.
    Error,
}

impl SimDisk {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            files: BTreeMap::new(),
            unpublished: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            operations: 0,
            fault: None,
            dead: false,
            full: false,
            free_bytes: u64::MAX,
            syncs: 0,
            syncs_held: false,
            syncs_waiting: 0,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// The operation after `operations` more meets `fault`.
    pub(super) fn fail_after(&self, operations: usize, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + operations, fault));
    }

    /// Whether a fault was met since the last [`fail_after`](Self::fail_after).
    pub(super) fn has_failed(&self) -> bool {
        self.state().fault.is_none()
    }

    pub(super) fn operations(&self) -> usize {
        self.state().operations
    }

    /// Writes fail in part from now on, as on a full disk, or work again.
    pub(super) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    pub(super) fn set_free_bytes(&self, bytes: u64) {
        self.state().free_bytes = bytes;
    }

    /// Syncs that were begun.
    pub(super) fn syncs(&self) -> usize {
        self.state().syncs
    }

    /// Syncs wait until [`release_syncs`](Self::release_syncs).
    pub(super) fn hold_syncs(&self) {
        self.state().syncs_held = true;
    }

    pub(super) fn release_syncs(&self) {
        self.state().syncs_held = false;
        self.0.changed.notify_all();
    }

    pub(super) fn wait_for_a_held_sync(&self) {
        let waits = |state: &mut State| state.syncs_waiting == 0;
        drop(self.0.changed.wait_while(self.state(), waits).unwrap());
    }

    /// The process has died: what it wrote is there, what it meant to do is not.
    pub(super) fn kill(&self) {
        let mut state = self.state();
        state.dead = false;
        state.fault = None;
        state.unpublished.clear();
    }

    /// The power was lost: only what is durable is sure to be there.
    pub(super) fn lose_power(&self) {
        let state = &mut *self.state();
        state.dead = false;
        state.fault = None;
        state.unpublished.clear();
        let kept = [0, 50, 95, 100][state.random.usize(..4)];
        for change in state.pending_names.drain(..) {
            if state.random.usize(..100) < kept {
                change.apply(&mut state.durable_names);
            }
        }
        state.files = state.durable_names.clone();
        for file in state.files.values() {
            let content = &mut *file.lock().unwrap();
            for change in std::mem::take(&mut content.pending) {
                change.apply_in_part(&mut content.durable, kept, &mut state.random);
            }
            content.live = content.durable.clone();
        }
    }

    pub(super) fn content(&self, segment: u64) -> Vec<u8> {
        self.state().files[&segment].lock().unwrap().live.clone()
    }

    /// Replaces a segment, or makes it.
    pub(super) fn set_content(&self, segment: u64, bytes: &[u8]) {
        let content = Content {
            live: bytes.to_vec(),
            durable: bytes.to_vec(),
            pending: Vec::new(),
        };
        let file = Arc::new(Mutex::new(content));
        let mut state = self.state();
        state.files.insert(segment, Arc::clone(&file));
        state.durable_names.insert(segment, file);
    }

    pub(super) fn delete(&self, segment: u64) {
        let mut state = self.state();
        state.files.remove(&segment);
        state.durable_names.remove(&segment);
    }

    pub(super) fn segments(&self) -> Vec<u64> {
        self.state().files.keys().copied().collect()
    }

    /// A copy with the same live content, all of it durable.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new(0);
        for segment in self.segments() {
            copy.set_content(segment, &self.content(segment));
        }
        copy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Counts an operation. The fault it meets, or an error if the disk is gone.
    fn begin(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.state();
        if state.dead {
            return Err(io::Error::other("the power is off"));
        }
        let now = state.operations;
        let due = state.fault.take_if(|(at, _)| *at <= now);
        state.operations += 1;
        let fault = due.map(|(_, fault)| fault);
        state.dead = fault == Some(Fault::Crash);
        Ok((state, fault))
    }

    /// An operation that is done whole or not at all.
    fn operate(&self, operation: impl FnOnce(&mut State)) -> io::Result<()> {
        let (mut state, fault) = self.begin()?;
        if fault.is_none() || (fault == Some(Fault::Crash) && state.random.bool()) {
            operation(&mut state);
        }
        outcome(fault)
    }
}

impl State {
    fn file(&self, segment: u64) -> File {
        let file = self.unpublished.get(&segment).or(self.files.get(&segment));
        Arc::clone(file.unwrap())
    }
}

impl Storage for SimDisk {
    fn list(&mut self) -> io::Result<Vec<u64>> {
        let (state, fault) = self.begin()?;
        outcome(fault).map(|()| state.files.keys().copied().collect())
    }

    fn read(&mut self, segment: u64) -> io::Result<Vec<u8>> {
        let (state, fault) = self.begin()?;
        outcome(fault).map(|()| state.file(segment).lock().unwrap().live.clone())
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        self.operate(|state| {
            state.unpublished.insert(segment, File::default());
        })
    }

    fn publish(&mut self, segment: u64) -> io::Result<()> {
        self.operate(|state| {
            let file = state.unpublished.remove(&segment).unwrap();
            assert!(!state.files.contains_key(&segment), "a segment is lost");
            let change = NameChange::Publish(segment, file);
            change.apply(&mut state.files);
            state.pending_names.push(change);
        })
    }

    fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut state, mut fault) = self.begin()?;
        if state.full {
            fault = fault.or(Some(Fault::Error));
        }
        let written = match fault {
            None => bytes.len(),
            Some(_) => state.random.usize(..=bytes.len()),
        };
        let change = Change::Write {
            offset: usize::try_from(offset).unwrap(),
            bytes: bytes[..written].to_vec(),
        };
        state.file(segment).lock().unwrap().change(change);
        outcome(fault)
    }

    fn truncate(&mut self, segment: u64, length: u64) -> io::Result<()> {
        self.operate(|state| {
            let change = Change::Truncate(usize::try_from(length).unwrap());
            state.file(segment).lock().unwrap().change(change);
        })
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        let (mut state, fault) = self.begin()?;
        state.syncs += 1;
        state.syncs_waiting += 1;
        self.0.changed.notify_all();
        let held = |state: &mut State| state.syncs_held;
        state = self.0.changed.wait_while(state, held).unwrap();
        state.syncs_waiting -= 1;
        let file = state.file(segment);
        let content = &mut *file.lock().unwrap();
        for change in std::mem::take(&mut content.pending) {
            match (fault, &change) {
                (None, _) => change.apply(&mut content.durable),
                // Metadata goes through the journal: it waits for the next sync.
                (Some(Fault::Error), Change::Write { .. }) => {
                    change.apply_in_part(&mut content.durable, 50, &mut state.random);
                }
                _ => content.pending.push(change),
            }
        }
        outcome(fault)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.operate(|state| {
            for change in state.pending_names.drain(..) {
                change.apply(&mut state.durable_names);
            }
        })
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.operate(|state| {
            let change = NameChange::Remove(segment);
            change.apply(&mut state.files);
            state.pending_names.push(change);
        })
    }

    fn name(&self, segment: u64) -> String {
        format!("log-{segment}")
    }

    fn space_probe(&self) -> SpaceProbe {
        let disk = self.clone();
        Box::new(move || Ok(disk.state().free_bytes))
    }
}

impl Content {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                image.resize(image.len().max(end), 0);
                image[*offset..end].copy_from_slice(bytes);
            }
            Self::Truncate(length) => image.resize(*length, 0),
        }
    }

    /// Each chunk of a write with a chance of `kept` percent; then perhaps the length alone.
    fn apply_in_part(&self, image: &mut Vec<u8>, kept: usize, random: &mut fastrand::Rng) {
        let Self::Write { offset, bytes } = self else {
            if random.usize(..100) < kept {
                self.apply(image);
            }
            return;
        };
        let chunk = [1, 16, 64, 512][random.usize(..4)];
        let mut at = *offset;
        for bytes in bytes.chunks(chunk) {
            if random.usize(..100) < kept {
                let bytes = bytes.to_vec();
                Self::Write { offset: at, bytes }.apply(image);
            }
            at += bytes.len();
        }
        if random.usize(..100) < kept {
            image.resize(image.len().max(at), 0);
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<u64, File>) {
        match self {
            Self::Publish(segment, file) => names.insert(*segment, Arc::clone(file)),
            Self::Remove(segment) => names.remove(segment),
        };
    }
}

fn outcome(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::Crash) => Err(io::Error::other("the power was lost")),
        Some(Fault::Error) => Err(io::ErrorKind::StorageFull.into()),
    }
}
