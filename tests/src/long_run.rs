//! [`LongRun`]: how long a simulator runs, by the words of its command line.

use std::str::FromStr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Seeds from the first one on, until one of the bounds is reached. Without a word of them these
/// are fresh seeds.
#[derive(Debug)]
pub struct LongRun {
    /// The first seed.
    pub first: u64,
    /// So many seeds.
    pub seeds: u64,
    /// Until so many hours are simulated.
    pub hours: f64,
    /// Until so many minutes have passed.
    pub minutes: f64,
    /// Words that only one of the simulators knows.
    pub others: Vec<String>,
    /// A bound was named.
    pub is_bounded: bool,
    begin: Instant,
}

impl LongRun {
    /// Reads the words. Of those that are none of its own, `knows` says which there are.
    ///
    /// # Errors
    /// A word that nobody knows, or one that should be a number.
    pub fn parse(
        mut args: impl Iterator<Item = String>,
        knows: impl Fn(&str) -> bool,
    ) -> Result<Self, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut run = Self {
            first: since.map_or(0, |since| since.as_micros() as u64),
            seeds: u64::MAX,
            hours: f64::MAX,
            minutes: f64::MAX,
            others: Vec::new(),
            is_bounded: false,
            begin: Instant::now(),
        };
        while let Some(arg) = args.next() {
            run.is_bounded |=
                matches!(arg.as_str(), "--seed" | "--seeds" | "--hours" | "--minutes");
            match arg.as_str() {
                "--seed" => {
                    run.first = number(args.next())?;
                    run.seeds = 1;
                }
                "--from" => run.first = number(args.next())?,
                "--seeds" => run.seeds = number(args.next())?,
                "--hours" => run.hours = number(args.next())?,
                "--minutes" => run.minutes = number(args.next())?,
                other if knows(other) => run.others.push(arg),
                _ => return Err(format!("what is {arg}?")),
            }
        }
        Ok(run)
    }

    /// Whether there is more to run, after so many seeds of so many hours in all.
    #[must_use]
    pub fn goes_on(&self, seeds: u64, hours: f64) -> bool {
        seeds < self.seeds && hours < self.hours && self.seconds() < self.minutes * 60.0
    }

    /// Since it began.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    /// Whether this word was said.
    #[must_use]
    pub fn says(&self, word: &str) -> bool {
        self.others.iter().any(|other| other == word)
    }
}

fn number<T: FromStr>(arg: Option<String>) -> Result<T, String> {
    let arg = arg.ok_or("a number is missing")?;
    arg.parse().map_err(|_| format!("{arg} is no number"))
}
