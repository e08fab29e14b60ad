//! The jobs: what one caller does, what 64 do, and how they are timed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use flume_client::Event;
use flume_tests::median;

use crate::load::{CALLERS, Result, event_bytes};
use crate::store::{Store, written};

/// Makes events durable, for many callers at once.
pub(crate) trait DurableQueue: Send + Sync {
    /// Returns when the event is durable.
    fn append_durable(&self, event: &Event) -> Result<()>;

    /// Appends the event so many times, and returns when all are durable.
    fn append_all(&self, event: &Event, count: usize) -> Result<()>;

    /// See [`Store::settle`].
    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Commits so far, if it tells.
    fn commits(&self) -> Option<u64> {
        None
    }
}

/// What takes part in a table.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    /// Does its job for a while.
    fn turn(&mut self) -> Result<Turn>;

    /// See [`Store::settle`].
    fn settle(&mut self) -> Result<()>;
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// The append in the middle, where callers wait for each.
    pub(crate) micros: Option<f64>,
    pub(crate) commits: Option<u64>,
}

/// Events of each caller in a burst: 64 MiB in all.
pub(crate) fn burst_events() -> usize {
    DISK_BYTES / event_bytes() / CALLERS
}

/// Bytes that are written to the disk before they are synced, and in which pieces.
const DISK_BYTES: usize = 64 * 1024 * 1024;
const PIECE_BYTES: usize = 1024 * 1024;

/// A turn of one caller, and one of callers that wait. Short, for disks have moods of seconds.
const TURN: Duration = Duration::from_millis(100);

/// One caller, whose every event is a commit.
struct OneCaller<S> {
    name: &'static str,
    store: S,
}

/// One caller of what is made for many.
struct OneOfMany {
    name: &'static str,
    queue: Box<dyn DurableQueue>,
}

/// Callers that wait for each event.
pub(crate) struct Waiting {
    name: &'static str,
    queue: Arc<dyn DurableQueue>,
}

/// Callers that wait once.
pub(crate) struct Burst {
    name: &'static str,
    queue: Arc<dyn DurableQueue>,
}

/// The disk's bandwidth: big writes.
pub(crate) struct Disk {
    name: &'static str,
    file: File,
    /// Of a file that is made anew for each turn.
    path: Option<PathBuf>,
}

pub(crate) fn one_caller(name: &'static str, store: impl Store + 'static) -> Box<dyn Contender> {
    Box::new(OneCaller { name, store })
}

impl<S: Store> Contender for OneCaller<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn turn(&mut self) -> Result<Turn> {
        one_turn(|event| self.store.commit(event.as_datum()))
    }

    fn settle(&mut self) -> Result<()> {
        self.store.settle()
    }
}

pub(crate) fn one_of_many(
    name: &'static str,
    queue: impl DurableQueue + 'static,
) -> Box<dyn Contender> {
    let queue = Box::new(queue);
    Box::new(OneOfMany { name, queue })
}

impl Contender for OneOfMany {
    fn name(&self) -> &'static str {
        self.name
    }

    fn turn(&mut self) -> Result<Turn> {
        one_turn(|event| self.queue.append_durable(event))
    }

    fn settle(&mut self) -> Result<()> {
        self.queue.settle()
    }
}

impl Waiting {
    pub(crate) fn new(name: &'static str, queue: Arc<dyn DurableQueue>) -> Self {
        Self { name, queue }
    }
}

impl Contender for Waiting {
    fn name(&self) -> &'static str {
        self.name
    }

    fn turn(&mut self) -> Result<Turn> {
        let queue = self.queue.as_ref();
        let commits = queue.commits();
        let (seconds, micros) =
            time_callers(|event| appends(event, |it| queue.append_durable(it)))?;
        let mut micros = micros.concat();
        Ok(Turn {
            events: micros.len() as u64,
            seconds,
            micros: Some(median(&mut micros)),
            commits: since(commits, queue),
        })
    }

    fn settle(&mut self) -> Result<()> {
        self.queue.settle()
    }
}

impl Burst {
    pub(crate) fn new(name: &'static str, queue: Arc<dyn DurableQueue>) -> Self {
        Self { name, queue }
    }
}

impl Contender for Burst {
    fn name(&self) -> &'static str {
        self.name
    }

    fn turn(&mut self) -> Result<Turn> {
        let queue = self.queue.as_ref();
        let commits = queue.commits();
        let (seconds, _) = time_callers(|event| queue.append_all(event, burst_events()))?;
        Ok(Turn {
            events: (burst_events() * CALLERS) as u64,
            seconds,
            micros: None,
            commits: since(commits, queue),
        })
    }

    fn settle(&mut self) -> Result<()> {
        self.queue.settle()
    }
}

impl Disk {
    /// Into blocks that it has.
    pub(crate) fn rewritten(directory: &Path) -> Result<Self> {
        let path = directory.join("disk-rewritten");
        let file = written(&path, DISK_BYTES as u64, PIECE_BYTES)?;
        Ok(Self {
            name: "disk: 1 MiB writes, fdatasync after 64",
            file,
            path: None,
        })
    }

    /// Into a new file each turn, as whoever keeps what is written.
    pub(crate) fn fresh(directory: &Path) -> Result<Self> {
        let path = directory.join("disk-fresh");
        Ok(Self {
            name: "disk: the same into a new file",
            file: File::create(&path)?,
            path: Some(path),
        })
    }
}

impl Contender for Disk {
    fn name(&self) -> &'static str {
        self.name
    }

    fn turn(&mut self) -> Result<Turn> {
        let piece = vec![b'x'; PIECE_BYTES];
        let begin = Instant::now();
        for offset in (0..DISK_BYTES).step_by(PIECE_BYTES) {
            self.file.write_all_at(&piece, offset as u64)?;
        }
        self.file.sync_data()?;
        Ok(Turn {
            events: (DISK_BYTES / event_bytes()) as u64,
            seconds: begin.elapsed().as_secs_f64(),
            micros: None,
            commits: None,
        })
    }

    fn settle(&mut self) -> Result<()> {
        if let Some(path) = &self.path {
            std::fs::remove_file(path)?;
            self.file = File::create_new(path)?;
            self.file.sync_all()?;
        }
        Ok(())
    }
}

fn one_turn(append: impl FnMut(&Event) -> Result<()>) -> Result<Turn> {
    let begin = Instant::now();
    let mut micros = appends(&event(), append)?;
    let events = micros.len() as u64;
    Ok(Turn {
        events,
        seconds: begin.elapsed().as_secs_f64(),
        micros: Some(median(&mut micros)),
        commits: Some(events),
    })
}

/// Appends one event after another for a turn, and says how many microseconds each took.
fn appends(event: &Event, mut append: impl FnMut(&Event) -> Result<()>) -> Result<Vec<f64>> {
    let (begin, mut micros) = (Instant::now(), Vec::new());
    while begin.elapsed() < TURN {
        let begin = Instant::now();
        append(event)?;
        micros.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(micros)
}

/// Lets all callers begin at once; ends when the last one has. Seconds, and what they say.
fn time_callers<T: Send>(caller: impl Fn(&Event) -> Result<T> + Sync) -> Result<(f64, Vec<T>)> {
    let gate = Barrier::new(CALLERS + 1);
    let call = || {
        let event = event();
        gate.wait();
        caller(&event)
    };
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        gate.wait();
        let begin = Instant::now();
        let mut said = Vec::new();
        for caller in callers {
            said.push(caller.join().map_err(|_| "a caller panicked")??);
        }
        Ok((begin.elapsed().as_secs_f64(), said))
    })
}

fn since(commits: Option<u64>, queue: &dyn DurableQueue) -> Option<u64> {
    Some(queue.commits()? - commits?)
}

/// The event that all contenders store, as it travels.
fn event() -> Event {
    let event = Event::new(vec![b'x'; event_bytes() - 26])
        .header("host", "web-1")
        .header("level", "INFO");
    assert_eq!(event.as_datum().len(), event_bytes());
    event
}
