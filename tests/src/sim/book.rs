//! The simulator's own book of every event of a level, kept without looking into the core.

use std::ops::Range;
use std::time::Duration;

use flume_client::Reliability;
use flume_client::delivery::{Backoff, Batch, Counters, Loss, Outcome, Settings, WindowMode};
use flume_client::seq::{Seq, SeqRange};

use super::time::Nanos;
use super::violation::{Check, broken, ensure};

/// Events that travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Events {
    pub(super) level: Reliability,
    pub(super) range: SeqRange,
}

impl Events {
    pub(super) fn of(batch: &Batch) -> Self {
        Self {
            level: batch.level,
            range: batch.range(),
        }
    }
}

/// How a call came to its end, as far as the client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Refused,
    /// The connection is gone. `begun` says whether its writing was begun.
    Unknown {
        begun: bool,
    },
    /// The client was told that its writing was not begun.
    Unsent,
}

/// Why a `Retire` may come now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acked {
    pub(super) agent: usize,
    pub(super) events: Events,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    InFlight,
    Retired,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    accepted_at: Nanos,
    bytes: u32,
    /// Sends that were not taken back as unsent.
    attempts: u32,
    was_sent: bool,
    /// A call with it was begun to be written, and ended without an acknowledgement.
    begun: bool,
    /// An earlier send ended unknown or refused: it may be stored again.
    excused: bool,
    last_end: Option<End>,
    /// After an end without an acknowledgement others may go before it, until then at the latest.
    rest_end_max: Nanos,
    /// It rests until then at least.
    rest_end_min: Nanos,
    state: State,
    stored_by: u8,
}

#[derive(Debug)]
pub(super) struct Book {
    level: Reliability,
    backoff: Backoff,
    is_ordered: bool,
    records: Vec<Record>,
    /// No event below waits.
    low: usize,
    watermark: usize,
    waiting: u64,
    pending_bytes: u64,
    pub(super) in_flight_calls: usize,
    pub(super) counters: Counters,
    pub(super) duplicates: u64,
    pub(super) abandoned: bool,
    /// Events are being given up for want of room, so many bytes more.
    pub(super) shedding: Option<u64>,
    pub(super) calm: bool,
    /// In a calm ordered run: the event that must be stored next.
    next_stored: Option<Seq>,
    /// Events before this were closed into batches for a reason of their own: a flush, a skip, a
    /// shedding.
    sealed: usize,
    /// Somebody waits for the events before this.
    awaited: usize,
    linger: Duration,
    batch_limits: (u32, u32),
    /// Numbers that no event has.
    skipped: Vec<SeqRange>,
}

impl Book {
    pub(super) fn new(level: Reliability, settings: &Settings, calm: bool) -> Self {
        let is_ordered = settings.window == WindowMode::Ordered;
        Self {
            level,
            backoff: settings.backoff,
            is_ordered,
            records: Vec::new(),
            low: 0,
            watermark: 0,
            waiting: 0,
            pending_bytes: 0,
            in_flight_calls: 0,
            counters: Counters::default(),
            duplicates: 0,
            abandoned: false,
            shedding: None,
            calm,
            next_stored: (calm && is_ordered).then_some(Seq::ZERO),
            sealed: 0,
            awaited: 0,
            linger: settings.linger,
            batch_limits: (settings.batch_events_max, settings.batch_bytes_max),
            skipped: Vec::new(),
        }
    }

    /// The open batch is closed.
    pub(super) fn seal(&mut self) {
        self.sealed = self.records.len();
    }

    /// Somebody waits for so many events from the oldest that waits on, or for some that are still
    /// to come. Says up to which.
    pub(super) fn wait_for(&mut self, events: usize) -> Seq {
        let upto = self.low + events;
        self.awaited = self.awaited.max(upto);
        Seq::new(upto as u64)
    }

    /// Whether somebody waits for the event that waits longest.
    pub(super) fn is_oldest_awaited(&mut self) -> bool {
        self.oldest_waiting().is_some() && self.low < self.awaited
    }

    /// Whether a batch has a reason to be sent: it is full, was closed, is old enough, or somebody
    /// waits for it and the agent is `quiet`: owes nothing, or has just answered.
    fn check_reason(&self, now: Nanos, batch: &Batch, quiet: bool) -> Check {
        let Range { start: first, end } = indices(batch.range());
        let (events_max, bytes_max) = self.batch_limits;
        let next = self.records.get(end).map_or(0, |next| next.bytes);
        let is_full = batch.events >= events_max || batch.bytes + next >= bytes_max;
        let oldest = &self.records[first];
        let is_due = oldest.accepted_at + self.linger.as_nanos() as Nanos <= now;
        let is_awaited = first < self.awaited && quiet;
        let was_closed = end <= self.sealed || oldest.was_sent;
        let has_reason = is_full || is_due || is_awaited || was_closed;
        ensure(has_reason, "sent too soon", || {
            format!("{batch:?}, awaited are {}, {quiet}", self.awaited)
        })
    }

    pub(super) fn accept(&mut self, now: Nanos, bytes: u32) {
        self.records.push(Record {
            accepted_at: now,
            bytes,
            attempts: 0,
            was_sent: false,
            begun: false,
            excused: false,
            last_end: None,
            rest_end_max: 0,
            rest_end_min: 0,
            state: State::Waiting,
            stored_by: 0,
        });
        self.counters.accepted += 1;
        self.waiting += 1;
        self.pending_bytes += u64::from(bytes);
    }

    /// Leaves out the numbers of so many events, and says which one comes next.
    pub(super) fn skip(&mut self, events: usize) -> Seq {
        let first = self.records.len();
        let nobody = Record {
            accepted_at: 0,
            bytes: 0,
            attempts: 0,
            was_sent: false,
            begun: false,
            excused: false,
            last_end: None,
            rest_end_max: 0,
            rest_end_min: 0,
            state: State::Retired,
            stored_by: 0,
        };
        self.records.resize(first + events, nobody);
        let skipped = SeqRange::of(Seq::new(first as u64), events as u64);
        self.skipped.push(skipped);
        self.seal();
        self.advance_watermark();
        skipped.end
    }

    /// Events that are in no call.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Events and bytes that are not done with.
    pub(super) fn pending(&self) -> (u64, u64) {
        let events = self.counters.accepted - self.counters.retired();
        (events, self.pending_bytes)
    }

    pub(super) fn watermark(&self) -> Seq {
        Seq::new(self.watermark as u64)
    }

    /// When the event that waits longest in order was accepted.
    pub(super) fn oldest_waiting(&mut self) -> Option<Nanos> {
        if self.waiting == 0 {
            return None;
        }
        while self.records[self.low].state != State::Waiting {
            self.low += 1;
        }
        Some(self.records[self.low].accepted_at)
    }

    /// Whether a batch can leave, for certain: the oldest event that waits is due, and has rested.
    pub(super) fn could_send(&mut self, now: Nanos) -> bool {
        let is_taken = self.is_ordered && self.in_flight_calls > 0;
        let Some(oldest) = self.oldest_waiting().filter(|_| !is_taken) else {
            return false;
        };
        let record = &self.records[self.low];
        let has_rested = record.attempts == 0 || record.rest_end_max <= now;
        has_rested && oldest + self.linger.as_nanos() as Nanos <= now
    }

    /// Whether an event rests for certain.
    pub(super) fn rests(&self, event: Seq, now: Nanos) -> bool {
        let record = self.records.get(event.number() as usize);
        record.is_some_and(|record| now < record.rest_end_min)
    }

    /// The first event that waits.
    fn oldest(&self) -> usize {
        let later = self.records.iter().skip(self.low);
        let retired = later.take_while(|record| record.state != State::Waiting);
        self.low + retired.count()
    }

    /// Bytes of the events that wait.
    pub(super) fn waiting_bytes(&self) -> u64 {
        let waiting = self.records.iter().skip(self.low);
        let waiting = waiting.filter(|record| record.state == State::Waiting);
        waiting.map(|record| u64::from(record.bytes)).sum()
    }

    /// A batch leaves for an agent.
    pub(super) fn send(&mut self, now: Nanos, batch: &Batch, quiet: bool) -> Check {
        let Range { start: first, end } = indices(batch.range());
        ensure(
            batch.events > 0 && end <= self.records.len(),
            "send",
            || format!("{batch:?} holds events that were not accepted"),
        )?;
        self.check_reason(now, batch, quiet)?;
        self.oldest_waiting();
        let older = self.records.get(self.low..first).unwrap_or_default();
        let may_wait = |it: &Record| !self.is_ordered && it.attempts > 0 && now < it.rest_end_max;
        let mut waiting = older.iter().filter(|it| it.state == State::Waiting);
        ensure(waiting.all(may_wait), "oldest first", || {
            format!(
                "{batch:?} is sent while event {} or a later one waits",
                self.low
            )
        })?;
        let mut bytes = 0;
        let mut retry = false;
        let best_effort = self.level == Reliability::BestEffort;
        for (place, record) in self.records[first..end].iter_mut().enumerate() {
            ensure(record.state == State::Waiting, "sent twice", || {
                format!("event {} is {:?} and sent", first + place, record.state)
            })?;
            ensure(
                !(best_effort && record.begun),
                "best effort resends",
                || format!("event {} was written before", first + place),
            )?;
            retry |= record.attempts > 0;
            record.was_sent = true;
            record.attempts += 1;
            ensure(record.attempts == batch.attempts, "attempts", || {
                format!("{batch:?}, counted {}", record.attempts)
            })?;
            record.state = State::InFlight;
            bytes += u64::from(record.bytes);
        }
        ensure(bytes == u64::from(batch.bytes), "batch bytes", || {
            format!("{batch:?} holds {bytes}")
        })?;
        ensure(!(self.calm && retry), "retry without a fault", || {
            format!("{batch:?}")
        })?;
        self.waiting -= u64::from(batch.events);
        self.counters.batches += 1;
        self.counters.retries += u64::from(retry);
        self.in_flight_calls += 1;
        Ok(())
    }

    /// A call ended without an acknowledgement.
    pub(super) fn end_call(&mut self, now: Nanos, range: SeqRange, ending: End) {
        let backoff = self.backoff;
        let indices = indices(range);
        self.in_flight_calls -= 1;
        self.low = self.low.min(indices.start);
        for record in &mut self.records[indices] {
            record.state = State::Waiting;
            record.last_end = Some(ending);
            match ending {
                End::Unsent => record.attempts -= 1,
                End::Refused => {
                    record.begun = true;
                    record.excused = true;
                }
                End::Unknown { begun } => {
                    record.begun |= begun;
                    record.excused = true;
                }
            }
            if ending != End::Unsent {
                record.rest_end_max = now + rest_max(&backoff, record.attempts);
                record.rest_end_min = now + backoff.floor.as_nanos() as Nanos;
            }
        }
        self.waiting += range.len();
    }

    /// An agent commits events.
    pub(super) fn store(&mut self, agent: usize, range: SeqRange) -> Check {
        if let Some(next) = &mut self.next_stored {
            for skipped in &self.skipped {
                if *next == skipped.first {
                    *next = skipped.end;
                }
            }
            ensure(range.first == *next, "order", || {
                format!("event {} is stored, {next} is missing", range.first)
            })?;
            *next = range.end;
        }
        let records = &mut self.records[indices(range)];
        for (event, record) in range.iter().zip(records) {
            if record.stored_by != 0 {
                self.duplicates += 1;
                ensure(record.excused, "duplicate without a cause", || {
                    format!("event {event} is stored again")
                })?;
            }
            record.stored_by |= 1 << agent;
        }
        Ok(())
    }

    /// The core is done with events. `acked` is the call that the present input acknowledges.
    pub(super) fn retire(
        &mut self,
        these: Events,
        bytes: u32,
        outcome: Outcome,
        acked: Option<Acked>,
    ) -> Check {
        let range = these.range;
        let (indices, events) = (indices(range), range.len());
        ensure(indices.end <= self.records.len(), "retire", || {
            format!("{}+{events} was not accepted", range.first)
        })?;
        if let Outcome::Lost(loss) = outcome {
            self.check_loss(range.first, loss)?;
        }
        let mut sum = 0;
        for (event, record) in range.iter().zip(&mut self.records[indices]) {
            ensure(record.state != State::Retired, "retired twice", || {
                format!("event {event}")
            })?;
            if let Outcome::Delivered { agent } = outcome {
                let agent = agent.index();
                let is_stored = record.stored_by & (1 << agent) != 0;
                ensure(is_stored, "false ack", || {
                    format!("event {event} is not stored by agent {agent}")
                })?;
            }
            self.waiting -= u64::from(record.state == State::Waiting);
            record.state = State::Retired;
            sum += record.bytes;
        }
        if let (Outcome::Lost(_), Some(left)) = (outcome, &mut self.shedding) {
            ensure(*left > 0, "shed too much", || format!("{range:?}"))?;
            *left = left.saturating_sub(u64::from(bytes));
        }
        ensure(sum == bytes, "retired bytes", || {
            format!("{range:?}: {bytes}, not {sum}")
        })?;
        if let Outcome::Delivered { agent } = outcome {
            let agent = agent.index();
            let this = Acked {
                agent,
                events: these,
            };
            ensure(acked == Some(this), "ack of another call", || {
                format!("{this:?} is retired, acknowledged is {acked:?}")
            })?;
            self.in_flight_calls -= 1;
        }
        self.pending_bytes -= u64::from(bytes);
        self.count(events, outcome);
        self.advance_watermark();
        Ok(())
    }

    fn advance_watermark(&mut self) {
        while let Some(record) = self.records.get(self.watermark)
            && record.state == State::Retired
        {
            self.watermark += 1;
        }
    }

    fn check_loss(&self, first: Seq, loss: Loss) -> Check {
        let index = first.number() as usize;
        let record = &self.records[index];
        let is_kept = self.level != Reliability::BestEffort || self.calm;
        if is_kept && !self.abandoned && self.shedding.is_none() {
            return broken("lost", format!("event {first} is lost: {loss:?}"));
        }
        let is_true = match loss {
            Loss::Unreachable => !self.abandoned && record.attempts == 0,
            Loss::Rejected => !self.abandoned && record.last_end == Some(End::Refused),
            Loss::Unknown if self.abandoned || self.shedding.is_some() => record.attempts > 0,
            Loss::Shed => self.shedding.is_some() && record.attempts == 0 && index == self.oldest(),
            Loss::Unknown => matches!(record.last_end, Some(End::Unknown { .. })),
            Loss::Closed => self.abandoned && record.attempts == 0,
            Loss::Corrupt => false,
        };
        ensure(
            is_true && record.state == State::Waiting,
            "kind of loss",
            || format!("event {first} is said to be {loss:?}: {record:?}"),
        )
    }

    fn count(&mut self, events: u64, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Delivered { .. } => &mut self.counters.delivered,
            Outcome::Lost(Loss::Unreachable) => &mut self.counters.lost.unreachable,
            Outcome::Lost(Loss::Rejected) => &mut self.counters.lost.rejected,
            Outcome::Lost(Loss::Unknown) => &mut self.counters.lost.unknown,
            Outcome::Lost(Loss::Closed) => &mut self.counters.lost.closed,
            Outcome::Lost(Loss::Shed) => &mut self.counters.lost.shed,
            // Found out by check_loss.
            Outcome::Lost(Loss::Corrupt) => return,
        };
        *counter += events;
    }
}

/// Where the records of these events are.
fn indices(range: SeqRange) -> Range<usize> {
    range.first.number() as usize..range.end.number() as usize
}

/// The longest rest after so many sends in vain.
fn rest_max(backoff: &Backoff, attempts: u32) -> Nanos {
    let doubled = backoff.base * 2_u32.pow(attempts.saturating_sub(1).min(20));
    doubled.min(backoff.cap).max(backoff.floor).as_nanos() as Nanos
}
