//! Totals over one or many seeds.

use std::fmt;

use super::fault::Fault;
use super::time::Nanos;

/// What was simulated.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Scenarios run.
    pub seeds: u64,
    /// Simulated time, in nanoseconds.
    pub simulated: Nanos,
    /// Calls of `Core::step`.
    pub steps: u64,
    /// Messages, timers and other happenings.
    pub happenings: u64,
    /// Events accepted.
    pub accepted: u64,
    /// Events delivered.
    pub delivered: u64,
    /// Events stored more than once, counted for each time after the first.
    pub duplicates: u64,
    /// Events lost: by best effort, because the client was closed or to make room, or as no agent takes
    /// them.
    pub lost: u64,
    /// Batches sent.
    pub batches: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Connection attempts.
    pub connects: u64,
    faults: [u64; Fault::ALL.len()],
}

/// A run that kept every promise.
#[derive(Clone, Debug)]
pub struct Run {
    /// What was simulated.
    pub stats: Stats,
    /// Equal for equal runs.
    pub hash: u64,
}

impl Stats {
    /// Simulated hours.
    #[must_use]
    pub fn hours(&self) -> f64 {
        self.simulated as f64 / 3.6e12
    }

    /// Faults of all kinds.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.iter().sum()
    }

    pub(super) fn count(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// Adds the totals of another run.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.steps += other.steps;
        self.happenings += other.happenings;
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        self.lost += other.lost;
        self.batches += other.batches;
        self.retries += other.retries;
        self.connects += other.connects;
        for (mine, theirs) in self.faults.iter_mut().zip(other.faults) {
            *mine += theirs;
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seeds, {:.1} simulated hours, {} happenings, {} steps of the core",
            self.seeds,
            self.hours(),
            self.happenings,
            self.steps
        )?;
        writeln!(
            f,
            "{} events accepted, {} delivered, {} lost (best effort, closing, shed or unacceptable), {} duplicates",
            self.accepted, self.delivered, self.lost, self.duplicates
        )?;
        writeln!(
            f,
            "{} batches sent, {} of them again, {} connection attempts",
            self.batches, self.retries, self.connects
        )?;
        writeln!(f, "{} faults:", self.faults())?;
        for (fault, count) in Fault::ALL.iter().zip(self.faults) {
            writeln!(f, "  {count:>10} {fault:?}")?;
        }
        Ok(())
    }
}
