//! How a client begins: its parts are made and tied together, and its threads started.

use std::io;
use std::sync::Arc;

use super::end::Handle;
use super::spools::{Disk, Spools};
use crate::clock::{self, SystemClock};
use crate::config::Config;
use crate::error::{BuildError, ClientThread};
use crate::fork;
use crate::own_thread;
use crate::queue::{Guard, Intake};
use crate::random;
use crate::sender::{self, Running, Sender};
use crate::spool::Storage;
use crate::transport::{ClientRuntime, Means, Names, Network, Sockets};

/// Threads of a client at the most that [`ClientBuilder::build`](crate::ClientBuilder::build)
/// starts: one that delivers, with a spool one that writes and one that reads, and for look-ups of
/// agents' host names what is left of the number. One more writes if the client is used at both
/// levels that have a spool. `flume-changes` is beside them, for as long as it has something to say.
const THREADS_MAX: usize = 4;

/// The network of a client, and the threads that it needs for itself. It may ask the spool's files to
/// give way when descriptors run out.
pub(super) fn sockets(
    config: &Arc<Config>,
    spool: Option<Arc<dyn Storage>>,
) -> io::Result<Sockets> {
    let others = if config.spool.is_some() { 3 } else { 1 };
    let names = Names::start(&config.agents, THREADS_MAX - others)?;
    let means = Means::start(config, names, spool)?;
    Ok(Sockets::new(config.clone(), means))
}

/// Starts a client whose spools read and write through what `disk` makes of their directories, and that
/// reaches agents by what `network` gives.
pub(super) fn start<N>(
    config: Config,
    disk: Disk,
    network: impl FnOnce(&Arc<Config>, Option<Arc<dyn Storage>>) -> io::Result<N>,
) -> Result<Handle, BuildError>
where
    N: Network<Link: Unpin + Send> + Send + Unpin + 'static,
{
    let runtime = ClientRuntime::new().map_err(BuildError::Thread)?;
    let (handle, running) = start_without_sender(config, disk, network)?;
    own_thread::spawn(ClientThread::Sender.name(), move || {
        sender::run(&runtime, running);
    })
    .map_err(BuildError::Thread)?;
    Ok(handle)
}

/// The same without the thread that sends, which the caller is to replace.
pub(super) fn start_without_sender<N: Network>(
    config: Config,
    disk: Disk,
    network: impl FnOnce(&Arc<Config>, Option<Arc<dyn Storage>>) -> io::Result<N>,
) -> Result<(Handle, Running<N>), BuildError> {
    fork::watch().map_err(BuildError::Thread)?;
    let config = Arc::new(config);
    let intake = Arc::new(Intake::new(&config, Arc::new(SystemClock)));
    // If anything cannot be started, its guard is dropped, and the others end.
    let guard = Guard::of_sender(intake.clone());
    let (mut spools, mut storage) = (None, None);
    if let Some(spool) = &config.spool {
        let opened = Spools::new(&config, spool, &intake, disk)?;
        storage = opened.open(config.spool_level())?;
        spools = Some(opened);
    }
    let network = network(&config, storage).map_err(BuildError::Thread)?;
    let (seed, now) = (random::draw(), clock::now());
    let sender = Sender::new(&config, network, intake.clone(), seed, now);
    let running = Running::new(sender, guard);
    let handle = Handle {
        intake,
        overflow: config.overflow,
        spools,
        headers: config.headers.clone(),
        driver: None,
    };
    Ok((handle, running))
}
