//! Agents that are dead, hang or are slow, a spool and a disk that are full: callers go on, the memory
//! is bounded, and what is let go of is counted.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use flume_appender::{Level, LevelStats};
use flume_client::ClientBuilder;
use flume_mini_agent::{Fault, FaultRule, MiniAgent};
use flume_tests::Port;
use flume_tests::scripted::{Agent, Greeting, greets};
use flume_tracing::{Builder, FlumeLayer};
use tracing_subscriber::prelude::*;

use crate::failure::Failure;

const THREADS: u64 = 4;
const CAPTURE_BYTES: usize = 2 << 20;
const MEMORY_BUFFER_BYTES: usize = 16 << 20;
/// The default. What such a client reads from the disk is beside it.
const SPOOL_BUFFER_BYTES: usize = 32 << 20;
/// What a process may take beside that.
const BESIDE_BYTES: u64 = 16 << 20;
/// A caller may sleep once in so many calls.
const CALLS_PER_SLEEP: u64 = 10_000;

/// The disk that is full, in MiB.
const DISK: u32 = 64;

pub(crate) fn run(time: Duration) -> Result<(), Failure> {
    let home = tempfile::tempdir()?;
    let own = std::env::current_exe()?;
    let own = |agent: &str, spool: &Path| {
        let mut command = Command::new(&own);
        command.args(["loaded", agent]).arg(spool);
        command.arg(time.as_secs_f64().to_string());
        command
    };
    let none = Path::new("-");
    let dead = Port::reserve();
    check("dead agent", own(&dead.url(), none))?;
    check(
        "dead agent, spool full",
        own(&dead.url(), &home.path().join("spool")),
    )?;
    let hung = Agent::scripted([greets(Greeting::Unanswered)]);
    check("hung agent", own(&hung.url(), none))?;
    let slow = MiniAgent::builder().start()?;
    let second = Duration::from_secs(1);
    slow.fault(FaultRule::new(Fault::AnswerLate(second))).keep();
    check("an answer a second", own(&slow.url(), none))?;
    full_disk(&dead.url(), time)
}

/// In a mount namespace of its own, which only root can make.
fn full_disk(agent: &str, time: Duration) -> Result<(), Failure> {
    let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    if !rustix::process::geteuid().is_root() {
        println!("!!! NOT CHECKED: full disk: only root can mount one");
        return Ok(());
    }
    let home = tempfile::tempdir()?;
    let disk = home.path().display();
    let own = std::env::current_exe()?;
    let script = format!(
        "mount -t tmpfs -o size={DISK}m none {disk} && exec {} loaded {agent} {disk}/spool {}",
        own.display(),
        time.as_secs_f64()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    match check("dead agent, disk full", command) {
        Err(error) if !in_ci => {
            println!("!!! NOT CHECKED: full disk: {error}");
            Ok(())
        }
        done => done,
    }
}

fn check(what: &str, mut command: Command) -> Result<(), Failure> {
    println!("{what}:");
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{what}: {status}").into())
}

/// The service, which looks at itself.
pub(crate) fn loaded(agent: &str, spool: &str, time: Duration) -> Result<(), Failure> {
    let (builder, buffer_bytes) = set_up(agent, spool);
    let (layer, guard) = builder.build()?;
    tracing_subscriber::registry().with(layer).init();
    let until = Instant::now() + time;
    let sleeps: Vec<u64> = thread::scope(|scope| {
        let callers = (0..THREADS).map(|_| scope.spawn(|| call(until)));
        let callers: Vec<_> = callers.collect();
        let sleeps = callers
            .into_iter()
            .map(|caller| caller.join().unwrap_or(u64::MAX));
        sleeps.collect()
    });
    let peak = peak_bytes()?;
    let stats = guard.stats();
    let total = stats.total();
    println!(
        "  {:.1} million calls, {} handed on, {} shed; the callers slept {sleeps:?} times; {} MiB at \
         the most",
        total.logged as f64 / 1e6,
        total.handed_on,
        total.lost(),
        peak >> 20
    );
    for level in Level::ALL {
        let of_level = stats.of_level(level);
        println!("  {level}: {} of {} shed", of_level.lost(), of_level.logged);
    }
    let known = total.captured + total.handed_on + total.lost();
    ensure(known == total.logged, "the counters balance", &total)?;
    let most = total.logged / CALLS_PER_SLEEP + THREADS;
    let sum: u64 = sleeps.iter().sum();
    ensure(sum <= most, "callers do not sleep", &sleeps)?;
    let bytes = (CAPTURE_BYTES + buffer_bytes) as u64 + BESIDE_BYTES;
    ensure(peak <= bytes, "the memory is bounded", &peak)?;
    let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
    let shares = levels.map(|level| lost_percent(&stats.of_level(level)));
    ensure(
        shares.is_sorted_by(|a, b| a >= b),
        "lesser levels give way first",
        &shares,
    )
}

/// The service's layer, and what its client may hold in memory.
fn set_up(agent: &str, spool: &str) -> (Builder<FlumeLayer>, usize) {
    let builder = flume_tracing::layer().agent(agent);
    let builder = builder.capture_bytes(CAPTURE_BYTES);
    let builder = builder.shutdown_timeout(Duration::from_millis(100));
    if spool == "-" {
        let bounded = |client: ClientBuilder| client.buffer_bytes(MEMORY_BUFFER_BYTES);
        return (builder.client(bounded), MEMORY_BUFFER_BYTES);
    }
    let bounded = |client: ClientBuilder| {
        let client = client.buffer_bytes(SPOOL_BUFFER_BYTES);
        client.spool_bytes(48 << 20).spool_free_bytes(0)
    };
    (builder.spool(spool).client(bounded), SPOOL_BUFFER_BYTES)
}

fn ensure(holds: bool, what: &str, seen: &dyn std::fmt::Debug) -> Result<(), Failure> {
    if holds {
        return Ok(());
    }
    Err(format!("not so: {what}: {seen:?}").into())
}

fn lost_percent(stats: &LevelStats) -> u64 {
    stats.lost() * 100 / stats.logged.max(1)
}

/// Logs until then. Says how often the thread slept.
fn call(until: Instant) -> u64 {
    let before = sleeps();
    let mut number = 0_u64;
    while Instant::now() < until {
        for _ in 0..1000 {
            number += 1;
            match number % 1000 {
                0 => tracing::error!(number, "an error"),
                1..=10 => tracing::warn!(number, "a warning"),
                11..=500 => tracing::info!(number, "what a service does"),
                _ => tracing::debug!(number, "a detail"),
            }
        }
    }
    sleeps() - before
}

/// How often this thread slept so far.
fn sleeps() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    field(&status, "voluntary_ctxt_switches:")
}

fn peak_bytes() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    Ok(field(&status, "VmHWM:") << 10)
}

fn field(status: &str, name: &str) -> u64 {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}
