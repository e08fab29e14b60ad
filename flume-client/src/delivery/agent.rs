//! [`Agent`]: its connections, and how it fares.
//!
//! | it is | if | is used |
//! |---|---|---|
//! | resting | it failed: its last connection ended, an attempt did, or it refused a batch | not before its time is over |
//! | blocked | two attempts in a row met something that is no agent of ours | as resting, but for 1 min, doubled up to 10 min |
//! | idle | it has no connection | connected to, if none before it is usable |
//! | connecting | an attempt is under way, up to the answer to the handshake | when it opens; after 1 s the next one is tried beside it |
//! | on trial | a connection is open, and it has failed since its last acknowledgement | up to its window |
//! | ready | a connection is open, and it has not | first |
//! | draining (a connection of it) | another one took its place, as it was old | for no new batch; it ends with its last answer |
//!
//! | what happens | while | then it is |
//! |---|---|---|
//! | an attempt begins | idle | connecting |
//! | the handshake is answered | connecting | ready, or on trial |
//! | an acknowledgement | on trial | ready |
//! | a refusal | ready, on trial | resting; more refusals of calls that were in flight with it change nothing |
//! | a connection ends, others are open | ready, on trial | as before |
//! | the last connection or the attempt ends | any | resting |
//! | an attempt meets something foreign, the second time in a row | connecting | blocked |
//! | its time is over | resting, blocked | idle, connecting or on trial, by its connections |
//! | it is a spare, or nothing was sent for 60 s | ready, on trial | idle |
//! | the machine was suspended | any | idle |
//! | a connection is 10 min old, a fifth more or less, or is to be renewed | ready | as before: a new one is opened, then the old one drains |
//!
//! While a connection of it works, a further one that fails does not make it rest: only the next
//! attempt waits.

use super::backoff::{Backoff, about};
use super::link::{Link, State};
use super::settings::{AgentId, Epoch, Rank, Settings, Time};
use super::step::{Answer, Ending};
use super::window::WindowMode;

/// An attempt that takes longer is late: meanwhile the next agent is tried. A sound agent has answered
/// the handshake by then, also on the other side of the world; a silent one costs this and no more.
const HEAD_START: Time = Time::from_secs(1);

/// What is known of an agent that only a person can mend is looked at again after so long, doubled each
/// time, a fifth more or less.
const BLOCKED_MIN: Time = Time::from_secs(60);
/// And after no more than this, and a fifth.
pub(crate) const BLOCKED_MAX: Time = Time::from_secs(600);

/// What an agent is at the moment, to its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentState {
    /// It has no connection, and needs none now.
    #[default]
    Idle,
    /// An attempt is under way, up to the answer to the handshake.
    Connecting,
    /// A connection is open, and it has failed since it last acknowledged a batch.
    OnTrial,
    /// A connection is open, and it has not.
    Ready,
    /// It failed, and is not tried for a while.
    Resting,
    /// What answers there is no agent of ours, twice in a row: it is not tried for minutes.
    Blocked,
}

impl AgentState {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Idle,
        Self::Connecting,
        Self::OnTrial,
        Self::Ready,
        Self::Resting,
        Self::Blocked,
    ];

    /// As a label of metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::OnTrial => "on_trial",
            Self::Ready => "ready",
            Self::Resting => "resting",
            Self::Blocked => "blocked",
        }
    }
}

/// What is known of an agent.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) id: AgentId,
    pub(super) rank: Rank,
    /// How far it is behind its share of the batches, in weights.
    pub(super) credit: i64,
    /// Open ones and attempts.
    pub(super) links: Vec<Link>,
    /// Not used before this time: it failed.
    pub(super) rest_until: Time,
    /// It asked to be left alone until then, or is blocked: no failure in between ends that.
    left_alone_until: Time,
    /// Failures since the last acknowledgement.
    failures: u32,
    /// Attempts in a row that met something foreign.
    foreign: u32,
    last_failure: Option<Time>,
    further: Further,
    /// The dialect that worked last, or is tried.
    pub(super) dialect: u32,
    /// Dialects that were not tried since one worked, or all were.
    untried: u32,
}

/// Connections beside one that works.
#[derive(Debug, Default)]
struct Further {
    /// That failed since one acknowledged something.
    failures: u32,
    /// No attempt before this.
    rest_until: Time,
}

impl Agent {
    /// One that nothing is known of.
    pub(super) fn new(id: AgentId, rank: Rank) -> Self {
        Self {
            id,
            rank,
            credit: 0,
            links: Vec::new(),
            rest_until: Time::ZERO,
            left_alone_until: Time::ZERO,
            failures: 0,
            foreign: 0,
            last_failure: None,
            further: Further::default(),
            dialect: 0,
            untried: rank.dialects.saturating_sub(1),
        }
    }

    /// Has an open connection, and does not rest.
    pub(super) fn is_usable(&self, now: Time) -> bool {
        self.open().next().is_some() && !self.is_resting(now)
    }

    /// Which line of the table above holds.
    pub(super) fn state(&self, now: Time) -> AgentState {
        let is_open = self.open().next().is_some();
        if self.is_resting(now) && self.foreign > 1 {
            AgentState::Blocked
        } else if self.is_resting(now) {
            AgentState::Resting
        } else if self.is_unconnected() {
            AgentState::Idle
        } else if !is_open {
            AgentState::Connecting
        } else if self.is_proven() {
            AgentState::Ready
        } else {
            AgentState::OnTrial
        }
    }

    pub(super) fn is_resting(&self, now: Time) -> bool {
        self.rest_until > now
    }

    /// Whether the last thing heard of it was good.
    pub(super) fn is_proven(&self) -> bool {
        self.failures == 0
    }

    /// Whether a connection has room. One that drains has calls, too, and all of them together are no
    /// more than an agent may have.
    pub(super) fn has_room(&self, settings: &Settings) -> bool {
        let most = match settings.window {
            WindowMode::Adaptive { max } => max as usize,
            WindowMode::Ordered => usize::MAX,
        };
        self.in_flight_count() < most && self.open().any(Link::has_room)
    }

    /// Whether there is no connection that could be used, now or when it opens.
    pub(super) fn is_unconnected(&self) -> bool {
        let mut links = self.links.iter();
        links.all(|link| link.state == State::Draining)
    }

    /// Whether a connection is old, and another one is to be made that takes its place.
    pub(super) fn needs_renewal(&self, now: Time) -> bool {
        let is_opening = self.links.iter().any(Link::is_opening);
        let may_try = self.further.rest_until <= now && self.is_usable(now) && self.is_proven();
        may_try && !is_opening && self.links.iter().any(|link| link.is_aged(now))
    }

    /// Another connection is to take the place of each that there is, and of each attempt.
    pub(super) fn renew(&mut self, now: Time) {
        self.links.iter_mut().for_each(|link| link.renew(now));
    }

    /// An attempt is through. If a connection is old, it takes the place of that, which drains.
    pub(super) fn on_opened(
        &mut self,
        epoch: Epoch,
        now: Time,
        random: &mut fastrand::Rng,
    ) -> Option<Epoch> {
        let link = self.link_mut(epoch).filter(|link| link.is_opening())?;
        link.open(now, random);
        self.foreign = 0;
        self.untried = self.rank.dialects.saturating_sub(1);
        // The oldest first: so each has its turn, however often all are renewed.
        let mut others = self.links.iter_mut().filter(|link| link.epoch != epoch);
        let aged = others.find(|link| link.is_aged(now))?;
        aged.state = State::Draining;
        Some(aged.epoch)
    }

    /// Whether a connection has nothing under way.
    pub(super) fn is_idle(&self) -> bool {
        self.open().any(|link| link.in_flight_count() == 0)
    }

    /// Calls on all its connections.
    pub(super) fn in_flight_count(&self) -> usize {
        self.links.iter().map(Link::in_flight_count).sum()
    }

    /// When the attempt under way is late, if no connection is open.
    pub(super) fn late_at(&self) -> Option<Time> {
        let attempts = self.links.iter().filter(|link| link.is_opening());
        let began = attempts.map(|link| link.began).max()?;
        let is_open = self.open().next().is_some();
        (!is_open).then_some(began + HEAD_START)
    }

    fn open(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.is_open())
    }

    /// The connection that takes the next batch: of those with room, the one with the least to do.
    pub(super) fn link_with_room(&mut self) -> Option<&mut Link> {
        let links = self.links.iter_mut();
        let open = links.filter(|link| link.is_open() && link.has_room());
        open.min_by_key(|link| link.in_flight_count())
    }

    /// A batch waits, and no connection has room for it.
    pub(super) fn on_full(&mut self) {
        self.links.iter_mut().for_each(Link::on_window_full);
    }

    /// Whether it may have one connection more, if all others are full. One that is on trial has to
    /// prove itself with what it has.
    pub(super) fn may_have_further(&self, now: Time, settings: &Settings) -> bool {
        let is_opening = self.links.iter().any(Link::is_opening);
        let has_place = self.links.len() < settings.connections_max() as usize;
        let may_try = self.further.rest_until <= now;
        self.is_proven() && !is_opening && has_place && may_try
    }

    /// When an attempt at a further connection, or at a new one for an old one, may be made.
    pub(super) fn further_at(&self) -> Option<Time> {
        (!self.links.is_empty()).then_some(self.further.rest_until)
    }

    /// Where the connection stands among its own.
    pub(super) fn index_of(&self, epoch: Epoch) -> Option<usize> {
        self.links.iter().position(|link| link.epoch == epoch)
    }

    pub(super) fn link_mut(&mut self, epoch: Epoch) -> Option<&mut Link> {
        let index = self.index_of(epoch)?;
        self.links.get_mut(index)
    }

    /// A connection acknowledged a batch, perhaps its first.
    pub(super) fn on_acked(&mut self, is_first: bool) {
        self.failures = 0;
        self.foreign = 0;
        if is_first {
            self.further.failures = 0;
        }
    }

    /// Lets go of a connection or attempt that failed or ended. The last one's end makes the agent
    /// rest.
    pub(super) fn on_broken(
        &mut self,
        (epoch, ending): (Epoch, Ending),
        now: Time,
        backoff: &Backoff,
        random: &mut fastrand::Rng,
    ) -> Option<Link> {
        let index = self.index_of(epoch)?;
        let link = self.links.remove(index);
        let is_misspoken =
            ending == Ending::Misspoken && matches!(link.state, State::Greeting { .. });
        if link.state == State::Draining || is_misspoken && self.takes_next_dialect() {
            return Some(link);
        }
        self.on_failed(ending, now, backoff, random);
        Some(link)
    }

    /// It did not answer a greeting. It hangs, or it waits for the rest of what it takes for another
    /// dialect: after its rest the next one is tried.
    pub(super) fn on_silent(&mut self) {
        self.takes_next_dialect();
    }

    /// A call failed: its connection is used for no more. That is as if it had ended. `false`: it was
    /// not to be used any more before.
    pub(super) fn on_call_failed(
        &mut self,
        epoch: Epoch,
        now: Time,
        backoff: &Backoff,
        random: &mut fastrand::Rng,
    ) -> bool {
        let link = self.link_mut(epoch).filter(|link| link.is_open());
        let Some(link) = link else {
            return false;
        };
        link.state = State::Draining;
        self.on_failed(Ending::Broken, now, backoff, random);
        true
    }

    /// It takes nothing of this client before a person has mended something.
    /// That calls which were in flight together are answered so is one failure.
    pub(super) fn on_blocked(&mut self, sent: Time, now: Time, random: &mut fastrand::Rng) {
        let is_news = self.last_failure.is_none_or(|failed| sent > failed);
        if self.foreign > 1 && !is_news {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(now);
        self.foreign = self.foreign.saturating_add(1).max(2);
        self.block(now, random);
    }

    /// A connection or an attempt is not to be used any more.
    fn on_failed(
        &mut self,
        ending: Ending,
        now: Time,
        backoff: &Backoff,
        random: &mut fastrand::Rng,
    ) {
        if self.open().next().is_none() {
            let rested = !self.is_resting(now);
            self.rest(now, backoff, random);
            match ending {
                Ending::Foreign => {
                    self.foreign = self.foreign.saturating_add(1);
                    self.block(now, random);
                }
                // The end of a connection that rests with its agent does not unblock that.
                Ending::Broken | Ending::Misspoken if rested => self.foreign = 0,
                Ending::Broken | Ending::Misspoken => {}
            }
        } else {
            self.further.failures = self.further.failures.saturating_add(1);
            let rest = backoff.delay(self.further.failures, random);
            self.further.rest_until = now + rest;
        }
    }

    /// Lets it rest for minutes, if only a person can mend it.
    fn block(&mut self, now: Time, random: &mut fastrand::Rng) {
        if let Some(doublings) = self.foreign.checked_sub(2) {
            let rest = BLOCKED_MIN * 2_u32.pow(doublings.min(4));
            self.leave_alone(now + about(rest.min(BLOCKED_MAX), random));
        }
    }

    /// Whether there is a dialect that was not tried.
    pub(super) fn has_other_dialect(&self) -> bool {
        self.untried > 0
    }

    /// Likewise. If so, it is the next one. If not, all may be
    /// tried again later.
    fn takes_next_dialect(&mut self) -> bool {
        self.dialect = (self.dialect + 1) % self.rank.dialects.max(1);
        let (has_one, left) = match self.untried.checked_sub(1) {
            Some(left) => (true, left),
            None => (false, self.rank.dialects.saturating_sub(1)),
        };
        self.untried = left;
        has_one
    }

    /// Rests after a refusal. The refusals of calls that were in flight together are one failure,
    /// also if acknowledgements of others among them come in between.
    pub(super) fn on_refused(
        &mut self,
        epoch: Epoch,
        sent: Time,
        (now, after): (Time, Time),
        backoff: &Backoff,
        random: &mut fastrand::Rng,
    ) {
        let is_news = self.last_failure.is_none_or(|failed| sent > failed);
        if is_news {
            self.link_mut(epoch).into_iter().for_each(Link::on_refused);
            self.foreign = 0;
            self.rest(now, backoff, random);
        }
        if !after.is_zero() {
            // Never earlier than it asks for.
            let after = after.min(Answer::REST_MAX);
            let spread = after.mul_f64(random.f64() / 5.0);
            self.leave_alone(now + after + spread);
        }
    }

    /// What was known of its rests is out of date.
    pub(super) fn on_woke(&mut self, now: Time) {
        self.rest_until = self.rest_until.min(now);
        self.left_alone_until = self.left_alone_until.min(now);
        self.further.rest_until = self.further.rest_until.min(now);
    }

    fn rest(&mut self, now: Time, backoff: &Backoff, random: &mut fastrand::Rng) {
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(now);
        let until = now + backoff.delay(self.failures, random);
        self.rest_until = until.max(self.left_alone_until);
    }

    fn leave_alone(&mut self, until: Time) {
        self.left_alone_until = self.left_alone_until.max(until);
        self.rest_until = self.rest_until.max(until);
    }

    /// The first of its connections and attempts whose time is up, and how far it is.
    pub(super) fn expired(&self, now: Time, settings: &Settings) -> Option<(Epoch, State)> {
        let is_due = |link: &&Link| link.deadline(settings).is_some_and(|at| at <= now);
        let expired = self.links.iter().find(is_due)?;
        Some((expired.epoch, expired.state))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Reliability;
    use crate::delivery::{AgentSet, Batch, Selection, WindowMode};
    use crate::seq::Seq;

    const MS: Duration = Duration::from_millis(1);

    fn settings() -> Settings {
        Settings {
            agents: Rank::in_order(1),
            selection: Selection::Failover,
            connections: 2,
            batch_events_max: 10,
            batch_bytes_max: 1000,
            linger: Duration::ZERO,
            window: WindowMode::ADAPTIVE,
            connect_timeout: Duration::from_secs(5),
            greeting_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            backoff: Backoff::default(),
        }
    }

    fn agent_with(epochs: &[Epoch]) -> Agent {
        let mut agent = Agent::new(AgentId::new(0), Rank::alone(0));
        for epoch in epochs {
            let mut link = Link::connecting(*epoch, Time::ZERO, &settings());
            link.state = State::Open;
            agent.links.push(link);
        }
        agent
    }

    #[test]
    fn refusals_of_calls_that_were_in_flight_together_are_one_failure() {
        let backoff = Backoff::default();
        let batch = Batch {
            level: Reliability::InMemory,
            first: Seq::ZERO,
            events: 1,
            bytes: 1,
            attempts: 1,
            rest_until: Time::ZERO,
            tried: None,
            unfit: AgentSet::default(),
            half_bytes: 0,
        };
        let mut random = fastrand::Rng::with_seed(1);
        let mut agent = agent_with(&[1]);
        let sent = MS;
        let link = agent.link_mut(1).unwrap();
        let calls = [(); 3].map(|()| link.send(batch, sent));
        let now = 5 * MS;
        link.answer(calls[0], now).unwrap();
        agent.on_refused(1, sent, (now, Time::ZERO), &backoff, &mut random);
        let rest_until = agent.rest_until;

        let link = agent.link_mut(1).unwrap();
        let acknowledged = link.answer(calls[1], now).unwrap();
        let is_first = link.on_acked(&acknowledged, now);
        link.answer(calls[2], now).unwrap();
        agent.on_acked(is_first);
        agent.on_refused(1, sent, (now, Time::ZERO), &backoff, &mut random);
        assert_eq!(agent.rest_until, rest_until);
        assert!(agent.is_proven());

        let later = rest_until + sent;
        agent.on_refused(1, later, (later + sent, Time::ZERO), &backoff, &mut random);
        assert!(agent.rest_until > later && !agent.is_proven());
    }

    #[test]
    fn the_end_of_a_connection_makes_its_agent_rest_only_if_it_is_the_last() {
        let (settings, backoff) = (settings(), Backoff::default());
        let mut random = fastrand::Rng::with_seed(1);
        let mut agent = agent_with(&[1, 2]);
        agent
            .on_broken((1, Ending::Broken), MS, &backoff, &mut random)
            .unwrap();
        assert!(agent.is_usable(MS) && agent.is_proven());
        assert!(!agent.may_have_further(MS, &settings), "it waits a while");
        let later = Duration::from_secs(1);
        assert!(agent.may_have_further(later, &settings));

        agent
            .on_broken((2, Ending::Broken), later, &backoff, &mut random)
            .unwrap();
        assert!(agent.is_resting(later) && !agent.is_proven());
        assert!(
            agent
                .on_broken((2, Ending::Broken), later, &backoff, &mut random)
                .is_none()
        );
    }
}
