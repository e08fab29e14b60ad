//! Opening a log: what its segments say, what of a crash is cut off, what is damage.
//!
//! | found | then |
//! |---|---|
//! | a record of the last segment that is not whole, and no later one that it was on disk before | a torn tail: cut there; it was never acknowledged |
//! | such a record with a later witness, or in another segment | refused as damaged |
//! | a header that is not whole, a segment missing or too short, a sequence number out of turn | refused as damaged |
//! | segments older than the log needs | deleted; a crash kept their removal from the disk |
//!
//! After a kill, damage to the very last round looks like a torn write; [`Replay::cut`] tells of
//! it. After a close there is a witness for every event.

use bytes::Bytes;
use flume_client::wire::avro::datum::EventRef;

use super::error::OpenError;
use super::ledger::Ledger;
use super::log::{CreateError, Log, create_segment};
use super::record::{Entry, HeaderError, Record, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::storage::Storage;
use crate::channel::StoredEvent;

/// What the opening of a channel found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Events in the channel.
    pub(crate) events: usize,
    /// Segments of the log.
    pub(crate) segments: usize,
    /// The torn tail that was removed.
    pub(crate) cut: Option<Cut>,
    /// Whether the channel was closed, not killed.
    pub(crate) closed: bool,
}

/// A torn tail that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) file: String,
    /// The length of the file now.
    pub(crate) offset: u64,
    /// The bytes that were removed.
    pub(crate) bytes: u64,
}

/// A segment on its way into the ledger.
struct Segment {
    number: u64,
    file: String,
    bytes: Vec<u8>,
}

/// How a segment ends.
#[derive(Default)]
struct Tail {
    /// Where the last round starts that has a whole record.
    round: usize,
    /// Where the last whole record ends.
    end: usize,
    /// Whether that record closed the log.
    closed: bool,
}

/// Opens the log in `storage`, or begins one.
pub(super) fn open<S: Storage>(
    mut storage: S,
    segment_bytes_max: u64,
) -> Result<(Log<S>, Replay), OpenError> {
    let list = storage.list();
    let numbers = list.map_err(OpenError::io("list the segments of the log"))?;
    let (ledger, cut, closed) = match numbers.last() {
        None => (begin(&mut storage)?, None, true),
        Some(newest) => replay(&mut storage, &numbers, *newest)?,
    };
    let replay = Replay {
        events: ledger.events().count(),
        segments: ledger.segment_count(),
        cut,
        closed,
    };
    let log = Log::new(storage, segment_bytes_max, ledger, closed);
    Ok((log, replay))
}

fn begin(storage: &mut impl Storage) -> Result<Ledger, OpenError> {
    let header = SegmentHeader {
        number: 1,
        oldest: 1,
        next_sequence: 0,
        bytes_before: 0,
    };
    if let Err(CreateError::Write(error) | CreateError::Sync(error)) =
        create_segment(storage, header)
    {
        return Err(OpenError::io(format!("make {}", storage.name(1)))(error));
    }
    let mut ledger = Ledger::new(1, 0);
    ledger.grow(SEGMENT_HEADER_BYTES);
    Ok(ledger)
}

/// The ledger, what was cut, and whether the log was closed.
fn replay(
    storage: &mut impl Storage,
    numbers: &[u64],
    newest: u64,
) -> Result<(Ledger, Option<Cut>, bool), OpenError> {
    let oldest = read(storage, newest)?.oldest_needed()?;
    let mut ledger: Option<Ledger> = None;
    let mut tail = Tail::default();
    for number in oldest..=newest {
        if numbers.binary_search(&number).is_err() {
            return Err(OpenError::Damaged {
                file: storage.name(number),
                offset: 0,
                what: "the segment is missing".to_owned(),
            });
        }
        let segment = read(storage, number)?;
        let header = segment.header()?;
        let ledger = match &mut ledger {
            None => ledger.insert(Ledger::new(number, header.next_sequence)),
            Some(ledger) => {
                if header.bytes_before != ledger.active_bytes() {
                    let what = format!(
                        "the segment before has {} bytes and had {}",
                        ledger.active_bytes(),
                        header.bytes_before
                    );
                    return Err(segment.damaged(40, &what));
                }
                ledger.begin_segment(number, 0);
                ledger
            }
        };
        if header.next_sequence != ledger.next_sequence() {
            return Err(segment.out_of_turn(32, header.next_sequence, ledger));
        }
        ledger.grow(SEGMENT_HEADER_BYTES);
        tail = segment.replay(ledger, number == newest)?;
    }
    let ledger = ledger.expect("the newest segment was replayed");
    let cut = settle_tail(storage, newest, &tail)?;
    // Only now is what tells that they are not needed sure to be on disk.
    for retired in numbers.iter().filter(|number| **number < oldest) {
        let removed = storage.remove(*retired);
        removed.map_err(OpenError::io(format!("remove {}", storage.name(*retired))))?;
    }
    let closed = tail.closed && cut.is_none();
    Ok((ledger, cut, closed))
}

/// Cuts off what is torn, and makes the rest durable.
///
/// The last round may be in the page cache only: the process died before the sync, or the sync
/// failed and the kernel holds for written what is not. So the round is written again.
fn settle_tail(
    storage: &mut impl Storage,
    newest: u64,
    tail: &Tail,
) -> Result<Option<Cut>, OpenError> {
    let segment = read(storage, newest)?;
    let torn = segment.bytes.len() - tail.end;
    let settled = (|| {
        if torn > 0 {
            storage.truncate(newest, tail.end as u64)?;
        }
        let round = segment.bytes.get(tail.round..tail.end).unwrap_or_default();
        storage.write(newest, tail.round as u64, round)?;
        storage.sync(newest)?;
        storage.sync_directory()
    })();
    settled.map_err(OpenError::io(format!("settle the end of {}", segment.file)))?;
    Ok((torn > 0).then_some(Cut {
        file: segment.file,
        offset: tail.end as u64,
        bytes: torn as u64,
    }))
}

fn read(storage: &mut impl Storage, number: u64) -> Result<Segment, OpenError> {
    let file = storage.name(number);
    let bytes = storage.read(number);
    Ok(Segment {
        number,
        bytes: bytes.map_err(OpenError::io(format!("read {file}")))?,
        file,
    })
}

impl Segment {
    fn header(&self) -> Result<SegmentHeader, OpenError> {
        let file = self.file.clone();
        SegmentHeader::decode(&self.bytes, self.number).map_err(|error| match error {
            HeaderError::NotOurs if self.bytes.len() >= SEGMENT_HEADER_BYTES => {
                OpenError::Foreign { file }
            }
            HeaderError::Version(version) => OpenError::Version { file, version },
            HeaderError::NotOurs | HeaderError::Damaged => {
                self.damaged(0, "the header is not whole")
            }
        })
    }

    /// The oldest segment that a log which ends with this one needs.
    fn oldest_needed(&self) -> Result<u64, OpenError> {
        let mut oldest = self.header()?.oldest;
        for (_, record) in self.records() {
            if let Entry::Retire { oldest: later } = record.entry {
                oldest = later.min(self.number);
            }
        }
        Ok(oldest)
    }

    /// Adds the records to `ledger`.
    fn replay(&self, ledger: &mut Ledger, newest: bool) -> Result<Tail, OpenError> {
        let mut tail = Tail {
            round: SEGMENT_HEADER_BYTES,
            end: SEGMENT_HEADER_BYTES,
            closed: false,
        };
        for (offset, record) in self.records() {
            tail.closed = matches!(record.entry, Entry::Close);
            tail.round = usize::try_from(record.synced).unwrap_or(offset);
            tail.end = offset + record.bytes;
            ledger.grow(record.bytes);
            self.apply(offset, record.entry, ledger)?;
        }
        if tail.end < self.bytes.len() {
            if !newest {
                return Err(self.damaged(tail.end, "a record is not whole, and segments follow"));
            }
            if let Some(witness) = self.witness_against(tail.end) {
                let what =
                    format!("a record is not whole that was on disk before that at {witness}");
                return Err(self.damaged(tail.end, &what));
            }
        }
        Ok(tail)
    }

    fn apply(&self, offset: usize, entry: Entry<'_>, ledger: &mut Ledger) -> Result<(), OpenError> {
        // A copy each: a slice would keep the whole segment in memory.
        let stored = |event| match EventRef::parse(event) {
            Ok(_) => Ok(StoredEvent::from_checked(Bytes::copy_from_slice(event))),
            Err(_) => Err(self.damaged(offset, "an event cannot be read")),
        };
        match entry {
            Entry::Put { first, .. } if first != ledger.next_sequence() => {
                return Err(self.out_of_turn(offset, first, ledger));
            }
            Entry::Put { events, .. } => {
                for event in events {
                    ledger.put(stored(event)?);
                }
            }
            Entry::Take(ranges) => {
                for (first, count) in ranges {
                    let past = first.saturating_add(u64::from(count));
                    if past > ledger.next_sequence() {
                        return Err(self.out_of_turn(offset, first, ledger));
                    }
                    ledger.take_range(first..past);
                }
            }
            Entry::Moved { sequence, .. } if sequence >= ledger.next_sequence() => {
                return Err(self.out_of_turn(offset, sequence, ledger));
            }
            Entry::Moved { sequence, event } => ledger.moved(sequence, stored(event)?),
            Entry::Retire { .. } | Entry::Close => {}
        }
        Ok(())
    }

    /// The whole records from the start, with their offsets, up to the first that is not.
    fn records(&self) -> impl Iterator<Item = (usize, Record<'_>)> {
        let mut offset = SEGMENT_HEADER_BYTES;
        std::iter::from_fn(move || {
            let record = self.record(offset)?;
            let at = offset;
            offset += record.bytes;
            Some((at, record))
        })
    }

    fn record(&self, offset: usize) -> Option<Record<'_>> {
        let rest = self.bytes.get(offset..)?;
        Record::read(rest, self.number, offset as u64)
    }

    /// Where a record is that was written when the one at `bad` was already on disk.
    fn witness_against(&self, bad: usize) -> Option<usize> {
        let testifies = |offset: &usize| {
            self.record(*offset)
                .is_some_and(|record| record.synced > bad as u64)
        };
        (bad + 1..self.bytes.len()).find(testifies)
    }

    fn out_of_turn(&self, offset: usize, found: u64, ledger: &Ledger) -> OpenError {
        let next = ledger.next_sequence();
        self.damaged(
            offset,
            &format!("sequence number {found} where {next} is next"),
        )
    }

    fn damaged(&self, offset: usize, what: &str) -> OpenError {
        OpenError::Damaged {
            file: self.file.clone(),
            offset: offset as u64,
            what: what.to_owned(),
        }
    }
}
