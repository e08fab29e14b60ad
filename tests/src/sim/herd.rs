//! Many clients lose one agent at the same moment, and must not come back at the same moment.

use std::collections::BTreeMap;
use std::time::Duration;

use flume_client::Reliability;
use flume_client::delivery::{
    Answer, Backoff, CallId, Core, Ending, Input, Output, Rank, Selection, Settings, WindowMode,
};

use super::stats::{Run, Stats};
use super::time::{MS, Nanos, SECOND};
use super::violation::{Violation, ensure};

const CLIENTS: usize = 1_000;
const CUT_AT: Nanos = SECOND;
const BACK_AT: Nanos = CUT_AT + 600 * SECOND;
/// From here on the first, short rests are over.
const SPREAD_FROM: Nanos = CUT_AT + 60 * SECOND;
/// The longest rest, and what an attempt takes.
const RECOVERED_BY: Nanos = BACK_AT + 31 * SECOND;
/// Attempts within 100 ms: full jitter under a cap of 30 s gives 6.7 in the mean, and chance more than
/// this once in a million such runs.
const PEAK_MAX: u64 = 32;
const TRAVEL: Nanos = MS;

#[derive(Clone, Copy, Debug)]
enum Message {
    Append,
    Closed(u64),
    Connected(u64),
    Opened(u64),
    Replied(u64, CallId),
    Tick,
}

#[derive(Debug)]
struct Client {
    core: Core,
    epoch: u64,
    timer: Option<(Nanos, u64)>,
    delivered_at: Nanos,
}

#[derive(Debug)]
struct Herd {
    now: Nanos,
    clients: Vec<Client>,
    queue: BTreeMap<(Nanos, u64), (usize, Message)>,
    next_message: u64,
    /// Attempts for each 100 ms.
    attempts: BTreeMap<Nanos, u64>,
    stats: Stats,
}

/// How the clients came back.
#[derive(Clone, Copy, Debug)]
pub struct Return {
    /// The largest share of the clients that connected within 100 ms, from the agent's return on.
    pub peak: f64,
    /// When all but one in a hundred had delivered, since then.
    pub p99: Duration,
}

/// Lets a thousand clients lose one agent for ten minutes.
#[must_use]
pub fn come_back(seed: u64) -> Return {
    let mut herd = gather(&mut fastrand::Rng::with_seed(seed));
    herd.run();
    let returning = herd.attempts.range(BACK_AT / (100 * MS)..);
    let peak = returning.map(|(_, attempts)| *attempts).max();
    let delivered = herd.clients.iter().map(|client| client.delivered_at);
    let mut delivered: Vec<Nanos> = delivered.collect();
    delivered.sort_unstable();
    let p99 = delivered[CLIENTS * 99 / 100] - BACK_AT;
    Return {
        peak: peak.unwrap_or_default() as f64 / CLIENTS as f64,
        p99: Duration::from_nanos(p99),
    }
}

pub(super) fn run(rng: &mut fastrand::Rng) -> Result<Run, Violation> {
    let mut herd = gather(rng);
    herd.run();
    herd.check()
}

fn gather(rng: &mut fastrand::Rng) -> Herd {
    let settings = Settings {
        agents: Rank::in_order(1),
        selection: Selection::Failover,
        connections: 1,
        batch_events_max: 100,
        batch_bytes_max: 64 << 10,
        linger: Duration::from_millis(20),
        window: WindowMode::ADAPTIVE,
        connect_timeout: Duration::from_secs(5),
        greeting_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(20),
        backoff: Backoff::default(),
    };
    let client = |_| Client {
        core: Core::new(settings.clone(), rng.u64(..)),
        epoch: 0,
        timer: None,
        delivered_at: 0,
    };
    Herd {
        now: 0,
        clients: (0..CLIENTS).map(client).collect(),
        queue: BTreeMap::new(),
        next_message: 0,
        attempts: BTreeMap::new(),
        stats: Stats::default(),
    }
}

impl Herd {
    fn run(&mut self) {
        for client in 0..CLIENTS {
            self.schedule(0, client, Message::Append);
            self.schedule(CUT_AT, client, Message::Closed(u64::MAX));
            self.schedule(CUT_AT, client, Message::Append);
        }
        while let Some(((at, _), (client, message))) = self.queue.pop_first() {
            self.now = at;
            self.stats.happenings += 1;
            self.step(client, message);
        }
    }

    fn schedule(&mut self, at: Nanos, client: usize, message: Message) -> (Nanos, u64) {
        let key = (at, self.next_message);
        self.next_message += 1;
        self.queue.insert(key, (client, message));
        key
    }

    fn step(&mut self, index: usize, message: Message) {
        let client = &mut self.clients[index];
        let current = client.epoch;
        let input = match message {
            Message::Append => Input::Append {
                level: Reliability::InMemory,
                ends: &[100],
            },
            Message::Closed(epoch) => Input::Closed {
                epoch: epoch.min(current),
                unsent_from: None,
                ending: Ending::Broken,
            },
            Message::Connected(epoch) => Input::Connected { epoch },
            Message::Opened(epoch) => Input::Opened { epoch },
            Message::Replied(epoch, call) => Input::Replied {
                epoch,
                call,
                answer: Answer::Committed,
            },
            Message::Tick => {
                client.timer = None;
                Input::Tick
            }
        };
        self.stats.steps += 1;
        client.core.step(Duration::from_nanos(self.now), input);
        while let Some(output) = self.clients[index].core.next_output() {
            self.execute(index, output);
        }
        let client = &mut self.clients[index];
        let deadline = client.core.deadline().map(|at| at.as_nanos() as u64);
        if let Some(key) = client.timer.take() {
            self.queue.remove(&key);
        }
        if let Some(deadline) = deadline {
            let key = self.schedule(deadline, index, Message::Tick);
            self.clients[index].timer = Some(key);
        }
    }

    fn execute(&mut self, index: usize, output: Output) {
        let at = self.now + TRAVEL;
        match output {
            Output::Connect { epoch, .. } => {
                self.clients[index].epoch = epoch;
                *self.attempts.entry(self.now / (100 * MS)).or_default() += 1;
                if (CUT_AT..BACK_AT).contains(&self.now) {
                    self.schedule(at, index, Message::Closed(epoch));
                } else {
                    self.schedule(at, index, Message::Connected(epoch));
                    self.schedule(at + TRAVEL, index, Message::Opened(epoch));
                }
            }
            Output::Send { epoch, call, .. } => {
                self.schedule(at, index, Message::Replied(epoch, call));
            }
            Output::Retire { .. } => self.clients[index].delivered_at = self.now,
            Output::Disconnect { .. } | Output::Drain { .. } => {}
        }
    }

    fn check(mut self) -> Result<Run, Violation> {
        let spread = SPREAD_FROM / (100 * MS)..;
        let peak = self.attempts.range(spread).map(|(_, attempts)| *attempts);
        let peak = peak.max().unwrap_or_default();
        ensure(peak <= PEAK_MAX, "herd", || {
            format!("{peak} of {CLIENTS} clients connect within 100 ms")
        })?;
        let last = self.clients.iter().map(|client| client.delivered_at).max();
        let last = last.unwrap_or_default();
        ensure(last <= RECOVERED_BY, "herd recovers late", || {
            format!("{} s after the agent came back", (last - BACK_AT) / SECOND)
        })?;
        let pending = self
            .clients
            .iter()
            .map(|client| client.core.pending_events());
        ensure(pending.sum::<u64>() == 0, "stuck", || "in a herd".into())?;
        self.stats.seeds = 1;
        self.stats.simulated = self.now;
        let hash = self.attempts.iter().fold(0, |hash: u64, (at, attempts)| {
            (hash ^ at ^ (attempts << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        Ok(Run {
            stats: self.stats,
            hash,
        })
    }
}
