//! End to end into a real Flume, with both ends killed again and again: a sender with a spool, and
//! an agent with a file channel whose sink writes files.
//!
//! | file | holds |
//! |---|---|
//! | here | the course of a run |
//! | `plan` | how much is sent, and how often it goes wrong |
//! | `sender` | the sender's lives, as the run sees them |
//! | `child` | the sender itself, a process |
//! | `agent` | the agent's lives |
//! | `arrivals` | what is in the files, and whether it is complete |
//! | `outcome` | a run in tables |
//!
//! A sender goes on where its predecessor's reports ended. What was stored and not reported is
//! sent twice then, as two events with two ids; every id must arrive nevertheless.

mod agent;
mod arrivals;
mod child;
mod outcome;
mod plan;
mod sender;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use fastrand::Rng;
use tempfile::TempDir;

pub use agent::{AgentCounters, AgentLife};
pub use arrivals::Tally;
pub use child::{SENDER, send};
pub use outcome::Outcome;
pub use plan::Plan;
pub use sender::{SenderEnd, SenderLife};

use crate::{HarnessError, Result};
use agent::Agent;
use arrivals::Arrivals;
use child::Orders;
use plan::lengths;

/// The spool holds about an eighth of the events, so that the sender waits for the agent.
const SPOOL_BYTES_PER_EVENT: u64 = 32;
const SPOOL_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// Runs a plan. `program` calls [`send`] when its first argument is [`SENDER`].
///
/// # Errors
///
/// When something is missing in the agent's files or has a wrong id; and when something does not
/// come to its end in time.
pub fn run(program: &Path, plan: &Plan) -> Result<Outcome> {
    run_seeded(program, plan).map_err(|e| HarnessError::doing(format!("{plan:?}"), e))
}

fn run_seeded(program: &Path, plan: &Plan) -> Result<Outcome> {
    let home = TempDir::with_prefix("flume-kill-").map_err(|e| HarnessError::doing("home", e))?;
    let mut rng = Rng::with_seed(plan.seed);
    let agent_lengths = lengths(&mut rng, plan.events, plan.agent_kills);
    let sender_lengths = lengths(&mut rng, plan.events, plan.sender_kills);
    let begin = Instant::now();
    let mut agent = Agent::start()?;
    let orders = Orders {
        life: 0,
        numbers: 0..plan.events,
        agent: agent.flume.url(),
        spool: home.path().join("spool").display().to_string(),
        spool_bytes: SPOOL_BYTES_MIN.max(plan.events * SPOOL_BYTES_PER_EVENT),
    };
    let stop = AtomicBool::new(false);
    let (senders, lived) = thread::scope(|scope| {
        let agent = scope.spawn(|| stopping(&stop, agent.live(&agent_lengths, &stop)));
        let senders = sender::live(program, orders, &sender_lengths, &stop);
        let senders = stopping(&stop, senders);
        (
            senders,
            agent.join().expect("the agent's thread does not panic"),
        )
    });
    lived?;
    let senders = senders?;
    let agents = agent.finish()?;
    let mut arrivals = Arrivals::new(&senders);
    arrivals.read_files(&agent.flume.rolled_files()?, plan.events)?;
    let tally = arrivals.check(&senders, plan.events)?;
    Ok(Outcome {
        plan: *plan,
        seconds: begin.elapsed().as_secs_f64(),
        senders,
        agents,
        tally,
    })
}

/// One side's failure ends the other's waits.
fn stopping<T>(stop: &AtomicBool, result: Result<T>) -> Result<T> {
    if result.is_err() {
        stop.store(true, Ordering::Relaxed);
    }
    result
}
