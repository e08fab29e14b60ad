//! What the core knows of one connection (not a socket: that is `transport`'s): how far it is, its
//! window and the calls in flight on it.

use std::collections::BTreeMap;

use super::batch::Batch;
use super::settings::{CallId, Epoch, Settings, Time};
use super::window::{Acked, Window};

/// A connection, or an attempt to make one.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) epoch: Epoch,
    pub(super) state: State,
    /// When the attempt began.
    pub(super) began: Time,
    window: Window,
    in_flight: BTreeMap<CallId, InFlight>,
    next_call: CallId,
    has_acked: bool,
}

/// `Greeting`: the handshake is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting { deadline: Time },
    Greeting { deadline: Time },
    Open,
}

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
            window: Window::new(settings.link_window()),
            in_flight: BTreeMap::new(),
            next_call: CallId::FIRST,
            has_acked: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
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
    pub(super) fn answer(&mut self, call: CallId) -> Option<InFlight> {
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
            State::Open => {
                let oldest = self.in_flight.values().map(|call| call.sent).min()?;
                Some(oldest + settings.request_timeout)
            }
        }
    }
}
