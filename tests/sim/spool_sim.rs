//! Long runs of the spool's simulator.
//!
//! ```text
//! spool-sim --seeds 10000           so many fresh seeds
//! spool-sim --seeds 1000 --from 0   these seeds
//! spool-sim --minutes 10            fresh seeds until so much time has passed
//! spool-sim --seed 42               one seed again
//! ```

use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flume_tests::spool_sim::{self, Stats};

/// Seeds if nothing else is asked for.
const SEEDS_DEFAULT: u64 = 10_000;

#[derive(Debug)]
struct Options {
    first: u64,
    seeds: u64,
    minutes: f64,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut options = Self {
            first: since.map_or(0, |since| since.as_micros() as u64),
            seeds: SEEDS_DEFAULT,
            minutes: f64::MAX,
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seed" => {
                    options.first = number(args.next())?;
                    options.seeds = 1;
                }
                "--from" => options.first = number(args.next())?,
                "--seeds" => options.seeds = number(args.next())?,
                "--minutes" => {
                    options.minutes = number(args.next())?;
                    options.seeds = u64::MAX;
                }
                _ => return Err(format!("what is {arg}?")),
            }
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
            eprintln!("{text}\nspool-sim [--seeds N] [--minutes M] [--from N] [--seed N]");
            return ExitCode::from(2);
        }
    };
    // A panic of the spool is reported as a broken promise.
    std::panic::set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let mut total = Stats::default();
    let mut seed = options.first;
    while total.seeds < options.seeds && begin.elapsed().as_secs_f64() < options.minutes * 60.0 {
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
    println!("{:.1} s on one core", begin.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
