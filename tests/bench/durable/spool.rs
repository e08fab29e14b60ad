//! Ours: the client with a spool, and the spool's log alone as a [`Store`], whose syncs are counted.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flume_client::seq::SeqRange;
use flume_client::spool::{
    CURSOR_BYTES, Directory, FileName, Level, Log, NetworkFileSystem, Operation, Settings, Watched,
};
use flume_client::{Client, Event, Reliability};

use crate::callers::DurableQueue;
use crate::load::{Result, event_bytes};
use crate::store::Store;

const SETTINGS: Settings = Settings {
    segment_bytes: 16 * 1024 * 1024,
    frame_bytes_max: 2 * 1024 * 1024,
    bytes_max: 8 * 16 * 1024 * 1024 + CURSOR_BYTES as u64,
    free_bytes_min: 0,
};

/// Room for the bursts of all rounds.
const SPOOLED_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// How long a caller waits, at the most.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long an event that is done with waits for the cursor, as in the client.
const SAVE_AFTER: Duration = Duration::from_millis(100);

/// The client and an agent that is away, so that nothing is sent and all that is stored stays.
pub(crate) struct Spooled {
    client: Client,
}

/// The log with an agent that acknowledges at once, so that segments are used again.
pub(crate) struct Spool {
    log: Log,
    ends: Vec<u32>,
    saved: Instant,
    unsaved_bytes: usize,
    counts: Arc<SyncCounts>,
}

/// What the log asked its storage for.
#[derive(Debug, Default)]
pub(crate) struct SyncCounts {
    commits: AtomicU64,
    segments: AtomicU64,
    others: AtomicU64,
}

impl Spooled {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let port = flume_tests::free_ports(1)?.first().copied();
        let client = Client::builder()
            .agent(format!(
                "avro://127.0.0.1:{}",
                port.ok_or("no port is free")?
            ))
            .reliability(Reliability::EndToEnd)
            .spool(directory.join("client"))
            .spool_bytes(SPOOLED_BYTES_MAX)
            .build()?;
        Ok(Self { client })
    }
}

impl DurableQueue for Spooled {
    fn append_durable(&self, event: &Event) -> Result<()> {
        self.append_all(event, 1)
    }

    fn append_all(&self, event: &Event, count: usize) -> Result<()> {
        let mut last = None;
        for _ in 0..count {
            last = Some(self.client.append_within(event.clone(), PATIENCE)?);
        }
        last.map_or(Ok(()), |last| Ok(last.wait_stored(PATIENCE)?))
    }

    fn commits(&self) -> Option<u64> {
        Some(self.client.stats().spool?.commits)
    }
}

impl Spool {
    pub(crate) fn open(directory: &Path, counts: &Arc<SyncCounts>) -> Result<Self> {
        let path = directory.join("spool");
        let directory = Directory::open(&path, NetworkFileSystem::Refused)?;
        let counted = Arc::clone(counts);
        let storage = Watched::new(Arc::new(directory), move |operation| {
            counted.count(operation);
            Ok(())
        });
        let (log, _) = Log::open(Arc::new(storage), SETTINGS, 1)?;
        Ok(Self {
            log,
            ends: Vec::new(),
            saved: Instant::now(),
            unsaved_bytes: 0,
            counts: Arc::clone(counts),
        })
    }
}

impl Store for Spool {
    fn commit(&mut self, events: &[u8]) -> Result<()> {
        let count = events.len() / event_bytes();
        self.ends.clear();
        self.ends
            .extend((1..=count).map(|event| (event * event_bytes()) as u32));
        let first = self.log.push(&self.ends, events, Level::EndToEnd);
        self.log.flush(0)?;
        self.log.retire(SeqRange::of(first, count as u64));
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        self.unsaved_bytes += events.len();
        if self.saved.elapsed() >= SAVE_AFTER || self.unsaved_bytes as u64 >= SETTINGS.segment_bytes
        {
            self.log.save()?;
            self.log.reserve()?;
            self.saved = Instant::now();
            self.unsaved_bytes = 0;
        }
        Ok(())
    }
}

impl SyncCounts {
    fn count(&self, operation: Operation) {
        let count = match operation {
            Operation::Sync {
                file: FileName::Segment(_),
            } => &self.segments,
            Operation::Sync { .. } | Operation::SyncDirectory => &self.others,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for SyncCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [commits, segments, others] =
            [&self.commits, &self.segments, &self.others].map(|it| it.load(Ordering::Relaxed));
        write!(
            f,
            "the log: {commits} commits, {segments} syncs of segments ({:.4} per commit), \
             {others} of the cursor, spares and the directory",
            segments as f64 / commits as f64
        )
    }
}
