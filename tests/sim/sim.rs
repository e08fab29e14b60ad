//! Long runs of the delivery core's simulator.
//!
//! ```text
//! sim --hours 2000             fresh seeds until so many hours are simulated
//! sim --seeds 1000 --from 0    these seeds
//! sim --minutes 10             fresh seeds until so much time has passed
//! sim --seed 42 --trace        one seed again, with everything that happens
//! sim --doors                  beside one of these: only the world in which agents answer all that
//!                              they can
//! ```

use std::process::ExitCode;

use flume_tests::long_run::LongRun;
use flume_tests::sim::{self, Failure, Stats};

/// Each seed with this divisor runs twice, and must do the same.
const TWICE_EVERY: u64 = 16;
/// Simulated hours if nothing else is asked for.
const HOURS_DEFAULT: f64 = 2_000.0;

fn main() -> ExitCode {
    let mut options = match LongRun::parse(std::env::args().skip(1), |word| {
        ["--doors", "--trace"].contains(&word)
    }) {
        Ok(options) => options,
        Err(text) => {
            eprintln!(
                "{text}\nsim [--hours H] [--minutes M] [--seeds N] [--from N] [--seed N] [--doors] [--trace]"
            );
            return ExitCode::from(2);
        }
    };
    // A panic of the core is reported as a broken promise.
    std::panic::set_hook(Box::new(|_| {}));
    if !options.is_bounded {
        options.hours = HOURS_DEFAULT;
    }
    let mut total = Stats::default();
    let mut seed = options.first;
    while options.goes_on(total.seeds, total.hours()) {
        if let Err(failure) = run(seed, &options, &mut total) {
            report(&total, options.seconds());
            println!("\n{failure}");
            return ExitCode::FAILURE;
        }
        seed += 1;
    }
    println!("seeds {} to {}", options.first, seed.saturating_sub(1));
    report(&total, options.seconds());
    ExitCode::SUCCESS
}

fn run(seed: u64, options: &LongRun, total: &mut Stats) -> Result<(), Box<Failure>> {
    let trace = options.says("--trace");
    let simulate = match options.says("--doors") {
        true => sim::run_doors,
        false => sim::run,
    };
    let run = simulate(seed, trace)?;
    if seed.is_multiple_of(TWICE_EVERY) && !trace {
        let again = simulate(seed, false)?;
        if run.hash != again.hash {
            return Err(Box::new(sim::differs(seed)));
        }
    }
    total.add(&run.stats);
    Ok(())
}

fn report(total: &Stats, seconds: f64) {
    let speed = total.hours() / seconds;
    print!("{total}");
    println!("{seconds:.1} s on one core, {speed:.0} simulated hours per second");
}
