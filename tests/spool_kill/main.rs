//! Kills processes that write through a spool, one after the other, and checks that no event is
//! lost that was reported stored.
//!
//! ```text
//! spool-kill --rounds 200             so many kills, from a fresh seed
//! spool-kill --rounds 200 --seed 42   the same plan again
//! ```

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use flume_tests::{Result, spool_kill};

/// Rounds if nothing else is asked for.
const ROUNDS_DEFAULT: u32 = 200;

#[derive(Debug)]
struct Options {
    rounds: u32,
    seed: u64,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut options = Self {
            rounds: ROUNDS_DEFAULT,
            seed: since.map_or(0, |since| since.as_micros() as u64),
        };
        while let Some(arg) = args.next() {
            let value = args.next().unwrap_or_default();
            let wrong = || format!("{arg} {value} is no number");
            match arg.as_str() {
                "--rounds" => options.rounds = value.parse().map_err(|_| wrong())?,
                "--seed" => options.seed = value.parse().map_err(|_| wrong())?,
                _ => return Err(format!("what is {arg}?")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    let done = if args.next_if(|arg| arg == "write").is_some() {
        spool_kill::write(args).map(|()| true)
    } else {
        match Options::parse(args) {
            Ok(options) => tell(&options),
            Err(text) => {
                eprintln!("{text}\nspool-kill [--rounds N] [--seed N]");
                return ExitCode::from(2);
            }
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// `true`: all promises were kept.
fn tell(options: &Options) -> Result<bool> {
    let program = std::env::current_exe().unwrap_or_else(|_| "spool-kill".into());
    let figures = spool_kill::run(&program, options.rounds, options.seed)?;
    print!("{figures}");
    Ok(figures.is_sound())
}
