//! [`FileChannel`]: a channel whose committed events outlive the process and the machine.
//!
//! It has the semantics of Flume's file channel, not its format:
//!
//! | step | what happens |
//! |---|---|
//! | put | takes a slot; on a full channel it waits up to keep-alive for one, then fails |
//! | take | moves the oldest event to the transaction, whose slot stays taken; on an empty channel it returns at once |
//! | commit of puts | one record, one sync that concurrent commits share, then the events can be taken |
//! | commit of takes | the same; the slots are free after it |
//! | rollback, or drop | frees the slots of puts, returns takes to their places; leaves no trace in the log |
//!
//! | file | holds |
//! |---|---|
//! | here | the channel as sources and sinks see it |
//! | [`transaction`] | what is visible, taken and put between commits |
//! | [`committer`] | the thread that writes and syncs |
//! | [`log`] | rounds of transactions to a [spool](flume_client::spool), which is the format |
//! | [`replay`] | what a directory holds, and whether all of it is there |
//! | [`guarded`] | the disk, which stops at its first failure, and fails as scripted faults want it |
//!
//! # What happens when...
//!
//! | | then |
//! |---|---|
//! | the process is killed | what was committed is there after the next open, the rest is not; a transaction whose commit had not returned may be either, but whole |
//! | the machine loses power | the same, as far as the disk honours a flush |
//! | the disk is full | a transaction that cannot be written fails and is undone; the channel works on |
//! | less than `minimum_required_space` is free | puts are refused, takes go on; segments go with their events except three, at most 3 MiB. Flume refuses both and so cannot drain |
//! | a sync fails | that commit and everything after it fails with the reason until the channel is opened again |
//! | events or the cursor are damaged | the channel does not open; the error names file and offset, and nothing is changed. Flume notices at the take |
//! | a second channel opens the directory | it is refused with the pid of the holder; the first goes on |
//! | a directory that Flume or an earlier mini-agent wrote | it is refused |
//! | a directory that everybody may write to, or that another user but root owns | it is refused |
//! | `capacity` was lowered below what the log holds | the channel does not open |
//! | a sink holds on to an old event while others go on | its segment stays, the later ones go with their events |
//! | what was taken lies in more than 64 places between events that are left, as after as many restarts with events left in between | the cursor keeps the oldest 64: what was taken in the others, or put and undone, may come again after the next open |
//!
//! Events stay in memory as well until their take is committed; Flume keeps a pointer for each and
//! reads them again. Not here: checkpoints (an open reads the whole log), several data
//! directories, `fsyncPerTransaction = false`, encryption.

mod committer;
mod error;
mod guarded;
mod log;
mod replay;
#[cfg(test)]
mod tests;
mod transaction;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flume_client::spool::{Access, Directory, ForeignOwner, NetworkFileSystem, Storage};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::channel::StoredEvent;
use crate::fault::guard::FaultBoard;
use committer::Commit;
use guarded::Guarded;
use log::{Limits, Log};
use transaction::Queue;

pub(crate) use error::{OpenError, TransactionError};
pub(crate) use transaction::Transaction;

/// The smallest `minimum_required_space`, as in Flume.
const MINIMUM_REQUIRED_SPACE_MIN: u64 = 1 << 20;

/// What a file channel is told, under Flume's names and with its defaults except `max_file_size`.
#[derive(Clone, Debug)]
pub(crate) struct FileSettings {
    /// The channel's own directory: `dataDirs` and `checkpointDir` in one. Made if need be.
    pub(crate) directory: PathBuf,
    /// Events the channel holds: in the log, taken, or put and not yet committed.
    pub(crate) capacity: usize,
    /// Events of one transaction, at most `capacity`.
    pub(crate) transaction_capacity: usize,
    /// How long a put waits for a slot.
    pub(crate) keep_alive: Duration,
    /// Bytes of a segment of the log. Taken as 16 KiB if less and as 1 MiB if more, but a
    /// transaction of more than half a segment makes it and those after it larger.
    pub(crate) max_file_size: u64,
    /// Bytes that puts leave free on the disk, at least 1 MiB.
    pub(crate) minimum_required_space: u64,
}

/// A durable channel, shared by sources and sinks.
///
/// Its drop waits for the commits under way and the end of their sync.
pub(crate) struct FileChannel {
    queue: Arc<Queue>,
    /// `None` once it is closed.
    committer: Mutex<Option<Committer>>,
    settings: FileSettings,
}

struct Committer {
    commits: mpsc::Sender<Commit>,
    thread: JoinHandle<()>,
    /// For looks at its free space.
    disk: Arc<Guarded>,
}

impl FileSettings {
    pub(crate) fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            capacity: 1_000_000,
            transaction_capacity: 10_000,
            keep_alive: Duration::from_secs(3),
            max_file_size: 64 << 20,
            minimum_required_space: 500 << 20,
        }
    }

    fn required_space(&self) -> u64 {
        self.minimum_required_space.max(MINIMUM_REQUIRED_SPACE_MIN)
    }
}

impl FileChannel {
    /// Opens the channel in its directory, whose disk fails as `faults` want it. The caller has
    /// checked `1 <= transaction_capacity <= capacity`.
    pub(crate) fn open(
        settings: FileSettings,
        faults: Option<Arc<FaultBoard>>,
    ) -> Result<Self, OpenError> {
        refuse_other_formats(&settings.directory)?;
        let access = Access {
            network: NetworkFileSystem::Allowed,
            owner: ForeignOwner::AllowedToRoot,
        };
        let opened = Directory::open(&settings.directory, access);
        let directory = opened.map_err(OpenError::of_directory)?;
        Self::open_on(Arc::new(directory), faults, settings)
    }

    fn open_on(
        disk: Arc<dyn Storage>,
        faults: Option<Arc<FaultBoard>>,
        settings: FileSettings,
    ) -> Result<Self, OpenError> {
        debug_assert!((1..=settings.capacity).contains(&settings.transaction_capacity));
        let capacity = settings.capacity.min(Semaphore::MAX_PERMITS);
        let disk = Arc::new(Guarded::new(disk, faults));
        let limits = Limits {
            capacity,
            segment_bytes: settings.max_file_size,
            free_bytes: settings.required_space(),
        };
        let (log, events) = Log::open(Arc::clone(&disk), limits)?;
        let queue = Arc::new(Queue::new(events, capacity, settings.transaction_capacity));
        let (commits, thread) = committer::start(log, Arc::clone(&queue))
            .map_err(OpenError::io("start the channel's thread"))?;
        let committer = Committer {
            commits,
            thread,
            disk,
        };
        Ok(Self {
            queue,
            committer: Mutex::new(Some(committer)),
            settings,
        })
    }

    /// Opens a transaction.
    pub(crate) fn begin(&self) -> Transaction {
        self.queue.begin()
    }

    /// Adds an event for the commit.
    pub(crate) async fn put(
        &self,
        transaction: &mut Transaction,
        event: StoredEvent,
    ) -> Result<(), TransactionError> {
        self.queue.check()?;
        transaction.check_put(&event)?;
        // Checked after the slot in Flume; here a full disk is told without the wait.
        self.check_space(transaction, &event)?;
        let slots = self.queue.slots();
        let slot = match slots.try_acquire() {
            Ok(slot) => Ok(slot),
            Err(_) => tokio::time::timeout(self.settings.keep_alive, slots.acquire())
                .await
                .map_err(|_| TransactionError::ChannelFull {
                    capacity: self.capacity(),
                    keep_alive: self.settings.keep_alive,
                })
                .map(|slot| slot.expect("the semaphore is never closed")),
        };
        slot?.forget();
        transaction.put(event);
        Ok(())
    }

    /// Takes the oldest events into `transaction`, up to so many of those that are there. Says how
    /// many attempts that were, the one that found nothing among them.
    pub(crate) fn take(
        &self,
        transaction: &mut Transaction,
        events_max: usize,
    ) -> Result<usize, TransactionError> {
        self.queue.take(transaction, events_max)
    }

    /// Makes the transaction final; it is on disk when this returns. After an error it is rolled
    /// back. A caller that gives up the wait does not stop a commit that is under way.
    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<(), TransactionError> {
        self.queue.check()?;
        if transaction.put_count() == 0 && transaction.taken().is_empty() {
            return Ok(());
        }
        let commits = self.committer().as_ref().map(|it| it.commits.clone());
        let (reply, answer) = oneshot::channel();
        let sent = match commits {
            Some(commits) => commits.send(Commit { transaction, reply }).await.is_ok(),
            None => false,
        };
        let answered = if sent { answer.await.ok() } else { None };
        answered.unwrap_or_else(|| {
            self.queue.poison("its thread has ended".into());
            self.queue.check()
        })
    }

    /// Undoes the transaction, as its drop does.
    #[cfg(test)]
    pub(crate) fn rollback(&self, transaction: Transaction) {
        drop(transaction);
    }

    /// Events that can be taken: none once it is closed.
    pub(crate) fn len(&self) -> usize {
        self.committer().as_ref().map_or(0, |_| self.queue.len())
    }

    /// How long a put waits for a slot.
    pub(crate) fn keep_alive(&self) -> Duration {
        self.settings.keep_alive
    }

    /// Events in slots: those that open transactions have taken or put, too.
    pub(crate) fn unsettled(&self) -> usize {
        let free = self.queue.slots().available_permits();
        self.settings
            .capacity
            .min(Semaphore::MAX_PERMITS)
            .saturating_sub(free)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.settings.capacity
    }

    /// Lets go of the directory, after the commits under way and the end of their sync. From here
    /// on every transaction fails.
    pub(crate) fn close(&self) {
        let committer = self.committer().take();
        if let Some(Committer {
            commits,
            thread,
            disk,
        }) = committer
        {
            self.queue.poison("it was closed".into());
            drop((commits, disk));
            // If it has panicked, the commits it left have been answered with that.
            let _ = thread.join();
        }
    }

    /// Waits until something was committed or rolled back since the last call.
    pub(crate) async fn arrival(&self) {
        self.queue.arrivals().notified().await;
    }

    /// Makes the sink look at the channel again.
    #[cfg(test)]
    pub(crate) fn wake_sink(&self) {
        self.queue.arrivals().notify_one();
    }

    fn committer(&self) -> MutexGuard<'_, Option<Committer>> {
        self.committer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the disk once per transaction; a look takes about a microsecond.
    fn check_space(
        &self,
        transaction: &mut Transaction,
        event: &StoredEvent,
    ) -> Result<(), TransactionError> {
        let usable = match *transaction.usable_bytes() {
            Some(usable) => usable,
            None => self.free_bytes()?,
        };
        *transaction.usable_bytes() = Some(usable);
        let required = self.settings.required_space();
        let bytes = (transaction.put_bytes() + event.datum().len()) as u64;
        if usable <= required.saturating_add(bytes) {
            return Err(TransactionError::SpaceLow { usable, required });
        }
        Ok(())
    }
}

impl FileChannel {
    /// Not with a handle of its own, which would keep the directory from being let go of.
    fn free_bytes(&self) -> Result<u64, TransactionError> {
        let committer = self.committer();
        let free = committer.as_ref().map(|open| open.disk.free_bytes());
        drop(committer);
        match free {
            Some(free) => free.map_err(|error| TransactionError::Write(error.into())),
            // It was closed just now.
            None => self.queue.check().map(|()| u64::MAX),
        }
    }
}

impl Drop for FileChannel {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for FileChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileChannel")
            .field("settings", &self.settings)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Segments of Flume's file channel, and of this one before it was a spool, are `log-1`, `log-2`, ...
fn refuse_other_formats(directory: &Path) -> Result<(), OpenError> {
    // What cannot be read is told when it is opened.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("log-"));
        if let Some(number) = number
            && number
                .parse::<u64>()
                .is_ok_and(|it| it.to_string() == number)
        {
            let file = entry.path();
            return Err(OpenError::OtherFormat { file });
        }
    }
    Ok(())
}

/// The events in a log, for the crate's fuzz checks.
pub(crate) fn read_log(disk: Arc<dyn Storage>) -> Result<Vec<Vec<u8>>, OpenError> {
    let limits = Limits {
        capacity: usize::MAX,
        segment_bytes: 0,
        free_bytes: 0,
    };
    let (_, events) = Log::open(Arc::new(Guarded::new(disk, None)), limits)?;
    let datums = events.values().map(|event| event.datum().to_vec());
    Ok(datums.collect())
}
