//! [`Dispatch`]: what the sender does with the events of one lane. Told the time; touches no
//! socket: what is to be done with connections is told to [`Route`](super::route::Route), which has
//! them.
//!
//! It has a delivery core, the bytes of the events that the core knows of, and with a spool the way
//! to those on the disk. Those of several lanes share nothing but the thread, so none waits for
//! another: of two that are busy each gets its turn.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Item};
use crate::config::Config;
use crate::delivery::{AgentId, Core, Input, Outcome, Output, WindowMode};
use crate::error::AgentError;
use crate::queue::{Chunk, OpenedSpool, Unacked};
use crate::reliability::Reliability;
use crate::seq::{Seq, SeqRange};
use crate::situations::reached;

/// With a spool events are taken until N batches of the largest size are held, or
/// [`Sizes::held_min`](crate::config::Sizes) if that is more.
const HELD_BATCHES: usize = 4;

pub(crate) struct Dispatch {
    /// That of all its events.
    pub(super) level: Reliability,
    pub(super) core: Core,
    /// With a spool.
    pub(super) backlog: Option<Backlog>,
    /// What callers are to be told.
    pub(super) news: News,
    pub(super) unacked: Unacked,
    /// What is to be done with connections, in order: nothing but [`Output::Connect`],
    /// [`Output::Send`] and [`Output::Disconnect`].
    pub(super) orders: Vec<Output>,
    /// From when on the core counts time: when the lane was made.
    epoch: Instant,
    /// Nothing more is taken in or sent.
    is_stopped: bool,
    /// Kept for their buffers.
    items: Vec<Item>,
    ends: Vec<u32>,
}

/// What came of a lane's events and agents since callers were told last.
#[derive(Default)]
pub(super) struct News {
    pub(super) emptied: Vec<Chunk>,
    /// With their bytes.
    pub(super) retired: Vec<(SeqRange, u32, Outcome)>,
    /// Events below this were sent once.
    pub(super) sent_upto: Seq,
    /// Not in the spool any more: their numbers, and how many there were at most.
    pub(super) lost: Vec<(SeqRange, u64)>,
    pub(super) errors: Vec<(AgentId, AgentError)>,
    /// The same of connections that ended while nothing was asked of the agent.
    pub(super) quiet_ends: Vec<(AgentId, AgentError)>,
}

impl Dispatch {
    pub(super) fn new(
        config: &Config,
        seed: u64,
        epoch: Instant,
        spool: Option<OpenedSpool>,
    ) -> Self {
        let settings = &config.delivery;
        let batches = HELD_BATCHES * settings.batch_bytes_max as usize;
        let held_max = batches.max(config.sizes.held_min);
        let is_ordered = settings.window == WindowMode::Ordered;
        let level = match spool {
            Some(_) => Reliability::EndToEnd,
            None => config.reliability,
        };
        let mut dispatch = Self {
            level,
            core: Core::new(settings.clone(), seed),
            backlog: spool.map(|spool| Backlog::new(spool, held_max, is_ordered)),
            news: News::default(),
            unacked: Unacked::default(),
            orders: Vec::new(),
            epoch,
            is_stopped: false,
            items: Vec::new(),
            ends: Vec::new(),
        };
        // The core counts events from 0, unless it is told of those that are retired.
        if let Some(next) = dispatch.backlog.as_ref().map(Backlog::next) {
            dispatch.step(epoch, Input::Skip { level, next });
        }
        dispatch
    }

    pub(super) fn step(&mut self, now: Instant, input: Input<'_>) {
        self.core.step(self.since(now), input);
        while let Some(output) = self.core.next_output() {
            self.take_order(output);
        }
    }

    fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    fn take_order(&mut self, output: Output) {
        match output {
            // What was taken in stays in its spool, to be sent by the next client.
            Output::Connect { .. } | Output::Send { .. } if self.is_stopped => {
                reached!("a lane that is stopped sends nothing more");
            }
            Output::Send { batch, .. } => {
                self.news.sent_upto = self.news.sent_upto.max(batch.range().end);
                self.orders.push(output);
            }
            Output::Connect { .. } | Output::Disconnect { .. } => self.orders.push(output),
            Output::Retire {
                range,
                bytes,
                outcome,
                ..
            } => {
                self.unacked.retire(range, &mut self.news.emptied);
                if let Some(backlog) = &mut self.backlog {
                    backlog.retire(range, bytes as usize);
                }
                self.news.retired.push((range, bytes, outcome));
            }
        }
    }

    /// Whether callers' events come straight from the queue: without a spool.
    pub(super) fn takes_from_callers(&self) -> bool {
        self.backlog.is_none()
    }

    /// Takes in events, which are the next ones.
    pub(super) fn take_in(&mut self, now: Instant, chunk: Chunk) {
        let ends = self.keep(chunk);
        let level = self.level;
        self.step(now, Input::Append { level, ends: &ends });
        self.ends = ends;
    }

    /// Takes in events that were left out before.
    fn take_in_late(&mut self, now: Instant, chunk: Chunk) {
        let first = chunk.first;
        let ends = self.keep(chunk);
        let input = Input::Insert {
            level: self.level,
            first,
            ends: &ends,
        };
        self.step(now, input);
        self.ends = ends;
    }

    /// Keeps the bytes of events, and says where each ends.
    fn keep(&mut self, chunk: Chunk) -> Vec<u32> {
        let mut ends = std::mem::take(&mut self.ends);
        ends.clear();
        ends.extend_from_slice(&chunk.ends);
        self.news.emptied.extend(self.unacked.add(chunk));
        ends
    }

    /// Takes in what the spool has, and tells it what is retired. `true`: something came in. If not,
    /// the waker is woken when there is more.
    pub(super) fn poll_backlog(&mut self, now: Instant, waker: &Waker) -> bool {
        let Some(backlog) = &mut self.backlog else {
            return false;
        };
        backlog.settle();
        if self.is_stopped {
            return false;
        }
        let mut items = std::mem::take(&mut self.items);
        backlog.poll(now, waker, &mut items);
        let came_in = !items.is_empty();
        let level = self.level;
        for item in items.drain(..) {
            match item {
                Item::Chunk(chunk) => self.take_in(now, chunk),
                Item::Skip { next } => {
                    reached!("numbers have no events");
                    self.step(now, Input::Skip { level, next });
                }
                Item::Lost { range, events } => self.news.lost.push((range, events)),
                Item::Leave { next } => {
                    reached!("events are left out");
                    self.step(now, Input::Leave { level, next });
                }
                Item::Late(chunk) => {
                    reached!("events that were left out come");
                    self.take_in_late(now, chunk);
                }
                Item::Forget { range } => {
                    reached!("numbers that were left out have no events");
                    self.step(now, Input::Forget { level, range });
                }
            }
        }
        self.items = items;
        came_in
    }

    /// When core or backlog want to be called at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let core = self.core.deadline().map(|deadline| self.epoch + deadline);
        let backlog = self.backlog.as_ref().and_then(Backlog::deadline);
        let backlog = backlog.filter(|_| !self.is_stopped);
        core.into_iter().chain(backlog).min()
    }

    /// Whether the core's time has come.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let deadline = self.core.deadline();
        deadline.is_some_and(|deadline| deadline <= self.since(now))
    }

    /// Takes nothing more in and sends nothing more; what was sent may still be answered.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Whether all events of its spool that are to be waited for came and are retired.
    pub(super) fn is_over(&self) -> bool {
        let is_over = self.backlog.as_ref().is_some_and(Backlog::is_over);
        is_over && self.core.pending_events() == 0
    }
}
