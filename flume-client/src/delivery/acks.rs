//! Which events are done with: a watermark, and what was finished ahead of it.

use std::collections::BTreeMap;

/// Done are all events below `watermark` and those in `ahead`.
#[derive(Debug, Default)]
pub(super) struct Acks {
    watermark: u64,
    /// First event of a finished range to the one behind its last. Never touches the watermark.
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
        let earlier = self.ahead.insert(first, first + events);
        assert!(earlier.is_none(), "event {first} was retired before");
        while let Some(end) = self.ahead.remove(&self.watermark) {
            self.watermark = end;
        }
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
}
