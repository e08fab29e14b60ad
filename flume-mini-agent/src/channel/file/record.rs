//! The format on disk, over bytes: no files, no clock.
//!
//! A channel's directory holds segments `log-1`, `log-2`, ... without a gap. All numbers are
//! little-endian. A segment starts with a header of 48 bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `flumelog` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | CRC32 of the bytes from 16 to 48 |
//! | 16 | 8 | number of the segment, that of its name |
//! | 24 | 8 | oldest segment that was needed when this one was begun |
//! | 32 | 8 | sequence number that the next event put will have |
//! | 40 | 8 | bytes of the segment before, 0 for the first |
//!
//! Records follow, back to back, to the end of the file:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | CRC32 of: segment number (8), offset of the record (8), the record from 4 to its end |
//! | 4 | 4 | length of the body |
//! | 8 | 8 | synced: the segment was on disk up to this offset when the record was written |
//! | 16 | 1 | kind |
//! | 17 | | body |
//!
//! | kind | body | means |
//! |---|---|---|
//! | 1 put | sequence number of the first event (8), then per event: length (4), datum | a committed transaction of puts |
//! | 2 take | per range: first sequence number (8), count (4) | a committed transaction of takes |
//! | 3 moved | sequence number (8), datum | an event of an old segment, still in the channel |
//! | 4 retire | number of a segment (8) | older segments than this are not needed |
//! | 5 close | | the channel was closed |
//!
//! One record is one transaction, so a commit is whole or absent without a record of its own. The
//! place is part of the checksum, so a record that an event carries in its body, or one left over
//! from elsewhere, is never taken for one of the log. `synced` tells a torn tail from damage: a
//! later record that was written when a bad one was already on disk bears witness against it.

use crate::channel::StoredEvent;

pub(super) const SEGMENT_HEADER_BYTES: usize = 48;
pub(super) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"flumelog";
const RECORD_HEADER_BYTES: usize = 17;

const PUT: u8 = 1;
const TAKE: u8 = 2;
const MOVED: u8 = 3;
const RETIRE: u8 = 4;
const CLOSE: u8 = 5;

/// How a segment starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u64,
    pub(super) oldest: u64,
    pub(super) next_sequence: u64,
    pub(super) bytes_before: u64,
}

/// Why the start of a file is not a header of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    NotOurs,
    Version(u32),
    Damaged,
}

/// Records on their way to one place of a segment, written and synced together.
#[derive(Debug, Default)]
pub(super) struct Round {
    bytes: Vec<u8>,
    segment: u64,
    start: u64,
}

/// A record that was read whole.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) entry: Entry<'a>,
    pub(super) bytes: usize,
    pub(super) synced: u64,
}

/// What a record says.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    Put { first: u64, events: Vec<&'a [u8]> },
    Take(Vec<(u64, u32)>),
    Moved { sequence: u64, event: &'a [u8] },
    Retire { oldest: u64 },
    Close,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(32);
        for field in [
            self.number,
            self.oldest,
            self.next_sequence,
            self.bytes_before,
        ] {
            fields.extend(field.to_le_bytes());
        }
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(crc32fast::hash(&fields).to_le_bytes());
        bytes.extend(fields);
        debug_assert_eq!(bytes.len(), SEGMENT_HEADER_BYTES);
        bytes
    }

    /// Reads the header of the segment that is named `number`.
    pub(super) fn decode(mut bytes: &[u8], number: u64) -> Result<Self, HeaderError> {
        let bytes = &mut bytes;
        if read::<8>(bytes) != Some(MAGIC) {
            return Err(HeaderError::NotOurs);
        }
        let version = read_u32(bytes).ok_or(HeaderError::Damaged)?;
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let fields = |bytes: &mut &[u8]| {
            let crc = read_u32(bytes)?;
            let whole = bytes.first_chunk::<32>().map(|it| crc32fast::hash(it)) == Some(crc);
            let header = Self {
                number: read_u64(bytes)?,
                oldest: read_u64(bytes)?,
                next_sequence: read_u64(bytes)?,
                bytes_before: read_u64(bytes)?,
            };
            // No channel ever gets so far, and the numbers that follow must not overflow.
            let counted = i64::try_from(header.next_sequence).is_ok();
            let sound = whole && counted && header.number == number && header.oldest <= number;
            sound.then_some(header)
        };
        fields(bytes).ok_or(HeaderError::Damaged)
    }
}

impl Round {
    /// Forgets all records; the next go to `segment` from `start` on.
    pub(super) fn restart(&mut self, segment: u64, start: u64) {
        self.bytes.clear();
        self.segment = segment;
        self.start = start;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn put(&mut self, first: u64, events: &[StoredEvent]) {
        self.record(PUT, |body| {
            body.extend(first.to_le_bytes());
            for event in events {
                body.extend(length(event.datum()).to_le_bytes());
                body.extend(event.datum());
            }
        });
    }

    /// A run of ascending sequence numbers takes 12 bytes.
    pub(super) fn take(&mut self, sequences: &[u64]) {
        self.record(TAKE, |body| {
            let follows = |one: &u64, next: &u64| one + 1 == *next;
            for run in sequences.chunk_by(follows) {
                body.extend(run.first().expect("a run has an element").to_le_bytes());
                body.extend(length(run).to_le_bytes());
            }
        });
    }

    pub(super) fn moved(&mut self, sequence: u64, event: &StoredEvent) {
        self.record(MOVED, |body| {
            body.extend(sequence.to_le_bytes());
            body.extend(event.datum());
        });
    }

    pub(super) fn retire(&mut self, oldest: u64) {
        self.record(RETIRE, |body| body.extend(oldest.to_le_bytes()));
    }

    pub(super) fn close(&mut self) {
        self.record(CLOSE, |_| ());
    }

    /// A record of any kind and content.
    pub(super) fn record(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len();
        let offset = self.start + at as u64;
        self.bytes.extend([0; 8]);
        self.bytes.extend(self.start.to_le_bytes());
        self.bytes.push(kind);
        body(&mut self.bytes);
        let (_, record) = self.bytes.split_at_mut(at);
        let body = record.len() - RECORD_HEADER_BYTES;
        let body = u32::try_from(body).expect("a transaction is far smaller");
        let (crc, checked) = record.split_at_mut(4);
        let (length, _) = checked.split_at_mut(4);
        length.copy_from_slice(&body.to_le_bytes());
        crc.copy_from_slice(&checksum(self.segment, offset, checked).to_le_bytes());
    }
}

impl<'a> Record<'a> {
    /// Reads the record at `offset` of `segment`, of whose bytes `rest` are those from there on.
    pub(super) fn read(rest: &'a [u8], segment: u64, offset: u64) -> Option<Self> {
        let (crc, checked) = rest.split_first_chunk::<4>()?;
        let mut fields = checked;
        let length = usize::try_from(read_u32(&mut fields)?).ok()?;
        let synced = read_u64(&mut fields)?;
        let [kind] = read(&mut fields)?;
        // Before the checksum, so that a search for records at every offset stays cheap.
        if synced > offset || !(PUT..=CLOSE).contains(&kind) {
            return None;
        }
        let body = fields.get(..length)?;
        let bytes = RECORD_HEADER_BYTES + length;
        let checked = checked.get(..bytes - crc.len())?;
        if checksum(segment, offset, checked) != u32::from_le_bytes(*crc) {
            return None;
        }
        Some(Self {
            entry: Entry::read(kind, body)?,
            bytes,
            synced,
        })
    }
}

impl<'a> Entry<'a> {
    fn read(kind: u8, mut body: &'a [u8]) -> Option<Self> {
        let body = &mut body;
        let entry = match kind {
            PUT => {
                let first = read_u64(body)?;
                let mut events = Vec::new();
                while !body.is_empty() {
                    let length = usize::try_from(read_u32(body)?).ok()?;
                    events.push(body.split_off(..length)?);
                }
                Self::Put { first, events }
            }
            TAKE => {
                let mut ranges = Vec::new();
                while !body.is_empty() {
                    ranges.push((read_u64(body)?, read_u32(body)?));
                }
                Self::Take(ranges)
            }
            MOVED => Self::Moved {
                sequence: read_u64(body)?,
                event: std::mem::take(body),
            },
            RETIRE => Self::Retire {
                oldest: read_u64(body)?,
            },
            CLOSE => Self::Close,
            _ => return None,
        };
        body.is_empty().then_some(entry)
    }
}

fn checksum(segment: u64, offset: u64, checked: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(checked);
    hasher.finalize()
}

fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("a transaction is far smaller")
}

fn read<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk()?;
    *bytes = tail;
    Some(*head)
}

fn read_u32(bytes: &mut &[u8]) -> Option<u32> {
    read(bytes).map(u32::from_le_bytes)
}

fn read_u64(bytes: &mut &[u8]) -> Option<u64> {
    read(bytes).map(u64::from_le_bytes)
}
