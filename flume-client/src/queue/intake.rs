//! [`Intake`]: where callers and the taker of their events meet, under one short lock. The taker is
//! the committer with a spool, else the sender.
//!
//! Callers copy their event's datum after the last one and leave. The taker takes whole chunks and
//! hands empty ones back, so in a steady state nothing is allocated. The counters are changed under
//! the same lock, which is why they balance at every moment.
//!
//! A process that was forked from the client's has a copy of all this, without the threads and with
//! the lock as it was at that moment, held or not. What callers reach here looks for that first,
//! which costs one comparison, and leaves everything alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::awaited::Awaited;
use super::handover::Handover;
use super::lane::Lane;
use super::oneshot::Promise;
use super::opened_spool::OpenedSpool;
use super::receipt::{Name, Receipt};
use super::request::Request;
use super::room::{Amount, Beginning};
use super::state::{IntakeState, RoomWait};
use super::wakeup;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{ClientThread, Refusal};
use crate::event::Event;
use crate::event_batch::EventBatch;
use crate::event_id::EVENT_ID_BYTES_MAX;
use crate::fork::Generation;
use crate::health::{Health, Limits};
use crate::reliability::{PerLevel, Reliability};
use crate::seq::Seq;
use crate::situations::reached;
use crate::stats::fill::Fill;
use crate::stats::{Refused, Stats};

/// Some fifty microseconds at the most.
const LOCK_TRIES: u32 = 1000;

#[derive(Debug)]
pub(crate) struct Intake {
    state: Mutex<IntakeState>,
    /// Beside the lock: receipts know it, and the lock holds receipts.
    pub(crate) awaited: Arc<Awaited>,
    /// Bytes of the buffer that may be in use for an event of a level to be taken.
    capacity: PerLevel<usize>,
    event_bytes_max: usize,
    /// No agent can take a body that is not UTF-8.
    takes_text_only: bool,
    event_ids: PerLevel<bool>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    generation: Generation,
    /// Events that were offered in a forked process.
    forked: AtomicU64,
}

impl Intake {
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let awaited = Arc::default();
        Self {
            state: Mutex::new(IntakeState::new(config, &awaited)),
            awaited,
            capacity: PerLevel::new(|level| config.buffer_share(level)),
            event_bytes_max: config.event_bytes_max,
            takes_text_only: config.takes_text_only(),
            event_ids: PerLevel::new(|level| config.adds_event_ids(level)),
            limits: config.limits(),
            clock,
            generation: Generation::now(),
            forked: AtomicU64::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, IntakeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for a thread that serves many callers. They hold the lock for less than a
    /// microsecond each, but who sleeps for it among them is woken last; so it is tried a few times
    /// first.
    pub(crate) fn lock_soon(&self) -> MutexGuard<'_, IntakeState> {
        for _ in 0..LOCK_TRIES {
            if let Ok(state) = self.state.try_lock() {
                return state;
            }
            std::hint::spin_loop();
        }
        self.lock()
    }

    /// The client's process, if this is not that one but was forked from it.
    pub(crate) fn forked_from(&self) -> Option<u32> {
        self.generation.is_past().then(|| self.generation.process())
    }

    /// The counters, as of now. A forked process has no client: nothing was taken there.
    pub(crate) fn stats(&self) -> Stats {
        if self.forked_from().is_none() {
            return self.lock().snapshot(self.clock.now());
        }
        let refused = Refused {
            forked: self.forked.load(Ordering::Relaxed),
            ..Refused::default()
        };
        Stats {
            refused,
            ..Stats::default()
        }
    }

    /// Takes one event, if everything about it is right.
    pub(crate) fn append(&self, level: Reliability, event: &Event) -> Result<Receipt, Refusal> {
        self.take(level, event, |lane, number, name| {
            lane.receipts.issue(number, name)
        })
    }

    /// The same without a receipt, whose making and end each change a counter that threads share.
    pub(crate) fn send(&self, level: Reliability, event: &Event) -> Result<(), Refusal> {
        self.take(level, event, |_, _, _| ())
    }

    /// Takes one event, and does this with the number that it got.
    #[inline]
    fn take<T>(
        &self,
        level: Reliability,
        event: &Event,
        then: impl FnOnce(&mut Lane, Seq, Name) -> T,
    ) -> Result<T, Refusal> {
        self.check_process(1)?;
        let checked = self.check(event);
        let adds_id = self.adds_id(level, event);
        let mut state = self.lock();
        let room = checked.and_then(|()| {
            let (events, bytes) = (1, self.bytes_of(level, event));
            state.check_room(level, Amount { events, bytes }, self.capacity[level])
        });
        if let Err(refusal) = room {
            return Err(self.refuse(state, refusal, 1));
        }
        let (number, name) = state.push(level, event, adds_id);
        let taken = then(&mut state.lanes[level], number, name);
        announce(state, level);
        Ok(taken)
    }

    /// Takes all events or none; the error names the first that is at fault.
    pub(crate) fn append_all(
        &self,
        level: Reliability,
        events: &[Event],
    ) -> Result<Vec<Receipt>, (usize, Refusal)> {
        self.check_process(events.len() as u64)
            .map_err(|refusal| (0, refusal))?;
        let mut numbered = events.iter().enumerate();
        let faulty = numbered.find_map(|(index, event)| Some((index, self.check(event).err()?)));
        let amount = self.amount_of(level, events);
        let adds_id = events.iter().map(|event| self.adds_id(level, event));
        let adds_id: Vec<bool> = adds_id.collect();
        let mut state = self.lock();
        let refused = faulty.or_else(|| {
            let refusal = state.check_room(level, amount, self.capacity[level]);
            Some((0, refusal.err()?))
        });
        if let Some((index, refusal)) = refused {
            let refusal = self.refuse(state, refusal, events.len() as u64);
            return Err((index, refusal));
        }
        let pairs = events.iter().zip(adds_id);
        let receipts = pairs.map(|(event, adds_id)| {
            let (number, name) = state.push(level, event, adds_id);
            state.lanes[level].receipts.issue(number, name)
        });
        let receipts = receipts.collect();
        announce(state, level);
        Ok(receipts)
    }

    /// Takes all events of a batch or none, by swapping buffers.
    pub(crate) fn append_encoded(
        &self,
        level: Reliability,
        batch: &mut EventBatch,
    ) -> Result<Option<Receipt>, Refusal> {
        let events = batch.len();
        self.check_process(events as u64)?;
        if events == 0 {
            return Ok(None);
        }
        let limit = self.event_bytes_max;
        let checked = match batch.largest {
            bytes if bytes > limit => Err(Refusal::TooLarge { bytes, limit }),
            _ => Ok(()),
        };
        let mut state = self.lock_soon();
        let amount = Amount {
            events,
            bytes: batch.bytes(),
        };
        let room = checked.and_then(|()| state.check_room(level, amount, self.capacity[level]));
        if let Err(refusal) = room {
            return Err(self.refuse(state, refusal, events as u64));
        }
        let receipt = state.push_encoded(level, batch);
        announce(state, level);
        Ok(Some(receipt))
    }

    /// How full buffer and spool are for events of a level.
    pub(crate) fn fill(&self, level: Reliability) -> Fill {
        if self.forked_from().is_some() {
            return Fill::default();
        }
        let state = self.lock_soon();
        Fill {
            buffer_bytes: state.used(self.capacity[level]) as u64,
            buffer_bytes_max: self.capacity[level] as u64,
            event_bytes_max: self.event_bytes_max as u64,
            spool: state.lanes[level].store.fill(),
        }
    }

    /// Fulfils the promise when this fits, at once or later.
    pub(crate) fn when_ready(&self, level: Reliability, amount: Amount, promise: Promise<()>) {
        if self.forked_from().is_some() {
            // The promise is dropped, which ends the wait.
            return;
        }
        let mut state = self.lock();
        let room = state.check_room(level, amount, self.capacity[level]);
        let waits = room.is_err_and(|refusal| refusal.is_retryable());
        if waits && amount.bytes <= self.capacity[level] {
            reached!("a caller waits for room");
            let given_up = state.waits_given_up();
            state.ready.push(RoomWait {
                level,
                amount,
                promise,
            });
            drop(state);
            // Letting go of a promise can run its waiter's code, so not under the lock.
            drop(given_up);
            return;
        }
        drop(state);
        // It fits, or waiting does not help: the caller tries again and is told why. What is larger
        // than the buffer never fits: `TooLarge`.
        wakeup::wake(promise.fulfil(()));
    }

    /// Puts a request before the sender. Once the client has ended, its promise is dropped.
    /// It is told the number of each level's next event.
    pub(crate) fn request(&self, request: impl FnOnce(PerLevel<Seq>) -> Request) {
        if self.forked_from().is_some() {
            return;
        }
        let mut state = self.lock();
        let request = request(PerLevel::new(|level| state.lanes[level].next));
        if state.running == 0 {
            reached!("something is asked of a client that has ended");
            drop(state);
            drop(request);
            return;
        }
        state.closed |= matches!(request, Request::Close { .. });
        state.requests.push(request);
        let mut wakers: Vec<_> = state.sleepers().collect();
        wakers.extend(state.listener.take());
        drop(state);
        wakeup::wake(wakers);
    }

    /// A level has a spool from now on, which begins there and is written by another thread of the
    /// client. None of its events have come in. `false`: the client is closed.
    pub(crate) fn open_spool(
        &self,
        config: &Config,
        level: Reliability,
        beginning: Beginning,
        spool: OpenedSpool,
    ) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        let handover = spool.handover.clone();
        state.open_spool(config, level, beginning, &self.awaited, handover);
        state.requests.push(Request::Open { level, spool });
        let listener = state.listener.take();
        drop(state);
        wakeup::wake(listener);
        true
    }

    /// What the sender has to do with each thread that writes a spool.
    pub(crate) fn handovers(&self) -> Vec<Arc<Handover>> {
        self.lock().handovers.clone()
    }

    /// Hands the sender the events of a dead process, to be sent from its own directory. `false`:
    /// they would not be sent any more.
    pub(crate) fn adopt(&self, events: u64, spool: OpenedSpool) -> bool {
        let mut state = self.lock();
        if state.closed {
            reached!("a place is opened when the client is closed");
            return false;
        }
        reached!("a place is adopted");
        state.find_adopted(events);
        state.requests.push(Request::Adopt(spool));
        let listener = state.listener.take();
        drop(state);
        wakeup::wake(listener);
        true
    }

    /// Takes requests back whose promises are to be dropped when the client has ended.
    pub(crate) fn hand_back(&self, requests: impl Iterator<Item = Request>) {
        self.lock().requests.extend(requests);
    }

    /// Wakes callers who wait for room, now that there may be some.
    pub(crate) fn offer_room(&self, state: &mut IntakeState, wakers: &mut Vec<Waker>) {
        let closed = state.closed;
        let used = PerLevel::new(|level| state.used(self.capacity[level]));
        let lanes = &state.lanes;
        // A quarter of the buffer must be free, so that a waiting caller is woken for many events.
        let fits = |wait: &mut RoomWait| {
            let RoomWait { level, amount, .. } = *wait;
            let fits_room = lanes[level].store.check(amount, None).is_ok();
            let capacity = self.capacity[level];
            closed || (fits_room && used[level] + amount.bytes.max(capacity / 4) <= capacity)
        };
        for wait in state.ready.extract_if(.., fits) {
            reached!("there is room for a caller who waits");
            wakers.extend(wait.promise.fulfil(()));
        }
    }

    /// There is no room in the buffer from now on, or as much as there is.
    #[cfg(feature = "test")]
    pub(crate) fn play_full(&self, plays_full: bool) {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        state.plays_full = plays_full;
        self.offer_room(&mut state, &mut wakers);
        drop(state);
        wakeup::wake(wakers);
    }

    /// A thread of the client has panicked: nothing more is taken, and the other one ends too.
    pub(crate) fn fail(&self, thread: ClientThread) {
        let mut state = self.lock();
        state.closed = true;
        state.stats.failed.get_or_insert(thread);
        let ready = std::mem::take(&mut state.ready);
        let mut wakers: Vec<_> = state.sleepers().collect();
        wakers.extend(state.listener.take());
        drop(state);
        drop(ready);
        wakeup::wake(wakers);
    }

    /// A thread of the client has ended. With the last one, callers are told what became of their
    /// events.
    pub(crate) fn thread_ended(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.running -= 1;
        if state.running > 0 {
            return;
        }
        let mut wakers = Vec::new();
        state.settle(&mut wakers);
        let requests = std::mem::take(&mut state.requests);
        let ready = std::mem::take(&mut state.ready);
        drop(state);
        drop((requests, ready));
        wakeup::wake(wakers);
    }

    /// Counts a refusal.
    fn refuse(
        &self,
        mut state: MutexGuard<'_, IntakeState>,
        refusal: Refusal,
        events: u64,
    ) -> Refusal {
        state.stats.refuse(&refusal, events);
        let is_full = refusal.is_retryable();
        let listener = is_full
            .then(|| state.on_no_room(self.clock.now()))
            .flatten();
        drop(state);
        wakeup::wake(listener);
        refusal
    }

    /// In a process that was forked from the client's own there is no sender.
    fn check_process(&self, events: u64) -> Result<(), Refusal> {
        let Some(process) = self.forked_from() else {
            return Ok(());
        };
        self.forked.fetch_add(events, Ordering::Relaxed);
        Err(Refusal::Forked { process })
    }

    /// Whether events flow.
    pub(crate) fn health(&self) -> Health {
        match self.forked_from() {
            Some(process) => Health::forked(process),
            None => Health::of(&self.stats(), self.limits),
        }
    }

    /// Bytes that the event takes, at the most.
    fn bytes_of(&self, level: Reliability, event: &Event) -> usize {
        let id = if self.event_ids[level] {
            EVENT_ID_BYTES_MAX
        } else {
            0
        };
        event.as_datum().len() + id
    }

    /// The same of several.
    pub(crate) fn amount_of(&self, level: Reliability, events: &[Event]) -> Amount {
        Amount {
            events: events.len(),
            bytes: events.iter().map(|event| self.bytes_of(level, event)).sum(),
        }
    }

    fn adds_id(&self, level: Reliability, event: &Event) -> bool {
        self.event_ids[level] && !event.has_own_id()
    }

    fn check(&self, event: &Event) -> Result<(), Refusal> {
        if let Some(fault) = event.fault() {
            return Err(Refusal::Header(fault.clone()));
        }
        let (bytes, limit) = (event.as_datum().len(), self.event_bytes_max);
        if bytes > limit {
            return Err(Refusal::TooLarge { bytes, limit });
        }
        if self.takes_text_only && str::from_utf8(event.body()).is_err() {
            return Err(Refusal::NotText);
        }
        Ok(())
    }
}

/// Wakes the taker of the events that were pushed.
fn announce(mut state: MutexGuard<'_, IntakeState>, level: Reliability) {
    let waker = state.lanes[level].waker_if_due();
    drop(state);
    // A waker of the client's own thread: it does not panic.
    waker.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Client;
    use crate::clock::SystemClock;
    use crate::error::DeliveryError;
    use crate::queue::oneshot::{self, Waited};

    const MEMORY: Reliability = Reliability::InMemory;

    fn intake() -> Intake {
        let builder = Client::builder().agent("avro://localhost:1");
        let config = builder.buffer_bytes(100).event_bytes(100).check().unwrap();
        Intake::new(&config, Arc::new(SystemClock))
    }

    #[test]
    fn receipts_resolve_and_counters_balance_when_the_worker_dies() {
        let intake = intake();
        let receipt = intake.append(MEMORY, &Event::new("left over")).unwrap();
        let thread = ClientThread::Sender;
        intake.fail(thread);
        intake.thread_ended();
        assert_eq!(
            receipt.wait(Duration::ZERO),
            Err(DeliveryError::Failed { thread })
        );
        let stats = intake.stats();
        assert_eq!(
            (stats.accepted, stats.pending, stats.lost.unknown),
            (1, 0, 1)
        );
        assert_eq!(
            intake.append(MEMORY, &Event::new("later")).unwrap_err(),
            Refusal::Failed { thread }
        );
    }

    #[test]
    fn in_a_forked_process_nothing_is_taken_and_no_lock_is_touched() {
        let mut intake = intake();
        let taken = intake.append(MEMORY, &Event::new("in the parent")).unwrap();
        intake.generation = Generation::past();
        let intake = intake;
        let process = std::process::id();
        // As a thread held it that is not there.
        let _held = intake.state.lock().unwrap();
        let refused = Refusal::Forked { process };
        assert_eq!(
            intake.append(MEMORY, &Event::new("1")).unwrap_err(),
            refused
        );
        let batch = vec![Event::new("2"), Event::new("3")];
        assert_eq!(intake.append_all(MEMORY, &batch).unwrap_err(), (0, refused));
        let stats = intake.stats();
        assert_eq!((stats.refused.forked, stats.accepted), (3, 0));
        let (promise, ticket) = oneshot::oneshot();
        intake.when_ready(MEMORY, Amount::SOME, promise);
        assert!(matches!(ticket.wait(Duration::MAX), Waited::Gone));
        let (promise, ticket) = oneshot::oneshot();
        intake.request(|_| Request::Close {
            timeout: Duration::MAX,
            promise,
        });
        assert!(matches!(ticket.wait(Duration::MAX), Waited::Gone));
        drop(taken);
    }

    #[test]
    fn the_worker_does_not_sleep_over_what_came_since_it_looked() {
        let (intake, waker) = (intake(), Waker::noop());
        assert!(intake.lock().listen(waker), "nothing came");
        // It is awake now, so nobody is woken.
        intake.lock().listener = None;
        assert!(
            intake
                .lock()
                .on_no_room(std::time::Instant::now())
                .is_none()
        );
        assert!(!intake.lock().listen(waker), "there was no room");
        assert!(intake.lock().take_news());
        assert!(intake.lock().listen(waker), "that is known");
        intake.lock().listener = None;
        intake.fail(ClientThread::Committer);
        assert!(!intake.lock().listen(waker), "the other thread has failed");
    }

    #[test]
    fn a_batch_that_can_never_fit_is_not_refused_as_retryable() {
        let intake = intake();
        let events = vec![Event::new([0; 60]), Event::new([0; 60])];
        let (_, refusal) = intake.append_all(MEMORY, &events).unwrap_err();
        assert!(!refusal.is_retryable(), "{refusal}");
    }
}
