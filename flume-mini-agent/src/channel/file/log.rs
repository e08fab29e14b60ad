//! [`Log`]: transactions to a spool, all of a round or none of it. Blocking; no threads.
//!
//! | of the channel | in the spool |
//! |---|---|
//! | a committed transaction of puts | one frame, so it is whole or absent after a crash |
//! | a committed transaction of takes | numbers that the cursor says are retired |
//! | a transaction that failed | the same: what may be there of it is retired before its caller is told |
//! | a segment whose events are all taken | a spare, or removed |

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{self, FileName, Level, Settings, SpoolError, Storage, frame_bytes};

use super::error::{OpenError, TransactionError};
use super::guarded::Guarded;
use super::replay;
use crate::channel::StoredEvent;
use crate::clock::millis_since_1970;
use crate::random;

/// A segment is no larger, so that little room is kept for events to come and much of it is given
/// back when they are taken, except for transactions that need more.
const SEGMENT_BYTES_MAX: u64 = 1 << 20;
/// Nor smaller: its header alone has 4 KiB.
const SEGMENT_BYTES_MIN: u64 = 16 << 10;
/// The disk and the capacity are the bounds.
const LOG_BYTES_MAX: u64 = u64::MAX >> 1;

/// The log of a channel, open for writing.
///
/// After an error of a sync it is poisoned, and after another one that cannot be undone.
#[derive(Debug)]
pub(super) struct Log {
    log: spool::Log,
    disk: Arc<Guarded>,
    /// For transactions of common size.
    settings: Settings,
    /// As the spool is open now.
    frame_bytes_max: u64,
    poison: Option<Arc<str>>,
}

/// A transaction for the log.
#[derive(Debug)]
pub(super) enum Change<'a> {
    Put(&'a [StoredEvent]),
    /// By sequence number.
    Take(&'a [Seq]),
}

/// What a log is opened with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Events that it may hold.
    pub(super) capacity: usize,
    /// Bytes of a segment: 16 KiB to 1 MiB.
    pub(super) segment_bytes: u64,
    /// Bytes that new segments leave free on the disk.
    pub(super) free_bytes: u64,
}

impl Log {
    /// Opens a log, or begins one, and gives the events in it. An error that tells what was found
    /// has changed nothing.
    pub(super) fn open(
        disk: Arc<Guarded>,
        limits: Limits,
    ) -> Result<(Self, BTreeMap<Seq, StoredEvent>), OpenError> {
        let found = replay::read(&*disk)?;
        if found.events.len() > limits.capacity {
            return Err(OpenError::OverCapacity {
                events: found.events.len(),
                capacity: limits.capacity,
            });
        }
        let segment_bytes = limits
            .segment_bytes
            .clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let settings = Settings {
            segment_bytes,
            frame_bytes_max: (segment_bytes - spool::SEGMENT_HEADER_BYTES as u64) / 2,
            bytes_max: LOG_BYTES_MAX,
            free_bytes_min: limits.free_bytes,
        };
        if let Some((file, bytes)) = found.last {
            let settled = settle(&*disk, file, bytes);
            settled.map_err(OpenError::io(format!("settle the end of {file}")))?;
        }
        let begun = begin(&disk, settings);
        if let Some(failure) = disk.failure() {
            return Err(OpenError::failed(&failure));
        }
        let (mut log, trouble) = begun.map_err(OpenError::io("open the log"))?;
        match trouble {
            // What is there can be taken without room for more; a channel that has nothing begins
            // with some.
            Some(trouble @ (SpoolError::DiskFull | SpoolError::NoMoreFiles)) if found.is_new => {
                return Err(OpenError::io("make room for the log")(error_of(trouble)));
            }
            _ => {}
        }
        if let Err(trouble) = retire_others(&mut log, &found.events) {
            return Err(OpenError::io("write the cursor")(error_of(trouble)));
        }
        let log = Self {
            log,
            disk,
            settings,
            frame_bytes_max: settings.frame_bytes_max,
            poison: None,
        };
        Ok((log, found.events))
    }

    /// Commits all of `changes` together and gives the sequence number of the first event put;
    /// the others follow in order. After [`TransactionError::Write`] none of them is in the log;
    /// after [`TransactionError::Poisoned`] any of them may be.
    pub(super) fn commit(&mut self, changes: &[Change<'_>]) -> Result<Seq, TransactionError> {
        if let Some(reason) = &self.poison {
            return Err(TransactionError::Poisoned(Arc::clone(reason)));
        }
        self.fit(changes)?;
        let first = self.log.next();
        let mut takes = Vec::new();
        for change in changes {
            match change {
                Change::Put(events) => self.push(events),
                Change::Take(sequences) => takes.extend_from_slice(sequences),
            }
        }
        let puts = SeqRange::new(first, self.log.next());
        if let Err(trouble) = self.log.flush(millis_since_1970()) {
            return Err(self.undo(puts, trouble));
        }
        if !takes.is_empty() {
            self.retire(puts, &takes)?;
        }
        Ok(first)
    }

    /// Says that all events are on disk, in both copies of the cursor: damage to one copy is
    /// tolerated, damage to an event is noticed.
    pub(super) fn close(&mut self) -> Result<(), SpoolError> {
        if self.poison.is_none() {
            self.log.save()?;
            self.log.save()?;
        }
        Ok(())
    }

    /// Makes takes final, or undoes the whole round.
    fn retire(&mut self, puts: SeqRange, takes: &[Seq]) -> Result<(), TransactionError> {
        let takes = takes.iter().map(|sequence| SeqRange::of(*sequence, 1));
        takes.clone().for_each(|it| self.log.retire(it));
        let Err(trouble) = self.log.save() else {
            return Ok(());
        };
        let error = self.error(trouble);
        self.begin_again()?;
        let retired = self.log.retired();
        if takes.clone().all(|it| retired.covers(it)) {
            // What failed came after they were on the disk.
            self.disk.has_undone();
            return Ok(());
        }
        self.forget(puts)?;
        Err(error)
    }

    /// Undoes what a flush has failed with, so that no event of it is found at the next open.
    fn undo(&mut self, puts: SeqRange, trouble: SpoolError) -> TransactionError {
        let error = self.error(trouble);
        match self.begin_again().and_then(|()| self.forget(puts)) {
            Ok(()) => error,
            Err(poisoned) => poisoned,
        }
    }

    /// Opens the spool again, which finds out what of a round is on the disk.
    fn begin_again(&mut self) -> Result<(), TransactionError> {
        if !self.disk.try_again() {
            return Err(self.poison());
        }
        self.begin(self.settings)
    }

    fn begin(&mut self, settings: Settings) -> Result<(), TransactionError> {
        match begin(&self.disk, settings) {
            Ok((log, _)) if self.disk.failure().is_none() => {
                self.log = log;
                self.frame_bytes_max = settings.frame_bytes_max;
                Ok(())
            }
            // Two spools on one directory: neither can be trusted from here on.
            _ => Err(self.poison()),
        }
    }

    fn forget(&mut self, puts: SeqRange) -> Result<(), TransactionError> {
        self.log.retire(puts);
        if self.log.save().is_err() {
            return Err(self.poison());
        }
        self.disk.has_undone();
        Ok(())
    }

    /// Sees to it that each transaction fits into a frame. Segments stay large until the channel is
    /// opened again, or a transaction fails.
    fn fit(&mut self, changes: &[Change<'_>]) -> Result<(), TransactionError> {
        let frames = changes.iter().map(|change| match change {
            Change::Put(events) => {
                let datums = events.iter().map(|event| event.datum().len());
                frame_bytes(events.len(), datums.sum()) as u64
            }
            Change::Take(_) => 0,
        });
        let largest = frames.max().unwrap_or(0);
        if largest <= self.frame_bytes_max {
            return Ok(());
        }
        let frame_bytes_max = largest.next_power_of_two();
        let settings = Settings {
            frame_bytes_max,
            segment_bytes: spool::SEGMENT_HEADER_BYTES as u64 + 2 * frame_bytes_max,
            ..self.settings
        };
        self.disk.try_again();
        self.begin(settings)?;
        self.disk.has_undone();
        Ok(())
    }

    fn push(&mut self, events: &[StoredEvent]) {
        let (mut ends, mut datums) = (Vec::with_capacity(events.len()), Vec::new());
        for event in events {
            datums.extend_from_slice(event.datum());
            ends.push(u32::try_from(datums.len()).expect("a transaction has no more than 1 GiB"));
        }
        self.log.push(&ends, &datums, Level::EndToEnd);
    }

    /// What the callers of a round are told.
    fn error(&self, trouble: SpoolError) -> TransactionError {
        match (self.disk.failure(), trouble) {
            (Some(failure), _) => TransactionError::Write(failure.error()),
            (None, SpoolError::FreeBytes { free, kept, needed }) => {
                TransactionError::SegmentSpace {
                    free,
                    needed,
                    required: kept,
                }
            }
            (None, trouble) => TransactionError::Write(Arc::new(error_of(trouble))),
        }
    }

    fn poison(&mut self) -> TransactionError {
        let failure = self.disk.failure();
        let reason = failure.map_or("the log could not be opened again".to_owned(), |it| {
            it.to_string()
        });
        let reason: Arc<str> = reason.into();
        self.poison = Some(Arc::clone(&reason));
        TransactionError::Poisoned(reason)
    }
}

impl Log {
    pub(super) fn poisoned(&self) -> Option<&Arc<str>> {
        self.poison.as_ref()
    }
}

/// Retires the numbers of writes that were torn: they would keep their segment for ever, and later
/// events would seem to prove that they were on the disk.
fn retire_others(
    log: &mut spool::Log,
    events: &BTreeMap<Seq, StoredEvent>,
) -> Result<(), SpoolError> {
    let before = log.retired().clone();
    let mut known = before.watermark();
    for number in events.keys() {
        log.retire(SeqRange::new(known, *number));
        known = known.max(number.next());
    }
    log.retire(SeqRange::new(known, log.next()));
    match *log.retired() == before {
        true => Ok(()),
        false => log.save(),
    }
}

/// Writes the segment again that was written last.
///
/// Its last round may be in the page cache only: the sync failed, the kernel believes that the data
/// is written, though it is not, and the process was started again. What is found must not be gone
/// after the next crash.
fn settle(disk: &dyn Storage, file: FileName, bytes: u64) -> io::Result<()> {
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    let read = disk.read(file, 0, &mut content)?;
    content.truncate(read);
    // What is behind it was never written.
    let used = content.iter().rposition(|byte| *byte != 0);
    let frames = content.get(spool::SEGMENT_HEADER_BYTES..used.map_or(0, |last| last + 1));
    match frames {
        Some(frames) => {
            disk.write(file, spool::SEGMENT_HEADER_BYTES as u64, frames)?;
            disk.sync(file)
        }
        None => Ok(()),
    }
}

/// Opens the spool, and tells what keeps it from being fit for more events.
fn begin(disk: &Arc<Guarded>, settings: Settings) -> io::Result<(spool::Log, Option<SpoolError>)> {
    let storage = Arc::clone(disk);
    let (log, opened) = spool::Log::open(storage, settings, random::draw() as u64)?;
    let set_aside = [
        &opened.unreadable,
        &opened.quarantined,
        &opened.other_versions,
    ];
    match set_aside.into_iter().flatten().next() {
        // It was whole a moment ago.
        Some(file) => Err(io::Error::other(format!("{file} cannot be read any more"))),
        None => Ok((log, opened.trouble)),
    }
}

/// What the system says, or would say.
fn error_of(trouble: SpoolError) -> io::Error {
    match trouble {
        SpoolError::Io(error) | SpoolError::Denied(error) | SpoolError::NoDescriptors(error) => {
            error
        }
        #[cfg(unix)]
        SpoolError::DiskFull => rustix::io::Errno::NOSPC.into(),
        trouble => io::Error::other(trouble.to_string()),
    }
}
