//! [`Plan`]: how much is measured, and which cores it may use.

use std::fmt;

use flume_tests::{RealFlume, RealFlumeBuilder};

use super::result::Result;

/// The cores of a machine with two.
const AGENTS_CORE: usize = 0;
const SENDERS_CORE: usize = 1;

/// How much is measured, and which cores it may use.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Of one measurement.
    pub(crate) events: u64,
    pub(crate) rounds: usize,
    cores: Cores,
}

/// On a machine with two cores the agent takes most of both, and what a client uses it takes from the
/// agent. Apart from each other, the agent has no more than one, and the client cannot slow it down.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cores {
    Shared,
    Apart,
}

impl Plan {
    /// What a command line says.
    pub(crate) fn of(args: &[String]) -> Self {
        Self {
            events: number(args, "--events", 1_000_000),
            rounds: number(args, "--rounds", 5) as usize,
            cores: match args.iter().any(|arg| arg == "--apart") {
                true => Cores::Apart,
                false => Cores::Shared,
            },
        }
    }

    /// Starts an agent. Whatever this thread starts afterwards is a sender.
    pub(crate) fn start(self, builder: RealFlumeBuilder) -> Result<RealFlume> {
        if self.cores == Cores::Shared {
            return Ok(builder.start()?);
        }
        run_on(AGENTS_CORE)?;
        let agent = builder.start();
        run_on(SENDERS_CORE)?;
        Ok(agent?)
    }
}

/// As the end of a sentence.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = match self.cores {
            Cores::Shared => "sender and agent share the machine",
            Cores::Apart => "sender and agent have a core each",
        };
        write!(f, "median of {} rounds; {cores}", self.rounds)
    }
}

/// This thread, and the threads and processes that it will start.
#[cfg(target_os = "linux")]
fn run_on(core: usize) -> Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

#[cfg(not(target_os = "linux"))]
fn run_on(core: usize) -> Result<()> {
    Err(format!("--apart needs Linux, to run on core {core} alone").into())
}

/// The number after this word of the command line.
fn number(args: &[String], name: &str, default: u64) -> u64 {
    let place = args.iter().position(|arg| arg == name);
    let value = place.and_then(|place| args.get(place + 1));
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}
