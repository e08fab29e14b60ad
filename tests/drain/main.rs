//! How fast a backlog on the disk is delivered, next to live events, and what that takes; and how
//! fast one is that another process left, and a client of the directory adopts.
//!
//! ```text
//! spool-drain [--mib N] [--spool DIR]     a backlog of so many MiB (2048) in DIR (a temporary one)
//! ```
//!
//! Agent and services are processes of their own on this machine: one service that is fed live, two
//! that append while no agent can be reached, one that starts with what the first of those left, and
//! one that adopts what the second did. Fails if an event is missing, or the memory of one of the
//! last two passes its limit.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use flume_client::{Client, ClientBuilder, Event};
use flume_mini_agent::{MiniAgent, Sink};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Most resident memory of the service that delivers a backlog.
const RESIDENT_MIB_MAX: f64 = 64.0;
const BODY_BYTES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(1800);
/// How often it is looked whether a service has delivered what it adopted.
const LOOK: Duration = Duration::from_millis(5);
/// Nobody listens on the port of a service that is not there.
const NOWHERE: &str = "avro://127.0.0.1:1";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["live", url, spool, events] => number(events).and_then(|it| live(url, spool, it)),
        ["fill", spool, mib] => number(mib).and_then(|it| fill(spool, it)),
        ["leave", spool, mib] => number(mib).and_then(|it| leave(spool, it)),
        ["drain", url, spool] => drain(url, spool),
        ["adopt", url, spool] => adopt(url, spool),
        options => run(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spool-drain: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &[&str]) -> Result<()> {
    let (mib, spool) = parse(options)?;
    let temporary = tempfile::tempdir()?;
    let home = spool.unwrap_or_else(|| temporary.path().to_owned());
    let agent = MiniAgent::builder()
        .capacity(100_000)
        .transaction_capacity(10_000)
        .sink(Sink::Null);
    let agent = agent.batch_size(1_000).start()?;
    let url = agent.url();
    let (live_spool, spool) = (home.join("live"), home.join("backlog"));

    let events = (mib * 1024 * 1024 / 4 / BODY_BYTES as u64).clamp(100_000, 2_000_000);
    let live = service(&["live", &url, text(&live_spool)?, &events.to_string()])?;
    let filled = service(&["fill", text(&spool)?, &mib.to_string()])?;
    let before = agent.received_count();
    let drained = service(&["drain", &url, text(&spool)?])?;
    let delivered = agent.received_count() - before;
    fs::remove_dir_all(&live_spool)?;
    fs::remove_dir_all(&spool)?;
    let left = service(&["leave", text(&spool)?, &mib.to_string()])?;
    let before = agent.received_count();
    let adopted = service(&["adopt", &url, text(&spool)?])?;
    let adopted_count = agent.received_count() - before;
    fs::remove_dir_all(&spool)?;

    let (live_rate, backlog) = (live.of("events/s")?, filled.of("events")?);
    let rate = drained.of("events/s")?;
    println!("events of {BODY_BYTES} bytes with two headers and their name, default settings");
    println!("live, end to end          {live_rate:>12.0} events/s");
    println!(
        "appended with no agent    {:>12.0} events/s, {backlog:.0} events, {:.0} MiB on disk",
        filled.of("events/s")?,
        filled.of("disk MiB")?
    );
    println!(
        "backlog delivered         {rate:>12.0} events/s, {:.2}x of live",
        rate / live_rate
    );
    let adoption_rate = adopted.of("events/s")?;
    println!(
        "backlog adopted           {adoption_rate:>12.0} events/s, {:.2}x of delivered directly",
        adoption_rate / rate
    );
    tell_costs(&live, &drained, &adopted)?;
    println!("agent received {delivered} of {} events", backlog + 1.0);
    let left = left.of("events")?;
    println!("agent received {adopted_count} of {left} events that were adopted");
    if (delivered as f64) < backlog + 1.0 || (adopted_count as f64) < left {
        return Err("events are missing".into());
    }
    for service in [&drained, &adopted] {
        if service.of("resident MiB")? > RESIDENT_MIB_MAX {
            return Err(format!("more than {RESIDENT_MIB_MAX} MiB of memory").into());
        }
    }
    Ok(())
}

fn tell_costs(live: &Figures, drained: &Figures, adopted: &Figures) -> Result<()> {
    println!(
        "start to first append     {:>12.3} s",
        drained.of("first append s")?
    );
    println!(
        "most resident memory      {:>12.1} MiB, {:.1} MiB adopting, {:.1} MiB when live",
        drained.of("resident MiB")?,
        adopted.of("resident MiB")?,
        live.of("resident MiB")?
    );
    Ok(())
}

/// How many MiB, and where.
fn parse(options: &[&str]) -> Result<(u64, Option<PathBuf>)> {
    let (mut mib, mut spool) = (2048, None);
    for option in options.chunks(2) {
        match option {
            ["--mib", value] => mib = number(value)?,
            ["--spool", value] => spool = Some(PathBuf::from(value)),
            other => {
                return Err(
                    format!("unknown option {other:?}; there are --mib N and --spool DIR").into(),
                );
            }
        }
    }
    Ok((mib, spool))
}

/// Appends and delivers as fast as it goes.
fn live(url: &str, spool: &str, events: u64) -> Result<()> {
    let client = client(url, spool).build()?;
    let started = Instant::now();
    for number in 0..events {
        drop(client.append_within(event(number), PATIENCE)?);
    }
    client.flush(PATIENCE).wait()?;
    tell("events/s", events as f64 / started.elapsed().as_secs_f64());
    tell("resident MiB", resident_mib()?);
    closed(&client)
}

/// Appends while nobody listens, until so much is on the disk.
fn fill(spool: &str, mib: u64) -> Result<()> {
    let client = client(NOWHERE, spool).build()?;
    let started = Instant::now();
    let mut events = 0;
    while events % 10_000 != 0 || disk_mib(&client) < mib as f64 {
        drop(client.append_within(event(events), PATIENCE)?);
        events += 1;
    }
    let report = client.close(Duration::ZERO).wait();
    tell("events/s", events as f64 / started.elapsed().as_secs_f64());
    tell("events", report.on_disk as f64);
    tell("disk MiB", disk_mib(&client));
    match report.on_disk {
        stored if stored + report.lost.closed == events => Ok(()),
        _ => Err(format!("{report:?} of {events} events").into()),
    }
}

/// Starts with what is in the spool, takes one more event and delivers everything.
fn drain(url: &str, spool: &str) -> Result<()> {
    let started = Instant::now();
    let client = client(url, spool).build()?;
    let receipt = client.append(event(0))?;
    tell("first append s", started.elapsed().as_secs_f64());
    let backlog = client.stats().recovered;
    client.flush(PATIENCE).wait()?;
    tell("events/s", backlog as f64 / started.elapsed().as_secs_f64());
    tell("resident MiB", resident_mib()?);
    receipt.wait(Duration::ZERO)?;
    closed(&client)
}

/// The same in the second place of the directory, the first of which stays empty.
fn leave(spool: &str, mib: u64) -> Result<()> {
    let first = client(NOWHERE, spool).build()?;
    fill(spool, mib)?;
    closed(&first)
}

/// Starts in the first place and delivers what was left in the second.
fn adopt(url: &str, spool: &str) -> Result<()> {
    let started = Instant::now();
    let client = client(url, spool).build()?;
    let stats = loop {
        let stats = client.stats();
        if stats.recovered > 0 && stats.pending == 0 {
            break stats;
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("not everything was delivered: {stats:?}").into());
        }
        thread::park_timeout(LOOK);
    };
    let seconds = started.elapsed().as_secs_f64();
    tell("events/s", stats.recovered as f64 / seconds);
    tell("resident MiB", resident_mib()?);
    closed(&client)
}

fn client(url: &str, spool: &str) -> ClientBuilder {
    let client = Client::builder().agent(url).spool(spool);
    client.spool_bytes(64 << 30).spool_free_bytes(0)
}

fn closed(client: &Client) -> Result<()> {
    let report = client.close(PATIENCE).wait();
    match report.is_complete() {
        true => Ok(()),
        false => Err(format!("not everything was delivered: {report:?}").into()),
    }
}

fn event(number: u64) -> Event {
    let event = Event::new([b'x'; BODY_BYTES]).header("host", "web-1");
    event.header("number", number.to_string())
}

fn disk_mib(client: &Client) -> f64 {
    let spool = client.stats().spool;
    spool.map_or(0.0, |spool| spool.disk_bytes as f64 / 1024.0 / 1024.0)
}

/// Runs this program as a service of its own and reads the figures that it tells.
fn service(arguments: &[&str]) -> Result<Figures> {
    let mut command = Command::new(env::current_exe()?);
    let output = command.args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?} failed: {}", output.status).into());
    }
    let output = String::from_utf8(output.stdout)?;
    let figures = output.lines().filter_map(|line| line.split_once('='));
    let figures = figures.map(|(name, figure)| Ok((name.to_owned(), figure.parse()?)));
    figures.collect::<Result<_>>().map(Figures)
}

struct Figures(BTreeMap<String, f64>);

impl Figures {
    fn of(&self, name: &str) -> Result<f64> {
        let figure = self.0.get(name).copied();
        figure.ok_or_else(|| format!("the service did not tell its {name}").into())
    }
}

fn tell(name: &str, figure: f64) {
    println!("{name}={figure}");
}

/// The most memory that this process ever had resident.
fn resident_mib() -> Result<f64> {
    let bytes = flume_tests::resident_bytes_max(std::process::id())?;
    Ok(bytes as f64 / 1024.0 / 1024.0)
}

fn number(text: &str) -> Result<u64> {
    text.parse()
        .map_err(|_| format!("{text:?} is no number").into())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| "the path is no text".into())
}
