//! [`Contender`]: one way to deliver, and what each round of it gave.

use std::time::{Duration, Instant};

use flume_client::{Client, ClientBuilder, Overflow, Reliability};
use flume_tests::{ClientType, JavaSdk, SdkRun, Version, median};

use crate::agents::{Agent, Source};
use crate::cpu;
use crate::event::{BODY_BYTES, HEADERS, body};
use crate::replays::Replay;
use crate::result::Result;
use crate::table::Row;

/// Rounds in each Java process; the last one counts, when its compiler has done its work.
const JAVA_ROUNDS: usize = 4;
/// Longer than any wait for room.
const PATIENCE: Duration = Duration::from_secs(20);

/// One way to deliver, and what each round of it gave.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
    batch: usize,
    pub(crate) kind: Kind,
    rates: Vec<f64>,
    cpu_micros: Vec<f64>,
    note: String,
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
            rates: Vec::new(),
            cpu_micros: Vec::new(),
            note: String::new(),
        }
    }

    /// A round of so many events.
    pub(crate) fn measure(&mut self, agent: &Agent, events: u64) -> Result<()> {
        let (seconds, cpu_seconds) = self.time(agent, events)?;
        let (rate, micros) = (events as f64 / seconds, cpu_seconds / events as f64 * 1e6);
        eprintln!(
            "{}: {:<24} {:>6} {rate:>10.0}/s {micros:>6.2} us",
            agent.flume.version(),
            self.name,
            self.batch
        );
        self.rates.push(rate);
        self.cpu_micros.push(micros);
        Ok(())
    }

    /// A round that does not count.
    pub(crate) fn warm_up(&mut self, agent: &Agent, events: u64) -> Result<()> {
        self.time(agent, events).map(drop)
    }

    fn time(&mut self, agent: &Agent, events: u64) -> Result<(f64, f64)> {
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
        self.note = format!(
            "window up to {}, {} retries, {} lost",
            peak.unwrap_or_default(),
            stats.batches_retried,
            stats.lost.total()
        );
        Ok(())
    }

    fn java(&mut self, agent: &Agent, events: u64, threads: usize) -> Result<(f64, f64)> {
        let client_type = match self.source {
            Source::Thrift => ClientType::Thrift,
            _ => ClientType::Default,
        };
        let run = SdkRun {
            client_type,
            batch: self.batch,
            threads,
            events,
            body_bytes: BODY_BYTES,
            rounds: JAVA_ROUNDS,
            settings: agent.java_settings(),
            ..SdkRun::to(&[agent.flume.addr()])
        };
        let version: Version = agent.flume.version();
        let rounds = JavaSdk::run(version, &run)?;
        let last = rounds.last().ok_or("Java's client ran no round")?;
        self.note = format!("{} retries", last.retries);
        Ok((last.seconds, last.cpu_seconds))
    }

    pub(crate) fn into_row(mut self) -> Row {
        Row {
            name: self.name,
            batch: self.batch,
            is_java: matches!(self.kind, Kind::Java { .. }),
            is_replay: matches!(self.kind, Kind::Replay { .. }),
            rate: median(&mut self.rates),
            cpu_micros: median(&mut self.cpu_micros),
            note: self.note,
        }
    }
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<(f64, f64)> {
    let (started, cpu) = (Instant::now(), cpu::seconds());
    work()?;
    Ok((started.elapsed().as_secs_f64(), cpu::seconds() - cpu))
}
