//! The cursor: which events are retired, as it is kept on disk.
//!
//! The file has two slots of 4096 bytes, so that a write cut short leaves the other one; the whole
//! one of the later generation counts. A sync makes them change turns: until then each write goes to
//! the slot that the last sync was not for. All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `FLCURSOR` |
//! | 8 | 2 | major version, 1: readers of another one leave the file alone |
//! | 10 | 6 | 0 |
//! | 16 | 8 | generation; slot 0 has the even ones |
//! | 24 | 8 | client id |
//! | 32 | 8 | watermark: all events below are retired |
//! | 40 | 8 | `durable_upto`: all events below were durable |
//! | 48 | 8 | run: the number with which the newest run begins |
//! | 56 | 8 | ranges above the watermark, at most 64 |
//! | 64 | 16 each | first sequence number of a range that is retired, and the one after its last |
//! | | | 0 |
//! | 4092 | 4 | CRC-32 of the 4092 bytes before |
//!
//! Losing the last writes costs nothing but events sent twice.
//!
//! A right checksum does not make a slot true. One that no client writes is damage: with numbers
//! beyond 2^63, with more than 64 ranges, or with ranges that are empty, not in order, or touch each
//! other or the watermark.

use super::fields::{seal, take_seq, take_u16, take_u64, unseal};
use crate::seq::{Seq, SeqRange, SeqSet};

/// Bytes of the cursor's file.
pub const CURSOR_BYTES: usize = 2 * SLOT_BYTES;

const SLOT_BYTES: usize = 4096;
const MAGIC: [u8; 8] = *b"FLCURSOR";
const MAJOR: u16 = 1;
/// Ranges that are saved; events of further ones are sent again after a restart.
pub(super) const RANGES_MAX: usize = 64;

/// What a slot of the cursor holds. The default is that of a spool without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Higher than those before: by 1 after a sync, by 2 after a write without one.
    pub generation: u64,
    /// Whose events these are.
    pub client: u64,
    /// All events below this were durable.
    pub durable_upto: Seq,
    /// The number with which the newest run begins.
    pub run: Seq,
    /// Which events are retired.
    pub retired: SeqSet,
}

impl Cursor {
    /// The slot as it is written, and its offset.
    #[must_use]
    pub fn to_slot(&self) -> (u64, Vec<u8>) {
        let mut slot = Vec::with_capacity(SLOT_BYTES);
        slot.extend_from_slice(&MAGIC);
        slot.extend_from_slice(&MAJOR.to_le_bytes());
        slot.extend_from_slice(&[0; 6]);
        let ranges = self.retired.ahead().take(RANGES_MAX);
        let count = ranges.clone().count();
        let head = [
            self.generation,
            self.client,
            self.retired.watermark().number(),
            self.durable_upto.number(),
            self.run.number(),
            count as u64,
        ];
        let ranges = ranges.flat_map(|it| [it.first.number(), it.end.number()]);
        for field in head.into_iter().chain(ranges) {
            slot.extend_from_slice(&field.to_le_bytes());
        }
        slot.resize(SLOT_BYTES - 4, 0);
        seal(&mut slot);
        (self.generation % 2 * SLOT_BYTES as u64, slot)
    }

    /// The newest whole slot of the file; a shorter file has fewer bytes. And whether some slot
    /// was written and is not whole.
    #[must_use]
    pub fn read(file: &[u8]) -> (Option<Self>, bool) {
        let slots = file.chunks(SLOT_BYTES).take(2);
        let damaged = slots
            .clone()
            .any(|slot| read_slot(slot).is_none() && slot.iter().any(|byte| *byte != 0));
        let newest = slots
            .filter_map(read_slot)
            .reduce(|one, other| if other.is_newer(&one) { other } else { one });
        (newest, damaged)
    }

    /// The version of a whole slot that this release does not know, if there is one. The file must
    /// be left alone: a slot that is written to it would count beside that.
    #[must_use]
    pub fn other_version(file: &[u8]) -> Option<u16> {
        let mut versions = file.chunks(SLOT_BYTES).take(2).filter_map(version);
        versions.find(|version| *version != MAJOR)
    }

    /// Generations go on with 0 after the highest. Nobody comes to it but by a file that was made
    /// up, and then each later slot must still be the newer one.
    fn is_newer(&self, other: &Self) -> bool {
        self.generation.wrapping_sub(other.generation) < 1 << 63
    }
}

/// The major version of a slot whose checksum is right.
fn version(slot: &[u8]) -> Option<u16> {
    take_u16(&mut unsealed(slot)?)
}

/// What is after the magic of such a slot.
fn unsealed(slot: &[u8]) -> Option<&[u8]> {
    unseal(slot.get(..SLOT_BYTES)?)?.strip_prefix(&MAGIC)
}

fn read_slot(slot: &[u8]) -> Option<Cursor> {
    let fields = &mut unsealed(slot)?;
    if take_u16(fields)? != MAJOR {
        return None;
    }
    *fields = fields.get(6..)?;
    let generation = take_u64(fields)?;
    let client = take_u64(fields)?;
    let watermark = take_seq(fields)?;
    let durable_upto = take_seq(fields)?;
    let run = take_seq(fields)?;
    let ranges = take_u64(fields)?;
    let mut is_possible = [watermark, durable_upto, run]
        .iter()
        .all(|number| *number <= Seq::END)
        && ranges <= RANGES_MAX as u64;
    let (mut retired, mut before) = (SeqSet::below(watermark), watermark);
    for _ in 0..ranges.min(RANGES_MAX as u64) {
        let (first, end) = (take_seq(fields)?, take_seq(fields)?);
        is_possible &= before < first && first < end && end <= Seq::END;
        before = end;
        retired.add(SeqRange::new(first, end));
    }
    is_possible.then_some(Cursor {
        generation,
        client,
        durable_upto,
        run,
        retired,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(generation: u64, ranges: u64) -> Cursor {
        let mut retired = SeqSet::default();
        retired.add((0..5).into());
        for range in 0..ranges {
            retired.add((10 * range + 10..10 * range + 15).into());
        }
        Cursor {
            generation,
            client: 9,
            durable_upto: Seq::new(2_000),
            run: Seq::new(1_500),
            retired,
        }
    }

    fn file(slots: &[&Cursor]) -> Vec<u8> {
        let mut file = vec![0; CURSOR_BYTES];
        for cursor in slots {
            let (offset, slot) = cursor.to_slot();
            file[offset as usize..][..SLOT_BYTES].copy_from_slice(&slot);
        }
        file
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let (old, new) = (cursor(6, 3), cursor(7, 4));
        let whole = file(&[&old, &new]);
        assert_eq!(Cursor::read(&whole), (Some(new), false));
        for byte in SLOT_BYTES..CURSOR_BYTES {
            let mut damaged = whole.clone();
            damaged[byte] ^= 4;
            assert_eq!(Cursor::read(&damaged), (Some(old.clone()), true));
        }
        for length in SLOT_BYTES..CURSOR_BYTES {
            assert_eq!(Cursor::read(&whole[..length]).0, Some(old.clone()));
        }
    }

    #[test]
    fn an_empty_file_is_no_damage() {
        assert_eq!(Cursor::read(&[]), (None, false));
        assert_eq!(Cursor::read(&[0; CURSOR_BYTES]), (None, false));
        assert_eq!(Cursor::read(&[1; CURSOR_BYTES]), (None, true));
    }

    #[test]
    fn a_whole_slot_of_another_version_is_told_and_a_damaged_one_is_not() {
        let whole = file(&[&cursor(6, 3), &cursor(7, 4)]);
        assert_eq!(Cursor::other_version(&whole), None);
        for at in [0, SLOT_BYTES] {
            let mut other = whole.clone();
            let slot = &mut other[at..at + SLOT_BYTES];
            slot[8..10].copy_from_slice(&[3, 1]);
            assert_eq!(Cursor::other_version(slot), None, "its checksum is wrong");
            let mut sealed = slot[..SLOT_BYTES - 4].to_vec();
            seal(&mut sealed);
            slot.copy_from_slice(&sealed);
            assert_eq!(Cursor::other_version(&other), Some(0x103));
        }
        assert_eq!(Cursor::other_version(&[]), None);
        assert_eq!(Cursor::other_version(&[1; CURSOR_BYTES]), None);
    }

    #[test]
    fn a_slot_that_no_client_writes_is_damage_though_its_checksum_is_right() {
        let check = |at: usize, number: u64, is_whole: bool| {
            let mut slot = cursor(4, 3).to_slot().1;
            slot.truncate(SLOT_BYTES - 4);
            slot[at..at + 8].copy_from_slice(&number.to_le_bytes());
            seal(&mut slot);
            let (read, damaged) = Cursor::read(&slot);
            assert_eq!(read.is_some(), is_whole, "{number} at {at}");
            assert_eq!(damaged, !is_whole);
        };
        for generation in [0, 1 << 63, u64::MAX] {
            check(16, generation, true);
        }
        // What was durable, and the run.
        for at in [40, 48] {
            check(at, 1 << 63, true);
            check(at, (1 << 63) + 1, false);
            check(at, u64::MAX, false);
        }
        // The ranges are 10 to 14, 20 to 24 and 30 to 34.
        for (watermark, is_whole) in [(9, true), (10, false), (1 << 62, false), (u64::MAX, false)] {
            check(32, watermark, is_whole);
        }
        for (ranges, is_whole) in [
            (2, true),
            (4, false),
            (64, false),
            (65, false),
            (u64::MAX, false),
        ] {
            check(56, ranges, is_whole);
        }
        for (first, is_whole) in [
            (16, true),
            (15, false),
            (25, false),
            (26, false),
            (u64::MAX, false),
        ] {
            check(80, first, is_whole);
        }
        for (end, is_whole) in [(29, true), (30, false), (20, false), (0, false)] {
            check(88, end, is_whole);
        }
        check(104, 1 << 63, true);
        check(104, u64::MAX, false);
    }

    #[test]
    fn the_highest_generation_is_followed_by_the_lowest() {
        for (older, newer) in [(3, 4), (u64::MAX - 1, u64::MAX), (u64::MAX, 0)] {
            let slots = [older, newer].map(|generation| cursor(generation, 1).to_slot());
            let [one, other] = slots.map(|(_, slot)| slot);
            for file in [[one.clone(), other.clone()], [other, one]] {
                let (newest, damaged) = Cursor::read(&file.concat());
                assert_eq!((newest.unwrap().generation, damaged), (newer, false));
            }
        }
    }

    #[test]
    fn of_many_ranges_the_lowest_are_saved() {
        let many = cursor(0, 100);
        let (saved, _) = Cursor::read(&file(&[&many]));
        assert_eq!(saved.unwrap(), cursor(0, 64));
    }
}
