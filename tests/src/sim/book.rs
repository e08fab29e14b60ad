//! The simulator's own book of every event, kept without looking into the core.

use flume_client::Reliability;
use flume_client::delivery::{Backoff, Batch, Counters, Loss, Outcome, Settings, WindowMode};

use super::{Check, Nanos, broken, ensure};

/// How a call came to its end, as far as the client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
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
    pub(super) first: u64,
    pub(super) events: u32,
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
    /// A call with it was begun to be written, and ended without an acknowledgement.
    begun: bool,
    /// An earlier send ended unknown or refused: it may be stored again.
    excused: bool,
    last_end: Option<Ending>,
    /// After an end without an acknowledgement others may go before it, until then at the latest.
    rest_end_max: Nanos,
    state: State,
    stored_by: u8,
}

#[derive(Debug)]
pub(super) struct Book {
    reliability: Reliability,
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
    next_stored: Option<u64>,
    /// Numbers that no event has: first, and the one behind the last.
    skipped: Vec<(u64, u64)>,
}

impl Book {
    pub(super) fn new(settings: &Settings, calm: bool) -> Self {
        let is_ordered = settings.window == WindowMode::Ordered;
        Self {
            reliability: settings.reliability,
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
            next_stored: (calm && is_ordered).then_some(0),
            skipped: Vec::new(),
        }
    }

    pub(super) fn accept(&mut self, now: Nanos, bytes: u32) {
        self.records.push(Record {
            accepted_at: now,
            bytes,
            attempts: 0,
            begun: false,
            excused: false,
            last_end: None,
            rest_end_max: 0,
            state: State::Waiting,
            stored_by: 0,
        });
        self.counters.accepted += 1;
        self.waiting += 1;
        self.pending_bytes += u64::from(bytes);
    }

    /// Leaves out the numbers of so many events, and says which one comes next.
    pub(super) fn skip(&mut self, events: usize) -> u64 {
        let first = self.records.len();
        let nobody = Record {
            accepted_at: 0,
            bytes: 0,
            attempts: 0,
            begun: false,
            excused: false,
            last_end: None,
            rest_end_max: 0,
            state: State::Retired,
            stored_by: 0,
        };
        self.records.resize(first + events, nobody);
        self.skipped.push((first as u64, self.records.len() as u64));
        self.advance_watermark();
        self.records.len() as u64
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

    pub(super) fn watermark(&self) -> u64 {
        self.watermark as u64
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
    pub(super) fn send(&mut self, now: Nanos, batch: &Batch) -> Check {
        let first = batch.first as usize;
        let end = first + batch.events as usize;
        ensure(
            batch.events > 0 && end <= self.records.len(),
            "send",
            || format!("{batch:?} holds events that were not accepted"),
        )?;
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
        let best_effort = self.reliability == Reliability::BestEffort;
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
    pub(super) fn end_call(&mut self, now: Nanos, first: u64, events: u32, ending: Ending) {
        let backoff = self.backoff;
        let first = first as usize;
        self.in_flight_calls -= 1;
        for record in &mut self.records[first..first + events as usize] {
            record.state = State::Waiting;
            record.last_end = Some(ending);
            match ending {
                Ending::Unsent => record.attempts -= 1,
                Ending::Refused => {
                    record.begun = true;
                    record.excused = true;
                }
                Ending::Unknown { begun } => {
                    record.begun |= begun;
                    record.excused = true;
                }
            }
            if ending != Ending::Unsent {
                record.rest_end_max = now + rest_max(&backoff, record.attempts);
            }
        }
        self.waiting += u64::from(events);
        self.low = self.low.min(first);
    }

    /// An agent commits events.
    pub(super) fn store(&mut self, agent: usize, first: u64, events: u32) -> Check {
        if let Some(next) = &mut self.next_stored {
            for (start, end) in &self.skipped {
                if next == start {
                    *next = *end;
                }
            }
            ensure(first == *next, "order", || {
                format!("event {first} is stored, {next} is missing")
            })?;
            *next += u64::from(events);
        }
        let first = first as usize;
        for (place, record) in self.records[first..first + events as usize]
            .iter_mut()
            .enumerate()
        {
            if record.stored_by != 0 {
                self.duplicates += 1;
                ensure(record.excused, "duplicate without a cause", || {
                    format!("event {} is stored again", first + place)
                })?;
            }
            record.stored_by |= 1 << agent;
        }
        Ok(())
    }

    /// The core is done with events. `acked` is the call that the present input acknowledges.
    pub(super) fn retire(
        &mut self,
        first: u64,
        events: u32,
        bytes: u32,
        outcome: Outcome,
        acked: Option<Acked>,
    ) -> Check {
        let from = first as usize;
        let end = from + events as usize;
        ensure(end <= self.records.len(), "retire", || {
            format!("{first}+{events} was not accepted")
        })?;
        if let Outcome::Lost(loss) = outcome {
            self.check_loss(first, loss)?;
        }
        let mut sum = 0;
        for (place, record) in self.records[from..end].iter_mut().enumerate() {
            let event = from + place;
            ensure(record.state != State::Retired, "retired twice", || {
                format!("event {event}")
            })?;
            if let Outcome::Delivered { agent } = outcome {
                ensure(record.stored_by & (1 << agent) != 0, "false ack", || {
                    format!("event {event} is not stored by agent {agent}")
                })?;
            }
            self.waiting -= u64::from(record.state == State::Waiting);
            record.state = State::Retired;
            sum += record.bytes;
        }
        if let (Outcome::Lost(_), Some(left)) = (outcome, &mut self.shedding) {
            ensure(*left > 0, "shed too much", || format!("{first}+{events}"))?;
            *left = left.saturating_sub(u64::from(bytes));
        }
        ensure(sum == bytes, "retired bytes", || {
            format!("{first}+{events}: {bytes}, not {sum}")
        })?;
        if let Outcome::Delivered { agent } = outcome {
            let this = Acked {
                agent,
                first,
                events,
            };
            ensure(acked == Some(this), "ack of another call", || {
                format!("{this:?} is retired, acknowledged is {acked:?}")
            })?;
            self.in_flight_calls -= 1;
        }
        self.pending_bytes -= u64::from(bytes);
        self.count(u64::from(events), outcome);
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

    fn check_loss(&self, first: u64, loss: Loss) -> Check {
        let record = &self.records[first as usize];
        let is_kept = self.reliability == Reliability::InMemory || self.calm;
        if is_kept && !self.abandoned && self.shedding.is_none() {
            return broken("lost", format!("event {first} is lost: {loss:?}"));
        }
        let is_true = match loss {
            Loss::Unreachable => !self.abandoned && record.attempts == 0,
            Loss::Rejected => !self.abandoned && record.last_end == Some(Ending::Refused),
            Loss::Unknown if self.abandoned || self.shedding.is_some() => record.attempts > 0,
            Loss::Shed => {
                self.shedding.is_some() && record.attempts == 0 && first as usize == self.oldest()
            }
            Loss::Unknown => matches!(record.last_end, Some(Ending::Unknown { .. })),
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
            Outcome::Lost(Loss::Unreachable) => &mut self.counters.unreachable,
            Outcome::Lost(Loss::Rejected) => &mut self.counters.rejected,
            Outcome::Lost(Loss::Unknown) => &mut self.counters.unknown,
            Outcome::Lost(Loss::Closed) => &mut self.counters.closed,
            Outcome::Lost(Loss::Shed) => &mut self.counters.shed,
            // Found out by check_loss.
            Outcome::Lost(Loss::Corrupt) => return,
        };
        *counter += events;
    }
}

/// The longest rest after so many sends in vain.
fn rest_max(backoff: &Backoff, attempts: u32) -> Nanos {
    let doubled = backoff.base * 2_u32.pow(attempts.saturating_sub(1).min(20));
    doubled.min(backoff.cap).max(backoff.floor).as_nanos() as Nanos
}
