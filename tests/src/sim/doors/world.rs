//! The queue of happenings, and the core's steps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flume_client::Reliability;
use flume_client::delivery::{
    AgentId, Answer, Batch, CallId, Core, Ending, Epoch, Input, WindowMode,
};

use super::book::{Book, News};
use super::plan::{Plan, RECOVERY_MAX};
use super::trouble::Agent;
use super::watch::Watch;
use crate::sim::stats::{Run, Stats};
use crate::sim::time::{Nanos, SECOND};
use crate::sim::trace::Trace;
use crate::sim::violation::{Check, broken, ensure};

/// More ticks than this in a second, and four for each other input, are a busy loop.
const TICKS_PER_SECOND: u64 = 400;

#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// The core's deadline.
    Timer,
    Load,
    Renew,
    Fault,
    Heal,
    Connected {
        epoch: Epoch,
    },
    Opened {
        epoch: Epoch,
    },
    Ended {
        epoch: Epoch,
        ending: Ending,
    },
    Replied {
        key: Key,
        answer: Answer,
    },
    Failed {
        key: Key,
        is_sent: bool,
    },
    /// An answer to a call that there never was.
    Stray {
        epoch: Epoch,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Greeting,
    Open,
    /// It gets no more calls.
    Draining,
}

/// A connection that the client holds, or an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) agent: AgentId,
    pub(super) dialect: u32,
    pub(super) stage: Stage,
    pub(super) opened_at: Nanos,
    pub(super) has_sent: bool,
    /// Another one is to take its place, since then.
    pub(super) renewed_at: Option<Nanos>,
}

pub(super) type Key = (Epoch, CallId);

/// A call that the client waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) agent: AgentId,
    pub(super) batch: Batch,
    pub(super) sent: Nanos,
    /// The agent has its first bytes.
    pub(super) is_begun: bool,
    pub(super) is_stored: bool,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) rng: fastrand::Rng,
    pub(super) now: Nanos,
    queue: BTreeMap<(Nanos, u64), Happening>,
    next_happening: u64,
    pub(super) core: Core,
    pub(super) agents: Vec<Agent>,
    pub(super) watches: Vec<Watch>,
    pub(super) connections: BTreeMap<Epoch, Connection>,
    pub(super) calls: BTreeMap<Key, Call>,
    pub(super) books: Vec<Book>,
    pub(super) is_healed: bool,
    timer: Option<(Nanos, (Nanos, u64))>,
    /// What the present input says.
    pub(super) news: News,
    /// Whose connections were ended in this step.
    pub(super) disconnected: BTreeSet<Epoch>,
    /// The running second, ticks in it, and other inputs.
    pace: (Nanos, u64, u64),
    pub(super) trace: Trace,
    stats: Stats,
}

impl World {
    pub(super) fn new(mut rng: fastrand::Rng, prints: bool) -> Self {
        let plan = Plan::draw(&mut rng);
        let agents = plan.settings.agents.len();
        let is_ordered = plan.settings.window == WindowMode::Ordered;
        let books = plan.levels.iter();
        let books = books.map(|level| Book::new(*level, is_ordered, agents));
        let watches = (0..agents).map(|agent| Watch::new(&plan.settings, agent));
        Self {
            rng,
            now: 0,
            queue: BTreeMap::new(),
            next_happening: 0,
            core: Core::new(plan.settings.clone(), plan.core_seed),
            agents: plan.spoken.iter().copied().map(Agent::new).collect(),
            watches: watches.collect(),
            connections: BTreeMap::new(),
            calls: BTreeMap::new(),
            books: books.collect(),
            is_healed: false,
            timer: None,
            news: News::Nothing,
            disconnected: BTreeSet::new(),
            pace: (0, 0, 0),
            trace: Trace::new(prints),
            stats: Stats::default(),
            plan,
        }
    }

    pub(super) fn run(&mut self) -> Check {
        self.schedule(0, Happening::Load);
        let first_fault = self.rng.u64(0..=2 * self.plan.fault_gap);
        self.schedule(first_fault, Happening::Fault);
        self.schedule(self.plan.heal_at, Happening::Heal);
        let latest = self.plan.heal_at + RECOVERY_MAX;
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            self.now = at;
            self.stats.happenings += 1;
            if at > latest {
                return self.tell_stuck();
            }
            self.pace(matches!(happening, Happening::Timer))?;
            self.handle(happening)?;
            if self.is_healed && self.first_pending().is_none() {
                self.finish();
                return Ok(());
            }
        }
        self.tell_stuck()
    }

    pub(super) fn into_run(self) -> Run {
        Run {
            hash: self.trace.hash(),
            stats: self.stats,
        }
    }

    pub(super) fn tail(&self) -> Vec<String> {
        self.trace.tail()
    }

    pub(super) fn schedule(&mut self, at: Nanos, happening: Happening) -> (Nanos, u64) {
        let key = (at.max(self.now), self.next_happening);
        self.next_happening += 1;
        self.queue.insert(key, happening);
        key
    }

    pub(super) fn book(&mut self, level: Reliability) -> &mut Book {
        let index = self.plan.levels.iter().position(|it| *it == level);
        &mut self.books[index.expect("only these levels have events")]
    }

    /// Tells the core what happened, does what it says, and looks at it from outside.
    pub(super) fn step(&mut self, input: Input<'_>, news: News) -> Check {
        self.news = news;
        self.disconnected.clear();
        self.stats.steps += 1;
        self.watch_states();
        self.core.step(Duration::from_nanos(self.now), input);
        let pending = self.books.iter().map(|book| book.pending().count());
        let most = 100 + 4 * pending.sum::<usize>();
        for output in 0.. {
            let Some(next) = self.core.next_output() else {
                break;
            };
            ensure(output < most, "endless step", || format!("{next:?}"))?;
            self.execute(next)?;
        }
        for book in &self.books {
            book.audit(&self.core)?;
        }
        for (agent, watch) in self.watches.iter().enumerate() {
            let state = self
                .core
                .state_of(AgentId::new(agent), Duration::from_nanos(self.now));
            watch.check(self.now, state)?;
        }
        self.watch_states();
        self.check_renewed()?;
        self.arm_timer()
    }

    fn handle(&mut self, happening: Happening) -> Check {
        match happening {
            Happening::Timer => {
                self.timer = None;
                self.trace.note(self.now, "timer", []);
                self.step(Input::Tick, News::Nothing)
            }
            Happening::Load => self.on_load(),
            Happening::Fault => self.on_fault(),
            Happening::Heal => self.on_heal(),
            Happening::Connected { epoch } => self.on_connected(epoch),
            Happening::Opened { epoch } => self.on_opened(epoch),
            Happening::Ended { epoch, ending } => self.on_ended(epoch, ending),
            Happening::Replied { key, answer } => self.on_replied(key, answer),
            Happening::Failed { key, is_sent } => self.on_failed(key, is_sent),
            Happening::Stray { epoch } => self.on_stray(epoch),
            Happening::Renew => self.renew(),
        }
    }

    fn arm_timer(&mut self) -> Check {
        let deadline = self.core.deadline().map(|at| at.as_nanos() as u64);
        if let Some((_, key)) = self.timer.take() {
            self.queue.remove(&key);
        }
        if let Some(deadline) = deadline {
            ensure(deadline > self.now, "deadline in the past", || {
                format!("{deadline} at {}", self.now)
            })?;
            self.timer = Some((deadline, self.schedule(deadline, Happening::Timer)));
        }
        Ok(())
    }

    fn pace(&mut self, is_tick: bool) -> Check {
        let second = self.now / SECOND;
        if self.pace.0 != second {
            self.pace = (second, 0, 0);
        }
        match is_tick {
            true => self.pace.1 += 1,
            false => self.pace.2 += 1,
        }
        let (_, ticks, news) = self.pace;
        ensure(ticks <= TICKS_PER_SECOND + 4 * news, "busy loop", || {
            format!("{ticks} ticks, {news} other inputs")
        })
    }

    /// The first event that pends and should not for ever.
    fn first_pending(&self) -> Option<(Reliability, usize)> {
        let levels = self.plan.levels.iter().zip(&self.books);
        let mut pending = levels.flat_map(|(level, book)| {
            let pending = book.pending();
            pending.map(|(number, _)| (*level, number))
        });
        let doubted = self.plan.doubted;
        pending.find(|(level, number)| doubted != Some((*level, *number as u64)))
    }

    fn tell_stuck(&self) -> Check {
        broken("stuck", format!("{:?}", self.first_pending()))
    }

    fn finish(&mut self) {
        self.stats.seeds = 1;
        self.stats.simulated = self.now;
        for book in &self.books {
            let [accepted, delivered, lost] = book.totals();
            self.stats.accepted += accepted;
            self.stats.delivered += delivered;
            self.stats.lost += lost;
            self.stats.duplicates += book.duplicates();
        }
        let counters = self.core.counters();
        self.stats.batches = counters.batches;
        self.stats.retries = counters.retries;
        self.stats.connects = counters.connects;
    }
}
