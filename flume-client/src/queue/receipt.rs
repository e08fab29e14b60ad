//! [`Receipt`]: what became of one event, for callers who want to know.
//!
//! Events share a [`Slot`] in groups of [`SLOT_EVENTS`] consecutive ones, so a receipt costs its
//! holder a counter and nobody an allocation per event. A slot is let go of as soon as nobody holds
//! a receipt of it, or all its events have an outcome, and is used again for later events. So what
//! waits takes memory here only as long as somebody asks for it, also after an event that is never
//! retired.

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::awaited::Awaited;
use super::stored::{DurableMark, Stored};
use crate::agent_url::AgentUrl;
use crate::delivery::{Loss, Outcome};
use crate::error::{AgentError, ClientThread, DeliveryError, StoreError};
use crate::event_id;
use crate::fork::Generation;
use crate::reliability::Reliability;
use crate::seq::{Seq, SeqRange};

/// Tells what became of an event that `append` took. Dropping it changes nothing for the event, and
/// needs no ceremony: what is lost is told by [`health`](crate::Client::health), counted by reason
/// in [`stats`](crate::Client::stats) and in the [`Report`](crate::Report) of `close`.
#[derive(Clone, Debug)]
pub struct Receipt {
    slot: Arc<Slot>,
    sequence: Seq,
    name: Name,
}

/// Where the event's `guid` header comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The client gave it.
    Given,
    /// It has its own, or none.
    Own,
}

/// An agent's acknowledgement: its required channels committed the event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ack {
    /// The agent.
    pub agent: AgentUrl,
}

impl Receipt {
    /// Resolves when the event is acknowledged or given up. Never gives
    /// [`DeliveryError::Pending`]; with every level but
    /// [`BestEffort`](crate::Reliability::BestEffort) it waits as long as no agent can be reached.
    #[must_use = "a future does nothing unless it is awaited"]
    pub fn delivered(&self) -> Delivered<'_> {
        Delivered {
            receipt: self,
            waiting: None,
        }
    }

    /// The same for a plain thread, which it blocks for `timeout` at the longest. Do not call it
    /// on a thread that runs async tasks: it would hold them up.
    pub fn wait(&self, timeout: Duration) -> Result<Ack, DeliveryError> {
        if let Some(process) = self.slot.forked_from() {
            return Err(DeliveryError::Forked { process });
        }
        let started = Instant::now();
        let mut state = self.slot.lock();
        // Who only looks waits for nothing.
        if !timeout.is_zero() && self.slot.result(&state, self.sequence).is_none() {
            drop(state);
            self.slot.ask(self.sequence);
            state = self.slot.lock();
        }
        loop {
            if let Some(result) = self.slot.result(&state, self.sequence) {
                return result;
            }
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(DeliveryError::Pending {
                    waited: timeout,
                    cause: self.slot.facts.last_error(),
                });
            }
            let waited = self.slot.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Resolves when the event is safe from the end of this process: with
    /// [`Reliability::EndToEnd`](crate::Reliability::EndToEnd) when it is on the disk, as
    /// [`SyncMode`](crate::SyncMode) says, or, if the disk takes nothing, when an agent has it. The
    /// other levels store in memory, so there it resolves at once.
    pub fn stored(&self) -> Stored<'_> {
        Stored::new(&self.slot.facts.stored, self.sequence)
    }

    /// The same for a plain thread, which it blocks for `timeout` at the longest.
    pub fn wait_stored(&self, timeout: Duration) -> Result<(), StoreError> {
        self.slot.facts.stored.wait(self.sequence, timeout)
    }

    /// Number of the event within this run of the client, among those of its
    /// [level](crate::Client::at): events taken later have higher ones. They begin with 0, or end to end
    /// after those of earlier runs that the spool's files tell of. A
    /// run of which nothing was written, on a disk that takes nothing, is told of by none: the next
    /// one may give its numbers again, as does a copy of the spool. What no other event has is
    /// [`guid`](Self::guid), which has the number after the run's id.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence.number()
    }

    /// The [id](crate::event_id) that the client gave the event, as it is in the event's `guid`
    /// header. `None` if it gave none: [`event_ids`](crate::ClientBuilder::event_ids) are off, or
    /// the event had a `guid` of its own, which it keeps.
    #[must_use]
    pub fn guid(&self) -> Option<String> {
        (self.name == Name::Given).then(|| event_id::text(self.slot.facts.run_id, self.sequence))
    }
}

/// The future of [`Receipt::delivered`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Delivered<'a> {
    receipt: &'a Receipt,
    /// Its key among the slot's waiters, once it was polled.
    waiting: Option<u64>,
}

impl Future for Delivered<'_> {
    type Output = Result<Ack, DeliveryError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Receipt { slot, sequence, .. } = self.receipt;
        if let Some(process) = slot.forked_from() {
            return Poll::Ready(Err(DeliveryError::Forked { process }));
        }
        let mut state = slot.lock();
        if let Some(result) = slot.result(&state, *sequence) {
            self.waiting = None;
            return Poll::Ready(result);
        }
        let waker = context.waker().clone();
        let waiter = self.waiting.and_then(|key| state.waiter(key));
        if let Some(waiter) = waiter {
            let replaced = mem::replace(&mut waiter.waker, waker);
            drop(state);
            // Letting go of a waker runs foreign code, so not under the lock.
            drop(replaced);
        } else {
            let key = state.wait(*sequence, waker);
            drop(state);
            self.waiting = Some(key);
            slot.ask(*sequence);
        }
        Poll::Pending
    }
}

impl Drop for Delivered<'_> {
    fn drop(&mut self) {
        let Some(key) = self.waiting else {
            return;
        };
        if self.receipt.slot.forked_from().is_some() {
            return;
        }
        let mut state = self.receipt.slot.lock();
        let place = state.waiters.iter().position(|waiter| waiter.key == key);
        let waiter = place.map(|place| state.waiters.swap_remove(place));
        drop(state);
        // Letting go of a waker runs foreign code, so not under the lock.
        drop(waiter);
    }
}

/// Events whose receipts share a slot.
const SLOT_EVENTS: u64 = 256;
/// Words with a bit for each of them.
const SLOT_WORDS: usize = (SLOT_EVENTS / u64::BITS as u64) as usize;
/// Slots kept for reuse.
const SPARE_SLOTS_MAX: usize = 16;
/// Slots that are looked at when one more is begun: callers who keep the receipt of their last
/// event hold the last one or two for a while.
const LATEST_SLOTS: usize = 4;

/// The outcomes of up to [`SLOT_EVENTS`] events.
#[derive(Debug)]
struct Slot {
    facts: Arc<Facts>,
    state: Mutex<SlotState>,
    changed: Condvar,
}

/// What is the same for all receipts of a lane.
#[derive(Debug)]
struct Facts {
    generation: Generation,
    agents: Box<[AgentUrl]>,
    level: Reliability,
    run_id: u64,
    stored: Arc<DurableMark>,
    awaited: Arc<Awaited>,
    last_error: Mutex<Option<Arc<AgentError>>>,
}

impl Facts {
    fn last_error(&self) -> Option<Arc<AgentError>> {
        self.lock_error().clone()
    }

    fn lock_error(&self) -> MutexGuard<'_, Option<Arc<AgentError>>> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct SlotState {
    /// Of events with the same outcome.
    outcomes: Vec<(SeqRange, Outcome)>,
    waiters: Vec<Waiter>,
    next_key: u64,
    /// The client has ended: what has no outcome never gets one but this.
    last_word: Option<LastWord>,
}

/// A future that was polled and not dropped.
#[derive(Debug)]
struct Waiter {
    key: u64,
    sequence: Seq,
    waker: Waker,
}

impl Slot {
    /// The process whose slot this is a copy of, if it is one.
    fn forked_from(&self) -> Option<u32> {
        let generation = self.facts.generation;
        generation.is_past().then(|| generation.process())
    }

    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody waits for an event.
    fn ask(&self, sequence: Seq) {
        self.facts.awaited.ask(self.facts.level, sequence);
    }

    fn is_held(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    /// Tells who holds a receipt.
    fn resolve(&self, range: SeqRange, outcome: Outcome, wakers: &mut Vec<Waker>) {
        let mut state = self.lock();
        state.outcomes.push((range, outcome));
        let told = |waiter: &mut Waiter| range.contains(waiter.sequence);
        let woken = state.waiters.extract_if(.., told);
        wakers.extend(woken.map(|waiter| waiter.waker));
        self.changed.notify_all();
    }

    /// What became of an event, if that is known.
    fn result(&self, state: &SlotState, sequence: Seq) -> Option<Result<Ack, DeliveryError>> {
        let Some(outcome) = state.outcome(sequence) else {
            return state
                .last_word
                .map(|word| Err(self.last_word(word, sequence)));
        };
        let cause = || self.facts.last_error();
        Some(match outcome {
            Outcome::Delivered { agent } => {
                let agent = self
                    .facts
                    .agents
                    .get(agent.index())
                    .expect("the core counts our agents")
                    .clone();
                Ok(Ack { agent })
            }
            Outcome::Lost(Loss::Unreachable) => Err(DeliveryError::Unreachable { cause: cause() }),
            Outcome::Lost(Loss::Rejected) => Err(DeliveryError::Rejected { cause: cause() }),
            Outcome::Lost(Loss::Unknown) => Err(DeliveryError::Unknown { cause: cause() }),
            Outcome::Lost(Loss::Closed) => Err(DeliveryError::Closed { cause: cause() }),
            Outcome::Lost(Loss::Shed) => Err(DeliveryError::Shed),
            Outcome::Lost(Loss::Corrupt) => Err(DeliveryError::Corrupt),
        })
    }

    /// What the sender's end means for an event.
    fn last_word(&self, word: LastWord, sequence: Seq) -> DeliveryError {
        let cause = self.facts.last_error();
        match word.failed {
            _ if sequence < word.gone_below => DeliveryError::Corrupt,
            _ if sequence < word.in_spool_below => DeliveryError::InSpool,
            Some(thread) => DeliveryError::Failed { thread },
            None if sequence < word.sent_below => DeliveryError::Unknown { cause },
            None => DeliveryError::Closed { cause },
        }
    }
}

impl SlotState {
    fn waiter(&mut self, key: u64) -> Option<&mut Waiter> {
        self.waiters.iter_mut().find(|waiter| waiter.key == key)
    }

    /// Adds a waiter and returns its key.
    fn wait(&mut self, sequence: Seq, waker: Waker) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        self.waiters.push(Waiter {
            key,
            sequence,
            waker,
        });
        key
    }

    fn outcome(&self, sequence: Seq) -> Option<Outcome> {
        let mut known = self.outcomes.iter();
        let known = known.find(|(range, _)| range.contains(sequence));
        known.map(|(_, outcome)| *outcome)
    }
}

/// What becomes of events without an outcome when the client has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastWord {
    /// Events below this were in a spool that was removed.
    pub(crate) gone_below: Seq,
    /// Others below this are in the spool.
    pub(crate) in_spool_below: Seq,
    /// Events below this, if not in the spool, were sent: unknown. The others were never sent.
    pub(crate) sent_below: Seq,
    /// The thread that panicked; it is then the reason for all of them.
    pub(crate) failed: Option<ClientThread>,
}

/// A slot and its number.
#[derive(Debug)]
struct Numbered {
    /// See [`slot_of`].
    number: u64,
    /// A bit for each event that has an outcome, also if nobody held a receipt then.
    resolved: [u64; SLOT_WORDS],
    slot: Arc<Slot>,
}

/// The slots of events without an outcome that somebody holds a receipt of.
#[derive(Debug)]
pub(crate) struct Receipts {
    facts: Arc<Facts>,
    /// In the order of their numbers.
    slots: VecDeque<Numbered>,
    /// There is none below.
    first_slot: u64,
    spare: Vec<Arc<Slot>>,
}

impl Receipts {
    /// For events of a level from number `first` on, which may be stored some time after they are
    /// taken.
    pub(super) fn new(
        agents: &[AgentUrl],
        level: Reliability,
        run_id: u64,
        first: Seq,
        stored: Arc<DurableMark>,
        awaited: Arc<Awaited>,
    ) -> Self {
        let facts = Facts {
            generation: Generation::now(),
            agents: agents.into(),
            level,
            run_id,
            stored,
            awaited,
            last_error: Mutex::default(),
        };
        Self {
            facts: Arc::new(facts),
            slots: VecDeque::new(),
            first_slot: slot_of(first),
            spare: Vec::new(),
        }
    }

    /// Events below this have no receipts, or their outcomes are not told any more.
    fn first(&self) -> Seq {
        first_of(self.first_slot)
    }

    /// The receipt of an event; those of later ones come later. Not every event needs one.
    pub(crate) fn issue(&mut self, sequence: Seq, name: Name) -> Receipt {
        let number = slot_of(sequence);
        let latest = self.slots.back().filter(|latest| latest.number == number);
        let slot = latest.map(|latest| latest.slot.clone());
        let slot = slot.unwrap_or_else(|| self.begin(number));
        Receipt {
            slot,
            sequence,
            name,
        }
    }

    /// The latest trouble with an agent, until one acknowledges something: what receipts tell as
    /// the cause.
    pub(crate) fn set_last_error(&self, error: Option<Arc<AgentError>>) {
        *self.facts.lock_error() = error;
    }

    fn begin(&mut self, number: u64) -> Arc<Slot> {
        let latest = self.slots.len().saturating_sub(LATEST_SLOTS)..self.slots.len();
        // No further receipts of them are issued.
        latest.rev().for_each(|place| {
            self.let_go_unless(place, |it| it.slot.is_held());
        });
        let slot = self.spare.pop().unwrap_or_else(|| self.new_slot());
        self.slots.push_back(Numbered {
            number,
            resolved: [0; SLOT_WORDS],
            slot: slot.clone(),
        });
        slot
    }

    /// Lets go of the slot with this index (`place`), unless it is needed. Says whether it did.
    fn let_go_unless(&mut self, place: usize, is_needed: impl Fn(&Numbered) -> bool) -> bool {
        if self.slots.get(place).is_none_or(is_needed) {
            return false;
        }
        if let Some(numbered) = self.slots.remove(place) {
            reuse(&mut self.spare, numbered.slot);
        }
        true
    }

    /// Tells the holders of receipts. Wakers are added to `wakers`; wake them without locks held.
    pub(crate) fn resolve(&mut self, range: SeqRange, outcome: Outcome, wakers: &mut Vec<Waker>) {
        if range.end <= self.first() {
            // Of an earlier run, or forgotten: nobody holds a receipt.
            return;
        }
        let first_slot = slot_of(range.first);
        let mut place = self.slots.partition_point(|it| it.number < first_slot);
        while let Some(numbered) = self.slots.get_mut(place)
            && let before = first_of(numbered.number)
            && before < range.end
        {
            let (from, to) = (range.first.since(before), range.end.since(before));
            mark(&mut numbered.resolved, from, to);
            let is_over = numbered.resolved == [u64::MAX; SLOT_WORDS];
            let is_held = numbered.slot.is_held();
            if is_held {
                numbered.slot.resolve(range, outcome, wakers);
            }
            let is_latest = place + 1 == self.slots.len();
            if !self.let_go_unless(place, |_| !is_over && (is_latest || is_held)) {
                place += 1;
            }
        }
    }

    /// The client has ended: callers that still wait are told that nothing more comes.
    pub(crate) fn end(&mut self, last_word: LastWord, wakers: &mut Vec<Waker>) {
        self.facts.stored.end(last_word.failed, wakers);
        for Numbered { slot, .. } in self.slots.drain(..) {
            let mut state = slot.lock();
            state.last_word = Some(last_word);
            wakers.extend(state.waiters.drain(..).map(|waiter| waiter.waker));
            slot.changed.notify_all();
        }
    }

    /// Lets go of slots whose events are all retired.
    pub(crate) fn forget_below(&mut self, watermark: Seq) {
        self.first_slot = self.first_slot.max(slot_of(watermark));
        while let Some(front) = self.slots.front()
            && front.number < self.first_slot
        {
            self.let_go_unless(0, |_| false);
        }
    }

    fn new_slot(&self) -> Arc<Slot> {
        Arc::new(Slot {
            facts: self.facts.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }
}

/// The number of the slot that an event is in.
fn slot_of(event: Seq) -> u64 {
    event.number() / SLOT_EVENTS
}

/// The first event of the slot with this number.
fn first_of(slot: u64) -> Seq {
    Seq::new(slot * SLOT_EVENTS)
}

/// Marks the events `from..to` of a slot as having an outcome.
fn mark(resolved: &mut [u64; SLOT_WORDS], from: u64, to: u64) {
    let word_bits = u64::BITS.into();
    for (word, before) in resolved.iter_mut().zip((0..).step_by(u64::BITS as usize)) {
        let from = from.saturating_sub(before).min(word_bits);
        let to = to.saturating_sub(before).min(word_bits);
        let below = |bit: u64| 1_u64.checked_shl(bit as u32).unwrap_or(0).wrapping_sub(1);
        *word |= below(to) & !below(from);
    }
}

/// Keeps a slot for later events, if nobody holds it.
fn reuse(spare: &mut Vec<Arc<Slot>>, mut slot: Arc<Slot>) {
    if spare.len() < SPARE_SLOTS_MAX
        && let Some(unheld) = Arc::get_mut(&mut slot)
    {
        // Nobody holds a receipt, so nobody waits, and the client has not ended.
        let state = unheld.state.get_mut();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.outcomes.clear();
        spare.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipts(stored: Arc<DurableMark>) -> Receipts {
        let level = Reliability::InMemory;
        Receipts::new(&[], level, 7, Seq::ZERO, stored, Arc::default())
    }

    #[test]
    fn events_that_nobody_asks_for_take_no_slots_however_many_wait() {
        let stored = Arc::new(DurableMark::new(Seq::ZERO));
        let mut receipts = receipts(stored);
        let all = SeqRange::of(Seq::ZERO, SLOT_EVENTS * 100);
        let asked = receipts.issue(Seq::ZERO, Name::Given);
        let mut last = None;
        for sequence in all.iter().skip(1) {
            last = Some(receipts.issue(sequence, Name::Given));
        }
        assert_eq!(
            receipts.slots.len(),
            3,
            "that of the first, and the last two"
        );
        receipts.resolve(all, Outcome::Lost(Loss::Closed), &mut Vec::new());
        assert_eq!(asked.guid().unwrap(), "0000000000000007-0000000000000000");
        for receipt in [asked, last.unwrap()] {
            assert_eq!(
                receipt.wait(Duration::ZERO),
                Err(DeliveryError::Closed { cause: None })
            );
        }
        receipts.forget_below(all.end);
        assert_eq!((receipts.slots.len(), receipts.first_slot), (0, 100));
        // Numbers may be left out.
        drop(receipts.issue(all.end.plus(SLOT_EVENTS * 10), Name::Given));
        assert_eq!(receipts.slots.len(), 1);
    }

    #[test]
    fn a_slot_is_over_when_each_of_its_events_has_an_outcome_and_not_before() {
        let mut resolved = [0; SLOT_WORDS];
        for (from, to) in [(0, 1), (1, 64), (60, 70), (70, 255), (3, 255)] {
            mark(&mut resolved, from, to);
            assert_ne!(resolved, [u64::MAX; SLOT_WORDS]);
        }
        mark(&mut resolved, 255, 1_000);
        assert_eq!(resolved, [u64::MAX; SLOT_WORDS]);
    }

    #[test]
    fn events_with_outcomes_take_no_slots_behind_one_that_is_never_done_with() {
        let stored = Arc::new(DurableMark::new(Seq::ZERO));
        let mut receipts = receipts(stored);
        let first = receipts.issue(Seq::ZERO, Name::Given);
        let shed = Outcome::Lost(Loss::Shed);
        let (mut waiting, mut slots_max) = (VecDeque::new(), 0);
        for batch in 0..1_000 {
            // Fifty batches are under way, so their slots are not the latest when they are retired.
            let range = SeqRange::of(Seq::new(1 + batch * 100), 100);
            let batch = range.iter().map(|it| receipts.issue(it, Name::Given));
            waiting.push_back((range, batch.collect::<Vec<_>>()));
            if waiting.len() > 50 {
                let (range, batch) = waiting.pop_front().unwrap();
                receipts.resolve(range, shed, &mut Vec::new());
                for receipt in batch {
                    assert_eq!(receipt.wait(Duration::ZERO), Err(DeliveryError::Shed));
                }
            }
            slots_max = slots_max.max(receipts.slots.len());
        }
        assert!(
            slots_max as u64 <= 50 * 100 / SLOT_EVENTS + 3,
            "{slots_max}"
        );
        let pending = first.wait(Duration::ZERO);
        assert!(matches!(pending, Err(DeliveryError::Pending { .. })));
        receipts.resolve((0..1).into(), shed, &mut Vec::new());
        assert_eq!(first.wait(Duration::ZERO), Err(DeliveryError::Shed));
    }
}
