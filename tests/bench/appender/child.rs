//! A process for each measurement: it has one logger, and nobody else's memory or threads.

use std::path::PathBuf;

use crate::contenders::{self, Place};
use crate::measure::{self, Load};
use crate::running::Result;

/// Does the job of these arguments, if they are one's, and prints what it cost.
pub(crate) fn run(args: &[String]) -> Option<Result<()>> {
    match args {
        [
            job,
            name,
            new_spans,
            threads,
            calls,
            is_paced,
            is_timed,
            agent,
            spool,
        ] if job == "job" => {
            let place = Place {
                agent: agent.clone(),
                spool: PathBuf::from(spool),
            };
            let load = || -> Result<Load> {
                Ok(Load {
                    threads: threads.parse()?,
                    calls: calls.parse()?,
                    is_paced: is_paced.parse()?,
                    is_timed: is_timed.parse()?,
                })
            };
            Some(load().and_then(|load| {
                let mut running = contenders::start(name, new_spans == "true", &place)?;
                let cost = measure::measure(&mut running, load)?;
                println!(
                    "{} {} {} {} {}",
                    cost.caller_ns,
                    cost.process_ns,
                    cost.caller_allocations,
                    cost.process_allocations,
                    cost.p999_ns
                );
                Ok(())
            }))
        }
        _ => None,
    }
}
