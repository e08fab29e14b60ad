//! Which events are done with: a watermark, and what was finished ahead of it.

use std::collections::BTreeMap;

/// Done are all events below `watermark` and those in `ahead`.
#[derive(Debug, Default)]
pub(super) struct Acks {
    watermark: u64,
    /// First event of a finished range to the one behind its last. They touch neither each other
    /// nor the watermark, so events that are left out for long cost one entry.
    ahead: BTreeMap<u64, u64>,
}

impl Acks {
    /// Every event below this is done with.
    pub(super) fn watermark(&self) -> u64 {
        self.watermark
    }

    /// Marks `events` events from `first` on. Ranges never overlap: a batch is retired once.
    pub(super) fn finish(&mut self, first: u64, events: u64) {
        if events == 0 {
            return;
        }
        assert!(first >= self.watermark, "event {first} was retired before");
        let (mut start, mut end) = (first, first + events);
        if let Some((&after, &stop)) = self.ahead.range(first..).next() {
            assert!(end <= after, "event {after} was retired before");
            if end == after {
                self.ahead.remove(&after);
                end = stop;
            }
        }
        if let Some((&before, &stop)) = self.ahead.range(..first).next_back() {
            assert!(stop <= first, "event {first} was retired before");
            if stop == first {
                start = before;
            }
        }
        if start == self.watermark {
            self.watermark = end;
        } else {
            self.ahead.insert(start, end);
        }
    }

    /// The first event from `event` on that is not done with.
    pub(super) fn done_from(&self, event: u64) -> u64 {
        let event = event.max(self.watermark);
        let range = self.ahead.range(..=event).next_back();
        range.map_or(event, |(_, &end)| end.max(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_passes_a_gap_only_when_it_is_filled() {
        let mut acks = Acks::default();
        acks.finish(10, 5);
        acks.finish(15, 5);
        assert_eq!(acks.watermark(), 0);
        acks.finish(0, 9);
        assert_eq!(acks.watermark(), 9);
        acks.finish(9, 1);
        assert_eq!(acks.watermark(), 20);
        assert!(acks.ahead.is_empty());
    }

    #[test]
    fn ranges_ahead_of_a_gap_become_one_and_its_end_is_told() {
        let mut acks = Acks::default();
        for first in [10, 30, 20, 40, 60] {
            acks.finish(first, 10);
        }
        assert_eq!(acks.ahead, BTreeMap::from([(10, 50), (60, 70)]));
        assert_eq!(
            [0, 9, 10, 49, 50, 65, 70].map(|it| acks.done_from(it)),
            [0, 9, 50, 50, 50, 70, 70]
        );
        acks.finish(0, 10);
        assert_eq!((acks.watermark(), acks.done_from(3)), (50, 50));
    }
}
