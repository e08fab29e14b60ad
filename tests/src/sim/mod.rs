//! A seeded simulator of the delivery core: agents, networks and clocks that misbehave.
//!
//! One number decides a whole run: its settings, the load, every fault and every latency. Time is
//! virtual, so an idle hour costs nothing, and a violation is replayed by its seed.
//!
//! | file | holds |
//! |---|---|
//! | `time`, `violation` | virtual time; a promise that was broken |
//! | `options` | what a seed decides before the run |
//! | `steady` | a kind of run that is about idle and old connections |
//! | `fault` | the kinds of faults |
//! | `world` | the queue of happenings, and what each of them does |
//! | `driver` | the part of the client's worker: feeds the core, carries out its outputs |
//! | `service` | what agents do with messages |
//! | `agent` | one agent's workers, channel and faults |
//! | `load` | what the application does |
//! | `looks`, `full_load` | does the window follow what an agent can do? |
//! | `book` | the fate of every event of a level; promises about acknowledgements, losses and duplicates |
//! | `books` | the books of all levels; promises about their turns |
//! | `pace` | each agent's rests; promises about back-off |
//! | `groups` | who comes before whom |
//! | `ages` | idle and old connections |
//! | `shares` | each agent's batches; promises about shares |
//! | `audit` | promises about time: linger, timeouts, fail-back, windows |
//! | `herd` | many clients that lose one agent at once |
//! | `doors` | a world of its own: all that agents can answer, and their dialects |
//!
//! It has no bytes, no sockets and no threads: those are tested elsewhere.
#![expect(
    clippy::indexing_slicing,
    reason = "an index out of range is a bug of the simulator, and should end it"
)]

mod agent;
mod ages;
mod audit;
mod book;
mod books;
mod doors;
mod driver;
mod fault;
mod full_load;
mod groups;
mod herd;
mod load;
mod looks;
mod options;
mod pace;
mod service;
mod shares;
mod stats;
mod steady;
mod time;
mod trace;
mod violation;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::herd::{Return, come_back};
pub(crate) use self::options::LEVELS;
pub use self::stats::{Run, Stats};
pub use self::violation::Violation;

use self::options::{Kind, Scenario};
use self::violation::broken;
use self::world::World;

/// A run that broke a promise, and all that is needed to look into it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Replays the run.
    pub seed: u64,
    /// What was broken.
    pub violation: Violation,
    /// The scenario's options.
    pub scenario: String,
    /// The last lines of the trace.
    pub tail: Vec<String>,
    /// It was a run of the doors, which seeds have apart from others.
    pub of_doors: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            violation: Violation { name, detail },
            scenario,
            tail,
            of_doors,
        } = self;
        writeln!(f, "{scenario}")?;
        for line in tail {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {seed} breaks \"{name}\": {detail}")?;
        write!(
            f,
            "replay: cargo run --release --bin sim -- --seed {seed}{} --trace",
            if *of_doors { " --doors" } else { "" }
        )
    }
}

/// Runs one seed, and prints what happens if `prints`.
///
/// # Errors
/// A broken promise, or a panic of the core.
pub fn run(seed: u64, prints: bool) -> Result<Run, Box<Failure>> {
    let mut rng = options::generator(seed);
    let mut scenario = Scenario::draw(&mut rng);
    if scenario.kind == Kind::Steady {
        steady::shape(&mut scenario, &mut rng);
    }
    if scenario.kind == Kind::Doors {
        return run_doors(seed, prints);
    }
    let options = format!("{scenario:#?}");
    if prints {
        println!("{options}");
    }
    if scenario.kind == Kind::Herd {
        return herd::run(&mut rng).map_err(|violation| {
            Box::new(Failure {
                seed,
                violation,
                scenario: options,
                tail: Vec::new(),
                of_doors: false,
            })
        });
    }
    let mut world = World::new(scenario, rng, prints);
    let end = catch_unwind(AssertUnwindSafe(|| world.run()));
    let end = end.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        broken("panic", text.unwrap_or("without a text"))
    });
    match end {
        Ok(()) => Ok(world.into_run()),
        Err(violation) => Err(Box::new(Failure {
            seed,
            violation,
            scenario: options,
            tail: world.tail(),
            of_doors: false,
        })),
    }
}

/// Runs one seed in the world of its own in which agents answer all that there is, whatever the seed
/// would be else.
///
/// # Errors
/// A broken promise, or a panic of the core.
pub fn run_doors(seed: u64, prints: bool) -> Result<Run, Box<Failure>> {
    let end = doors::run(options::generator(seed), prints);
    end.map_err(|(violation, scenario, tail)| {
        Box::new(Failure {
            seed,
            violation,
            scenario,
            tail,
            of_doors: true,
        })
    })
}

/// What to report when two runs of a seed were not the same.
#[must_use]
pub fn differs(seed: u64) -> Failure {
    Failure {
        seed,
        violation: Violation {
            name: "determinism",
            detail: "two runs of the seed differ".into(),
        },
        scenario: String::new(),
        tail: Vec::new(),
        of_doors: false,
    }
}
