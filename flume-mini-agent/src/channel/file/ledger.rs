//! [`Ledger`]: which events are in the log, in which segment, and which segments can go. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::channel::StoredEvent;

/// Dead bytes are tolerated up to as many as live ones and this many segments.
const SPARE_SEGMENTS: u64 = 4;

/// Dead bytes of the segment that is written that are worth a new one when the disk is full.
const SPENT_BYTES_MIN: u64 = 64 << 10;

/// What an event takes in the log besides its datum, in a segment of few events.
const EVENT_OVERHEAD_BYTES: u64 = 64;

/// The content of the log. It grows by committed transactions only, live or replayed.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Oldest first, numbered without a gap; the last is the one that is written. Never empty.
    segments: VecDeque<Segment>,
    live: BTreeMap<u64, Live>,
    live_bytes: u64,
    next_sequence: u64,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
    live_events: usize,
}

/// An event that no committed transaction has taken.
#[derive(Debug)]
struct Live {
    segment: u64,
    event: StoredEvent,
}

impl Ledger {
    /// The content of a log that starts with `segment`.
    pub(super) fn new(segment: u64, next_sequence: u64) -> Self {
        let mut ledger = Self {
            segments: VecDeque::new(),
            live: BTreeMap::new(),
            live_bytes: 0,
            next_sequence,
        };
        ledger.begin_segment(segment, 0);
        ledger
    }

    /// From here on what is put is in segment `number`, which has `bytes` bytes.
    pub(super) fn begin_segment(&mut self, number: u64, bytes: u64) {
        debug_assert!(self.segments.is_empty() || self.active() + 1 == number);
        self.segments.push_back(Segment {
            number,
            bytes,
            live_events: 0,
        });
    }

    /// The active segment has grown.
    pub(super) fn grow(&mut self, bytes: usize) {
        self.active_segment().bytes += bytes as u64;
    }

    pub(super) fn put(&mut self, event: StoredEvent) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.insert(sequence, event);
    }

    /// An event that is in an older segment is in the active one now, too.
    pub(super) fn moved(&mut self, sequence: u64, event: StoredEvent) {
        self.take(sequence);
        self.insert(sequence, event);
    }

    /// An event has left. One that is not here has been retired with its segment before.
    pub(super) fn take(&mut self, sequence: u64) {
        let Some(Live { segment, event }) = self.live.remove(&sequence) else {
            return;
        };
        self.live_bytes -= logged_bytes(&event);
        let index = usize::try_from(segment - self.oldest()).ok();
        let segment = index.and_then(|index| self.segments.get_mut(index));
        segment.expect("live events keep their segment").live_events -= 1;
    }

    /// All events of a range have left, however long a range a damaged log may name.
    pub(super) fn take_range(&mut self, range: Range<u64>) {
        let live: Vec<u64> = self
            .live
            .range(range)
            .map(|(sequence, _)| *sequence)
            .collect();
        live.into_iter().for_each(|sequence| self.take(sequence));
    }

    /// Forgets segments before `oldest`, of which nothing is live. Gives their numbers.
    pub(super) fn retire(&mut self, oldest: u64) -> Vec<u64> {
        let mut retired = Vec::new();
        while self.oldest() < oldest {
            let segment = self.segments.pop_front().expect("it has an oldest");
            debug_assert_eq!(segment.live_events, 0);
            retired.push(segment.number);
        }
        retired
    }

    /// The oldest segment, if it only waits for its removal.
    pub(super) fn dead_segment(&self) -> Option<u64> {
        let oldest = self.segments.front()?;
        (self.segments.len() > 1 && oldest.live_events == 0).then_some(oldest.number)
    }

    /// Whether the segment that is written has much and nothing of it is live.
    pub(super) fn active_is_spent(&self) -> bool {
        let active = self.segments.back();
        active.is_some_and(|it| it.live_events == 0 && it.bytes >= SPENT_BYTES_MIN)
    }

    /// The oldest segment, if the log is so full of dead events that moving its live ones pays.
    /// That takes a consumer that holds on to an old event while others go on.
    pub(super) fn sparse_segment(&self, segment_bytes: u64) -> Option<u64> {
        let tolerated = 2 * self.live_bytes + SPARE_SEGMENTS.saturating_mul(segment_bytes);
        (self.segments.len() > 1 && self.bytes() > tolerated).then(|| self.oldest())
    }

    /// The live events of a segment, in order.
    pub(super) fn events_of(&self, segment: u64) -> Vec<(u64, StoredEvent)> {
        let of_segment = |(sequence, live): (&u64, &Live)| {
            (live.segment == segment).then(|| (*sequence, live.event.clone()))
        };
        self.live.iter().filter_map(of_segment).collect()
    }

    /// All live events, in order.
    pub(super) fn events(&self) -> impl Iterator<Item = (u64, StoredEvent)> {
        self.live
            .iter()
            .map(|(sequence, live)| (*sequence, live.event.clone()))
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(super) fn oldest(&self) -> u64 {
        let oldest = self.segments.front().map(|segment| segment.number);
        oldest.expect("a log has a segment")
    }

    pub(super) fn active(&self) -> u64 {
        let active = self.segments.back().map(|segment| segment.number);
        active.expect("a log has a segment")
    }

    pub(super) fn active_bytes(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.bytes)
    }

    pub(super) fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn insert(&mut self, sequence: u64, event: StoredEvent) {
        self.live_bytes += logged_bytes(&event);
        self.active_segment().live_events += 1;
        let segment = self.active();
        self.live.insert(sequence, Live { segment, event });
    }

    fn active_segment(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("a log has a segment")
    }
}

fn logged_bytes(event: &StoredEvent) -> u64 {
    event.datum().len() as u64 + EVENT_OVERHEAD_BYTES
}
