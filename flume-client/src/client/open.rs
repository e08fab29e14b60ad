//! How a client begins: its parts are made and tied together, and its threads started.

use std::io;
use std::sync::Arc;

use super::end::Handle;
use crate::clock::{self, Clock, SystemClock};
use crate::committer::{Committer, Partners, Plan};
use crate::config::{Config, SpoolConfig};
use crate::error::{BuildError, ClientThread};
use crate::fork;
use crate::own_thread;
use crate::queue::{Beginning, BlockingThread, DurableMark, Guard, Intake, OpenedSpool, Room};
use crate::random;
use crate::sender::{self, Running, Sender};
use crate::spool::{
    Directory, DirectoryError, Location, Log, Neighbours, Settings, Storage, open_first_free,
};
use crate::stats::SpoolStats;
use crate::transport::{ClientRuntime, Means, Names, Network, Sockets};

/// Threads of a client at the most that [`ClientBuilder::build`](crate::ClientBuilder::build)
/// starts: one that delivers, with a spool one that writes and one that reads, and for look-ups of
/// agents' host names what is left of the number. `flume-changes` is beside them, for as long as it
/// has something to say.
const THREADS_MAX: usize = 4;

/// The network of a client, and the threads that it needs for itself. It may ask the spool's files to
/// give way when descriptors run out.
pub(super) fn sockets(
    config: &Arc<Config>,
    spool: Option<Arc<dyn Storage>>,
) -> io::Result<Sockets> {
    let others = if config.spool.is_some() { 3 } else { 1 };
    let names = Names::start(&config.agents, THREADS_MAX - others)?;
    Ok(Sockets::new(config.clone(), Means { names, spool }))
}

/// Starts a client whose spool reads and writes through what `disk` makes of its directory, and that
/// reaches agents by what `network` gives.
pub(super) fn start<N>(
    config: Config,
    disk: impl FnOnce(Arc<Directory>) -> Arc<dyn Storage>,
    network: impl FnOnce(&Arc<Config>, Option<Arc<dyn Storage>>) -> io::Result<N>,
) -> Result<Handle, BuildError>
where
    N: Network<Link: Unpin + Send> + Send + Unpin + 'static,
{
    let runtime = ClientRuntime::new().map_err(BuildError::Thread)?;
    let (handle, running) = start_without_sender(config, disk, network)?;
    spawn(ClientThread::Sender, move || {
        sender::run(&runtime, running);
    })?;
    Ok(handle)
}

/// The same without the thread that sends, which the caller is to replace.
pub(super) fn start_without_sender<N: Network>(
    config: Config,
    disk: impl FnOnce(Arc<Directory>) -> Arc<dyn Storage>,
    network: impl FnOnce(&Arc<Config>, Option<Arc<dyn Storage>>) -> io::Result<N>,
) -> Result<(Handle, Running<N>), BuildError> {
    fork::watch().map_err(BuildError::Thread)?;
    let config = Arc::new(config);
    let (intake, spool) = match &config.spool {
        None => (
            Arc::new(Intake::new(&config, None, Arc::new(SystemClock))),
            None,
        ),
        Some(spool) => {
            let (intake, parts) = open_spool(&config, spool, disk)?;
            (intake, Some(parts))
        }
    };
    let (committer, spool) = spool.unzip();
    let handover = spool.as_ref().map(|it| it.handover.clone());
    let guard = |thread| Guard::new(thread, intake.clone(), handover.clone());
    // If a thread cannot be started, its guard is dropped, and the other one ends.
    let sending = guard(ClientThread::Sender);
    let storing = committer.map(|it| (it, guard(ClientThread::Committer)));
    let storage = spool.as_ref().map(OpenedSpool::storage);
    let network = network(&config, storage).map_err(BuildError::Thread)?;
    let (seed, now) = (random::draw(), clock::now());
    let sender = Sender::new(&config, network, intake.clone(), spool, seed, now);
    let running = Running::new(sender, sending);
    if let Some((committer, guard)) = storing {
        spawn(ClientThread::Committer, move || committer.run(guard))?;
    }
    let handle = Handle {
        intake,
        overflow: config.overflow,
        has_spool: config.spool.is_some(),
        headers: config.headers.clone(),
        driver: None,
    };
    Ok((handle, running))
}

fn spawn(thread: ClientThread, body: impl FnOnce() + Send + 'static) -> Result<(), BuildError> {
    own_thread::spawn(thread.name(), body).map_err(BuildError::Thread)
}

/// Opens a spool, for its two sides to be started.
pub(crate) fn open_spool(
    config: &Config,
    spool: &SpoolConfig,
    disk: impl FnOnce(Arc<Directory>) -> Arc<dyn Storage>,
) -> Result<(Arc<Intake>, (Committer, OpenedSpool)), BuildError> {
    let directory = match spool.shared {
        true => open_first_free(&spool.directory, spool.access)?,
        false => Directory::open(&spool.directory, spool.access)?,
    };
    let directory = directory.with_flushing(spool.flushing());
    let directory = Arc::new(directory);
    let storage = disk(directory.clone());
    let settings = spool.settings(config.event_bytes_max, directory.limits());
    let settings = settings.map_err(|limit| {
        let directory = directory.path();
        DirectoryError::FileSizeLimit { directory, limit }
    })?;
    let reading = BlockingThread::start("flume-read").map_err(BuildError::Thread)?;
    let parts = Parts {
        location: directory.clone(),
        storage,
        neighbours: spool.neighbours().map(|it| Box::new(it) as _),
        settings,
        reading,
        clock: Arc::new(SystemClock),
        draw: Box::new(random::draw),
    };
    assemble(config, spool, parts).map_err(|source| {
        let directory = directory.path();
        BuildError::SpoolUnreadable { directory, source }
    })
}

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

/// Opens a spool's log, and ties its two sides and the callers' together.
pub(crate) fn assemble(
    config: &Config,
    spool: &SpoolConfig,
    parts: Parts,
) -> io::Result<(Arc<Intake>, (Committer, OpenedSpool))> {
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
    let intake = Arc::new(Intake::new(config, Some(beginning), clock.clone()));
    let sizes = config.sizes;
    let opened = OpenedSpool::new(reading.clone(), storage, &place, &log, &opened, sizes);
    let partners = Partners {
        intake: intake.clone(),
        handover: opened.handover.clone(),
        mark,
        clock,
    };
    let plan = Plan {
        spool: spool.clone(),
        settings,
        sizes,
        draw,
    };
    let committer = Committer::new(log, location, plan, reading, partners, neighbours);
    Ok((intake, (committer, opened)))
}
