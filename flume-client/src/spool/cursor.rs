//! The cursor: which events are done with, in memory and on disk.
//!
//! The file has two slots of 4096 bytes, written in turn, so that a write cut short leaves the
//! other one; the whole one of the later generation counts. All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `FLCURSOR` |
//! | 8 | 2 | major version, 1: readers of another one leave the file alone |
//! | 10 | 6 | 0 |
//! | 16 | 8 | generation; slot 0 has the even ones |
//! | 24 | 8 | client id |
//! | 32 | 8 | watermark: all events below are done with |
//! | 40 | 8 | `durable_upto`: all events below were durable |
//! | 48 | 8 | run: the number with which the newest run begins |
//! | 56 | 8 | ranges above the watermark, at most 64 |
//! | 64 | 16 each | first sequence number of a range that is done with, and the one behind its last |
//! | | | 0 |
//! | 4092 | 4 | CRC-32 of the 4092 bytes before |
//!
//! Losing the last write costs nothing but events sent twice.
//!
//! A right checksum does not make a slot true. One that no client writes is damage: with numbers
//! behind 2^63, with more than 64 ranges, or with ranges that are empty, not in order, or touch each
//! other or the watermark.

use std::collections::BTreeMap;

use super::fields::{seal, take_u16, take_u64, unseal};
use super::header::NUMBERS_END;

/// Bytes of the cursor's file.
pub const CURSOR_BYTES: usize = 2 * SLOT_BYTES;

const SLOT_BYTES: usize = 4096;
const MAGIC: [u8; 8] = *b"FLCURSOR";
const MAJOR: u16 = 1;
/// Ranges that are saved; events of further ones are sent again after a restart.
const RANGES_MAX: usize = 64;

/// Which events are done with: all below a watermark, and ranges above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    watermark: u64,
    /// First to the one behind the last. They neither touch each other nor the watermark.
    ahead: BTreeMap<u64, u64>,
}

/// What a slot of the cursor holds. The default is that of a spool without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Counts the writes.
    pub generation: u64,
    /// Whose events these are.
    pub client: u64,
    /// All events below this were durable.
    pub durable_upto: u64,
    /// The number with which the newest run begins.
    pub run: u64,
    /// Which events are done with.
    pub retired: Retired,
}

impl Retired {
    /// All events below this are done with.
    #[must_use]
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// No event from this one on is done with.
    pub(super) fn end(&self) -> u64 {
        let last = self.ahead.last_key_value();
        last.map_or(self.watermark, |(_, end)| *end)
    }

    /// Marks the events from `first` up to `end` as done with; any of them may be so already.
    pub fn add(&mut self, first: u64, end: u64) {
        let (mut first, mut end) = (first.max(self.watermark), end);
        if first >= end {
            return;
        }
        // Ranges that touch the new one become part of it.
        while let Some((&start, &stop)) = self.ahead.range(..=end).next_back()
            && stop >= first
        {
            first = first.min(start);
            end = end.max(stop);
            self.ahead.remove(&start);
        }
        if first == self.watermark {
            self.watermark = end;
        } else {
            self.ahead.insert(first, end);
        }
    }

    /// Whether an event is done with, and up to which one that stays so.
    #[must_use]
    pub fn run(&self, event: u64) -> (bool, u64) {
        if event < self.watermark {
            return (true, self.watermark);
        }
        if let Some((_, &end)) = self.ahead.range(..=event).next_back()
            && end > event
        {
            return (true, end);
        }
        let next = self.ahead.range(event..).next();
        (false, next.map_or(u64::MAX, |(&start, _)| start))
    }
}

impl Retired {
    /// Whether all events from `first` up to `end` are done with.
    #[must_use]
    pub fn covers(&self, first: u64, end: u64) -> bool {
        first >= end || {
            let (is_done, upto) = self.run(first);
            is_done && end <= upto
        }
    }

    /// How many of the events from `first` up to `end` are not done with.
    #[must_use]
    pub fn open_between(&self, first: u64, end: u64) -> u64 {
        let (mut next, mut events) = (first, 0);
        while next < end {
            let (is_done, upto) = self.run(next);
            let upto = upto.min(end);
            events += if is_done { 0 } else { upto - next };
            next = upto;
        }
        events
    }

    /// As a cursor keeps it.
    pub(super) fn saved(&self) -> Self {
        let ahead = self.ahead.iter().take(RANGES_MAX);
        Self {
            watermark: self.watermark,
            ahead: ahead.map(|(first, end)| (*first, *end)).collect(),
        }
    }
}

impl Cursor {
    /// The slot as it is written, and its offset.
    #[must_use]
    pub fn to_slot(&self) -> (u64, Vec<u8>) {
        let mut slot = Vec::with_capacity(SLOT_BYTES);
        slot.extend_from_slice(&MAGIC);
        slot.extend_from_slice(&MAJOR.to_le_bytes());
        slot.extend_from_slice(&[0; 6]);
        let ranges = self.retired.ahead.iter().take(RANGES_MAX);
        let head = [
            self.generation,
            self.client,
            self.retired.watermark,
            self.durable_upto,
            self.run,
            ranges.len() as u64,
        ];
        let ranges = ranges.flat_map(|(first, end)| [*first, *end]);
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

    /// Generations go on with 0 behind the highest. Nobody comes to it but by a file that was made
    /// up, and then each later slot must still be the newer one.
    fn is_newer(&self, other: &Self) -> bool {
        self.generation.wrapping_sub(other.generation) < 1 << 63
    }
}

/// The major version of a slot whose checksum is right.
fn version(slot: &[u8]) -> Option<u16> {
    take_u16(&mut unsealed(slot)?)
}

/// What is behind the magic of such a slot.
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
    let mut retired = Retired {
        watermark: take_u64(fields)?,
        ahead: BTreeMap::new(),
    };
    let durable_upto = take_u64(fields)?;
    let run = take_u64(fields)?;
    let ranges = take_u64(fields)?;
    let mut is_possible = [retired.watermark, durable_upto, run]
        .iter()
        .all(|number| *number <= NUMBERS_END)
        && ranges <= RANGES_MAX as u64;
    let mut before = retired.watermark;
    for _ in 0..ranges.min(RANGES_MAX as u64) {
        let (first, end) = (take_u64(fields)?, take_u64(fields)?);
        is_possible &= before < first && first < end && end <= NUMBERS_END;
        before = end;
        retired.ahead.insert(first, end);
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
    use std::collections::BTreeSet;

    use super::*;

    fn cursor(generation: u64, ranges: u64) -> Cursor {
        let mut retired = Retired::default();
        retired.add(0, 5);
        for range in 0..ranges {
            retired.add(10 * range + 10, 10 * range + 15);
        }
        Cursor {
            generation,
            client: 9,
            durable_upto: 2_000,
            run: 1_500,
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
    fn what_is_not_done_with_is_counted_between_the_ranges() {
        // Done with: below 5, and from 10, 20, 30 on five each.
        let retired = cursor(0, 3).retired;
        assert_eq!(retired.open_between(0, 40), 5 + 5 + 5 + 5);
        assert_eq!(retired.open_between(7, 12), 3);
        assert_eq!(retired.open_between(11, 14), 0);
        assert!(retired.covers(11, 14) && retired.covers(11, 15) && retired.covers(9, 9));
        assert!(!retired.covers(11, 16) && !retired.covers(9, 12));
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

    #[test]
    fn ranges_in_any_order_say_the_same_as_a_set_of_events() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut retired = Retired::default();
            let mut set = BTreeSet::new();
            for _ in 0..30 {
                let first = random.u64(0..60);
                let end = first + random.u64(0..8);
                retired.add(first, end);
                set.extend(first..end);
            }
            let watermark = (0..).find(|event| !set.contains(event)).unwrap();
            assert_eq!(retired.watermark(), watermark, "seed {seed}");
            for event in 0..70 {
                let (done, end) = retired.run(event);
                assert_eq!(done, set.contains(&event), "seed {seed}");
                assert!(end > event);
                let same = |event: u64| set.contains(&event) == done;
                assert!((event..end.min(100)).all(same), "seed {seed}");
                assert!(end == u64::MAX || !same(end), "seed {seed}");
            }
        }
    }
}
