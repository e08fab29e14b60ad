//! How many calls may be in flight on one connection.
//!
//! A fixed number is wrong: Flume 1.10 and later handle the calls of a connection in parallel, up
//! to a point where they get in each other's way; 1.9 and earlier handle one at a time. The right
//! number differs by version, machine and batch size, so it is found as TCP Vegas finds it: the
//! fastest round trip tells what an idle agent needs, and `size * (1 - fastest / now)` estimates
//! how many of the calls in flight merely wait. Few waiting: open by one. Many: close by one. An
//! agent's connections have a window each, and a part of the waiting calls each.

use std::time::Duration;

use crate::reliability::Reliability;

/// How the number of calls in flight is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WindowMode {
    /// Found by feedback, between 1 and `max`. Order across batches is not kept.
    Adaptive {
        /// Upper bound for an agent, over all connections to it. Flume handles at most 16 calls of a
        /// source at once.
        max: u32,
    },
    /// One call in flight for each level of [`Reliability`](crate::Reliability), over all agents:
    /// the events of a level arrive in order, except those sent again. Between levels there is no
    /// order.
    Ordered,
}

impl WindowMode {
    /// The default: adaptive up to the 16 calls that a Flume source handles at once.
    pub const ADAPTIVE: Self = Self::Adaptive { max: 16 };
}

/// Open when fewer calls than this wait in the agent: TCP Vegas' alpha.
const WAITING_LOW: f64 = 2.0;
/// Close when more calls than this wait: TCP Vegas' beta.
const WAITING_HIGH: f64 = 4.0;
/// After this many round trips the fastest one is measured afresh, by one call alone.
const ROUND_TRIPS_PER_PROBE: u32 = 2_000;
/// After this many more calls of another size than of the measured one, the new size is measured.
const STRANGERS_MAX: u32 = 16;

/// A call that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    pub(super) round_trip: Duration,
    pub(super) bytes: u32,
    /// No other call was in flight when it was sent.
    pub(super) alone: bool,
}

/// The window of one connection. If it is adaptive, it starts at 1.
#[derive(Debug)]
pub(super) struct Window {
    /// It is what it is: there is nothing to be found out.
    is_fixed: bool,
    size: u32,
    max: u32,
    /// Over how many connections an agent's calls are spread: together they have no more of them
    /// waiting than one would have.
    connections: f64,
    /// Double each round until calls begin to wait.
    doubling: bool,
    /// The round trip of a call that was alone, and so found the agent idle.
    fastest: Option<Duration>,
    /// Bytes of the call that `fastest` was measured with. Calls of less than half or more than
    /// twice as many are strangers: their round trips cannot be compared with it.
    bytes: u32,
    strangers: u32,
    round: Round,
    answers_since_probe: u32,
}

/// As many answers as the window has places.
#[derive(Debug, Default)]
struct Round {
    fastest: Option<Duration>,
    answers: u32,
    /// The window was full while a batch waited.
    full: bool,
}

impl Window {
    pub(super) fn new(mode: WindowMode, connections: u32) -> Self {
        let (is_fixed, max) = match mode {
            WindowMode::Adaptive { max } => (false, max.max(1)),
            // Each level keeps to one call, and none waits for that of another one.
            WindowMode::Ordered => (true, Reliability::ALL.len() as u32),
        };
        Self {
            is_fixed,
            size: 1,
            max,
            connections: f64::from(connections),
            doubling: true,
            fastest: None,
            bytes: 0,
            strangers: 0,
            round: Round::default(),
            answers_since_probe: 0,
        }
    }

    /// How many calls may be in flight now.
    pub(super) fn size(&self) -> u32 {
        match (self.is_fixed, self.is_probing()) {
            (true, _) => self.max,
            (false, true) => 1,
            (false, false) => self.size,
        }
    }

    /// A batch waits and the window has no room for it.
    pub(super) fn on_full(&mut self) {
        self.round.full = true;
    }

    pub(super) fn on_acked(&mut self, call: Acked) {
        let is_stranger = call.bytes / 2 > self.bytes || self.bytes / 2 > call.bytes;
        if call.alone {
            let known = self.fastest.filter(|_| !is_stranger);
            self.fastest = Some(known.map_or(call.round_trip, |known| known.min(call.round_trip)));
            if known.is_none() {
                self.bytes = call.bytes;
                self.strangers = 0;
                self.round.fastest = None;
            }
        } else if is_stranger {
            self.on_stranger(call.bytes);
            return;
        }
        self.strangers = self.strangers.saturating_sub(1);
        let Some(fastest) = self.fastest else {
            return;
        };
        self.answers_since_probe += 1;
        self.round.answers += 1;
        let faster = |known: Duration| known.min(call.round_trip);
        let round_fastest = self.round.fastest.map_or(call.round_trip, faster);
        self.round.fastest = Some(round_fastest);
        if self.round.answers >= self.size {
            self.end_round(fastest, round_fastest);
        }
    }

    /// The agent refused a batch: it is full or slow.
    pub(super) fn on_refused(&mut self) {
        self.size = (self.size / 2).max(1);
        self.doubling = false;
        self.round = Round::default();
    }

    fn is_probing(&self) -> bool {
        self.fastest.is_none()
    }

    /// A call that cannot be compared was acknowledged. One large event must not end the
    /// measuring; a workload that changed must not keep the window as it is for ever.
    fn on_stranger(&mut self, bytes: u32) {
        self.strangers += 1;
        if self.strangers >= STRANGERS_MAX {
            self.strangers = 0;
            self.bytes = bytes;
            self.fastest = None;
        }
    }

    fn end_round(&mut self, fastest: Duration, round_fastest: Duration) {
        // `fastest / round_fastest` is the share of a round trip for which an idle agent has a call.
        // The rest of it a call waits behind others, and so does that share of the calls in flight.
        // Of the round the fastest answer counts: one that is slow tells of a lost packet or a pause
        // of the agent, and only if all are slow is there a queue.
        let idle_share = fastest.as_secs_f64() / round_fastest.as_secs_f64().max(1e-9);
        let waiting = f64::from(self.size) * (1.0 - idle_share) * self.connections;
        // Between the two limits the size stays: with one limit it would swing with every round. The
        // first sign of waiting ends the doubling, which is only to find the range.
        if waiting > WAITING_HIGH {
            self.size = (self.size - 1).max(1);
            self.doubling = false;
        } else if waiting >= WAITING_LOW {
            self.doubling = false;
        } else if self.round.full {
            // A window that was never full says nothing of how more calls would fare.
            let step = if self.doubling { self.size } else { 1 };
            self.size = (self.size + step).min(self.max);
        }
        // `fastest` only falls. Were the path or the agent slower from now on, all calls would seem
        // to wait for ever, so it is measured afresh now and then.
        if self.answers_since_probe >= ROUND_TRIPS_PER_PROBE {
            self.answers_since_probe = 0;
            self.fastest = None;
        }
        self.round = Round::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent with `parallel` workers that each need 1 ms a call, reached in 0.2 ms.
    /// Returns the window's size after `rounds` rounds, always full.
    fn settle(window: &mut Window, parallel: u32, rounds: u32) -> u32 {
        for _ in 0..rounds {
            let size = window.size();
            let turns = size.div_ceil(parallel);
            let round_trip = Duration::from_micros(200) + Duration::from_millis(1) * turns;
            for _ in 0..size {
                window.on_full();
                window.on_acked(Acked {
                    round_trip,
                    bytes: 20_000,
                    alone: size == 1,
                });
            }
        }
        window.size()
    }

    #[test]
    fn it_opens_to_what_a_parallel_agent_handles_and_little_more() {
        let mut window = Window::new(WindowMode::ADAPTIVE, 1);
        assert_eq!(window.size(), 1);
        let size = settle(&mut window, 8, 200);
        assert!((8..=14).contains(&size), "{size}");
    }

    #[test]
    fn it_stays_small_before_an_agent_that_handles_one_call_at_a_time() {
        let mut window = Window::new(WindowMode::ADAPTIVE, 1);
        let size = settle(&mut window, 1, 200);
        assert!((2..=5).contains(&size), "{size}");
    }

    #[test]
    fn the_windows_of_several_connections_let_no_more_calls_wait_than_that_of_one() {
        let waits = |connections| {
            let mut window = Window::new(WindowMode::ADAPTIVE, connections);
            settle(&mut window, 1, 200) * connections
        };
        // Each connection has a call that an agent is at; what is more waits.
        assert!(waits(1) - 1 <= 4 && waits(4) - 4 <= 4, "{}", waits(4));
    }

    #[test]
    fn it_never_passes_its_bound() {
        let mut window = Window::new(WindowMode::Adaptive { max: 4 }, 1);
        assert_eq!(settle(&mut window, 100, 1000), 4);
    }

    #[test]
    fn the_ordered_mode_has_room_for_a_call_of_each_level() {
        let mut window = Window::new(WindowMode::Ordered, 1);
        assert_eq!(window.size(), 4);
        window.on_refused();
        assert_eq!(settle(&mut window, 16, 1000), 4);
    }

    #[test]
    fn a_refusal_halves_it() {
        let mut window = Window::new(WindowMode::ADAPTIVE, 1);
        let before = settle(&mut window, 16, 200);
        window.on_refused();
        assert_eq!(window.size(), before / 2);
        for _ in 0..10 {
            window.on_refused();
        }
        assert_eq!(window.size(), 1);
    }

    #[test]
    fn it_opens_again_after_one_call_that_is_much_larger() {
        let mut window = Window::new(WindowMode::ADAPTIVE, 1);
        let before = settle(&mut window, 16, 50);
        window.on_acked(Acked {
            round_trip: Duration::from_millis(50),
            bytes: 2_000_000,
            alone: false,
        });
        assert!(settle(&mut window, 16, 50) >= before);
    }

    #[test]
    fn it_closes_also_when_calls_have_become_smaller() {
        let mut window = Window::new(WindowMode::ADAPTIVE, 1);
        window.on_acked(Acked {
            round_trip: Duration::from_millis(50),
            bytes: 2_000_000,
            alone: true,
        });
        assert!(settle(&mut window, 16, 200) > 8);
        assert!(settle(&mut window, 1, 200) <= 5);
    }

    #[test]
    fn it_does_not_open_while_there_is_nothing_to_fill_it() {
        let mut window = Window::new(WindowMode::ADAPTIVE, 1);
        for _ in 0..1000 {
            let round_trip = Duration::from_millis(1);
            window.on_acked(Acked {
                round_trip,
                bytes: 20_000,
                alone: true,
            });
        }
        assert_eq!(window.size(), 1);
    }
}
