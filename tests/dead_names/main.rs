//! What agents by names that the system's name server never answers for cost a backlog: as many
//! events from a spool, with only a good agent and with three such names before it, in one run.
//!
//! ```text
//! dead-names [--events N]     a backlog of so many events (300000), twice
//! ```
//!
//! Fails if an event is missing, or if the names cost more than [`FACTOR_MAX`] and
//! [`BEFORE_THE_FIRST_MAX`] allow, [`ROUNDS`] times. It needs Linux, `unshare -rm` and port 53 of an address of this
//! machine, which take root; without them it says what it could not do, and is a failure only where
//! everything must be checked (`CI=true`).

use std::error::Error;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use std::{env, fs};

use flume_client::{Client, ClientBuilder, Event};
use flume_mini_agent::{MiniAgent, Sink};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many times as long the names may make the whole backlog take, beside the next.
const FACTOR_MAX: f64 = 1.5;
/// How much later the names may make its first event: for each of them the next agent waits a second.
const BEFORE_THE_FIRST_MAX: Duration = Duration::from_secs(4);
const NAMES: usize = 3;
const ROUNDS: u32 = 3;
const EVENTS: u64 = 300_000;
const BODY_BYTES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(600);
/// Nobody listens on the port of an agent that is not there.
const NOWHERE: &str = "avro://127.0.0.1:1";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["inside", name_server, events] => number(events).and_then(|it| inside(name_server, it)),
        [] => outside(EVENTS),
        ["--events", events] => number(events).and_then(outside),
        other => Err(format!("unknown options {other:?}; there is --events N").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dead-names: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Is the name server that never answers, for this program in a mount namespace.
fn outside(events: u64) -> Result<()> {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // An address of its own for each run.
    let address = Ipv4Addr::new(127, 128 | high, middle, low);
    let silent = UdpSocket::bind((address, 53));
    let probe = Command::new("unshare").args(["-rm", "true"]).output();
    let obstacle = match (&silent, probe) {
        (Err(error), _) => Some(format!("port 53 of {address}: {error}")),
        (_, Err(error)) => Some(format!("unshare: {error}")),
        (_, Ok(output)) if !output.status.success() => Some("unshare -rm".to_owned()),
        _ => None,
    };
    if let Some(obstacle) = obstacle {
        let message = format!("not checked, since this is not to be had here: {obstacle}");
        if env::var_os("CI").is_some_and(|ci| ci == "true") {
            return Err(message.into());
        }
        eprintln!("SKIPPED: {message}");
        return Ok(());
    }
    let mut again = Command::new("unshare");
    again.arg("-rm").arg(env::current_exe()?);
    let status = again
        .args(["inside", &address.to_string(), &events.to_string()])
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err("see above".into()),
    }
}

fn inside(name_server: &str, events: u64) -> Result<()> {
    let home = tempfile::tempdir()?;
    let file = home.path().join("resolv.conf");
    let text = format!("nameserver {name_server}\noptions timeout:30 attempts:5\n");
    fs::write(&file, text)?;
    let mut mount = Command::new("mount");
    let mount = mount.arg("--bind").arg(&file).arg("/etc/resolv.conf");
    if !mount.status()?.success() {
        return Err(format!("{mount:?} failed").into());
    }
    let names: Vec<_> = (1..=NAMES)
        .map(|number| format!("avro://silent-{number}.test:4141"))
        .collect();
    println!("{events} events of {BODY_BYTES} bytes from a spool, default settings");
    // Also on a machine that has much else to do, one of these finds it idle.
    for round in 0..ROUNDS {
        let home = home.path().join(round.to_string());
        if costs_little(&home, &names, events)? {
            return Ok(());
        }
    }
    Err(format!("the names cost too much, {ROUNDS} times").into())
}

/// Whether the names cost no more than they may.
fn costs_little(home: &Path, names: &[String], events: u64) -> Result<bool> {
    let without = deliver(&home.join("without"), &[], events)?;
    println!("only a good agent                 {without:>8.2?}");
    let with = deliver(&home.join("with"), names, events)?;
    println!("behind {NAMES} names that nobody answers {with:>8.2?}");
    let most = without.mul_f64(FACTOR_MAX) + BEFORE_THE_FIRST_MAX;
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!("{ratio:.2}x; allowed are {most:.2?}");
    Ok(with <= most)
}

/// How long a new client takes from its start until a backlog is with an agent behind these.
fn deliver(spool: &Path, before: &[String], events: u64) -> Result<Duration> {
    leave(spool, events)?;
    let agent = MiniAgent::builder()
        .capacity(100_000)
        .transaction_capacity(10_000)
        .sink(Sink::Null);
    let agent = agent.batch_size(1_000).start()?;
    let urls = before.iter().cloned().chain([agent.url()]);
    let started = Instant::now();
    let client = spooled(Client::builder().agents(urls.collect::<Vec<_>>()), spool).build()?;
    client.flush(PATIENCE).wait()?;
    let took = started.elapsed();
    let report = client.close(PATIENCE).wait();
    if report.delivered != events || !report.is_complete() {
        return Err(format!("not all of {events} events were delivered: {report:?}").into());
    }
    // At least once is what was promised.
    match agent.received_count() {
        received if received >= events => Ok(took),
        received => Err(format!("the agent has {received} of {events} events").into()),
    }
}

/// Appends while nobody listens.
fn leave(spool: &Path, events: u64) -> Result<()> {
    let client = spooled(Client::builder().agent(NOWHERE), spool).build()?;
    let mut last = None;
    for number in 0..events {
        let event = Event::new([b'x'; BODY_BYTES]).header("number", number.to_string());
        last = Some(client.append_within(event, PATIENCE)?);
    }
    last.map_or(Ok(()), |last| last.wait_stored(PATIENCE))?;
    let report = client.close(Duration::ZERO).wait();
    match client.stats().spool {
        Some(spool) if spool.stored == events => Ok(()),
        _ => Err(format!("not all of {events} events were stored: {report:?}").into()),
    }
}

fn spooled(client: ClientBuilder, spool: &Path) -> ClientBuilder {
    client.spool(spool).spool_bytes(8 << 30).spool_free_bytes(0)
}

fn number(text: &str) -> Result<u64> {
    text.parse()
        .map_err(|_| format!("{text:?} is no number").into())
}
