//! Segment headers: the first block of a segment.
//!
//! The header is there twice, in the two halves of the block, so that damage to one is harmless.
//! All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `FLSPOOL\n` |
//! | 8 | 2 | major version, 1: readers of another one leave the file alone |
//! | 10 | 2 | minor version, 1: for information. Version 0 had zeros from offset 72 on |
//! | 12 | 4 | features a reader must know, none yet |
//! | 16 | 8 | id, as in the file's name |
//! | 24 | 8 | client id |
//! | 32 | 8 | salt, drawn anew at each use of the file |
//! | 40 | 8 | sequence number of the first event |
//! | 48 | 8 | `skipped_from`: the numbers from here up to the first were never given to an event |
//! | 56 | 8 | `durable_upto`: all events below were durable when this was written |
//! | 64 | 8 | time, ms since 1970 |
//! | 72 | 8 | run id, drawn anew at each opening of the spool; the events stored since are [named](crate::event_id) by it. 0: not known |
//! | 80 | 8 | `previous`: the id of the segment before this one when it was begun, plus 1. 0: there was none, or it is not known |
//! | 88 | 1956 | 0 |
//! | 2044 | 4 | CRC-32 of the 2044 bytes before |
//!
//! A right checksum does not make a header true. One that no client writes is damage: with
//! `skipped_from` or `durable_upto` beyond the first number, or with numbers from 2^63 on.

use super::fields::{seal, take_seq, take_u16, take_u32, take_u64, unseal};
use crate::seq::{Seq, SeqRange};

/// Bytes before a segment's first frame.
pub const SEGMENT_HEADER_BYTES: usize = 4096;

/// Ids of files are below this. Nobody comes near it; a file that says so was made up, and is damage.
pub(super) const IDS_END: u64 = 1 << 63;

const MAGIC: [u8; 8] = *b"FLSPOOL\n";
const MAJOR: u16 = 1;
const MINOR: u16 = 1;
const COPY_BYTES: usize = SEGMENT_HEADER_BYTES / 2;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// As in the file's name.
    pub id: u64,
    /// Whose events these are.
    pub client: u64,
    /// Binds the frames to this use of the file.
    pub salt: u64,
    /// Sequence number of the first event.
    pub first: Seq,
    /// From here up to `first` no sequence number was given to an event. `first` if none was left
    /// out.
    pub skipped_from: Seq,
    /// All events below this were durable when the segment was begun.
    pub durable_upto: Seq,
    /// When the segment was begun, in milliseconds since 1970.
    pub time_ms: u64,
    /// Drawn when the spool was opened by the process that began the segment: no two openings have
    /// the same, be it of copies of one directory. 0 in segments of minor version 0.
    pub run_id: u64,
    /// The id of the segment before this one when it was begun, plus 1. 0 if there was none, and
    /// in segments of minor version 0.
    pub previous: u64,
}

/// What the first block of a segment turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderBlock {
    /// A header, and whether one of its copies is damaged.
    Whole(SegmentHeader, bool),
    /// A header of another version, which this one must leave alone.
    OtherVersion {
        /// The file's.
        major: u16,
        /// The features it asks for.
        features: u32,
    },
    /// No copy of it can be read.
    Damaged,
}

impl SegmentHeader {
    /// The block as it is written.
    #[must_use]
    pub fn to_block(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&MAJOR.to_le_bytes());
        copy.extend_from_slice(&MINOR.to_le_bytes());
        copy.extend_from_slice(&0_u32.to_le_bytes());
        for field in [
            self.id,
            self.client,
            self.salt,
            self.first.number(),
            self.skipped_from.number(),
            self.durable_upto.number(),
            self.time_ms,
            self.run_id,
            self.previous,
        ] {
            copy.extend_from_slice(&field.to_le_bytes());
        }
        copy.resize(COPY_BYTES - 4, 0);
        seal(&mut copy);
        copy.extend_from_within(..);
        copy
    }

    /// The numbers before its first event that no event was given.
    #[must_use]
    pub fn skipped(&self) -> SeqRange {
        SeqRange::new(self.skipped_from, self.first)
    }

    /// Whether some client can have written this.
    fn is_possible(&self) -> bool {
        self.id < IDS_END
            && self.first < Seq::END
            && self.skipped_from <= self.first
            && self.durable_upto <= self.first
    }
}

impl HeaderBlock {
    /// Reads the first block of a segment; a shorter file has fewer bytes.
    #[must_use]
    pub fn read(block: &[u8]) -> Self {
        let copies = block.chunks(COPY_BYTES).take(2);
        let copies: Vec<_> = copies.filter_map(read_copy).collect();
        match copies.as_slice() {
            [Self::Whole(header, _), Self::Whole(..)] => Self::Whole(*header, false),
            [Self::Whole(header, _)] => Self::Whole(*header, true),
            [other, ..] => *other,
            [] => Self::Damaged,
        }
    }
}

fn read_copy(copy: &[u8]) -> Option<HeaderBlock> {
    let copy = copy.get(..COPY_BYTES)?;
    let mut fields = unseal(copy)?.strip_prefix(&MAGIC)?;
    let fields = &mut fields;
    let major = take_u16(fields)?;
    take_u16(fields)?;
    let features = take_u32(fields)?;
    if major != MAJOR || features != 0 {
        return Some(HeaderBlock::OtherVersion { major, features });
    }
    let header = SegmentHeader {
        id: take_u64(fields)?,
        client: take_u64(fields)?,
        salt: take_u64(fields)?,
        first: take_seq(fields)?,
        skipped_from: take_seq(fields)?,
        durable_upto: take_seq(fields)?,
        time_ms: take_u64(fields)?,
        run_id: take_u64(fields)?,
        previous: take_u64(fields)?,
    };
    header
        .is_possible()
        .then_some(HeaderBlock::Whole(header, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        id: 3,
        client: 0xc11e_4700_0000_0001,
        salt: u64::MAX - 1,
        first: Seq::new(1 << 32),
        skipped_from: Seq::new(17),
        durable_upto: Seq::new(16),
        time_ms: 1_700_000_000_000,
        run_id: 0x1dea_0000_0000_0002,
        previous: 3,
    };

    /// The numbers of [`HEADER`], as the table says.
    fn numbers() -> Vec<u8> {
        let mut numbers = [3, 0, 0, 0, 0, 0, 0, 0].to_vec();
        numbers.extend([1, 0, 0, 0, 0, 0x47, 0x1e, 0xc1]);
        numbers.extend([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        numbers.extend([0, 0, 0, 0, 1, 0, 0, 0]);
        numbers.extend([17, 0, 0, 0, 0, 0, 0, 0]);
        numbers.extend([16, 0, 0, 0, 0, 0, 0, 0]);
        numbers.extend([0, 0x68, 0xe5, 0xcf, 0x8b, 1, 0, 0]);
        numbers
    }

    /// A block of this minor version with `numbers` after its version.
    fn block(minor: u8, numbers: &[u8]) -> Vec<u8> {
        let mut copy = b"FLSPOOL\n".to_vec();
        copy.extend([1, 0, minor, 0, 0, 0, 0, 0]);
        copy.extend(numbers);
        copy.resize(2044, 0);
        copy.extend(crc32fast::hash(&copy).to_le_bytes());
        copy.repeat(2)
    }

    #[test]
    fn a_header_is_laid_out_as_documented() {
        let mut numbers = numbers();
        numbers.extend([2, 0, 0, 0, 0, 0, 0xea, 0x1d]);
        numbers.extend([3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(HEADER.to_block(), block(1, &numbers));
    }

    #[test]
    fn a_header_of_minor_version_0_has_neither_run_id_nor_previous() {
        let header = SegmentHeader {
            run_id: 0,
            previous: 0,
            ..HEADER
        };
        let read = HeaderBlock::read(&block(0, &numbers()));
        assert_eq!(read, HeaderBlock::Whole(header, false));
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let block = HEADER.to_block();
        assert_eq!(block.len(), SEGMENT_HEADER_BYTES);
        assert_eq!(HeaderBlock::read(&block), HeaderBlock::Whole(HEADER, false));
    }

    #[test]
    fn a_header_that_no_client_writes_is_damage_though_its_checksum_is_right() {
        let highest = Seq::new(Seq::END.number() - 1);
        let last = SegmentHeader {
            id: IDS_END - 1,
            first: highest,
            skipped_from: highest,
            durable_upto: highest,
            ..HEADER
        };
        let whole = HeaderBlock::Whole(last, false);
        assert_eq!(HeaderBlock::read(&last.to_block()), whole);
        let (id, too_high) = (IDS_END, HEADER.first.next());
        for header in [
            SegmentHeader { id, ..HEADER },
            SegmentHeader {
                first: Seq::END,
                ..HEADER
            },
            SegmentHeader {
                first: Seq::MAX,
                ..HEADER
            },
            SegmentHeader {
                skipped_from: too_high,
                ..HEADER
            },
            SegmentHeader {
                durable_upto: too_high,
                ..HEADER
            },
            SegmentHeader {
                durable_upto: Seq::MAX,
                ..HEADER
            },
        ] {
            let read = HeaderBlock::read(&header.to_block());
            assert_eq!(read, HeaderBlock::Damaged, "{header:?}");
        }
    }

    #[test]
    fn a_flip_in_one_copy_is_told_and_harmless_in_both_it_is_damage() {
        for byte in 0..SEGMENT_HEADER_BYTES {
            let mut block = HEADER.to_block();
            block[byte] ^= 0x10;
            assert_eq!(HeaderBlock::read(&block), HeaderBlock::Whole(HEADER, true));
            block[(byte + COPY_BYTES) % SEGMENT_HEADER_BYTES] ^= 1;
            assert_eq!(HeaderBlock::read(&block), HeaderBlock::Damaged);
        }
    }

    #[test]
    fn a_block_that_is_cut_or_empty_is_damaged_unless_a_copy_is_whole() {
        let block = HEADER.to_block();
        for length in 0..COPY_BYTES {
            assert_eq!(HeaderBlock::read(&block[..length]), HeaderBlock::Damaged);
        }
        let half = HeaderBlock::read(&block[..COPY_BYTES]);
        assert_eq!(half, HeaderBlock::Whole(HEADER, true));
        assert_eq!(
            HeaderBlock::read(&[0; SEGMENT_HEADER_BYTES]),
            HeaderBlock::Damaged
        );
    }

    #[test]
    fn another_major_version_and_unknown_features_are_told_apart_from_damage() {
        for (at, value) in [(8, 2), (12, 1)] {
            let mut copy = HEADER.to_block()[..COPY_BYTES - 4].to_vec();
            copy[at] = value;
            seal(&mut copy);
            copy.extend_from_within(..);
            let (major, features) = if at == 8 { (2, 0) } else { (1, 1) };
            assert_eq!(
                HeaderBlock::read(&copy),
                HeaderBlock::OtherVersion { major, features }
            );
        }
    }
}
