//! What the core knows of one connection (not a socket: that is `transport`'s): how far it is, its
//! window and the calls in flight on it.

use std::collections::BTreeMap;

use super::backoff::about;
use super::batch::Batch;
use super::settings::{CallId, Epoch, Settings, Time};
use super::step::Disconnect;
use super::window::{Acked, Window};

/// A connection, or an attempt to make one.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) epoch: Epoch,
    pub(super) state: State,
    /// When the attempt began.
    pub(super) began: Time,
    /// Since when it is open and has no calls, if it has none.
    idle_since: Time,
    /// From then on another connection is to take its place.
    aged_at: Time,
    window: Window,
    in_flight: BTreeMap<CallId, InFlight>,
    next_call: CallId,
    has_acked: bool,
}

/// `Greeting`: the handshake is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting {
        deadline: Time,
    },
    Greeting {
        deadline: Time,
    },
    Open,
    /// Another one took its place: it gets no calls, and ends with the last one that it has.
    Draining,
}

/// A connection on which nothing was sent for so long is closed, if nothing waits. It costs the agent
/// a thread or a descriptor, and firewalls forget it some time later without a word.
const IDLE_MAX: Time = Time::from_secs(60);
/// Another connection takes the place of one that is so old, a fifth more or less: so a name is
/// looked up again, and agents that were added behind it get their share.
const AGE_MAX: Time = Time::from_secs(600);

/// A batch that was sent and not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    pub(super) batch: Batch,
    pub(super) sent: Time,
    alone: bool,
}

impl Link {
    /// An attempt. Nothing is known of the window: another version may answer than did before.
    pub(super) fn connecting(epoch: Epoch, now: Time, settings: &Settings) -> Self {
        let deadline = now + settings.connect_timeout;
        Self {
            epoch,
            state: State::Connecting { deadline },
            began: now,
            idle_since: now,
            aged_at: Time::MAX,
            window: Window::new(settings.link_window(), settings.connections_max()),
            in_flight: BTreeMap::new(),
            next_call: CallId::FIRST,
            has_acked: false,
        }
    }

    /// The handshake was answered.
    pub(super) fn open(&mut self, now: Time, random: &mut fastrand::Rng) {
        self.state = State::Open;
        self.idle_since = now;
        // One that was to be renewed before it was open is old from the beginning.
        self.aged_at = self.aged_at.min(now + about(AGE_MAX, random));
    }

    /// Another one is to take its place now, or when it is open.
    pub(super) fn renew(&mut self, now: Time) {
        self.aged_at = self.aged_at.min(now);
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is an attempt that is under way.
    pub(super) fn is_opening(&self) -> bool {
        !matches!(self.state, State::Open | State::Draining)
    }

    pub(super) fn is_aged(&self, now: Time) -> bool {
        self.is_open() && self.aged_at <= now
    }

    /// Whether it is to be closed now, and why. `is_quiet`: no event waits.
    pub(super) fn is_needless(&self, now: Time, is_quiet: bool) -> Option<Disconnect> {
        if !self.in_flight.is_empty() {
            return None;
        }
        match self.state {
            State::Draining => Some(Disconnect::Aged),
            State::Open if is_quiet && self.aged_at <= now => Some(Disconnect::Aged),
            State::Open if is_quiet && self.idle_since + IDLE_MAX <= now => Some(Disconnect::Idle),
            _ => None,
        }
    }

    /// When it is idle for too long, if nothing waits, and when it is old.
    pub(super) fn needless_at(&self, is_quiet: bool) -> impl Iterator<Item = Time> + use<> {
        let is_idle = self.is_open() && is_quiet && self.in_flight.is_empty();
        let idle_at = is_idle.then_some(self.idle_since + IDLE_MAX);
        let aged_at = self.is_open().then_some(self.aged_at);
        idle_at.into_iter().chain(aged_at)
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
    pub(super) fn answer(&mut self, call: CallId, now: Time) -> Option<InFlight> {
        self.idle_since = now;
        self.in_flight.remove(&call)
    }

    /// `true`: it is the first acknowledgement.
    pub(super) fn on_acked(&mut self, call: &InFlight, now: Time) -> bool {
        let round_trip = now.saturating_sub(call.sent);
        self.window.on_acked(Acked {
            round_trip,
            bytes: call.batch.bytes,
            alone: call.alone,
        });
        !std::mem::replace(&mut self.has_acked, true)
    }

    pub(super) fn on_refused(&mut self) {
        self.window.on_refused();
    }

    /// What was in flight, oldest call first.
    pub(super) fn into_calls(self) -> BTreeMap<CallId, InFlight> {
        self.in_flight
    }

    /// When its own time is up: that of an attempt, or of the oldest call in flight.
    pub(super) fn deadline(&self, settings: &Settings) -> Option<Time> {
        match self.state {
            State::Connecting { deadline } | State::Greeting { deadline } => Some(deadline),
            State::Open | State::Draining => {
                let oldest = self.in_flight.values().map(|call| call.sent).min()?;
                Some(oldest + settings.request_timeout)
            }
        }
    }
}
