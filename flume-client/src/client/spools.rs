//! [`Spools`]: the spools of a client are opened, each tied to the callers' side.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use crate::clock::{Clock, SystemClock};
use crate::committer::{Committer, Partners, Plan};
use crate::config::{Config, SpoolConfig};
use crate::error::{BuildError, ClientThread};
use crate::own_thread;
use crate::queue::{Beginning, BlockingThread, DurableMark, Guard, Intake, OpenedSpool, Room};
use crate::random;
use crate::reliability::{PerLevel, Reliability};
use crate::spool::{
    Directory, DirectoryError, Location, Log, Neighbours, Settings, Storage, open_first_free,
};
use crate::stats::SpoolStats;

/// What a spool's directory is read and written through.
pub(super) type Disk = Box<dyn Fn(Arc<Directory>) -> Arc<dyn Storage> + Send + Sync>;

/// The spools of a client: one for each level that has one and is used.
pub(super) struct Spools {
    config: Arc<Config>,
    spool: SpoolConfig,
    intake: Arc<Intake>,
    disk: Disk,
    reading: BlockingThread,
    are_open: Mutex<PerLevel<bool>>,
}

impl fmt::Debug for Spools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spools").finish_non_exhaustive()
    }
}

impl Spools {
    pub(super) fn new(
        config: &Arc<Config>,
        spool: &SpoolConfig,
        intake: &Arc<Intake>,
        disk: Disk,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            config: config.clone(),
            spool: spool.clone(),
            intake: intake.clone(),
            disk,
            reading: BlockingThread::start("flume-read").map_err(BuildError::Thread)?,
            are_open: Mutex::default(),
        })
    }

    /// Opens that of a level, and starts the thread that writes it, if that has not been done. A
    /// client that is closed opens none. Says through what it is read and written.
    pub(super) fn open(&self, level: Reliability) -> Result<Option<Arc<dyn Storage>>, BuildError> {
        let mut are_open = self.are_open.lock().unwrap_or_else(PoisonError::into_inner);
        if are_open[level] || self.intake.lock().is_closed() {
            return Ok(None);
        }
        // The first one has the directory, and looks after what others left in its places.
        let is_first = are_open.iter().all(|(_, is_open)| !is_open);
        let (storage, opening) = self.open_directory(level, is_first)?;
        let (to_thread, begin) = mpsc::channel::<(Committer, Guard)>();
        own_thread::spawn(ClientThread::Committer.name(), move || {
            if let Ok((committer, guard)) = begin.recv() {
                committer.run(guard);
            }
        })
        .map_err(BuildError::Thread)?;
        let (beginning, committer, opened) = opening;
        let handover = opened.handover.clone();
        let (intake, config) = (&self.intake, &self.config);
        if intake.open_spool(config, level, beginning, opened) {
            let guard = Guard::of_committer(intake.clone(), handover);
            // It waits for nothing else.
            drop(to_thread.send((committer, guard)));
            are_open[level] = true;
        }
        Ok(Some(storage))
    }

    fn open_directory(
        &self,
        level: Reliability,
        is_first: bool,
    ) -> Result<(Arc<dyn Storage>, Opening), BuildError> {
        let spool = &self.spool;
        let directory = match spool.shared || !is_first {
            true => open_first_free(&spool.directory, spool.access)?,
            false => Directory::open(&spool.directory, spool.access)?,
        };
        let directory = Arc::new(directory.with_flushing(spool.flushing()));
        let storage = (self.disk)(directory.clone());
        let settings = spool.settings(self.config.event_bytes_max, directory.limits());
        let settings = settings.map_err(|limit| {
            let directory = directory.path();
            DirectoryError::FileSizeLimit { directory, limit }
        })?;
        let neighbours = spool.neighbours().filter(|_| is_first);
        let parts = Parts {
            location: directory.clone(),
            storage: storage.clone(),
            neighbours: neighbours.map(|it| Box::new(it) as _),
            settings,
            reading: self.reading.clone(),
            clock: Arc::new(SystemClock),
            draw: Box::new(random::draw),
        };
        let opening = assemble(&self.config, level, spool, parts, &self.intake);
        let opening = opening.map_err(|source| {
            let directory = directory.path();
            BuildError::SpoolUnreadable { directory, source }
        })?;
        Ok((storage, opening))
    }
}

/// Where a level's events begin, and the two sides of its spool.
pub(crate) type Opening = (Beginning, Committer, OpenedSpool);

/// What a spool stands on.
pub(crate) struct Parts {
    pub(crate) location: Arc<dyn Location>,
    /// What its files are read and written through: the same, as a rule.
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) neighbours: Option<Box<dyn Neighbours>>,
    pub(crate) settings: Settings,
    /// Where reading may block.
    pub(crate) reading: BlockingThread,
    pub(crate) clock: Arc<dyn Clock>,
    /// Draws what runs are named by.
    pub(crate) draw: Box<dyn FnMut() -> u64 + Send>,
}

/// Opens the log of a level's spool, for the client to be told of it.
pub(crate) fn assemble(
    config: &Config,
    level: Reliability,
    spool: &SpoolConfig,
    parts: Parts,
    intake: &Arc<Intake>,
) -> io::Result<Opening> {
    let Parts {
        location,
        storage,
        neighbours,
        settings,
        reading,
        clock,
        mut draw,
    } = parts;
    let (log, opened) = Log::open(storage.clone(), settings, draw())?;
    let mark = Arc::new(DurableMark::new(log.next()));
    let chunk = config.sizes.chunk;
    let room = Room::new(settings.bytes_max, log.room(), log.next(), chunk);
    let (place, notes) = (location.path(), location.notes());
    let known = SpoolStats {
        directory: place.clone(),
        notes,
        ..SpoolStats::default()
    };
    let beginning = Beginning {
        run_id: log.run_id(),
        first: log.next(),
        recovered: log.backlog(),
        stored: mark.clone(),
        spool: Some((known, room)),
    };
    let sizes = config.sizes;
    let opened = OpenedSpool::new(reading.clone(), storage, &place, &log, &opened, sizes);
    let partners = Partners {
        intake: intake.clone(),
        handover: opened.handover.clone(),
        mark,
        clock,
    };
    let plan = Plan {
        level,
        buffer_share: config.buffer_share(level),
        spool: spool.clone(),
        settings,
        sizes,
        draw,
    };
    let committer = Committer::new(log, location, plan, reading, partners, neighbours);
    Ok((beginning, committer, opened))
}
