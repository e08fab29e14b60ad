//! Delivery into one real Flume 1.11: our client, Java's, and the replay, in turn.

use std::time::{Duration, Instant};

use flume_client::{Client, Event};
use flume_tests::{ClientType, JavaSdk, RealFlume, SdkRun, Version, median};

use crate::{cpu, replay};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const BODY_BYTES: usize = 200;
/// Rounds in each Java process; the last one counts, when its compiler has done its work.
const JAVA_ROUNDS: usize = 4;

/// One way to deliver, and what each round of it gave.
struct Contender {
    name: &'static str,
    batch: usize,
    kind: Kind,
    rates: Vec<f64>,
    cpu_micros: Vec<f64>,
    note: String,
}

#[derive(Clone, Copy)]
enum Kind {
    Replay { window: usize },
    Ours,
    Java { threads: usize },
}

/// Runs all contenders in turn, `rounds` times, and prints the table.
pub(crate) fn run(events: u64, rounds: usize) -> Result<()> {
    let agent = RealFlume::builder(Version::V1_11)
        .capacity(100_000)
        .transaction_capacity(10_000)
        .sink_batch(1_000)
        .start()?;
    let mut contenders = [
        Contender::new("ours, defaults", 100, Kind::Ours),
        Contender::new("Java SDK, defaults", 100, Kind::Java { threads: 1 }),
        Contender::new("replay, window 1", 100, Kind::Replay { window: 1 }),
        Contender::new("replay, window 4", 100, Kind::Replay { window: 4 }),
        Contender::new("replay, window 16", 100, Kind::Replay { window: 16 }),
        Contender::new("ours, batch 1,000", 1_000, Kind::Ours),
        Contender::new("Java SDK, 4 threads", 1_000, Kind::Java { threads: 4 }),
        Contender::new("replay, window 4", 1_000, Kind::Replay { window: 4 }),
    ];
    // The agent's own compiler needs some load before its rate is steady.
    replay::run(agent.addr(), &event(0), 100, 60_000, 4)?;
    for round in 0..rounds {
        for contender in &mut contenders {
            let (rate, micros) = contender.measure(&agent, events)?;
            eprintln!(
                "round {round}: {:<22} {rate:>10.0}/s {micros:>6.2} us",
                contender.name
            );
            contender.rates.push(rate);
            contender.cpu_micros.push(micros);
        }
    }
    print(&mut contenders, events, rounds);
    Ok(())
}

impl Contender {
    fn new(name: &'static str, batch: usize, kind: Kind) -> Self {
        let (rates, cpu_micros) = (Vec::new(), Vec::new());
        Self {
            name,
            batch,
            kind,
            rates,
            cpu_micros,
            note: String::new(),
        }
    }

    /// Events per second, and microseconds of the sender's CPU per event.
    fn measure(&mut self, agent: &RealFlume, events: u64) -> Result<(f64, f64)> {
        let (seconds, cpu_seconds) = match self.kind {
            Kind::Java { threads } => self.java(agent, events, threads)?,
            Kind::Ours => timed(|| self.ours(agent, events))?,
            Kind::Replay { window } => timed(|| {
                let batches = events as usize / self.batch;
                let refused = replay::run(agent.addr(), &event(0), self.batch, batches, window)?;
                self.note = format!("{refused} batches refused");
                Ok(())
            })?,
        };
        Ok((events as f64 / seconds, cpu_seconds / events as f64 * 1e6))
    }

    fn ours(&mut self, agent: &RealFlume, events: u64) -> Result<()> {
        let client = Client::builder()
            .agent(agent.url())
            .batch_events(self.batch as u32)
            // So that the number of events bounds the batch, as in Java's client.
            .batch_bytes(1024 * 1024)
            .build()?;
        for number in 0..events {
            drop(client.append_within(event(number), Duration::from_secs(20))?);
        }
        let report = client.flush(Duration::from_secs(20)).wait();
        let stats = client.stats();
        report?;
        let windows = stats
            .agents
            .iter()
            .map(|agent| (agent.window, agent.window_peak));
        let (window, peak) = windows.max().unwrap_or_default();
        self.note = format!(
            "window {window} (peak {peak}), {} retries",
            stats.batches_retried
        );
        Ok(())
    }

    fn java(&mut self, agent: &RealFlume, events: u64, threads: usize) -> Result<(f64, f64)> {
        let run = SdkRun {
            client_type: ClientType::Default,
            batch: self.batch,
            threads,
            events,
            body_bytes: BODY_BYTES,
            rounds: JAVA_ROUNDS,
            ..SdkRun::to(&[agent.addr()])
        };
        let rounds = JavaSdk::run(Version::V1_11, &run)?;
        let last = rounds.last().ok_or("Java's client ran no round")?;
        self.note = format!("{} retries", last.retries);
        Ok((last.seconds, last.cpu_seconds))
    }
}

/// The same event as the Java program's: a numbered body and two headers.
pub(crate) fn event(number: u64) -> Event {
    let mut body = [b'x'; BODY_BYTES];
    for (place, digit) in body.iter_mut().take(12).rev().zip(digits(number)) {
        *place = digit;
    }
    Event::new(body)
        .header("host", "web-1")
        .header("timestamp", "1700000000000")
}

fn digits(mut number: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let digit = b'0' + (number % 10) as u8;
        number /= 10;
        Some(digit)
    })
    .take(12)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<(f64, f64)> {
    let (started, cpu) = (Instant::now(), cpu::seconds());
    work()?;
    Ok((started.elapsed().as_secs_f64(), cpu::seconds() - cpu))
}

fn print(contenders: &mut [Contender], events: u64, rounds: usize) {
    println!(
        "\nDelivery of {events} events of {BODY_BYTES} bytes with two headers into one real Flume \
         1.11.0\n(memory channel, null sink), median of {rounds} rounds; sender and agent share \
         the machine"
    );
    println!(
        "{:<22} {:>6} {:>12} {:>10} {:>12} {:>15}",
        "", "batch", "events/s", "CPU us/ev", "ours / this", "CPU this / ours"
    );
    for batch in [100, 1_000] {
        let mut same: Vec<_> = contenders.iter_mut().filter(|c| c.batch == batch).collect();
        let mut ours = (f64::NAN, f64::NAN);
        for contender in &mut same {
            let rate = median(&mut contender.rates);
            let micros = median(&mut contender.cpu_micros);
            if matches!(contender.kind, Kind::Ours) {
                ours = (rate, micros);
            }
            println!(
                "{:<22} {:>6} {:>12.0} {:>10.2} {:>11.2}x {:>14.2}x  {}",
                contender.name,
                contender.batch,
                rate,
                micros,
                ours.0 / rate,
                micros / ours.1,
                contender.note
            );
        }
    }
}
