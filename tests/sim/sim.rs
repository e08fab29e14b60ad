//! Long runs of the delivery core's simulator.
//!
//! ```text
//! sim --hours 2000             fresh seeds until so many hours are simulated
//! sim --seeds 1000 --from 0    these seeds
//! sim --minutes 10             fresh seeds until so much time has passed
//! sim --seed 42 --trace        one seed again, with everything that happens
//! ```

use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flume_tests::sim::{self, Failure, Stats};

/// Each seed with this divisor runs twice, and must do the same.
const TWICE_EVERY: u64 = 16;
/// Simulated hours if nothing else is asked for.
const HOURS_DEFAULT: f64 = 2_000.0;

#[derive(Debug)]
struct Options {
    first: u64,
    seeds: u64,
    hours: f64,
    minutes: f64,
    trace: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let fresh = since.map_or(0, |since| since.as_micros() as u64);
        let mut options = Self {
            first: fresh,
            seeds: u64::MAX,
            hours: f64::MAX,
            minutes: f64::MAX,
            trace: false,
        };
        let mut is_bounded = false;
        while let Some(arg) = args.next() {
            is_bounded |= !matches!(arg.as_str(), "--from" | "--trace");
            match arg.as_str() {
                "--seed" => {
                    options.first = number(args.next())?;
                    options.seeds = 1;
                }
                "--from" => options.first = number(args.next())?,
                "--seeds" => options.seeds = number(args.next())?,
                "--hours" => options.hours = number(args.next())?,
                "--minutes" => options.minutes = number(args.next())?,
                "--trace" => options.trace = true,
                _ => return Err(format!("what is {arg}?")),
            }
        }
        if !is_bounded {
            options.hours = HOURS_DEFAULT;
        }
        Ok(options)
    }
}

fn number<T: FromStr>(arg: Option<String>) -> Result<T, String> {
    let arg = arg.ok_or("a number is missing")?;
    arg.parse().map_err(|_| format!("{arg} is no number"))
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            eprintln!(
                "{text}\nsim [--hours H] [--minutes M] [--seeds N] [--from N] [--seed N] [--trace]"
            );
            return ExitCode::from(2);
        }
    };
    // A panic of the core is reported as a broken promise.
    std::panic::set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let mut total = Stats::default();
    let mut seed = options.first;
    while total.seeds < options.seeds
        && total.hours() < options.hours
        && begin.elapsed().as_secs_f64() < options.minutes * 60.0
    {
        if let Err(failure) = run(seed, options.trace, &mut total) {
            report(&total, begin);
            println!("\n{failure}");
            return ExitCode::FAILURE;
        }
        seed += 1;
    }
    println!("seeds {} to {}", options.first, seed.saturating_sub(1));
    report(&total, begin);
    ExitCode::SUCCESS
}

fn run(seed: u64, trace: bool, total: &mut Stats) -> Result<(), Box<Failure>> {
    let run = sim::run(seed, trace)?;
    if seed.is_multiple_of(TWICE_EVERY) && !trace {
        let again = sim::run(seed, false)?;
        if run.hash != again.hash {
            return Err(Box::new(sim::differs(seed)));
        }
    }
    total.add(&run.stats);
    Ok(())
}

fn report(total: &Stats, begin: Instant) {
    let seconds = begin.elapsed().as_secs_f64();
    let speed = total.hours() / seconds;
    print!("{total}");
    println!("{seconds:.1} s on one core, {speed:.0} simulated hours per second");
}
