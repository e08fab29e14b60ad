//! [`Receipts`]: the slots of events without an outcome that somebody holds a receipt of.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;

use super::awaited::Awaited;
use super::receipt::{Facts, LastWord, Name, Receipt, Slot};
use super::stored::DurableMark;
use crate::agent_url::AgentUrl;
use crate::delivery::Outcome;
use crate::error::AgentError;
use crate::fork::Generation;
use crate::reliability::Reliability;
use crate::seq::{Seq, SeqRange};

/// Events whose receipts share a slot.
const SLOT_EVENTS: u64 = 256;
/// Words with a bit for each of them.
const SLOT_WORDS: usize = (SLOT_EVENTS / u64::BITS as u64) as usize;
/// Slots kept for reuse.
const SPARE_SLOTS_MAX: usize = 16;
/// Slots that are looked at when one more is begun: callers who keep the receipt of their last
/// event hold the last one or two for a while.
const LATEST_SLOTS: usize = 4;

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
    use std::time::Duration;

    use super::*;
    use crate::delivery::Loss;
    use crate::error::DeliveryError;

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
