//! What awaiting each event takes, against one real Flume 1.11: our client at its defaults beside
//! Java's, whose every call is awaited.

use std::fs::File;
use std::io::Write;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use flume_client::{Client, ClientBuilder};
use flume_tests::{RealFlume, Version, median};

use crate::contest::{self, Plan, Result, cpu};
use crate::event::event;
use crate::figures::Latency;
use crate::java;

const CALLERS: usize = 64;
/// Events of a measurement, over all callers; fewer if they take longer than [`TIME_MAX`].
const ONE_BY_ONE: u64 = 20_000;
const BY_MANY: u64 = 200_000;
const TIME_MAX: Duration = Duration::from_secs(4);
/// What comes before a measurement.
const WARM_UP: Duration = Duration::from_millis(500);
/// Longer than any event is on its way.
const PATIENCE: Duration = Duration::from_secs(20);
const SYNCS: usize = 300;
/// About what a commit of one event writes.
const SYNCED_BYTES: usize = 512;
/// A service that hardly logs.
const SLOW_EVENTS: u32 = 400;
const SLOW_PAUSE: Duration = Duration::from_millis(50);

/// The figures of a row, one of each round.
struct Row {
    name: &'static str,
    measure: Measure,
    rounds: Vec<Latency>,
}

#[derive(Clone, Copy)]
enum Measure {
    Threads { callers: usize, is_stored: bool },
    Tasks,
    Java { threads: usize },
    Sync,
}

/// Takes all measures in turn, `rounds` times, and prints the table with what was to be reached.
pub(crate) fn run(plan: Plan) -> Result<()> {
    let agent = plan.start(contest::agent(Version::V1_11))?;
    // The agent's own compiler needs some load before its times are steady.
    java::run(agent.addr(), 4, BY_MANY)?;
    let threads = |callers, is_stored| Measure::Threads { callers, is_stored };
    let mut rows = [
        ("one caller, in memory", threads(1, false)),
        ("one caller, end to end", threads(1, true)),
        ("one caller, Java SDK", Measure::Java { threads: 1 }),
        ("fdatasync of 512 bytes", Measure::Sync),
        ("64 threads, in memory", threads(CALLERS, false)),
        ("64 tasks, in memory", Measure::Tasks),
        ("64 threads, end to end", threads(CALLERS, true)),
        ("64 threads, Java SDK", Measure::Java { threads: CALLERS }),
    ]
    .map(|(name, measure)| Row {
        name,
        measure,
        rounds: Vec::new(),
    });
    for round in 0..plan.rounds {
        for row in &mut rows {
            let latency = row.measure.take(&agent)?;
            eprintln!("round {round}: {:<24} p50 {:.0} us", row.name, latency.p50);
            row.rounds.push(latency);
        }
    }
    println!(
        "\nEvents of 200 bytes with two headers, each awaited before its caller's next, into one \
         real Flume 1.11.0\n(memory channel), both clients at their defaults, {plan}"
    );
    println!(
        "{:<24} {:>10} {:>10} {:>10} {:>10}",
        "", "p50 us", "p99 us", "events/s", "CPU us/ev"
    );
    let figures = rows.map(|row| {
        let Latency {
            p50,
            p99,
            rate,
            cpu,
        } = row.median();
        println!(
            "{:<24} {p50:>10.0} {p99:>10.0} {rate:>10.0} {cpu:>10.2}",
            row.name
        );
        row.median()
    });
    print_goals(&figures);
    let micros = slow(&agent)?;
    println!("20 events a second that nobody awaits: {micros:.0} us of CPU per event");
    Ok(())
}

fn print_goals(figures: &[Latency; 8]) {
    let [memory, disk, java, sync, threads, tasks, _, java_threads] = figures;
    let goals = [
        ("in memory, p50 <= Java's", memory.p50, java.p50),
        ("in memory, p99 <= Java's", memory.p99, java.p99),
        (
            "end to end, p50 <= Java's + 1.3 fdatasync",
            disk.p50,
            java.p50 + 1.3 * sync.p50,
        ),
        (
            "end to end, p99 <= Java's + 1.3 fdatasync",
            disk.p99,
            java.p99 + 1.3 * sync.p99,
        ),
        ("64 threads, p99 <= Java's", threads.p99, java_threads.p99),
        ("64 tasks, p99 <= Java's", tasks.p99, java_threads.p99),
        (
            "64 threads, time of an event <= half of Java's",
            1e6 / threads.rate,
            1e6 / java_threads.rate / 2.0,
        ),
        (
            "64 tasks, time of an event <= half of Java's",
            1e6 / tasks.rate,
            1e6 / java_threads.rate / 2.0,
        ),
    ];
    for (name, ours, most) in goals {
        let word = if ours <= most { "reached" } else { "missed" };
        println!("{name:<48} {ours:>9.1} us, at most {most:>9.1} us: {word}");
    }
}

impl Row {
    fn median(&self) -> Latency {
        let of = |figure: fn(&Latency) -> f64| {
            let mut figures: Vec<_> = self.rounds.iter().map(figure).collect();
            median(&mut figures)
        };
        Latency {
            p50: of(|latency| latency.p50),
            p99: of(|latency| latency.p99),
            rate: of(|latency| latency.rate),
            cpu: of(|latency| latency.cpu),
        }
    }
}

impl Measure {
    fn take(self, agent: &RealFlume) -> Result<Latency> {
        let builder = Client::builder().agent(agent.url());
        match self {
            Self::Java { threads: 1 } => java::run(agent.addr(), 1, ONE_BY_ONE),
            Self::Java { threads } => java::run(agent.addr(), threads, BY_MANY),
            Self::Sync => syncs(),
            Self::Tasks => awaited(builder, tasks),
            Self::Threads { callers, is_stored } => {
                let home = tempfile::tempdir()?;
                let builder = match is_stored {
                    true => builder.spool(home.path()),
                    false => builder,
                };
                awaited(builder, |client, time_max| {
                    by_threads(client, callers, time_max)
                })
            }
        }
    }
}

/// Lets `calls` run twice, for a while and then measured; they say what each took.
fn awaited(
    builder: ClientBuilder,
    calls: impl Fn(&Client, Duration) -> Result<Vec<Duration>>,
) -> Result<Latency> {
    let client = builder.build()?;
    calls(&client, WARM_UP)?;
    let (started, cpu) = (Instant::now(), cpu::seconds());
    let taken = calls(&client, TIME_MAX)?;
    Ok(latency(taken, started.elapsed(), cpu::seconds() - cpu))
}

fn by_threads(client: &Client, callers: usize, time_max: Duration) -> Result<Vec<Duration>> {
    let started = Instant::now();
    let share = if callers == 1 {
        ONE_BY_ONE
    } else {
        BY_MANY / callers as u64
    };
    let caller = || -> std::result::Result<Vec<Duration>, String> {
        let mut taken = Vec::new();
        for number in (0..share).take_while(|_| started.elapsed() < time_max) {
            let event = event(number);
            let begun = Instant::now();
            let receipt = client.append(event).map_err(|error| error.to_string())?;
            let acknowledged = receipt.wait(PATIENCE);
            acknowledged.map_err(|error| error.to_string())?;
            taken.push(begun.elapsed());
        }
        Ok(taken)
    };
    let taken = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        let ended = threads.into_iter().map(ScopedJoinHandle::join);
        ended.collect::<thread::Result<Vec<_>>>()
    });
    let taken = taken.map_err(|_| "a caller has panicked")?;
    let taken = taken
        .into_iter()
        .collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(taken.concat())
}

fn tasks(client: &Client, time_max: Duration) -> Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let started = Instant::now();
    let caller = |client: Client| async move {
        let mut taken = Vec::new();
        for number in (0..BY_MANY / CALLERS as u64).take_while(|_| started.elapsed() < time_max) {
            let event = event(number);
            let begun = Instant::now();
            let receipt = client.append(event).map_err(|error| error.to_string())?;
            let acknowledged = receipt.delivered().await;
            acknowledged.map_err(|error| error.to_string())?;
            taken.push(begun.elapsed());
        }
        Ok::<_, String>(taken)
    };
    runtime.block_on(async {
        let tasks: Vec<_> = (0..CALLERS)
            .map(|_| tokio::spawn(caller(client.clone())))
            .collect();
        let mut taken = Vec::new();
        for task in tasks {
            taken.extend(task.await??);
        }
        Ok(taken)
    })
}

/// What the disk takes for itself, in a file whose blocks are there.
fn syncs() -> Result<Latency> {
    let home = tempfile::tempdir()?;
    let path = home.path().join("synced");
    let mut file = File::create(&path)?;
    file.write_all(&[0; SYNCS * SYNCED_BYTES])?;
    file.sync_all()?;
    let mut file = File::options().write(true).open(&path)?;
    let (started, cpu) = (Instant::now(), cpu::seconds());
    let mut taken = Vec::new();
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[1; SYNCED_BYTES])?;
        file.sync_data()?;
        taken.push(begun.elapsed());
    }
    Ok(latency(taken, started.elapsed(), cpu::seconds() - cpu))
}

/// Microseconds of CPU for each of few events that nobody waits for.
fn slow(agent: &RealFlume) -> Result<f64> {
    let client = Client::builder().agent(agent.url()).build()?;
    client.send(event(0))?;
    client.flush(PATIENCE).wait()?;
    let cpu = cpu::seconds();
    for number in 0..SLOW_EVENTS {
        client.send(event(u64::from(number)))?;
        thread::sleep(SLOW_PAUSE);
    }
    Ok((cpu::seconds() - cpu) * 1e6 / f64::from(SLOW_EVENTS))
}

fn latency(mut taken: Vec<Duration>, time: Duration, cpu_seconds: f64) -> Latency {
    taken.sort_unstable();
    let at = |percent: usize| {
        let place = taken.len() * percent / 100;
        taken
            .get(place)
            .map_or(f64::NAN, |taken| taken.as_secs_f64() * 1e6)
    };
    let events = taken.len() as f64;
    Latency {
        p50: at(50),
        p99: at(99),
        rate: events / time.as_secs_f64(),
        cpu: cpu_seconds * 1e6 / events,
    }
}
