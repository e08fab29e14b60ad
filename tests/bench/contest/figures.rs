//! [`Figures`]: what the rounds of one contender gave.

use std::time::Instant;

use flume_tests::median;

use super::cpu;
use super::result::Result;
use super::table::{Row, Who};

/// What one round took.
pub(crate) struct Round {
    pub(crate) seconds: f64,
    /// Of the sender's process, all its threads.
    pub(crate) cpu_seconds: f64,
}

/// What the rounds of one contender gave.
#[derive(Default)]
pub(crate) struct Figures {
    /// Events per second.
    rates: Vec<f64>,
    /// Of the sender's CPU, per event.
    cpu_micros: Vec<f64>,
    /// What else the last round told.
    pub(crate) note: String,
}

impl Figures {
    /// Keeps a round of so many events, and tells it.
    pub(crate) fn add(&mut self, whose: &str, events: u64, round: &Round) {
        let rate = events as f64 / round.seconds;
        let micros = round.cpu_seconds / events as f64 * 1e6;
        eprintln!("{whose}: {rate:>10.0}/s {micros:>6.2} us");
        self.rates.push(rate);
        self.cpu_micros.push(micros);
    }

    pub(crate) fn into_row(mut self, name: &'static str, batch: usize, who: Who) -> Row {
        Row {
            name,
            batch,
            who,
            rate: median(&mut self.rates),
            cpu_micros: median(&mut self.cpu_micros),
            note: self.note,
        }
    }
}

/// What this process takes for some work.
pub(crate) fn timed(work: impl FnOnce() -> Result<()>) -> Result<Round> {
    let (started, cpu) = (Instant::now(), cpu::seconds());
    work()?;
    Ok(Round {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu::seconds() - cpu,
    })
}
