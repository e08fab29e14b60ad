//! [`Guarded`]: the disk of a channel, to which nothing is done any more once something has failed.
//!
//! The spool works around a failure: it begins another segment and writes again. This channel tells
//! the failure instead, as Flume's does, and undoes the transaction. So that nothing else of a round
//! reaches the disk after its first failure, all that follows is refused until
//! [`Guarded::try_again`]; after a failed sync for good.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flume_client::spool::{FileName, Storage};

use crate::fault::Fault;
use crate::fault::guard::FaultBoard;
use crate::fault::rule::Point;

/// A disk that stops at its first failure, and fails as scripted faults want it. Without a rule
/// they cost a look at a flag for each write and sync.
pub(super) struct Guarded {
    disk: Arc<dyn Storage>,
    faults: Option<Arc<FaultBoard>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failure: Option<Failure>,
    /// What has failed is being undone: no scripted fault strikes.
    is_undoing: bool,
}

/// What has failed first.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// As in `could not write cursor`.
    action: String,
    error: Arc<io::Error>,
    /// The kernel may have dropped what it could not write and would call the next sync a success,
    /// so nothing that follows could be trusted.
    is_final: bool,
}

impl Guarded {
    pub(super) fn new(disk: Arc<dyn Storage>, faults: Option<Arc<FaultBoard>>) -> Self {
        Self {
            disk,
            faults,
            state: Mutex::default(),
        }
    }

    /// What has failed since the disk was opened, or was tried again.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.state().failure.clone()
    }

    /// Lets what has failed be undone, if anything can be trusted. No scripted fault strikes until
    /// [`has_undone`](Self::has_undone).
    pub(super) fn try_again(&self) -> bool {
        let mut state = self.state();
        if state.failure.as_ref().is_some_and(|it| it.is_final) {
            return false;
        }
        state.failure = None;
        state.is_undoing = true;
        true
    }

    pub(super) fn has_undone(&self) {
        self.state().is_undoing = false;
    }

    /// Does something to the disk, unless something has failed before.
    fn run(
        &self,
        action: &str,
        file: impl fmt::Display,
        operate: impl FnOnce(&dyn Storage) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(failure) = &self.state().failure {
            return Err(failure.again());
        }
        let done = operate(&*self.disk);
        match &done {
            // Of what is not there the spool knows what to do.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.fail(format!("{action} {file}"), error, action == SYNC);
            }
            _ => {}
        }
        done
    }

    fn fault(&self, point: Point) -> Option<Fault> {
        let faults = self.faults.as_ref()?;
        let is_undoing = self.state().is_undoing;
        (!is_undoing).then(|| faults.on_disk(point))?
    }

    /// Nothing works any more.
    fn lose_power(&self, file: FileName) -> io::Error {
        let error = io::Error::other("the power went, a fault wants it so");
        self.fail(format!("write {file}"), &error, true);
        error
    }

    /// Remembers a failure, if it is the first.
    fn fail(&self, action: String, error: &io::Error, is_final: bool) {
        self.state().failure.get_or_insert(Failure {
            action,
            error: Arc::new(copy(error)),
            is_final,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SYNC: &str = "sync";

impl Storage for Guarded {
    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        self.disk.list()
    }

    fn create(&self, file: FileName, bytes: u64) -> io::Result<()> {
        match file {
            // Room for events to come. Without it the channel can still be opened and drained.
            FileName::Spare(_) => match self.failure() {
                Some(failure) => Err(failure.again()),
                None => self.disk.create(file, bytes),
            },
            _ => self.run("make", file, |disk| disk.create(file, bytes)),
        }
    }

    /// Scripted faults strike where events are written, and what is done with.
    fn write(&self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let is_struck = matches!(file, FileName::Segment(_) | FileName::Cursor);
        let torn = |count: usize| bytes.get(..count).unwrap_or(bytes);
        self.run("write", file, |disk| {
            match is_struck.then(|| self.fault(Point::Write)).flatten() {
                Some(Fault::DiskFull) => {
                    disk.write(file, offset, torn(bytes.len() / 2))?;
                    Err(io::ErrorKind::StorageFull.into())
                }
                Some(Fault::PowerLoss { torn_bytes }) => {
                    disk.write(file, offset, torn(torn_bytes))?;
                    Err(self.lose_power(file))
                }
                _ => disk.write(file, offset, bytes),
            }
        })
    }

    fn read(&self, file: FileName, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        self.disk.read(file, offset, bytes)
    }

    fn truncate(&self, file: FileName, bytes: u64) -> io::Result<()> {
        self.run("cut", file, |disk| disk.truncate(file, bytes))
    }

    fn sync(&self, file: FileName) -> io::Result<()> {
        self.run(SYNC, file, |disk| match self.fault(Point::Sync) {
            Some(_) => Err(io::Error::other("the disk failed, a fault wants it so")),
            None => disk.sync(file),
        })
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        self.run("rename", from, |disk| disk.rename(from, to))
    }

    fn remove(&self, file: FileName) -> io::Result<()> {
        self.run("remove", file, |disk| disk.remove(file))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.run(SYNC, "the directory", |disk| disk.sync_directory())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }

    fn let_go_of_descriptors(&self) {
        self.disk.let_go_of_descriptors();
    }
}

impl Failure {
    /// As in `could not write cursor`.
    pub(super) fn action(&self) -> &str {
        &self.action
    }

    pub(super) fn error(&self) -> Arc<io::Error> {
        Arc::clone(&self.error)
    }

    fn again(&self) -> io::Error {
        copy(&self.error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.action, self.error)
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The same error once more, as far as it can be told.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
