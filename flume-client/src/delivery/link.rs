//! What the core knows of one agent (not a socket: that is `transport`'s): its connection, the
//! calls in flight on it, and its rest after failures.

use std::collections::BTreeMap;

use super::batch::Batch;
use super::settings::{CallId, Epoch, Settings, Time};
use super::window::{Acked, Window};

/// What is known of an agent.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) state: State,
    /// Not used before this time: it failed.
    pub(super) rest_until: Time,
    /// Failures since the last acknowledgement.
    failures: u32,
    last_failure: Option<Time>,
    window: Window,
    in_flight: BTreeMap<CallId, InFlight>,
    next_call: CallId,
}

/// `Greeting`: the handshake is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Connecting { epoch: Epoch, deadline: Time },
    Greeting { epoch: Epoch, deadline: Time },
    Open { epoch: Epoch },
}

/// A batch that was sent and not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    pub(super) batch: Batch,
    pub(super) sent: Time,
    alone: bool,
}

impl Link {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            state: State::Idle,
            rest_until: Time::ZERO,
            failures: 0,
            last_failure: None,
            window: Window::new(settings.window),
            in_flight: BTreeMap::new(),
            next_call: CallId::FIRST,
        }
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        match self.state {
            State::Idle => None,
            State::Connecting { epoch, .. }
            | State::Greeting { epoch, .. }
            | State::Open { epoch } => Some(epoch),
        }
    }

    /// Connected and not resting.
    pub(super) fn is_usable(&self, now: Time) -> bool {
        matches!(self.state, State::Open { .. }) && !self.is_resting(now)
    }

    pub(super) fn is_resting(&self, now: Time) -> bool {
        self.rest_until > now
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(
            self.state,
            State::Connecting { .. } | State::Greeting { .. }
        )
    }

    /// Whether the last thing heard of it was good.
    pub(super) fn is_proven(&self) -> bool {
        self.failures == 0
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < self.window.size() as usize
    }

    pub(super) fn window_size(&self) -> u32 {
        self.window.size()
    }

    pub(super) fn on_window_full(&mut self) {
        self.window.on_full();
    }

    /// All batches that were sent and not answered.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.in_flight.values()
    }

    pub(super) fn in_flight_count(&self) -> usize {
        self.in_flight.len()
    }

    /// Starts a connection attempt. What was learnt of the last connection's window is forgotten:
    /// another version may answer.
    pub(super) fn connect(&mut self, epoch: Epoch, deadline: Time, settings: &Settings) {
        assert!(
            self.in_flight.is_empty(),
            "a link is emptied when it closes"
        );
        self.state = State::Connecting { epoch, deadline };
        self.window = Window::new(settings.window);
        self.next_call = CallId::FIRST;
    }

    /// Takes a batch into flight, as a call.
    pub(super) fn send(&mut self, batch: Batch, now: Time) -> CallId {
        let call = self.next_call;
        self.next_call = call.next();
        let alone = self.in_flight.is_empty();
        self.in_flight.insert(
            call,
            InFlight {
                batch,
                sent: now,
                alone,
            },
        );
        call
    }

    /// Takes a call out of flight.
    pub(super) fn answer(&mut self, call: CallId) -> Option<InFlight> {
        self.in_flight.remove(&call)
    }

    pub(super) fn on_acked(&mut self, call: &InFlight, now: Time) {
        self.failures = 0;
        let round_trip = now.saturating_sub(call.sent);
        self.window.on_acked(Acked {
            round_trip,
            bytes: call.batch.bytes,
            alone: call.alone,
        });
    }

    /// Closes and returns what was in flight, oldest call first.
    pub(super) fn close(&mut self) -> BTreeMap<CallId, InFlight> {
        self.state = State::Idle;
        std::mem::take(&mut self.in_flight)
    }

    /// Rests after a connection failed or broke.
    pub(super) fn on_broken(&mut self, now: Time, settings: &Settings, random: &mut fastrand::Rng) {
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(now);
        self.rest_until = now + settings.backoff.delay(self.failures, random);
    }

    /// Rests after a refusal. The refusals of calls that were in flight together are one failure,
    /// also if acknowledgements of others among them come in between.
    pub(super) fn on_refused(
        &mut self,
        sent: Time,
        now: Time,
        settings: &Settings,
        random: &mut fastrand::Rng,
    ) {
        let is_news = self.last_failure.is_none_or(|failed| sent > failed);
        if is_news {
            self.window.on_refused();
            self.on_broken(now, settings, random);
        }
    }

    /// When this link's own time is up: an attempt or the oldest call in flight.
    pub(super) fn deadline(&self, settings: &Settings) -> Option<Time> {
        match self.state {
            State::Idle => None,
            State::Connecting { deadline, .. } | State::Greeting { deadline, .. } => Some(deadline),
            State::Open { .. } => {
                let oldest = self.in_flight.values().map(|call| call.sent).min()?;
                Some(oldest + settings.request_timeout)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Reliability;
    use crate::delivery::{Backoff, WindowMode};
    use crate::seq::Seq;

    #[test]
    fn refusals_of_calls_that_were_in_flight_together_are_one_failure() {
        let settings = Settings {
            agents: 1,
            batch_events_max: 10,
            batch_bytes_max: 1000,
            linger: Duration::ZERO,
            window: WindowMode::ADAPTIVE,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(20),
            backoff: Backoff::default(),
        };
        let batch = Batch {
            level: Reliability::InMemory,
            first: Seq::ZERO,
            events: 1,
            bytes: 1,
            attempts: 1,
            rest_until: Time::ZERO,
        };
        let mut random = fastrand::Rng::with_seed(1);
        let mut link = Link::new(&settings);
        let sent = Duration::from_millis(1);
        let calls = [(); 3].map(|()| link.send(batch, sent));
        let now = Duration::from_millis(5);
        link.answer(calls[0]).unwrap();
        link.on_refused(sent, now, &settings, &mut random);
        let rest_until = link.rest_until;

        let acknowledged = link.answer(calls[1]).unwrap();
        link.on_acked(&acknowledged, now);
        link.answer(calls[2]).unwrap();
        link.on_refused(sent, now, &settings, &mut random);
        assert_eq!(link.rest_until, rest_until);
        assert!(link.is_proven());

        let later = rest_until + sent;
        link.send(batch, later);
        link.on_refused(later, later + sent, &settings, &mut random);
        assert!(link.rest_until > later && !link.is_proven());
    }
}
