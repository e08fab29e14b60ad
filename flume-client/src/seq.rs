//! [`Seq`], [`SeqRange`] and [`SeqSet`]: the numbers of events.
//!
//! An event gets its number when it is taken, and everybody calls it by that: the queue, the files,
//! the delivery core, receipts. The numbers have a type of their own so that none is taken for a
//! count of events or bytes, or for the id of a file.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// The number of an event. Events that are taken later have higher ones.
///
/// Its upper half counts the openings of a spool, called runs; its lower half counts the events of
/// one. A run uses few of the 2^32 numbers that it has, so nobody needs to know exactly where it
/// ended: to begin in a later one is enough to give no number twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

/// Bits of a number that count the events of a run.
const RUN_BITS: u32 = 32;

impl Seq {
    /// The first of all numbers.
    pub const ZERO: Self = Self(0);

    /// All events' numbers are below this. An opening takes 2^32 of them, so nobody comes near it; a file
    /// that says so was made up, and is damage. So no sum of numbers overflows.
    pub const END: Self = Self(1 << 63);

    /// No event's number: it stands for "without end", and is not added to.
    pub const MAX: Self = Self(u64::MAX);

    /// The event that is called so in files and receipts.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// As it is written in files and receipts.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The number of the event that comes so many later.
    #[must_use]
    pub const fn plus(self, events: u64) -> Self {
        Self(self.0 + events)
    }

    /// How many numbers there are from another one up to this; 0 if that is a later one.
    #[must_use]
    pub const fn since(self, first: Self) -> u64 {
        self.0.saturating_sub(first.0)
    }

    /// The first number of the run that this one is of.
    #[must_use]
    pub const fn run_first(self) -> Self {
        Self(self.0 >> RUN_BITS << RUN_BITS)
    }

    /// The last number of the run that this one is of.
    #[must_use]
    pub const fn run_last(self) -> Self {
        Self(self.0 | u32::MAX as u64)
    }

    /// The first number of the run that comes so many later.
    #[must_use]
    pub fn later_run(self, runs: u64) -> Self {
        Self(((self.0 >> RUN_BITS) + runs) << RUN_BITS).min(Self::END)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers that follow upon each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqRange {
    /// The first one.
    pub first: Seq,
    /// The one after the last.
    pub end: Seq,
}

impl SeqRange {
    /// From `first` up to the one before `end`; empty if that is not a later one.
    #[must_use]
    pub const fn new(first: Seq, end: Seq) -> Self {
        Self { first, end }
    }

    /// The numbers of so many events.
    #[must_use]
    pub const fn of(first: Seq, events: u64) -> Self {
        Self::new(first, first.plus(events))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.since(self.first)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether this number is one of them.
    #[must_use]
    pub fn contains(self, event: Seq) -> bool {
        self.first <= event && event < self.end
    }

    /// Those from `first` on.
    #[must_use]
    pub fn not_below(self, first: Seq) -> Self {
        Self::new(self.first.max(first), self.end)
    }

    /// Those that are below `end`.
    #[must_use]
    pub fn below(self, end: Seq) -> Self {
        Self::new(self.first, self.end.min(end))
    }

    /// Each of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Seq> + Clone {
        (self.first.0..self.end.0).map(Seq)
    }
}

impl From<Range<u64>> for SeqRange {
    fn from(numbers: Range<u64>) -> Self {
        Self::new(Seq(numbers.start), Seq(numbers.end))
    }
}

/// Numbers in any order, of which nearly all come in order: those below a watermark, and ranges ahead
/// of it. It takes an entry for each range, however long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeqSet {
    watermark: Seq,
    /// First to the one after the last. They neither touch each other nor the watermark.
    ahead: BTreeMap<Seq, Seq>,
}

impl SeqSet {
    /// All numbers below this.
    #[must_use]
    pub fn below(watermark: Seq) -> Self {
        let ahead = BTreeMap::new();
        Self { watermark, ahead }
    }

    /// All numbers below this are in it.
    #[must_use]
    pub fn watermark(&self) -> Seq {
        self.watermark
    }

    /// The ranges ahead of the watermark, in order.
    pub fn ahead(&self) -> impl Iterator<Item = SeqRange> + Clone {
        let ahead = self.ahead.iter();
        ahead.map(|(first, end)| SeqRange::new(*first, *end))
    }

    /// None from this one on is in it.
    #[must_use]
    pub fn end(&self) -> Seq {
        let last = self.ahead.last_key_value();
        last.map_or(self.watermark, |(_, end)| *end)
    }

    /// Adds all below this.
    pub fn add_below(&mut self, end: Seq) {
        self.add(SeqRange::new(Seq::ZERO, end));
    }

    /// Adds these; any of them may be in it already.
    pub fn add(&mut self, range: SeqRange) {
        let new = range.not_below(self.watermark);
        if new.is_empty() {
            return;
        }
        let SeqRange { mut first, mut end } = new;
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

    /// Whether a number is in it, and up to which one that stays so.
    #[must_use]
    pub fn run(&self, event: Seq) -> (bool, Seq) {
        if event < self.watermark {
            return (true, self.watermark);
        }
        if let Some((_, &end)) = self.ahead.range(..=event).next_back()
            && end > event
        {
            return (true, end);
        }
        let next = self.ahead.range(event..).next();
        (false, next.map_or(Seq::MAX, |(&start, _)| start))
    }

    /// Whether all of these are in it.
    #[must_use]
    pub fn covers(&self, range: SeqRange) -> bool {
        range.is_empty() || {
            let (is_in, upto) = self.run(range.first);
            is_in && range.end <= upto
        }
    }

    /// How many of these are not in it.
    #[must_use]
    pub fn open_in(&self, range: SeqRange) -> u64 {
        let (mut rest, mut open) = (range, 0);
        while !rest.is_empty() {
            let (is_in, upto) = self.run(rest.first);
            open += if is_in { 0 } else { rest.below(upto).len() };
            rest = rest.not_below(upto);
        }
        open
    }

    /// Without the later ones of more than so many ranges.
    #[must_use]
    pub fn lowest(&self, ranges_max: usize) -> Self {
        let ahead = self.ahead.iter().take(ranges_max);
        Self {
            watermark: self.watermark,
            ahead: ahead.map(|(first, end)| (*first, *end)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_watermark_passes_a_gap_only_when_it_is_filled() {
        let mut set = SeqSet::default();
        set.add((10..15).into());
        set.add((15..20).into());
        assert_eq!(set.watermark(), Seq::ZERO);
        set.add((0..9).into());
        assert_eq!(set.watermark(), Seq(9));
        set.add((9..10).into());
        assert_eq!(set.watermark(), Seq(20));
        assert!(set.ahead.is_empty());
    }

    #[test]
    fn ranges_ahead_of_a_gap_become_one() {
        let mut set = SeqSet::default();
        for first in [10, 30, 20, 40, 60] {
            set.add((first..first + 10).into());
        }
        let ahead: Vec<_> = set.ahead().collect();
        assert_eq!(ahead, [(10..50).into(), (60..70).into()]);
        set.add((0..10).into());
        assert_eq!((set.watermark(), set.end()), (Seq(50), Seq(70)));
    }

    #[test]
    fn what_is_not_in_it_is_counted_between_the_ranges() {
        let mut set = SeqSet::below(Seq(5));
        for first in [10, 20, 30] {
            set.add((first..first + 5).into());
        }
        assert_eq!(set.open_in((0..40).into()), 5 + 5 + 5 + 5);
        assert_eq!(set.open_in((7..12).into()), 3);
        assert_eq!(set.open_in((11..14).into()), 0);
        for covered in [11..14, 11..15, 9..9] {
            assert!(set.covers(covered.into()));
        }
        for open in [11..16, 9..12] {
            assert!(!set.covers(open.into()));
        }
    }

    #[test]
    fn ranges_in_any_order_say_the_same_as_a_set_of_events() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut ranges = SeqSet::default();
            let mut set = BTreeSet::new();
            for _ in 0..30 {
                let first = random.u64(0..60);
                let end = first + random.u64(0..8);
                ranges.add((first..end).into());
                set.extend(first..end);
            }
            let watermark = (0..).find(|event| !set.contains(event)).unwrap();
            assert_eq!(ranges.watermark(), Seq(watermark), "seed {seed}");
            for event in 0..70 {
                let (is_in, Seq(end)) = ranges.run(Seq(event));
                assert_eq!(is_in, set.contains(&event), "seed {seed}");
                assert!(end > event);
                let same = |event: u64| set.contains(&event) == is_in;
                assert!((event..end.min(100)).all(same), "seed {seed}");
                assert!(end == u64::MAX || !same(end), "seed {seed}");
            }
        }
    }

    #[test]
    fn ranges_are_cut_and_counted_and_may_be_empty() {
        let range = SeqRange::of(Seq(5), 5);
        assert_eq!(range, SeqRange::new(Seq(5), Seq(10)));
        assert_eq!((range.len(), range.below(Seq(7)).len()), (5, 2));
        assert_eq!(range.not_below(Seq(8)).len(), 2);
        assert!(range.contains(Seq(9)) && !range.contains(range.end));
        assert!(range.below(Seq(3)).is_empty() && !range.is_empty());
        assert_eq!(range.iter().count(), 5);
    }

    #[test]
    fn a_run_has_the_numbers_of_its_upper_half() {
        let event = Seq(7 << RUN_BITS | 5);
        assert_eq!(event.run_first(), Seq(7 << RUN_BITS));
        assert_eq!(event.run_last().next(), event.later_run(1));
        assert_eq!(event.later_run(0), event.run_first());
        assert_eq!(Seq(Seq::END.0 - 1).later_run(1 << 20), Seq::END);
    }
}
