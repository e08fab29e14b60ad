//! The queue of happenings, and what each of them does.

use std::collections::BTreeMap;

use flume_client::delivery::{CallId, Core, Epoch, Input};

use super::agent::{Agent, Call};
use super::book::{Acked, Events};
use super::books::Books;
use super::fault::{self, Fault};
use super::looks::FullLoad;
use super::options::{Kind, Scenario};
use super::pace::Pace;
use super::shares::Shares;
use super::stats::{Run, Stats};
use super::time::{MINUTE, Nanos, SECOND};
use super::trace::Trace;
use super::violation::{Check, broken, ensure};

/// No scenario comes near this; a core that never comes to rest does.
const HAPPENINGS_MAX: u64 = 10_000_000;

#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// The core's deadline.
    Timer,
    /// The application does something in this episode.
    Load {
        episode: usize,
    },
    /// A fault strikes in this episode.
    Storm {
        episode: usize,
    },
    /// A look at the window under full load.
    Look,
    Heal,
    Abandon,
    End,
    /// A look at the client from outside.
    Audit {
        again: bool,
    },
    /// A connection attempt arrives at the agent.
    Syn {
        epoch: Epoch,
    },
    /// A handshake arrives at the agent.
    Hello {
        epoch: Epoch,
    },
    /// A call arrives at the agent.
    Request {
        call: Call,
    },
    /// A worker of the agent has handled a call.
    Served {
        call: Call,
        incarnation: u32,
    },
    /// Something arrives at the client.
    Heard {
        epoch: Epoch,
        heard: Heard,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Connected,
    Opened,
    Replied {
        call: CallId,
        committed: bool,
    },
    Closed,
    /// Something that is no answer to a handshake.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Greeting,
    Open,
}

/// A call the client waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) events: Events,
    pub(super) sent: Nanos,
    /// When its first byte is written.
    pub(super) begin: Nanos,
}

/// A connection attempt and the connection that came of it.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) agent: usize,
    pub(super) stage: Stage,
    pub(super) stage_since: Nanos,
    /// The attempt.
    pub(super) began: Nanos,
    /// The last answer, or when it was opened.
    pub(super) idle_since: Nanos,
    /// It is to take the place of one of these, which may be old.
    pub(super) replaces: Vec<Epoch>,
    /// Another one took its place.
    pub(super) drains: bool,
    /// The client holds it no more, since then.
    pub(super) forgotten: Option<Nanos>,
    /// What was in transit when the client let go is lost too.
    pub(super) reset: bool,
    /// Nothing arrives any more, either way.
    pub(super) lost: bool,
    /// The agent closed it.
    pub(super) closed: bool,
    pub(super) incarnation: u32,
    pub(super) next_call: CallId,
    pub(super) has_acked: bool,
    pub(super) calls: BTreeMap<CallId, Flight>,
    pub(super) writer_free: Nanos,
    pub(super) request_last: Nanos,
    pub(super) reply_last: Nanos,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) rng: fastrand::Rng,
    pub(super) now: Nanos,
    queue: BTreeMap<(Nanos, u64), Happening>,
    next_happening: u64,
    pub(super) core: Core,
    pub(super) agents: Vec<Agent>,
    pub(super) connections: BTreeMap<Epoch, Connection>,
    pub(super) books: Books,
    pub(super) pace: Pace,
    pub(super) shares: Shares,
    pub(super) full_load: FullLoad,
    pub(super) trace: Trace,
    pub(super) stats: Stats,
    /// The core's deadline and the place of its timer in the queue.
    timer: Option<(Nanos, (Nanos, u64))>,
    pub(super) is_auditing: bool,
    pub(super) healed_at: Option<Nanos>,
    pub(super) retired_at: Nanos,
    /// The call that the present input acknowledges.
    pub(super) acked: Option<Acked>,
    /// The present input answers no call in flight.
    pub(super) is_unexpected: bool,
    /// The present input answers a call.
    pub(super) is_answer: bool,
    /// The present input tells of a suspension.
    pub(super) is_waking: bool,
    /// Connections that got a call in this step.
    pub(super) sent_to: Vec<Epoch>,
}

impl World {
    pub(super) fn new(scenario: Scenario, rng: fastrand::Rng, prints: bool) -> Self {
        let settings = &scenario.settings;
        Self {
            rng,
            now: 0,
            queue: BTreeMap::new(),
            next_happening: 0,
            core: Core::new(settings.clone(), scenario.core_seed),
            agents: scenario.agents.iter().copied().map(Agent::new).collect(),
            connections: BTreeMap::new(),
            books: Books::new(settings, scenario.is_calm()),
            pace: Pace::new(settings),
            shares: Shares::new(&settings.agents, settings.selection),
            full_load: FullLoad::default(),
            trace: Trace::new(prints),
            stats: Stats::default(),
            timer: None,
            is_auditing: false,
            healed_at: None,
            retired_at: 0,
            acked: None,
            is_unexpected: false,
            is_answer: false,
            is_waking: false,
            sent_to: Vec::new(),
            scenario,
        }
    }

    pub(super) fn run(&mut self) -> Check {
        self.plan();
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            self.now = at;
            self.stats.happenings += 1;
            if matches!(happening, Happening::End) {
                break;
            }
            ensure(
                self.stats.happenings < HAPPENINGS_MAX,
                "runaway",
                String::new,
            )?;
            self.handle(happening)?;
            if self.rng.f64() < self.scenario.spurious_ticks {
                self.step(Input::Tick)?;
            }
            if self.healed_at.is_some() && self.books.pending().0 == 0 && !self.books.abandoned {
                break;
            }
        }
        self.finish()
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

    /// Sets the timer to the core's deadline; it fires a little late, as timers do.
    pub(super) fn arm_timer(&mut self) -> Check {
        let deadline = self.core.deadline().map(|at| at.as_nanos() as u64);
        if self.timer.map(|(armed, _)| armed) == deadline {
            return Ok(());
        }
        if let Some((_, key)) = self.timer.take() {
            self.queue.remove(&key);
        }
        if let Some(deadline) = deadline {
            ensure(deadline > self.now, "deadline in the past", || {
                format!("{deadline} at {}", self.now)
            })?;
            let late = self.rng.u64(0..=self.scenario.late_max);
            let key = self.schedule(deadline + late, Happening::Timer);
            self.timer = Some((deadline, key));
        }
        Ok(())
    }

    fn plan(&mut self) {
        for (episode, span) in self.scenario.episodes.clone().into_iter().enumerate() {
            self.schedule(span.from, Happening::Load { episode });
            if self.scenario.kind == Kind::Storm {
                self.schedule(span.from, Happening::Storm { episode });
            }
        }
        if self.scenario.kind == Kind::FullLoad {
            self.plan_full_load();
            return;
        }
        if self.scenario.kind == Kind::Outage {
            for agent in &mut self.agents {
                agent.suffer(Fault::Refuse, self.scenario.heal_at);
                self.stats.count(Fault::Refuse);
            }
        }
        self.schedule(self.scenario.heal_at, Happening::Heal);
        if let Some(at) = self.scenario.abandon_at {
            self.schedule(at, Happening::Abandon);
        }
    }

    fn handle(&mut self, happening: Happening) -> Check {
        match happening {
            Happening::Timer => {
                self.timer = None;
                self.trace.note(self.now, "timer", []);
                self.step(Input::Tick)
            }
            Happening::Load { episode } => self.on_load(episode),
            Happening::Look => self.on_look(),
            Happening::Storm { episode } => self.on_storm(episode),
            Happening::Heal => self.on_heal(),
            Happening::Abandon => self.on_abandon(),
            Happening::End => Ok(()),
            Happening::Audit { again } => self.on_audit(again),
            Happening::Syn { epoch } => {
                self.on_syn(epoch);
                Ok(())
            }
            Happening::Hello { epoch } => {
                self.on_hello(epoch);
                Ok(())
            }
            Happening::Request { call } => {
                self.on_request(call);
                Ok(())
            }
            Happening::Served { call, incarnation } => self.on_served(call, incarnation),
            Happening::Heard { epoch, heard } => self.on_heard(epoch, heard),
        }
    }

    fn on_storm(&mut self, episode: usize) -> Check {
        let span = self.scenario.episodes[episode];
        let fault = Fault::SCHEDULED[self.rng.usize(0..Fault::SCHEDULED.len())];
        let until = self.now + fault::duration(&mut self.rng);
        if self.rng.u32(0..4) == 0 {
            for agent in 0..self.agents.len() {
                self.strike(agent, fault, until)?;
            }
        } else {
            let agent = self.rng.usize(0..self.agents.len());
            self.strike(agent, fault, until)?;
        }
        let next = self.now + self.rng.u64(0..=2 * span.fault_gap);
        if next < span.until && self.healed_at.is_none() {
            self.schedule(next, Happening::Storm { episode });
        }
        Ok(())
    }

    fn on_heal(&mut self) -> Check {
        self.trace.note(self.now, "heal", []);
        self.healed_at = Some(self.now);
        for agent in 0..self.agents.len() {
            self.agents[agent].heal();
            self.pump(agent);
        }
        if self.books.abandoned {
            return Ok(());
        }
        for level in self.scenario.levels.clone() {
            let events = self.rng.usize(1..20);
            self.append(level, events)?;
        }
        Ok(())
    }

    fn on_abandon(&mut self) -> Check {
        self.trace.note(self.now, "abandon", []);
        let mut levels = self.scenario.levels.clone();
        while let Some(level) = levels.pop() {
            self.books.abandon(level);
            self.books.abandoned = levels.is_empty();
            self.step(Input::Abandon { level })?;
        }
        let (events, _) = self.books.pending();
        ensure(events == 0, "abandoned and kept", || {
            format!("{events} events")
        })?;
        self.schedule(self.now + MINUTE, Happening::End);
        Ok(())
    }

    fn finish(&mut self) -> Check {
        let (events, _) = self.books.pending();
        if events > 0 {
            return broken(
                "stuck",
                format!("{events} events pend and nothing will happen"),
            );
        }
        if self.scenario.kind == Kind::Outage {
            self.pace.check_spread()?;
        }
        let counters = self.core.counters();
        self.stats.seeds = 1;
        self.stats.simulated = self.now.max(SECOND);
        self.stats.accepted = counters.accepted;
        self.stats.delivered = counters.delivered;
        self.stats.lost = counters.retired() - counters.delivered;
        self.stats.batches = counters.batches;
        self.stats.retries = counters.retries;
        self.stats.connects = counters.connects;
        self.stats.duplicates = self.books.duplicates();
        Ok(())
    }
}
