//! [`Net`]: agents, and the network before them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use fastrand::Rng;
use flume_client::delivery::{AgentId, Batch, CallId};
use flume_client::hallway::{Agents, Said};

use super::book::Book;
use super::time::SimClock;

/// How an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    /// Nobody listens.
    Down,
    /// It says nothing.
    Mute,
    /// It refuses every batch.
    Refusing,
    /// It stores or does not, and answers or hangs up.
    Flaky,
    /// It takes no bytes.
    Full,
}

#[derive(Debug)]
struct Link {
    agent: usize,
    /// In order of time.
    arrivals: VecDeque<(Duration, Said)>,
    waker: Option<Waker>,
    has_ended: bool,
    /// Bytes that it does not take wait.
    is_stalled: bool,
    /// Calls that are not answered, with their events.
    calls: BTreeMap<CallId, Vec<usize>>,
}

pub(super) struct Net {
    clock: Arc<SimClock>,
    book: Arc<Mutex<Book>>,
    random: Rng,
    moods: Vec<Mood>,
    latency: Duration,
    links: BTreeMap<u64, Link>,
    /// Connections of processes that have ended.
    generation: u64,
    /// Attempts, connections, batches and answers that went wrong, each once.
    pub(super) faults: u64,
    /// What agents saw, if somebody wants to know.
    pub(super) trace: Option<Vec<String>>,
}

impl Net {
    pub(super) fn new(
        clock: Arc<SimClock>,
        book: Arc<Mutex<Book>>,
        seed: u64,
        agents: usize,
    ) -> Self {
        let mut random = Rng::with_seed(seed);
        let latency = Duration::from_micros(random.u64(20..20_000));
        Self {
            clock,
            book,
            random,
            moods: vec![Mood::Good; agents],
            latency,
            links: BTreeMap::new(),
            generation: 0,
            faults: 0,
            trace: None,
        }
    }

    fn note(&mut self, what: fmt::Arguments<'_>) {
        let now = self.clock.elapsed();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:?} {what}"));
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_mood(&mut self, agent: usize, mood: Mood) {
        self.moods[agent] = mood;
        if mood == Mood::Down {
            self.hang_up(agent);
        }
        for link in self.links.values_mut().filter(|it| it.agent == agent) {
            link.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn heal(&mut self) {
        for agent in 0..self.moods.len() {
            self.set_mood(agent, Mood::Good);
        }
    }

    /// An agent ends all its connections.
    pub(super) fn hang_up(&mut self, agent: usize) {
        let at = self.clock.elapsed() + self.latency;
        for link in self.links.values_mut().filter(|it| it.agent == agent) {
            self.faults += u64::from(!link.has_ended);
            link.say(at, Said::Ended);
        }
    }

    /// When something arrives next.
    pub(super) fn next_arrival(&self) -> Option<Duration> {
        let links = self.links.values().filter(|it| it.waker.is_some());
        links.filter_map(|it| Some(it.arrivals.front()?.0)).min()
    }

    /// Wakes those for whom something has arrived.
    pub(super) fn arrive(&mut self) {
        let now = self.clock.elapsed();
        for link in self.links.values_mut() {
            if link.arrivals.front().is_some_and(|(at, _)| *at <= now) {
                link.waker.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    /// The process that had the connections has ended.
    pub(super) fn end_process(&mut self) {
        self.links.clear();
        self.generation += 1;
    }

    fn key(&self, link: u64) -> u64 {
        self.generation << 32 | link
    }
}

impl Link {
    fn say(&mut self, at: Duration, said: Said) {
        self.has_ended |= matches!(said, Said::Ended);
        let last = self.arrivals.back().map_or(Duration::ZERO, |(at, _)| *at);
        self.arrivals.push_back((at.max(last), said));
    }
}

impl Agents for Net {
    fn connect(&mut self, agent: AgentId, link: u64) {
        let agent = agent.index();
        self.note(format_args!("connection {link} to agent {agent}"));
        self.faults += u64::from(matches!(self.moods[agent], Mood::Down | Mood::Mute));
        let mut made = Link {
            agent,
            arrivals: VecDeque::new(),
            waker: None,
            has_ended: false,
            is_stalled: false,
            calls: BTreeMap::new(),
        };
        let at = self.clock.elapsed() + self.latency;
        match self.moods[agent] {
            Mood::Down => made.say(at, Said::Ended),
            Mood::Mute => {}
            _ => {
                made.say(at, Said::Connected);
                made.say(at + self.latency, Said::Opened);
            }
        }
        self.links.insert(self.key(link), made);
    }

    fn close(&mut self, link: u64) {
        self.note(format_args!("connection {link} is closed"));
        if let Some(link) = self.links.remove(&self.key(link)) {
            let mut book = self.book();
            link.calls.values().for_each(|ids| book.excuse(ids));
        }
    }

    fn takes_bytes(&mut self, link: u64, waker: &Waker) -> bool {
        let key = self.key(link);
        let Some(link) = self.links.get_mut(&key) else {
            return false;
        };
        let is_full = self.moods[link.agent] == Mood::Full;
        self.faults += u64::from(is_full && !link.is_stalled);
        link.is_stalled = is_full;
        if is_full {
            link.waker = Some(waker.clone());
        }
        !is_full
    }

    fn receive(&mut self, link: u64, call: CallId, batch: Batch, datums: Vec<u8>) {
        self.note(format_args!("connection {link}, call {call:?}: {batch:?}"));
        let ids = self.book().receive(&batch, &datums);
        let key = self.key(link);
        let service = Duration::from_micros(self.random.u64(10..3_000));
        let at = self.clock.elapsed() + self.latency * 2 + service;
        let Some(link) = self.links.get_mut(&key) else {
            return;
        };
        link.calls.insert(call, ids.clone());
        let mood = self.moods[link.agent];
        let (stores, answers) = match mood {
            Mood::Good | Mood::Full => (true, Some(true)),
            Mood::Refusing => (false, Some(false)),
            Mood::Down | Mood::Mute => (self.random.bool(), None),
            Mood::Flaky => match self.random.u32(0..5) {
                0 => (true, Some(false)),
                1 => (false, Some(false)),
                2 => (self.random.bool(), None),
                _ => (true, Some(true)),
            },
        };
        self.faults += u64::from(answers != Some(true));
        match answers {
            Some(committed) => link.say(at, Said::Answered { call, committed }),
            None if mood == Mood::Flaky => link.say(at, Said::Ended),
            None => {}
        }
        if stores {
            self.book().store(&ids);
        }
    }

    fn poll(&mut self, link: u64, waker: &Waker) -> Option<Said> {
        let (key, now) = (self.key(link), self.clock.elapsed());
        let link = self.links.get_mut(&key)?;
        let has_arrived = link.arrivals.front().is_some_and(|(at, _)| *at <= now);
        if !has_arrived {
            link.waker = Some(waker.clone());
            return None;
        }
        let (_, said) = link.arrivals.pop_front()?;
        let agent = link.agent;
        if let Said::Answered { call, committed } = said
            && let Some(ids) = link.calls.remove(&call)
        {
            let mut book = self.book();
            match committed {
                true => book.hear(now, &ids),
                false => book.excuse(&ids),
            }
        }
        self.note(format_args!("agent {agent} says {said:?}"));
        Some(said)
    }
}
