//! [`Book`]: the fate of every event, and what may become of it.

use std::collections::BTreeMap;

use flume_client::Reliability;
use flume_client::delivery::{AgentId, AgentSet, Batch, Core, Loss, Outcome};
use flume_client::seq::SeqRange;

use crate::sim::violation::{Check, broken, ensure};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The number is nobody's.
    Nobody,
    Waiting,
    InFlight,
    Retired,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) bytes: u32,
    /// Who finds it unacceptable.
    pub(super) unfit: AgentSet,
    state: State,
    /// How often it was sent so that the agent may have it.
    doubts: u32,
    /// How often it was stored, and by whom.
    stored: u32,
    stored_by: AgentSet,
    /// Who said that it finds it unacceptable, and nothing but it.
    said_alone: AgentSet,
}

impl Event {
    pub(super) fn new(bytes: u32, unfit: AgentSet) -> Self {
        Self {
            bytes,
            unfit,
            state: State::Waiting,
            doubts: 0,
            stored: 0,
            stored_by: AgentSet::default(),
            said_alone: AgentSet::default(),
        }
    }

    pub(super) fn nobody() -> Self {
        Self {
            state: State::Nobody,
            ..Self::new(0, AgentSet::default())
        }
    }

    fn is_pending(&self) -> bool {
        matches!(self.state, State::Waiting | State::InFlight)
    }
}

/// What the present input says, as far as it may retire events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    /// This agent acknowledged these.
    Committed(Reliability, SeqRange, AgentId),
    /// It refused these.
    Refused(Reliability, SeqRange),
    /// These may be with an agent, or not.
    Shed(Reliability),
}

/// The events of a level.
#[derive(Debug)]
pub(super) struct Book {
    level: Reliability,
    is_ordered: bool,
    agents: usize,
    pub(super) events: Vec<Event>,
    accepted: u64,
    delivered: u64,
    lost: BTreeMap<&'static str, u64>,
    /// Who found which batches unacceptable: the first number and how many.
    found: Vec<(AgentId, SeqRange)>,
}

impl Book {
    pub(super) fn new(level: Reliability, is_ordered: bool, agents: usize) -> Self {
        Self {
            level,
            is_ordered,
            agents,
            events: Vec::new(),
            accepted: 0,
            delivered: 0,
            lost: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    pub(super) fn append(&mut self, event: Event) {
        self.accepted += u64::from(event.state != State::Nobody);
        self.events.push(event);
    }

    pub(super) fn of(&mut self, range: SeqRange) -> &mut [Event] {
        &mut self.events[range.first.number() as usize..range.end.number() as usize]
    }

    pub(super) fn on_sent(&mut self, batch: &Batch, agent: AgentId) -> Check {
        let range = batch.range();
        let found = self.found.contains(&(agent, range));
        ensure(!found, "asked twice", || format!("{agent:?} {range:?}"))?;
        ensure(
            !batch.unfit.contains(agent),
            "sent to an unfit agent",
            || format!("{agent:?} {range:?}"),
        )?;
        if self.is_ordered {
            let before = &self.events[..range.first.number() as usize];
            let earlier = before.iter().rposition(Event::is_pending);
            let in_flight = self.events.iter();
            let in_flight = in_flight.filter(|event| event.state == State::InFlight);
            let holds = earlier.is_none() && in_flight.count() == 0;
            ensure(holds, "order", || format!("{range:?} before {earlier:?}"))?;
        }
        let bytes: u32 = self.of(range).iter().map(|event| event.bytes).sum();
        ensure(bytes == batch.bytes, "bytes of a batch", || {
            format!("{range:?} has {bytes} bytes, told {}", batch.bytes)
        })?;
        for event in self.of(range) {
            ensure(
                event.state == State::Waiting,
                "sent and not waiting",
                || format!("{range:?}: {event:?}"),
            )?;
            ensure(event.doubts + 1 == batch.attempts, "attempts", || {
                format!("{range:?} told {}: {event:?}", batch.attempts)
            })?;
            event.state = State::InFlight;
        }
        Ok(())
    }

    /// A call is over, and not acknowledged. `true`: the agent may have its events.
    pub(super) fn on_over(&mut self, range: SeqRange, is_doubt: bool) {
        for event in self.of(range) {
            event.state = State::Waiting;
            event.doubts += u32::from(is_doubt);
        }
    }

    pub(super) fn on_unacceptable(&mut self, range: SeqRange, agent: AgentId) {
        self.found.push((agent, range));
        if range.len() == 1 {
            for event in self.of(range) {
                event.said_alone = event.said_alone.with(agent);
            }
        }
    }

    /// An agent stores events. It may have one again only if it was not known to have it.
    pub(super) fn store(&mut self, range: SeqRange, agent: AgentId) -> Check {
        for event in self.of(range) {
            event.stored += 1;
            event.stored_by = event.stored_by.with(agent);
            // The one that is under way now is no doubt yet, unless it was given up.
            let causes = event.doubts + u32::from(event.state == State::InFlight);
            ensure(event.stored <= causes, "doubled without a cause", || {
                format!("{range:?}: {event:?}")
            })?;
        }
        Ok(())
    }

    pub(super) fn on_retired(
        &mut self,
        range: SeqRange,
        bytes: u32,
        outcome: Outcome,
        news: News,
    ) -> Check {
        let (level, agents) = (self.level, self.agents);
        let mut sum = 0;
        for event in self.of(range) {
            sum += event.bytes;
            let may = match outcome {
                Outcome::Delivered { agent } => {
                    let is_acked = news == News::Committed(level, range, agent);
                    is_acked && event.stored_by.contains(agent)
                }
                Outcome::Lost(loss) => {
                    let may = may_lose(event, level, range, loss, news, agents);
                    may && event.state == State::Waiting
                }
            };
            ensure(may, "may not be retired so", || {
                format!("{level:?} {range:?} as {outcome:?}, {news:?}: {event:?}")
            })?;
            ensure(event.is_pending(), "retired twice", || {
                format!("{range:?}: {event:?}")
            })?;
            event.state = State::Retired;
        }
        ensure(sum == bytes, "bytes retired", || format!("{range:?}"))?;
        match outcome {
            Outcome::Delivered { .. } => self.delivered += range.len(),
            Outcome::Lost(loss) => *self.lost.entry(name(loss)).or_default() += range.len(),
        }
        Ok(())
    }

    /// Those that wait, the oldest first, and their bytes.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (usize, u32)> {
        let events = self.events.iter().enumerate();
        let waiting = events.filter(|(_, event)| event.state == State::Waiting);
        waiting.map(|(number, event)| (number, event.bytes))
    }

    /// Those that are not retired.
    pub(super) fn pending(&self) -> impl Iterator<Item = (usize, &Event)> {
        let events = self.events.iter().enumerate();
        events.filter(|(_, event)| event.is_pending())
    }

    /// The core's counters are those of this book.
    pub(super) fn audit(&self, core: &Core) -> Check {
        let counters = core.counters_of(self.level);
        let mine = (self.accepted, self.delivered);
        let told = (counters.accepted, counters.delivered);
        ensure(mine == told, "counters", || {
            format!("{mine:?}, told {told:?}")
        })?;
        for (reason, events) in counters.lost.by_reason() {
            let mine = self.lost.get(reason).copied().unwrap_or_default();
            ensure(mine == events, "counters of losses", || {
                format!("{reason}: {mine}, told {events}")
            })?;
        }
        let bytes = self.pending().map(|(_, event)| u64::from(event.bytes));
        let mine = bytes.fold((0, 0), |(events, sum), bytes| (events + 1, sum + bytes));
        let told = core.pending(self.level);
        if mine == told {
            return Ok(());
        }
        broken(
            "pending",
            format!("{:?}: {mine:?}, told {told:?}", self.level),
        )
    }

    /// Stored more than once, counted for each time after the first.
    pub(super) fn duplicates(&self) -> u64 {
        let more = self
            .events
            .iter()
            .map(|event| event.stored.saturating_sub(1));
        more.map(u64::from).sum()
    }

    pub(super) fn totals(&self) -> [u64; 3] {
        let lost = self.lost.values().sum();
        [self.accepted, self.delivered, lost]
    }
}

fn may_lose(
    event: &Event,
    level: Reliability,
    range: SeqRange,
    loss: Loss,
    news: News,
    agents: usize,
) -> bool {
    let is_best_effort = level == Reliability::BestEffort;
    let is_shed = news == News::Shed(level);
    match loss {
        Loss::Rejected => {
            let mut all = (0..agents).map(AgentId::new);
            let by_all = all.all(|it| event.unfit.contains(it) && event.said_alone.contains(it));
            let is_refused = is_best_effort && news == News::Refused(level, range);
            // Best effort waits for no agent that rests, so others need not have said so.
            let is_alone = range.len() == 1;
            is_refused || is_alone && (by_all || is_best_effort && !event.said_alone.is_empty())
        }
        Loss::Unknown => event.doubts > 0 && (is_best_effort || is_shed),
        Loss::Unreachable => event.doubts == 0 && is_best_effort,
        Loss::Shed => event.doubts == 0 && is_shed,
        Loss::Closed | Loss::Corrupt => false,
    }
}

fn name(loss: Loss) -> &'static str {
    match loss {
        Loss::Unreachable => "unreachable",
        Loss::Rejected => "rejected",
        Loss::Unknown => "unknown",
        Loss::Closed => "closed",
        Loss::Shed => "shed",
        Loss::Corrupt => "corrupt",
    }
}
