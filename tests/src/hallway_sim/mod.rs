//! Simulator of the way from `append` to the agents: callers, the thread that writes, the disk, the
//! thread that reads, the thread that sends, agents, and what others left beside the spool.
//!
//! A seed decides who has a turn when, how long everything takes, and what goes wrong. The parts are
//! the client's own, worked by hand: a thread has a turn only if it was woken or its time has come,
//! so that a wake-up that is lost shows as events that stay where they are. While the disk works,
//! callers and the sender go on.
//!
//! | file | holds |
//! |---|---|
//! | `time` | virtual time |
//! | `promise` | a promise that was broken |
//! | `plan` | what a seed decides before the run |
//! | `disk` | the places, and what happens while the disk works |
//! | `agents` | agents and the network before them |
//! | `book` | every event's fate, kept without looking into the client |
//! | `side` | callers and the sender: what goes on while the disk works |
//! | `world` | whose turn it is, and what goes wrong |
//! | `ending` | what must hold when everything works again |

#![expect(
    clippy::indexing_slicing,
    reason = "a panic is a failed run with its seed"
)]

mod agents;
mod book;
mod disk;
mod ending;
mod plan;
mod promise;
mod side;
mod stats;
mod time;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use plan::Plan;
pub use stats::Stats;
use world::World;

/// A broken promise.
#[derive(Debug)]
pub struct Failure {
    /// Gives the same run again.
    pub seed: u64,
    /// Which promise.
    pub promise: &'static str,
    /// With which numbers.
    pub details: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            promise,
            details,
        } = self;
        write!(f, "seed {seed} breaks \"{promise}\": {details}")
    }
}

/// Runs a seed, to its end or to the first broken promise.
///
/// # Errors
/// A broken promise, or a panic of the client's parts.
pub fn run(seed: u64) -> Result<Stats, Box<Failure>> {
    live(&mut World::new(Plan::of(seed)), seed)
}

/// The same, and what agents saw, a line each: the same seed gives the same bytes in any process.
///
/// # Errors
/// A broken promise, or a panic of the client's parts.
pub fn trace(seed: u64) -> Result<Vec<String>, Box<Failure>> {
    let mut world = World::new(Plan::of(seed));
    world.note();
    live(&mut world, seed)?;
    Ok(world.noted())
}

fn live(world: &mut World, seed: u64) -> Result<Stats, Box<Failure>> {
    let told = format!("{:?}", world.plan);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.live()));
    let (promise, details) = match outcome {
        Ok(Ok(())) => return Ok(world.stats()),
        Ok(Err(broken)) => broken,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            ("it never panics", text.unwrap_or("?").to_owned())
        }
    };
    Err(Box::new(Failure {
        seed,
        promise,
        details: format!("{details} ({told})"),
    }))
}
