//! Long runs of the spool's simulator.
//!
//! ```text
//! spool-sim --seeds 10000           so many fresh seeds
//! spool-sim --seeds 1000 --from 0   these seeds
//! spool-sim --minutes 10            fresh seeds until so much time has passed
//! spool-sim --seed 42               one seed again
//! ```

use std::process::ExitCode;

use flume_tests::long_run::LongRun;
use flume_tests::spool_sim::{self, Stats};

/// Seeds if nothing else is asked for.
const SEEDS_DEFAULT: u64 = 10_000;

fn main() -> ExitCode {
    let mut options = match LongRun::parse(std::env::args().skip(1), |_| false) {
        Ok(options) => options,
        Err(text) => {
            eprintln!("{text}\nspool-sim [--seeds N] [--minutes M] [--from N] [--seed N]");
            return ExitCode::from(2);
        }
    };
    // A panic of the spool is reported as a broken promise.
    std::panic::set_hook(Box::new(|_| {}));
    if !options.is_bounded {
        options.seeds = SEEDS_DEFAULT;
    }
    let mut total = Stats::default();
    let mut seed = options.first;
    while options.goes_on(total.seeds, 0.0) {
        match spool_sim::run(seed) {
            Ok(stats) => total.add(&stats),
            Err(failure) => {
                println!("{total}\n{failure}");
                return ExitCode::FAILURE;
            }
        }
        seed += 1;
    }
    println!("seeds {} to {}", options.first, seed.saturating_sub(1));
    print!("{total}");
    println!("{:.1} s on one core", options.seconds());
    ExitCode::SUCCESS
}
