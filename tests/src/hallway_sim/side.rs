//! [`Side`]: callers and the sender, and the thread that reads: what goes on while the disk works.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use fastrand::Rng;
use flume_client::hallway::{Callers, Reads, SenderByHand, Step, Waiting};
use flume_client::stats::LevelStats;
use flume_client::{EventBatch, FlushError, Reliability, Report};

use super::book::{Book, Flag, event};
use super::promise::{Check, ensure};
use super::time::SimClock;

/// How long an event that somebody waits for takes at the most, if nothing goes wrong: less than the
/// linger time, and more than thousands of events take to a slow agent, one by one and in order.
const AWAITED_MAX: Duration = Duration::from_secs(500);
/// How long a flush that somebody asks for may take.
const FLUSH_MAX: Duration = Duration::from_secs(20);

/// A thread, and when it is to have its turn.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) flag: Arc<Flag>,
    pub(super) until: Option<Duration>,
    pub(super) has_ended: bool,
    pub(super) turns: u64,
}

impl Party {
    fn new() -> Self {
        let flag = Arc::<Flag>::default();
        flag.set();
        Self {
            flag,
            until: None,
            has_ended: false,
            turns: 0,
        }
    }

    pub(super) fn waker(&self) -> Waker {
        Waker::from(self.flag.clone())
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        !self.has_ended && (self.flag.is_set() || self.until.is_some_and(|at| at <= now))
    }

    pub(super) fn begin(&mut self) {
        self.flag.take();
        self.until = None;
        self.turns += 1;
    }

    pub(super) fn take(&mut self, step: Step, clock: &SimClock) {
        match step {
            Step::Again => self.flag.set(),
            Step::Sleep { until } => self.until = until.map(|at| clock.of(at)),
            Step::Ended => self.has_ended = true,
        }
    }
}

/// A flush that somebody waits for.
struct Flushing {
    waiting: Waiting<Result<(), FlushError>>,
    flag: Arc<Flag>,
    until: Duration,
}

pub(super) struct Side {
    pub(super) clock: Arc<SimClock>,
    pub(super) random: Rng,
    /// Draws what is appended in batches, so that a seed gives the same of all else as without them.
    batches: Rng,
    /// Draws at which level, for the same reason.
    levels: Rng,
    other_levels: Vec<Reliability>,
    /// Somebody waits for each event, and none may wait for a timer.
    pub(super) awaits: bool,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) callers: Callers,
    pub(super) sender: SenderByHand,
    pub(super) party: Party,
    pub(super) committer: Party,
    pub(super) reads: Reads,
    /// A piece of work, and when it is done.
    reading: Option<(Duration, Box<dyn FnOnce() + Send>)>,
    flushing: Option<Flushing>,
    /// Somebody waits for room.
    ready: Option<(Waiting<()>, Arc<Flag>)>,
    pub(super) is_closed: bool,
    /// Callers do nothing by themselves.
    pub(super) rests: bool,
    /// To be closed while the disk works, with this timeout.
    pub(super) closes_in_work: Option<Duration>,
    /// Somebody waits for the end.
    pub(super) closing: Option<Waiting<Report>>,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    event_bytes: usize,
    /// The longest that a read takes.
    pub(super) read_max: Duration,
}

impl Side {
    pub(super) fn new(
        clock: Arc<SimClock>,
        random: Rng,
        book: Arc<Mutex<Book>>,
        hallway: (Callers, SenderByHand, Reads),
        event_bytes: usize,
        other_levels: Vec<Reliability>,
    ) -> Self {
        let (callers, sender, reads) = hallway;
        Self {
            clock,
            batches: Rng::with_seed(random.clone().u64(..)),
            levels: Rng::with_seed(random.clone().u64(..) ^ 1),
            other_levels,
            awaits: false,
            random,
            book,
            callers,
            sender,
            party: Party::new(),
            committer: Party::new(),
            reads,
            reading: None,
            flushing: None,
            ready: None,
            is_closed: false,
            rests: false,
            closes_in_work: None,
            closing: None,
            accepted: 0,
            refused: 0,
            event_bytes,
            read_max: Duration::from_millis(20),
        }
    }

    /// Callers do something.
    pub(super) fn call(&mut self) -> Check {
        if self.is_closed {
            return Ok(());
        }
        match self.random.u32(0..20) {
            0 if self.flushing.is_none() => {
                let until = self.clock.elapsed() + FLUSH_MAX;
                let flag = Arc::<Flag>::default();
                flag.set();
                self.flushing = Some(Flushing {
                    waiting: self.callers.flush(FLUSH_MAX),
                    flag,
                    until,
                });
                Ok(())
            }
            _ => {
                let most = *self.random.choice(&[1, 1, 5, 30]).expect("there are some");
                let events = self.random.u32(1..=most);
                let own = self.callers.reliability();
                let is_other = !self.other_levels.is_empty() && self.levels.bool();
                let level = match is_other {
                    true => self
                        .levels
                        .choice(&self.other_levels)
                        .copied()
                        .unwrap_or(own),
                    false => own,
                };
                // One event alone is no batch that anybody would make.
                if events > 1 && self.batches.bool() {
                    return self.append_encoded(level, events);
                }
                self.append_at(level, events)
            }
        }
    }

    /// The client is closed.
    pub(super) fn close(&mut self, timeout: Duration) {
        self.is_closed = true;
        self.closing = Some(self.callers.close(timeout));
    }

    /// Appends events together, if there is room for all of them.
    fn append_encoded(&mut self, level: Reliability, events: u32) -> Check {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = EventBatch::new();
        let mut all = Vec::new();
        for id in (book.next_id()..).take(events as usize) {
            let event = event(id, self.batches.usize(8..self.event_bytes.clamp(9, 60)));
            let pushed = batch.push(&[], event.body());
            ensure(pushed.is_ok(), "a batch takes what an event may be", || {
                format!("{pushed:?}")
            })?;
            all.push(event);
        }
        match self.callers.at(level).append_encoded(&mut batch) {
            Ok(Some(last)) => {
                let watched = self.batches.u32(0..4) == 0 || self.awaits;
                book.accept_batch(level, &all, last, watched);
                self.accepted += u64::from(events);
                ensure(batch.is_empty(), "a batch that was taken is empty", || {
                    format!("{batch:?}")
                })
            }
            Ok(None) => ensure(false, "a batch of events has a receipt", || {
                format!("{events} events")
            }),
            Err(_) => {
                self.refused += u64::from(events);
                ensure(
                    batch.len() == all.len(),
                    "a batch that was refused is as it was",
                    || format!("{batch:?}"),
                )
            }
        }
    }

    /// Appends events at the client's own level, until there is no room.
    pub(super) fn append(&mut self, events: u32) -> Check {
        self.append_at(self.callers.reliability(), events)
    }

    pub(super) fn append_at(&mut self, level: Reliability, events: u32) -> Check {
        let callers = self.callers.at(level);
        for _ in 0..events {
            let bytes = match self.random.u32(0..8) {
                0 => self.event_bytes,
                _ => self.random.usize(8..self.event_bytes.clamp(9, 60)),
            };
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            let event = event(book.next_id(), bytes);
            match callers.append(&event) {
                Ok((_, receipt)) => {
                    let watched = self.random.u32(0..4) == 0 || self.awaits;
                    book.accept(level, &event, receipt, watched);
                    self.accepted += 1;
                }
                Err(may_fit_later) => {
                    drop(book);
                    self.refused += 1;
                    ensure(
                        may_fit_later || self.is_closed,
                        "taken or told why not",
                        || format!("{bytes} bytes are refused for good"),
                    )?;
                    if self.ready.is_none() {
                        let flag = Arc::<Flag>::default();
                        flag.set();
                        self.ready = Some((callers.ready(&event), flag));
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The sender has its turn.
    pub(super) fn send(&mut self) -> Check {
        self.party.begin();
        let waker = self.party.waker();
        let step = self.sender.turn(&waker);
        self.party.take(step, &self.clock);
        self.check()
    }

    /// Whether the thread that reads has something to do, and when that is done.
    pub(super) fn reads_at(&mut self) -> Option<Duration> {
        if self.reading.is_none()
            && let Some(work) = self.reads.next()
        {
            let most = self.read_max.as_micros() as u64;
            let takes = Duration::from_micros(self.random.u64(1..most.max(2)));
            self.reading = Some((self.clock.elapsed() + takes, work));
        }
        self.reading.as_ref().map(|(at, _)| *at)
    }

    /// The thread that reads comes to the end of a piece of work.
    pub(super) fn read(&mut self) {
        if let Some((_, work)) = self.reading.take() {
            work();
        }
    }

    /// Those who were woken look.
    pub(super) fn look(&mut self) -> Check {
        let now = self.clock.elapsed();
        if let Some(flushing) = &self.flushing {
            // While this world opens another place, nobody else has a turn.
            let grace = Duration::from_secs(40);
            ensure(now < flushing.until + grace, "a flush ends in time", || {
                format!("at {now:?}, due {:?}", flushing.until)
            })?;
            if flushing.flag.take() {
                let waker = Waker::from(flushing.flag.clone());
                if flushing.waiting.poll(&waker).is_some() {
                    self.flushing = None;
                }
            }
        }
        if let Some((ready, flag)) = &self.ready
            && flag.take()
            && ready.poll(&Waker::from(flag.clone())).is_some()
        {
            self.ready = None;
        }
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.awaits.then(|| now.saturating_sub(AWAITED_MAX));
        book.look(now, since)
    }

    /// Nobody waits for anything.
    pub(super) fn check_quiet(&mut self) -> Check {
        self.look()?;
        ensure(self.flushing.is_none(), "who waits is woken", || {
            "a flush".into()
        })?;
        ensure(self.ready.is_none(), "who waits is woken", || {
            format!("for room: {:?}", self.callers.stats())
        })?;
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.check_watchers(self.clock.elapsed())
    }

    /// What holds at every moment.
    pub(super) fn check(&self) -> Check {
        let stats = self.callers.stats();
        let taken = stats.accepted + stats.recovered;
        let known = stats.delivered + stats.lost.total() + stats.pending;
        let is_even = |level: &LevelStats| {
            let known = level.delivered + level.lost.total() + level.pending;
            level.accepted + level.recovered == known
        };
        ensure(
            taken == known && stats.levels.iter().all(is_even),
            "the counters balance",
            || format!("{stats:?}"),
        )
    }
}
