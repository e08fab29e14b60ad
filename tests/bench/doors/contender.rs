//! [`Contender`]: one way to deliver, and what each round of it gave.

use flume_client::{Client, ClientBuilder, Overflow, Reliability};
use flume_tests::{ClientType, SdkRun};

use crate::agents::{Agent, Source};
use crate::contest::table::{Row, Who};
use crate::contest::{self, Figures, PATIENCE, Result, Round, timed};
use crate::event::{HEADERS, body};
use crate::replays::Replay;

/// One way to deliver, and what each round of it gave.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
    batch: usize,
    pub(crate) kind: Kind,
    figures: Figures,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The same bytes again and again, so many batches at once.
    Replay {
        window: usize,
    },
    /// Our client with its defaults, of which a row of each batch size may be the measure of others.
    Ours,
    Java {
        threads: usize,
    },
}

impl Contender {
    pub(crate) fn new(name: &'static str, source: Source, batch: usize, kind: Kind) -> Self {
        Self {
            name,
            source,
            batch,
            kind,
            figures: Figures::default(),
        }
    }

    /// A round of so many events.
    pub(crate) fn measure(&mut self, agent: &Agent, events: u64) -> Result<()> {
        let round = self.time(agent, events)?;
        let (version, name, batch) = (agent.flume.version(), self.name, self.batch);
        let whose = format!("{version}: {name:<24} {batch:>6}");
        self.figures.add(&whose, events, &round);
        Ok(())
    }

    /// A round that does not count.
    pub(crate) fn warm_up(&mut self, agent: &Agent, events: u64) -> Result<()> {
        self.time(agent, events).map(drop)
    }

    fn time(&mut self, agent: &Agent, events: u64) -> Result<Round> {
        match self.kind {
            Kind::Java { threads } => self.java(agent, events, threads),
            Kind::Ours => timed(|| self.ours(agent.client(), events)),
            Kind::Replay { window } => {
                let replay = Replay::of(self.source, self.batch)?;
                let batches = events as usize / self.batch;
                timed(|| replay.run(agent.flume.addr(), batches, window))
            }
        }
    }

    fn ours(&mut self, builder: ClientBuilder, events: u64) -> Result<()> {
        let client: Client = builder
            .batch_events(self.batch as u32)
            // So that the number of events bounds the batch, as in Java's client.
            .batch_bytes(1024 * 1024)
            .reliability(Reliability::InMemory)
            .overflow(Overflow::Block(PATIENCE))
            .build()?;
        for number in 0..events {
            client.send_parts(&HEADERS, &body(number))?;
        }
        client.flush(PATIENCE).wait()?;
        let stats = client.stats();
        let windows = stats.agents.iter();
        let peak = windows.map(|agent| agent.window_peak).max();
        self.figures.note = format!(
            "window up to {}, {} retries, {} lost",
            peak.unwrap_or_default(),
            stats.batches_retried,
            stats.lost.total()
        );
        Ok(())
    }

    fn java(&mut self, agent: &Agent, events: u64, threads: usize) -> Result<Round> {
        let client_type = match self.source {
            Source::Thrift => ClientType::Thrift,
            _ => ClientType::Default,
        };
        let run = SdkRun {
            client_type,
            batch: self.batch,
            threads,
            events,
            settings: agent.java_settings(),
            ..SdkRun::to(&[agent.flume.addr()])
        };
        let (round, note) = contest::java(agent.flume.version(), run)?;
        self.figures.note = note;
        Ok(round)
    }

    pub(crate) fn into_row(self) -> Row {
        let who = match self.kind {
            Kind::Ours => Who::Ours,
            Kind::Java { .. } => Who::Java,
            Kind::Replay { .. } => Who::Replay,
        };
        self.figures.into_row(self.name, self.batch, who)
    }
}
