//! When a batch is closed: full by count or bytes, old enough, awaited, or on request.

use std::collections::VecDeque;
use std::time::Duration;

use super::outcome::Loss;
use super::settings::{AgentId, AgentSet, Settings, Time};
use crate::reliability::Reliability;
use crate::seq::{Seq, SeqRange};

/// Events with consecutive sequence numbers that travel in one call, and are retried as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// That of all its events.
    pub level: Reliability,
    /// Sequence number of the first event.
    pub first: Seq,
    /// Number of events.
    pub events: u32,
    /// Their bytes.
    pub bytes: u32,
    /// How often it was sent.
    pub attempts: u32,
    /// Sent and not acknowledged: until then others are sent before it.
    pub rest_until: Time,
    /// The agent that it was sent to last, which did not acknowledge it: others are asked first.
    pub tried: Option<AgentId>,
    /// The agents that find it unacceptable: they do not get it again.
    pub unfit: AgentSet,
    /// Bytes of the first half of its events, if there are such agents. Else 0.
    pub half_bytes: u32,
}

// Tens of thousands of them may wait, with one event each.
const _: () = assert!(size_of::<Batch>() <= 48);

impl Batch {
    /// The numbers of its events.
    #[must_use]
    pub fn range(&self) -> SeqRange {
        SeqRange::of(self.first, self.events.into())
    }

    fn empty(level: Reliability, first: Seq) -> Self {
        Self {
            level,
            first,
            events: 0,
            bytes: 0,
            attempts: 0,
            rest_until: Time::ZERO,
            tried: None,
            unfit: AgentSet::default(),
            half_bytes: 0,
        }
    }

    /// It, if no agent has anything of its last try: it cannot be doubled by that.
    pub(super) fn unsent(self) -> Self {
        Self {
            attempts: self.attempts.saturating_sub(1),
            ..self
        }
    }

    /// How many events the first half of it has.
    #[must_use]
    pub fn half(&self) -> u32 {
        self.events.div_ceil(2)
    }

    /// Its two halves, which nobody has said anything of. The first one has so many bytes.
    fn halves(self, half_bytes: u32) -> [Self; 2] {
        let half_bytes = half_bytes.min(self.bytes);
        let first = Self {
            events: self.half(),
            bytes: half_bytes,
            unfit: AgentSet::default(),
            half_bytes: 0,
            ..self
        };
        let second = Self {
            first: first.range().end,
            events: self.events - first.events,
            bytes: self.bytes - half_bytes,
            ..first
        };
        [first, second]
    }

    /// How it is lost if it is given up: as `loss`, unless an agent may have it.
    pub(super) fn unless_sent(&self, loss: Loss) -> Loss {
        match self.attempts {
            0 => loss,
            _ => Loss::Unknown,
        }
    }
}

/// The open batch of a level and the closed ones that wait to be sent, oldest first.
#[derive(Debug)]
pub(super) struct Batches {
    level: Reliability,
    events_max: u32,
    bytes_max: u32,
    linger: Duration,
    next: Seq,
    /// Somebody waits for all events below this.
    awaited: Seq,
    open: Option<(Batch, Time)>,
    queue: VecDeque<Batch>,
    /// Those that wait for an agent which may find them acceptable, oldest first.
    aside: VecDeque<Batch>,
}

impl Batches {
    pub(super) fn new(level: Reliability, settings: &Settings) -> Self {
        Self {
            level,
            events_max: settings.batch_events_max,
            bytes_max: settings.batch_bytes_max,
            linger: settings.linger,
            next: Seq::ZERO,
            awaited: Seq::ZERO,
            open: None,
            queue: VecDeque::new(),
            aside: VecDeque::new(),
        }
    }

    /// Takes in events. A single event over the byte limit becomes a batch of its own.
    pub(super) fn append(&mut self, now: Time, ends: &[u32]) {
        let mut start = 0;
        for end in ends {
            self.add(now, end - start);
            start = *end;
        }
    }

    /// Leaves sequence numbers out: the next event gets `next`. Says which.
    pub(super) fn skip_to(&mut self, next: Seq) -> SeqRange {
        self.seal();
        let skipped = SeqRange::new(self.next, next.max(self.next));
        self.next = skipped.end;
        skipped
    }

    /// Takes in events that were left out. They wait for none to come: those after them did not.
    pub(super) fn insert(&mut self, first: Seq, ends: &[u32]) {
        let mut batch = Batch::empty(self.level, first);
        let mut start = 0;
        for end in ends {
            let bytes = end - start;
            start = *end;
            if batch.events > 0 && !self.fits(&batch, bytes) {
                batch = self.put_back_full(batch);
            }
            batch.events += 1;
            batch.bytes += bytes;
            if self.is_full(&batch) {
                batch = self.put_back_full(batch);
            }
        }
        if batch.events > 0 {
            self.put_back(batch);
        }
    }

    /// Puts a batch back by age and begins the one after it.
    fn put_back_full(&mut self, batch: Batch) -> Batch {
        self.put_back(batch);
        Batch::empty(self.level, batch.range().end)
    }

    fn fits(&self, batch: &Batch, bytes: u32) -> bool {
        batch.bytes.saturating_add(bytes) <= self.bytes_max
    }

    fn is_full(&self, batch: &Batch) -> bool {
        batch.events >= self.events_max || batch.bytes >= self.bytes_max
    }

    /// Somebody waits for all events below this, which may not have come yet.
    pub(super) fn wait_for(&mut self, upto: Seq) {
        self.awaited = self.awaited.max(upto);
    }

    /// Whether somebody waits for an event of the open batch.
    pub(super) fn is_awaited(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|(batch, _)| batch.first < self.awaited)
    }

    /// Closes the open batch.
    pub(super) fn seal(&mut self) {
        self.queue.extend(self.open.take().map(|(batch, _)| batch));
    }

    /// Closes the open batch if it is old enough.
    pub(super) fn seal_if_due(&mut self, now: Time) {
        if self.seal_deadline().is_some_and(|deadline| deadline <= now) {
            self.seal();
        }
    }

    pub(super) fn seal_deadline(&self) -> Option<Time> {
        self.open.as_ref().map(|(_, since)| *since + self.linger)
    }

    /// The batch that still takes events in.
    pub(super) fn open(&self) -> Option<&Batch> {
        self.open.as_ref().map(|(batch, _)| batch)
    }

    /// Whether a closed batch waits.
    pub(super) fn is_ready(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether nothing waits, open or closed.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.queue.is_empty() && self.aside.is_empty()
    }

    /// Whether one waits for an agent that may find it acceptable.
    pub(super) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// Those that do, oldest first.
    pub(super) fn aside(&self) -> impl Iterator<Item = &Batch> {
        self.aside.iter()
    }

    /// Takes out the one of them that stands at this place.
    pub(super) fn pop_aside(&mut self, place: usize) -> Option<Batch> {
        self.aside.remove(place)
    }

    /// Takes out the oldest of them for which that holds.
    pub(super) fn pop_aside_if(&mut self, is_it: impl Fn(&Batch) -> bool) -> Option<Batch> {
        let place = self.aside.iter().position(is_it)?;
        self.aside.remove(place)
    }

    /// Puts the halves of a batch back, or all of it if it is a single event.
    pub(super) fn put_back_halved(&mut self, batch: Batch, half_bytes: u32) {
        match batch.events > 1 {
            true => {
                let halves = batch.halves(half_bytes);
                halves.into_iter().for_each(|half| self.put_back(half));
            }
            false => self.put_back(batch),
        }
    }

    /// When the oldest has rested. `None`: none waits.
    pub(super) fn oldest_rest(&self) -> Option<Time> {
        self.queue.front().map(|batch| batch.rest_until)
    }

    /// Whether a closed batch waits that does not rest.
    pub(super) fn is_rested(&self, now: Time) -> bool {
        self.queue.iter().any(|batch| batch.rest_until <= now)
    }

    /// The oldest.
    pub(super) fn first(&self) -> Option<&Batch> {
        self.queue.front()
    }

    /// Takes out the oldest.
    pub(super) fn pop(&mut self) -> Option<Batch> {
        self.queue.pop_front()
    }

    /// Takes out the oldest, open or closed, whatever it waits for.
    pub(super) fn pop_oldest(&mut self) -> Option<Batch> {
        let is_older =
            |one: &Batch, other: Option<&Batch>| other.is_none_or(|it| one.first < it.first);
        if let Some(aside) = self.aside.front()
            && is_older(aside, self.iter_queued().next())
        {
            return self.aside.pop_front();
        }
        if self.queue.is_empty() {
            self.seal();
        }
        self.queue.pop_front()
    }

    /// The oldest of those that do not rest, or of all if each does: a batch that no agent takes
    /// must not be all that is ever tried.
    pub(super) fn first_rested(&self, now: Time) -> Option<&Batch> {
        self.queue.get(self.index_of_rested(now))
    }

    /// Takes that one out.
    pub(super) fn pop_rested(&mut self, now: Time) -> Option<Batch> {
        self.queue.remove(self.index_of_rested(now))
    }

    fn index_of_rested(&self, now: Time) -> usize {
        let mut queued = self.queue.iter();
        let rested = queued.position(|batch| batch.rest_until <= now);
        rested.unwrap_or(0)
    }

    /// Puts a batch back at the index that its age gives it: aside, if not every agent may have it.
    pub(super) fn put_back(&mut self, batch: Batch) {
        match batch.unfit.is_empty() {
            true => insert(&mut self.queue, batch),
            false => insert(&mut self.aside, batch),
        }
    }

    /// All waiting batches.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Batch> {
        self.iter_queued().chain(&self.aside)
    }

    fn iter_queued(&self) -> impl Iterator<Item = &Batch> {
        let open = self.open.as_ref();
        self.queue.iter().chain(open.map(|(batch, _)| batch))
    }

    fn add(&mut self, now: Time, bytes: u32) {
        let open = self.open.as_ref();
        if open.is_some_and(|(batch, _)| !self.fits(batch, bytes)) {
            self.seal();
        }
        let empty = Batch::empty(self.level, self.next);
        let (batch, _) = self.open.get_or_insert((empty, now));
        batch.events += 1;
        batch.bytes += bytes;
        self.next = self.next.next();
        let batch = *batch;
        if self.is_full(&batch) {
            self.seal();
        }
    }
}

/// Inserts a batch where its age belongs.
fn insert(batches: &mut VecDeque<Batch>, batch: Batch) {
    let place = batches.partition_point(|other| other.first < batch.first);
    batches.insert(place, batch);
}
