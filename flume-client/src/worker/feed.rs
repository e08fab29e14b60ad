//! [`Feed`]: the worker's events when there is a spool, from memory or from the disk, in order.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::blocking::BlockingThread;
use crate::chunk::Chunk;
use crate::handover::{Handover, Retirements, Supply};
use crate::spool::{Frame, Log, Opened, Readable, Reader, Retired, Step, Storage};
use crate::ticket::Ticket;

/// Where the events of a spool are read from, and which not.
pub(crate) struct Backlog {
    storage: Arc<dyn Storage>,
    /// What was done with when the spool was opened.
    retired: Arc<Retired>,
    /// See [`Opened::witnessed`](crate::spool::Opened::witnessed).
    witnessed: u64,
    pub(crate) handover: Arc<Handover>,
    /// Where reading may block.
    reading: BlockingThread,
}

impl Backlog {
    /// What is in a spool that was opened.
    pub(crate) fn new(
        reading: BlockingThread,
        storage: Arc<dyn Storage>,
        log: &Log,
        opened: &Opened,
    ) -> Self {
        Self {
            reading,
            storage,
            retired: Arc::new(log.retired().clone()),
            witnessed: opened.witnessed,
            handover: Arc::new(Handover::new(log.next(), log.readable())),
        }
    }

    /// The spool itself.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        self.storage.clone()
    }
}

impl fmt::Debug for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backlog").finish_non_exhaustive()
    }
}

/// What comes next.
pub(super) enum Fed {
    /// These events.
    Chunk(Chunk),
    /// These are not there any more.
    Lost { first: u64, end: u64 },
    /// Sequence numbers below are nobody's, or those of events done with.
    Skip { next: u64 },
}

/// Bytes read from the disk at once, but for the last frame.
const READ_BYTES: usize = 1024 * 1024;
/// How often reading is tried, and how long after a failure first; each wait is twice the last.
const READ_TRIES: u32 = 5;
const READ_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Feed {
    backlog: Backlog,
    /// The next event to come.
    position: u64,
    /// Bytes of events that were fed and are not done with.
    held: usize,
    held_max: usize,
    /// Not here while it reads.
    reader: Option<Reader>,
    reading: Option<Ticket<Read>>,
    failures: u32,
    again: Option<Pin<Box<Sleep>>>,
    retired: Retirements,
}

/// What came of reading for a while.
struct Read {
    reader: Reader,
    fed: Vec<Fed>,
    /// In these segments something is missing.
    damaged: Vec<u64>,
    /// Everything below the limit was read.
    is_through: bool,
    failed: bool,
    limit: u64,
}

impl Feed {
    /// Feeds until `held_max` bytes are not done with, and a little more.
    pub(super) fn new(backlog: Backlog, held_max: usize) -> Self {
        let first = backlog.retired.watermark();
        Self {
            reader: Some(Reader::new(first, backlog.witnessed)),
            position: first,
            held: 0,
            held_max,
            reading: None,
            failures: 0,
            again: None,
            retired: Retirements::default(),
            backlog,
        }
    }

    /// The event that comes next.
    pub(super) fn next(&self) -> u64 {
        self.position
    }

    /// What there is now goes to `fed`. If that is nothing, the context is woken when there is.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, fed: &mut Vec<Fed>) {
        loop {
            if let Some(again) = &mut self.again {
                if again.as_mut().poll(context).is_pending() {
                    return;
                }
                self.again = None;
            }
            if let Some(reading) = &self.reading {
                let Poll::Ready(read) = reading.poll(context) else {
                    return;
                };
                self.reading = None;
                // Reading panics for no bytes; if it did, the worker cannot go on either.
                self.on_read(read.done().expect("reading the spool does not panic"), fed);
                continue;
            }
            if self.held >= self.held_max {
                return;
            }
            match self.backlog.handover.supply(self.position, context.waker()) {
                Supply::Nothing => return,
                Supply::Chunk(chunk) => {
                    self.position = chunk.end();
                    self.held += chunk.bytes.len();
                    fed.push(Fed::Chunk(chunk));
                }
                Supply::OnDisk { limit, segments } => self.read(limit, segments),
            }
        }
    }

    /// Events are done with.
    pub(super) fn retire(&mut self, first: u64, end: u64, bytes: usize) {
        self.retired.add(first, end);
        self.held -= bytes;
    }

    /// Tells the committer what is done with.
    pub(super) fn settle(&mut self) {
        self.backlog.handover.retire(&mut self.retired);
    }

    /// Whether everything that was taken in is stored and was fed.
    pub(super) fn is_through(&self) -> bool {
        self.backlog.handover.end() == Some(self.position)
    }

    /// Tells the committer that nothing more is read, without waiting for it.
    pub(super) fn let_go(&mut self) {
        self.settle();
        self.backlog.handover.finish(Waker::noop());
    }

    /// Tells the committer to let go of the spool. `true`: it has, and nobody reads it any more.
    pub(super) fn finish(&mut self, context: &mut Context<'_>) -> bool {
        self.settle();
        if let Some(reading) = &self.reading
            && reading.poll(context).is_ready()
        {
            self.reading = None;
        }
        self.backlog.handover.finish(context.waker()) && self.reading.is_none()
    }

    fn read(&mut self, limit: u64, segments: Arc<[Readable]>) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        reader.skip_to(self.position);
        let storage = self.backlog.storage.clone();
        let retired = self.backlog.retired.clone();
        let position = self.position;
        self.reading = Some(self.backlog.reading.submit(move || {
            read(
                reader,
                position,
                limit,
                storage.as_ref(),
                &segments,
                &retired,
            )
        }));
    }

    fn on_read(&mut self, read: Read, fed: &mut Vec<Fed>) {
        let mut reader = read.reader;
        for item in read.fed {
            match &item {
                Fed::Chunk(chunk) => {
                    self.position = chunk.end();
                    self.held += chunk.bytes.len();
                }
                Fed::Lost { first, end } => {
                    self.position = *end;
                    self.retired.add(*first, *end);
                }
                Fed::Skip { next } => self.position = *next,
            }
            fed.push(item);
        }
        self.retired.damaged.extend(read.damaged);
        if read.is_through && self.position < read.limit {
            self.position = read.limit;
            fed.push(Fed::Skip { next: read.limit });
        }
        if !read.failed {
            self.failures = 0;
        } else if self.failures + 1 < READ_TRIES {
            let wait = READ_AGAIN * 2_u32.pow(self.failures);
            self.failures += 1;
            self.again = Some(Box::pin(sleep_until(Instant::now() + wait)));
        } else {
            // What follows is tried once, until something can be read again.
            reader.skip_block();
        }
        self.reader = Some(reader);
    }
}

/// Reads for a while, on a thread that may block.
fn read(
    mut reader: Reader,
    mut position: u64,
    limit: u64,
    storage: &dyn Storage,
    segments: &[Readable],
    retired: &Retired,
) -> Read {
    let mut fed = Vec::new();
    let mut damaged = Vec::new();
    let mut bytes = 0;
    let (mut is_through, mut failed) = (false, false);
    while bytes < READ_BYTES && !is_through && !failed {
        match reader.advance(storage, segments, retired, limit) {
            Ok(Step::End) => is_through = true,
            Ok(Step::Gap(gap)) => {
                // Else it is a write that never came to its end.
                if gap.durable {
                    damaged.push(gap.segment);
                }
                fed.push(Fed::Lost {
                    first: gap.first,
                    end: gap.end,
                });
                position = gap.end;
            }
            Ok(Step::Frame) => {
                let frame = reader.frame().expect("it was found just now");
                let first = frame.header.first + u64::from(frame.skip);
                if first > position {
                    fed.push(Fed::Skip { next: first });
                }
                position = first + u64::from(frame.take);
                bytes += put(&frame, &mut fed);
            }
            Err(_) => failed = true,
        }
    }
    Read {
        reader,
        fed,
        damaged,
        is_through,
        failed,
        limit,
    }
}

/// Copies a frame's events behind those of the last chunk, or into a new one.
fn put(frame: &Frame<'_>, fed: &mut Vec<Fed>) -> usize {
    let chunk = Chunk::of_frame(frame);
    let bytes = chunk.bytes.len();
    if let Some(Fed::Chunk(last)) = fed.last_mut()
        && last.takes_in(&chunk)
    {
        return bytes;
    }
    fed.push(Fed::Chunk(chunk));
    bytes
}
