//! Taking events in: the mini-agent beside a real Flume 1.11, fed by the same replay.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use flume_tests::{
    RealFlume, Sink, Version, flume_command, median, resident_bytes_max, wait_until,
};

use crate::event::event;
use crate::replay;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Batch size, connections' window.
const LOADS: [(usize, usize); 4] = [(100, 1), (100, 4), (100, 16), (1_000, 4)];
const CAPACITY: &str = "100000";
const TRANSACTION_CAPACITY: &str = "10000";

/// Feeds both in turn, `rounds` times, and prints the table.
pub(crate) fn run(events: u64, rounds: usize) -> Result<()> {
    let real = RealFlume::builder(Version::V1_11)
        .capacity(CAPACITY.parse()?)
        .transaction_capacity(TRANSACTION_CAPACITY.parse()?)
        .sink(Sink::WakefulNull)
        .sink_batch(1_000)
        .start()?;
    let mini = MiniAgent::start()?;
    replay::run(real.addr(), &event(0), 100, 60_000, 4)?;
    println!(
        "\nTaking in {events} events of 200 bytes with two headers from the same replay, memory \
         channel,\nmedian of {rounds} rounds"
    );
    println!(
        "{:>6} {:>7} {:>14} {:>14} {:>12} {:>9}",
        "batch", "window", "mini-agent/s", "Flume 1.11/s", "mini / Flume", "refused"
    );
    for (batch, window) in LOADS {
        let (mut ours, mut theirs, mut refused) = (Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            refused += feed(mini.address, events, batch, window, &mut ours)?;
            refused += feed(real.addr(), events, batch, window, &mut theirs)?;
        }
        let (ours, theirs) = (median(&mut ours), median(&mut theirs));
        let ratio = ours / theirs;
        println!("{batch:>6} {window:>7} {ours:>14.0} {theirs:>14.0} {ratio:>11.2}x {refused:>9}");
    }
    let ours = resident_bytes_max(mini.child.id())?;
    let theirs = resident_bytes_max(real.pid())?;
    println!(
        "most resident memory: mini-agent {} MiB, Flume 1.11 {} MiB, 1/{:.0}",
        ours >> 20,
        theirs >> 20,
        theirs as f64 / ours as f64
    );
    Ok(())
}

fn feed(
    agent: SocketAddr,
    events: u64,
    batch: usize,
    window: usize,
    rates: &mut Vec<f64>,
) -> Result<usize> {
    let started = Instant::now();
    let batches = events as usize / batch;
    let refused = replay::run(agent, &event(0), batch, batches, window)?;
    rates.push(events as f64 / started.elapsed().as_secs_f64());
    Ok(refused)
}

/// The mini-agent as a process of its own.
struct MiniAgent {
    child: Child,
    address: SocketAddr,
}

impl MiniAgent {
    fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let ready = directory.path().join("ready");
        let child = flume_command()?
            .args(["agent", "--bind", "127.0.0.1:0", "--sink", "null"])
            .args([
                "--capacity",
                CAPACITY,
                "--transaction-capacity",
                TRANSACTION_CAPACITY,
            ])
            .arg("--ready-file")
            .arg(&ready)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        wait_until("the mini-agent", Duration::from_secs(10), || ready.exists())?;
        let url = fs::read_to_string(&ready)?;
        let address = url.trim().trim_start_matches("avro://").parse()?;
        Ok(Self { child, address })
    }
}

impl Drop for MiniAgent {
    fn drop(&mut self) {
        // It has nothing to lose, and if it is gone already that is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
