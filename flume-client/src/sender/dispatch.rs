//! [`Dispatch`]: what the sender does with events. Told the time; touches no socket: what is to be done
//! with connections is told to [`Route`](super::route::Route), which has them.
//!
//! It has a delivery core, the bytes of the events that the core knows of, and for events of the disk
//! the way to those. The levels' events share the connections and nothing else.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Item};
use crate::config::Config;
use crate::delivery::{AgentId, AgentState, Core, Epoch, Input, Outcome, Output, WindowMode};
use crate::error::AgentError;
use crate::queue::{Chunk, OpenedSpool, Unacked};
use crate::reliability::{PerLevel, Reliability};
use crate::seq::{Seq, SeqRange};
use crate::situations::reached;

/// With a spool events are taken until N batches of the largest size are held, or
/// [`Sizes::held_min`](crate::config::Sizes) if that is more.
const HELD_BATCHES: usize = 4;

pub(crate) struct Dispatch {
    pub(super) core: Core,
    pub(super) lanes: PerLevel<Lane>,
    pub(super) unacked: PerLevel<Unacked>,
    /// What callers are to be told of agents.
    pub(super) news: News,
    /// What is to be done with connections, in order: nothing but [`Output::Connect`],
    /// [`Output::Send`] and [`Output::Disconnect`].
    pub(super) orders: Vec<Output>,
    /// From when on the core counts time: when this was made.
    epoch: Instant,
    /// Nothing more is taken in or sent.
    is_stopped: bool,
    /// Kept for their buffers.
    items: Vec<Item>,
    ends: Vec<u32>,
}

/// The events of one level.
#[derive(Default)]
pub(super) struct Lane {
    /// If they come from the disk.
    pub(super) backlog: Option<Backlog>,
    /// Events below this have come from callers.
    pub(super) next: Seq,
    /// What became of them since callers were told last, with their bytes.
    pub(super) retired: Vec<(SeqRange, u32, Outcome)>,
    /// Not in the spool any more: their numbers, and how many there were at most.
    pub(super) lost: Vec<(SeqRange, u64)>,
    /// Events below this were sent once.
    pub(super) sent_upto: Seq,
}

/// What came of agents since callers were told last, and chunks that are free again.
#[derive(Default)]
pub(super) struct News {
    pub(super) emptied: Vec<Chunk>,
    pub(super) errors: Vec<(AgentId, AgentError)>,
    /// The same of connections that ended while nothing was asked of the agent.
    pub(super) quiet_ends: Vec<(AgentId, AgentError)>,
}

/// Whether callers' events of a level come straight from the queue: not by the thread that can write
/// them to the disk.
pub(super) fn takes_from_callers(level: Reliability) -> bool {
    !level.has_spool()
}

impl Dispatch {
    pub(super) fn new(config: &Config, seed: u64, epoch: Instant) -> Self {
        Self {
            core: Core::new(config.delivery.clone(), seed),
            lanes: PerLevel::default(),
            unacked: PerLevel::default(),
            news: News::default(),
            orders: Vec::new(),
            epoch,
            is_stopped: false,
            items: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// A level's events come from this spool. It has had none before.
    pub(super) fn open_spool(
        &mut self,
        now: Instant,
        level: Reliability,
        spool: OpenedSpool,
        config: &Config,
    ) {
        let settings = &config.delivery;
        let batches = HELD_BATCHES * settings.batch_bytes_max as usize;
        let held_max = batches.max(config.sizes.held_min);
        let is_ordered = settings.window == WindowMode::Ordered;
        let backlog = Backlog::new(spool, held_max, is_ordered);
        // The core counts events from 0, unless it is told of those that are retired.
        let next = backlog.next();
        self.lanes[level].backlog = Some(backlog);
        self.step(now, Input::Skip { level, next });
    }

    pub(super) fn step(&mut self, now: Instant, input: Input<'_>) {
        self.core.step(self.since(now), input);
        while let Some(output) = self.core.next_output() {
            self.take_order(output);
        }
    }

    /// What an agent is now.
    pub(super) fn state_of(&self, agent: AgentId, now: Instant) -> AgentState {
        self.core.state_of(agent, self.since(now))
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
                let sent_upto = &mut self.lanes[batch.level].sent_upto;
                *sent_upto = batch.range().end.max(*sent_upto);
                self.orders.push(output);
            }
            Output::Drain { .. } => {}
            Output::Connect { .. } | Output::Disconnect { .. } => self.orders.push(output),
            Output::Retire {
                level,
                range,
                bytes,
                outcome,
            } => {
                self.unacked[level].retire(range, &mut self.news.emptied);
                let lane = &mut self.lanes[level];
                if let Some(backlog) = &mut lane.backlog {
                    backlog.retire(range, bytes as usize);
                }
                lane.retired.push((range, bytes, outcome));
            }
        }
    }

    /// Takes in events of a level, which are the next ones.
    pub(super) fn take_in(&mut self, now: Instant, level: Reliability, chunk: Chunk) {
        self.lanes[level].next = chunk.range().end;
        let ends = self.keep(level, chunk);
        self.step(now, Input::Append { level, ends: &ends });
        self.ends = ends;
    }

    /// Takes in events that were left out before.
    fn take_in_late(&mut self, now: Instant, level: Reliability, chunk: Chunk) {
        let first = chunk.first;
        let ends = self.keep(level, chunk);
        let input = Input::Insert {
            level,
            first,
            ends: &ends,
        };
        self.step(now, input);
        self.ends = ends;
    }

    /// Keeps the bytes of events, and says where each ends.
    fn keep(&mut self, level: Reliability, chunk: Chunk) -> Vec<u32> {
        let mut ends = std::mem::take(&mut self.ends);
        ends.clear();
        ends.extend_from_slice(&chunk.ends);
        self.news.emptied.extend(self.unacked[level].add(chunk));
        ends
    }

    /// Takes in what the spool has, and tells it what is retired. `true`: something came in. If not,
    /// the waker is woken when there is more.
    pub(super) fn poll_backlogs(&mut self, now: Instant, waker: &Waker) -> bool {
        let levels = Reliability::ALL.into_iter();
        // Each of them, not only until one has something.
        levels.fold(false, |came_in, level| {
            came_in | self.poll_backlog(now, level, waker)
        })
    }

    fn poll_backlog(&mut self, now: Instant, level: Reliability, waker: &Waker) -> bool {
        let Some(backlog) = &mut self.lanes[level].backlog else {
            return false;
        };
        backlog.settle();
        if level == Reliability::StoreOnFailure {
            backlog.tell_rest(self.core.do_agents_rest());
        }
        if self.is_stopped {
            return false;
        }
        let mut items = std::mem::take(&mut self.items);
        backlog.poll(now, waker, &mut items);
        let came_in = !items.is_empty();
        for item in items.drain(..) {
            match item {
                Item::Chunk(chunk) => self.take_in(now, level, chunk),
                Item::Skip { next } => {
                    reached!("numbers have no events");
                    self.step(now, Input::Skip { level, next });
                }
                Item::Lost { range, events } => {
                    self.lanes[level].lost.push((range, events));
                }
                Item::Leave { next } => {
                    reached!("events are left out");
                    self.step(now, Input::Leave { level, next });
                }
                Item::Late(chunk) => {
                    reached!("events that were left out come");
                    self.take_in_late(now, level, chunk);
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
        let backlogs = self.backlogs().filter_map(Backlog::deadline);
        let backlogs = backlogs.filter(|_| !self.is_stopped);
        core.into_iter().chain(backlogs).min()
    }

    /// Whether the attempt is followed by one in another dialect, if it comes to nothing.
    pub(super) fn has_other_dialect(&self, epoch: Epoch) -> bool {
        self.core.has_other_dialect(epoch)
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
        self.backlogs().all(Backlog::is_over) && self.core.pending_events() == 0
    }

    /// The ways to events of the disk.
    pub(super) fn backlogs(&self) -> impl Iterator<Item = &Backlog> {
        self.lanes
            .iter()
            .filter_map(|(_, lane)| lane.backlog.as_ref())
    }

    /// The same, to be changed.
    pub(super) fn backlogs_mut(&mut self) -> impl Iterator<Item = &mut Backlog> {
        let lanes = self.lanes.iter_mut();
        lanes.filter_map(|(_, lane)| lane.backlog.as_mut())
    }
}
