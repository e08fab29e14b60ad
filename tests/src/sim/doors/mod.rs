//! A small world of its own: agents that say all that agents can say, and speak dialects.
//!
//! The strict simulator's agents take a batch or refuse it, and all of one's connections fare alike.
//! Here a batch may be unacceptable for what is in it, an agent may be blocked or ask for a time, a
//! call may fail and its connection live on, and a greeting may be misspoken. What the strict one
//! promises about shares, windows and lingering is not looked at again.
//!
//! | file | holds |
//! |---|---|
//! | `plan` | what a seed decides before the run: which events no agent takes, for one |
//! | `book` | the fate of every event |
//! | `watch` | each agent's rests and dialects |
//! | `trouble` | what may befall agents and calls |
//! | `world` | the queue of happenings, and the core's steps |
//! | `outputs` | what the core says is done |
//! | `attempts`, `agents` | what agents do with connections, and with calls |
//! | `renewal` | connections that others take the place of |
//! | `load` | what the application does, and faults that last |
//!
//! An agent finds the same events unacceptable all its life. Everything else heals at a time that the
//! plan names; then all that some agent takes is to be delivered, and the rest to be rejected, within
//! [`plan::RECOVERY_MAX`].

mod agents;
mod attempts;
mod book;
mod load;
mod outputs;
mod plan;
mod renewal;
mod trouble;
mod watch;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::world::World;
use super::stats::Run;
use super::violation::{Violation, broken};

/// What was broken, the plan, and the last lines of the trace.
pub(super) type Failed = (Violation, String, Vec<String>);

pub(super) fn run(rng: fastrand::Rng, prints: bool) -> Result<Run, Failed> {
    let mut world = World::new(rng, prints);
    let plan = format!("{:#?}", world.plan);
    if prints {
        println!("{plan}");
    }
    let end = catch_unwind(AssertUnwindSafe(|| world.run()));
    let end = end.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        broken("panic", text.unwrap_or("without a text"))
    });
    match end {
        Ok(()) => Ok(world.into_run()),
        Err(violation) => Err((violation, plan, world.tail())),
    }
}
