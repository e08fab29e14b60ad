//! [`InMemory`]: agents in this process's memory, for tests of services. They take everything at once,
//! or are silent for as long as they are told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::network::{Link, Network, Progress, Verdict};
use crate::clock;
use crate::delivery::{AgentId, Batch, CallId};
use crate::event::Event;
use crate::queue::{Unacked, wakeup};
use crate::reliability::PerLevel;
use crate::wire::avro::datum::{EventRef, Reader};

/// Most bytes of events that are kept until they are taken.
pub const KEPT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What all agents of one client took.
#[derive(Debug, Default)]
pub(crate) struct InMemory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    /// Of their datums.
    bytes: usize,
    /// Events for which there was no room.
    left_out: u64,
    /// Nobody will ask for events.
    discards: bool,
    /// No answer is given.
    is_silent: bool,
    /// The client's thread, if it waits for an answer: all connections of a client are polled by it.
    waiting: Option<Waker>,
}

impl InMemory {
    /// The events that came since the last time.
    pub(crate) fn take(&self) -> Vec<Event> {
        let mut state = self.lock();
        state.bytes = 0;
        std::mem::take(&mut state.events)
    }

    /// Events that were not kept.
    pub(crate) fn left_out(&self) -> u64 {
        self.lock().left_out
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.lock().is_silent
    }

    pub(crate) fn fall_silent(&self) {
        self.lock().is_silent = true;
    }

    /// Answers what waits for an answer, and all that comes.
    pub(crate) fn speak(&self) {
        let mut state = self.lock();
        state.is_silent = false;
        let waiting = state.waiting.take();
        drop(state);
        wakeup::wake(waiting);
    }

    /// Nobody will ask for events any more.
    pub(crate) fn discard(&self) {
        let mut state = self.lock();
        state.discards = true;
        state.events = Vec::new();
        drop(state);
        self.speak();
    }

    /// Takes a batch. `false`: it is silent, and the waker is woken when it speaks.
    fn receive<'a>(&self, slices: impl Iterator<Item = &'a [u8]>, waker: &Waker) -> bool {
        let mut state = self.lock();
        if state.is_silent {
            state.waiting = Some(waker.clone());
            return false;
        }
        if !state.discards {
            slices.for_each(|slice| state.keep(slice));
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps whole events, which lie back to back.
    fn keep(&mut self, datums: &[u8]) {
        let mut reader = Reader::new(datums);
        while !reader.rest().is_empty() {
            let datum = EventRef::read(&mut reader).map(|event| event.datum().to_vec());
            match datum.and_then(Event::from_datum) {
                Ok(event) if self.bytes + event.as_datum().len() <= KEPT_BYTES_MAX => {
                    self.bytes += event.as_datum().len();
                    self.events.push(event);
                }
                Ok(_) => self.left_out += 1,
                // The client wrote them, so this does not happen; where the next one begins is
                // unknown.
                Err(_) => {
                    self.left_out += 1;
                    return;
                }
            }
        }
    }
}

impl Network for Arc<InMemory> {
    type Link = InMemoryLink;

    fn now(&self) -> Instant {
        clock::now()
    }

    fn connect(&self, _: AgentId, _: u32) -> Option<InMemoryLink> {
        Some(InMemoryLink {
            agents: self.clone(),
            coming: VecDeque::from([Progress::Connected, Progress::Opened]),
            outbox: VecDeque::new(),
        })
    }
}

/// A connection to one of them.
#[derive(Debug)]
pub(crate) struct InMemoryLink {
    agents: Arc<InMemory>,
    /// What comes of it before any batch.
    coming: VecDeque<Progress>,
    outbox: VecDeque<(CallId, Batch)>,
}

impl Link for InMemoryLink {
    fn send(&mut self, call: CallId, batch: Batch) {
        self.outbox.push_back((call, batch));
    }

    fn poll(&mut self, context: &mut Context<'_>, unacked: &PerLevel<Unacked>) -> Poll<Progress> {
        if let Some(progress) = self.coming.pop_front() {
            return Poll::Ready(progress);
        }
        let Some((call, batch)) = self.outbox.front().copied() else {
            return Poll::Pending;
        };
        // An event is kept with its answer: a batch that is sent again, because no answer came in
        // time, is there once.
        let slices = unacked[batch.level].slices(batch.range());
        if !self.agents.receive(slices, context.waker()) {
            return Poll::Pending;
        }
        self.outbox.pop_front();
        let verdict = Verdict::Committed;
        Poll::Ready(Progress::Answered { call, verdict })
    }

    fn is_resolving(&self) -> bool {
        false
    }
}
