//! [`SimPlace`] and [`SimPlaces`]: where the spool lies and what lies beside it, on disks that take
//! time and fail. While such a disk works, others go on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fastrand::Rng;
use flume_client::spool::{DirectoryError, FileName, Location, Neighbours, Recovered, Storage};

use super::time::SimClock;
use crate::spool_sim::disk::SimDisk;

/// What goes on while a disk works.
pub(super) type Meanwhile = dyn Fn() + Send + Sync;

/// What all disks of a world share.
pub(super) struct Machine {
    clock: Arc<SimClock>,
    state: Mutex<State>,
}

struct State {
    random: Rng,
    slow_syncs: u32,
    meanwhile: Option<Arc<Meanwhile>>,
}

impl Machine {
    pub(super) fn new(clock: Arc<SimClock>, seed: u64, slow_syncs: u32) -> Arc<Self> {
        let state = State {
            random: Rng::with_seed(seed),
            slow_syncs,
            meanwhile: None,
        };
        Arc::new(Self {
            clock,
            state: Mutex::new(state),
        })
    }

    pub(super) fn set_meanwhile(&self, meanwhile: Option<Arc<Meanwhile>>) {
        self.lock().meanwhile = meanwhile;
    }

    /// From now on no sync takes long.
    pub(super) fn heal(&self) {
        self.lock().slow_syncs = 0;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, is_sync: bool) {
        let mut state = self.lock();
        let slow = state.slow_syncs;
        let micros = match is_sync {
            true if slow > 0 && state.random.u32(0..slow) == 0 => {
                state.random.u64(1_000..4_000_000)
            }
            true => state.random.u64(50..2_000),
            false => state.random.u64(1..50),
        };
        let meanwhile = state.meanwhile.clone().filter(|_| is_sync);
        drop(state);
        let Some(meanwhile) = meanwhile else {
            self.clock.pass(Duration::from_micros(micros));
            return;
        };
        let mut left = micros;
        while left > 0 {
            let time = left.min(100_000);
            left -= time;
            self.clock.pass(Duration::from_micros(time / 2));
            meanwhile();
            self.clock.pass(Duration::from_micros(time - time / 2));
        }
    }
}

/// A place on such a disk.
pub(super) struct SimPlace {
    machine: Arc<Machine>,
    path: PathBuf,
    disk: Arc<SimDisk>,
}

impl SimPlace {
    pub(super) fn new(machine: Arc<Machine>, path: PathBuf, disk: Arc<SimDisk>) -> Self {
        Self {
            machine,
            path,
            disk,
        }
    }
}

impl Storage for SimPlace {
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        self.machine.work(false);
        self.disk.list()
    }

    fn create(&self, file: FileName, bytes: u64) -> io::Result<()> {
        self.machine.work(false);
        self.disk.create(file, bytes)
    }

    fn write(&self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.machine.work(false);
        self.disk.write(file, offset, bytes)
    }

    fn read(&self, file: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.machine.work(false);
        self.disk.read(file, offset, bytes)
    }

    fn truncate(&self, file: FileName, bytes: u64) -> io::Result<()> {
        self.machine.work(false);
        self.disk.truncate(file, bytes)
    }

    fn sync(&self, file: FileName) -> io::Result<()> {
        self.machine.work(true);
        self.disk.sync(file)
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        self.machine.work(false);
        self.disk.rename(from, to)
    }

    fn remove(&self, file: FileName) -> io::Result<()> {
        self.machine.work(false);
        self.disk.remove(file)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.machine.work(true);
        self.disk.sync_directory()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

impl Location for SimPlace {
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    fn notes(&self) -> Arc<[String]> {
        Arc::default()
    }

    fn check_place(&self) -> io::Result<()> {
        Ok(())
    }

    fn recover(&self, _: Option<&Path>, _: u64) -> Result<Recovered, DirectoryError> {
        Ok(Recovered::Same)
    }

    fn flush(&self) -> io::Result<()> {
        for (file, _) in self.list()? {
            self.sync(file)?;
        }
        self.sync_directory()
    }

    fn is_former_gone(&self) -> bool {
        false
    }

    fn forget_former(&self) {}
}

/// The places beside the client's own.
pub(super) struct SimPlaces {
    machine: Arc<Machine>,
    places: Arc<Vec<(PathBuf, Arc<SimDisk>)>>,
    held: Vec<Mutex<Weak<SimPlace>>>,
}

impl SimPlaces {
    pub(super) fn new(machine: Arc<Machine>, places: Arc<Vec<(PathBuf, Arc<SimDisk>)>>) -> Self {
        let held = places.iter().map(|_| Mutex::default()).collect();
        Self {
            machine,
            places,
            held,
        }
    }
}

impl Neighbours for SimPlaces {
    fn places(&self, _: &Path) -> Vec<PathBuf> {
        self.places.iter().map(|(path, _)| path.clone()).collect()
    }

    fn take(&self, place: &Path) -> Result<Option<Arc<dyn Location>>, DirectoryError> {
        let Some(index) = self.places.iter().position(|(path, _)| path == place) else {
            return Ok(None);
        };
        let mut held = self.held[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let disk = &self.places[index].1;
        let is_segment = |file: &FileName| matches!(file, FileName::Segment(_));
        let has_segment = disk.files().iter().any(|(file, _)| is_segment(file));
        if held.strong_count() > 0 || !has_segment {
            return Ok(None);
        }
        let taken = SimPlace::new(self.machine.clone(), place.to_owned(), disk.clone());
        let taken = Arc::new(taken);
        *held = Arc::downgrade(&taken);
        Ok(Some(taken))
    }
}
