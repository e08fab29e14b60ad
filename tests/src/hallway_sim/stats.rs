//! [`Stats`]: what came to pass in runs that kept every promise.

use std::fmt;
use std::time::Duration;

/// Sums over runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Runs.
    pub seeds: u64,
    /// Virtual time.
    pub simulated: Duration,
    /// Turns of threads.
    pub turns: u64,
    /// Events that were taken.
    pub accepted: u64,
    /// Events that were refused.
    pub refused: u64,
    /// Events that agents stored, each once.
    pub delivered: u64,
    /// Those that they stored again.
    pub duplicates: u64,
    /// Events that agents got before the disk had them.
    pub unstored: u64,
    /// Ends of the process, by a kill or a power loss.
    pub kills: u64,
    /// Closes.
    pub closes: u64,
    /// Things that went wrong: agents, disks, files.
    pub troubles: u64,
    /// Events of others that were delivered.
    pub adopted: u64,
    /// Faults: of attempts, batches, answers, and of the disk's calls, and ends of the process.
    pub faults: u64,
}

impl Stats {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.turns += other.turns;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        self.unstored += other.unstored;
        self.kills += other.kills;
        self.closes += other.closes;
        self.troubles += other.troubles;
        self.adopted += other.adopted;
        self.faults += other.faults;
    }

    /// Simulated hours.
    #[must_use]
    pub fn hours(&self) -> f64 {
        self.simulated.as_secs_f64() / 3600.0
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} runs of {:.1} hours kept every promise: {} events taken, {} refused, {} delivered, {} again",
            self.seeds,
            self.hours(),
            self.accepted,
            self.refused,
            self.delivered,
            self.duplicates
        )?;
        writeln!(
            f,
            "{} turns, {} faults in {} troubles, {} ends of the process, {} closes",
            self.turns, self.faults, self.troubles, self.kills, self.closes
        )?;
        writeln!(
            f,
            "{} events delivered before they were stored, {} that others left",
            self.unstored, self.adopted
        )
    }
}
