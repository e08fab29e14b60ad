//! [`Receipt`]: what became of one event, for callers who want to know.
//!
//! Events share a [`Slot`] in groups of `SLOT_EVENTS` consecutive ones, so a receipt costs its
//! holder a counter and nobody an allocation per event. A slot is let go of as soon as nobody holds
//! a receipt of it, or all its events have an outcome, and is used again for later events. So what
//! waits takes memory here only as long as somebody asks for it, also after an event that is never
//! retired.

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
    pub(super) slot: Arc<Slot>,
    pub(super) sequence: Seq,
    pub(super) name: Name,
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
    /// [`SyncMode`](crate::SyncMode) says, or, if the disk takes nothing, when an agent has it; with
    /// [`StoreOnFailure`](crate::Reliability::StoreOnFailure) when an agent has it, or if none takes
    /// it, when it is on the disk. The other levels store in memory, so there it resolves at once.
    pub fn stored(&self) -> Stored<'_> {
        Stored::new(&self.slot.facts.stored, self.sequence)
    }

    /// Whether the event is kept on the disk at this moment, so that it survives the end of this
    /// process: stored, and neither acknowledged nor given up. With
    /// [`StoreOnFailure`](crate::Reliability::StoreOnFailure) that says that it was moved there because
    /// no agent took it. Waits for nothing.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        if self.slot.forked_from().is_some() || !self.slot.facts.level.has_spool() {
            return false;
        }
        // An acknowledgement is told before the mark passes an event that was never stored.
        let is_stored = self.slot.facts.stored.is_stored(self.sequence);
        let outcome = self.slot.lock().outcome(self.sequence);
        is_stored && outcome.is_none()
    }

    /// What [`stored`](Self::stored) waits for, for a plain thread, which it blocks for `timeout` at the
    /// longest.
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

/// The outcomes of up to `SLOT_EVENTS` events.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) facts: Arc<Facts>,
    pub(super) state: Mutex<SlotState>,
    pub(super) changed: Condvar,
}

/// What is the same for all receipts of a lane.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) generation: Generation,
    pub(super) agents: Box<[AgentUrl]>,
    pub(super) level: Reliability,
    pub(super) run_id: u64,
    pub(super) stored: Arc<DurableMark>,
    pub(super) awaited: Arc<Awaited>,
    pub(super) last_error: Mutex<Option<Arc<AgentError>>>,
}

impl Facts {
    fn last_error(&self) -> Option<Arc<AgentError>> {
        self.lock_error().clone()
    }

    pub(super) fn lock_error(&self) -> MutexGuard<'_, Option<Arc<AgentError>>> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(super) struct SlotState {
    /// Of events with the same outcome.
    pub(super) outcomes: Vec<(SeqRange, Outcome)>,
    pub(super) waiters: Vec<Waiter>,
    next_key: u64,
    /// The client has ended: what has no outcome never gets one but this.
    pub(super) last_word: Option<LastWord>,
}

/// A future that was polled and not dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    key: u64,
    sequence: Seq,
    pub(super) waker: Waker,
}

impl Slot {
    /// The process whose slot this is a copy of, if it is one.
    fn forked_from(&self) -> Option<u32> {
        let generation = self.facts.generation;
        generation.is_past().then(|| generation.process())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody waits for an event.
    fn ask(&self, sequence: Seq) {
        self.facts.awaited.ask(self.facts.level, sequence);
    }

    pub(super) fn is_held(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
    }

    /// Tells who holds a receipt.
    pub(super) fn resolve(&self, range: SeqRange, outcome: Outcome, wakers: &mut Vec<Waker>) {
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
