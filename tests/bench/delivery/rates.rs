//! Delivery into a real Flume: our client, Java's, and the replay of the bytes that ours sends, in
//! turn.

use flume_client::{Client, Event, Overflow, Reliability};
use flume_tests::{ClientType, RealFlume, SdkRun, Version};

use crate::contest::table::{self, Row, Who};
use crate::contest::{self, Figures, PATIENCE, Plan, Result, Round, timed};
use crate::event::{BODY_BYTES, HEADERS, body, event};
use crate::replay;

/// One way to deliver, and what each round of it gave.
struct Contender {
    name: &'static str,
    batch: usize,
    kind: Kind,
    figures: Figures,
}

#[derive(Clone, Copy)]
enum Kind {
    Replay { window: usize },
    Ours(Ours),
    Java { threads: usize },
}

/// Our client with the batch size of the row, and defaults beside what is said here.
#[derive(Clone, Copy)]
struct Ours {
    level: Reliability,
    adds_ids: bool,
    call: Call,
    connections: u32,
}

#[derive(Clone, Copy)]
enum Call {
    Append,
    SendParts,
}

/// Runs all ways to deliver in turn, as often as planned, against each version, and prints the tables.
pub(crate) fn run(plan: Plan) -> Result<()> {
    run_all(plan, ways)
}

/// The same with one connection to the agent and with several.
pub(crate) fn run_connections(plan: Plan) -> Result<()> {
    run_all(plan, connections)
}

fn run_all(plan: Plan, contenders: fn() -> Vec<Contender>) -> Result<()> {
    let events = plan.events;
    for version in Version::ALL {
        let agent = plan.start(contest::agent(version))?;
        let mut contenders = contenders();
        warm_up(version, &agent, &mut contenders, events)?;
        for round in 0..plan.rounds {
            for contender in &mut contenders {
                let taken = contender.measure(version, &agent, events)?;
                let whose = format!("{version}, round {round}: {:<28}", contender.name);
                contender.figures.add(&whose, events, &taken);
            }
        }
        println!(
            "\nDelivery of {events} events of {BODY_BYTES} bytes with two headers into one real \
             Flume {version}\n(memory channel), {plan}"
        );
        let rows: Vec<_> = contenders.into_iter().map(Contender::into_row).collect();
        table::print(&rows);
    }
    Ok(())
}

/// The agent's own compiler needs some load before its rate is steady, of each kind that is measured.
/// Java's client warms itself up, and is the slowest.
fn warm_up(
    version: Version,
    agent: &RealFlume,
    contenders: &mut [Contender],
    events: u64,
) -> Result<()> {
    replay::run(
        agent.addr(),
        &named(),
        100,
        60_000.min(events as usize / 10),
        4,
    )?;
    for contender in contenders {
        if !matches!(contender.kind, Kind::Java { .. }) {
            contender.measure(version, agent, events / 4)?;
        }
    }
    Ok(())
}

fn connections() -> Vec<Contender> {
    let ours = |connections| {
        Kind::Ours(Ours {
            level: Reliability::InMemory,
            adds_ids: true,
            call: Call::SendParts,
            connections,
        })
    };
    let of_size = |batch| {
        [
            ("1 connection", ours(1)),
            ("2 connections", ours(2)),
            ("4 connections", ours(4)),
            ("Java SDK, 4 threads", Kind::Java { threads: 4 }),
            ("replay, window 16", Kind::Replay { window: 16 }),
        ]
        .map(|(name, kind)| Contender::new(name, batch, kind))
    };
    [100, 1_000].into_iter().flat_map(of_size).collect()
}

fn ways() -> Vec<Contender> {
    let ours = |level, call| {
        Kind::Ours(Ours {
            level,
            adds_ids: true,
            call,
            connections: 1,
        })
    };
    let best_effort = Reliability::BestEffort;
    let without_ids = Kind::Ours(Ours {
        level: best_effort,
        adds_ids: false,
        call: Call::SendParts,
        connections: 1,
    });
    let mut all = Vec::new();
    for (batch, java, threads) in [
        (100, "Java SDK, defaults", 1),
        (1_000, "Java SDK, 4 threads", 4),
    ] {
        all.extend(
            [
                (
                    "in memory, append",
                    ours(Reliability::InMemory, Call::Append),
                ),
                (
                    "in memory, send_parts",
                    ours(Reliability::InMemory, Call::SendParts),
                ),
                (
                    "best effort, send_parts",
                    ours(best_effort, Call::SendParts),
                ),
                ("the same without ids", without_ids),
                (
                    "end to end, append",
                    ours(Reliability::EndToEnd, Call::Append),
                ),
                (
                    "end to end, send_parts",
                    ours(Reliability::EndToEnd, Call::SendParts),
                ),
                (java, Kind::Java { threads }),
                ("replay, window 1", Kind::Replay { window: 1 }),
                ("replay, window 4", Kind::Replay { window: 4 }),
                ("replay, window 16", Kind::Replay { window: 16 }),
            ]
            .map(|(name, kind)| Contender::new(name, batch, kind)),
        );
    }
    all
}

/// The event as our client sends it, its name among the headers.
fn named() -> Event {
    let id = format!("{:016x}-{:016x}", u64::MAX / 3, 0);
    let headers = [("guid", id.as_str())].into_iter().chain(HEADERS);
    Event::with_headers(body(0), headers)
}

impl Contender {
    fn new(name: &'static str, batch: usize, kind: Kind) -> Self {
        Self {
            name,
            batch,
            kind,
            figures: Figures::default(),
        }
    }

    fn measure(&mut self, version: Version, agent: &RealFlume, events: u64) -> Result<Round> {
        match self.kind {
            Kind::Java { threads } => self.java(version, agent, events, threads),
            Kind::Ours(ours) => timed(|| self.ours(ours, agent, events)),
            Kind::Replay { window } => timed(|| {
                let batches = events as usize / self.batch;
                let refused = replay::run(agent.addr(), &named(), self.batch, batches, window)?;
                self.figures.note = format!("{refused} batches refused");
                Ok(())
            }),
        }
    }

    fn ours(&mut self, ours: Ours, agent: &RealFlume, events: u64) -> Result<()> {
        let home = tempfile::tempdir()?;
        let builder = Client::builder()
            .agent(agent.url())
            .batch_events(self.batch as u32)
            // So that the number of events bounds the batch, as in Java's client.
            .batch_bytes(1024 * 1024)
            .event_ids(ours.adds_ids)
            .connections(ours.connections)
            .overflow(Overflow::Block(PATIENCE));
        let client = match ours.level {
            Reliability::EndToEnd => builder.spool(home.path()).build()?,
            level => builder.reliability(level).build()?,
        };
        for number in 0..events {
            match ours.call {
                Call::Append => drop(client.append(event(number))?),
                Call::SendParts => client.send_parts(&HEADERS, &body(number))?,
            }
        }
        client.flush(PATIENCE).wait()?;
        let stats = client.stats();
        let windows = stats.agents.iter();
        let windows = windows.map(|agent| (agent.window, agent.window_peak));
        let (window, peak) = windows.max().unwrap_or_default();
        let lost = stats.lost.total();
        self.figures.note = format!(
            "window {window} (peak {peak}), {} retries, {lost} lost",
            stats.batches_retried
        );
        Ok(())
    }

    fn java(
        &mut self,
        version: Version,
        agent: &RealFlume,
        events: u64,
        threads: usize,
    ) -> Result<Round> {
        let run = SdkRun {
            client_type: ClientType::Default,
            batch: self.batch,
            threads,
            events,
            ..SdkRun::to(&[agent.addr()])
        };
        let (round, note) = contest::java(version, run)?;
        self.figures.note = note;
        Ok(round)
    }

    fn into_row(self) -> Row {
        let who = match self.kind {
            Kind::Ours(_) => Who::Ours,
            Kind::Java { .. } => Who::Java,
            Kind::Replay { .. } => Who::Replay,
        };
        self.figures.into_row(self.name, self.batch, who)
    }
}
