//! Simulator of the spool: one writer, one reader, a disk that fails, and the end of the world
//! between any two of its operations.
//!
//! A seed decides the sizes, the work, and what goes wrong; a run checks every promise of the
//! spool and names the first that is broken.
//!
//! | file | holds |
//! |---|---|
//! | [`disk`] | the disk: live and durable images, torn and lost writes, errors |
//! | `world` | the work, and what goes wrong |
//! | `inode` | one file of it |
//! | `plan` | the sizes, and what may go wrong |
//! | `promises` | what is checked when all is over, and about the disk |
//! | `reading` | the reader's work, in order and late |
//! | `unread`, `obstacles` | files that cannot be read for a while, and what people do to files |
//! | `book` | what was promised to whom |
//! | `noted` | what a start must know to be retired |

#![expect(
    clippy::indexing_slicing,
    reason = "a panic is a failed run with its seed"
)]

mod book;
pub mod disk;
mod inode;
mod noted;
mod obstacles;
mod plan;
mod promises;
mod reading;
mod unread;
mod world;

use std::fmt;

pub use obstacles::of_another_version;
pub use world::run;

/// A broken promise.
#[derive(Debug)]
pub struct Failure {
    /// Gives the same run again.
    pub seed: u64,
    /// Which promise.
    pub promise: &'static str,
    /// With which numbers.
    pub details: String,
}

/// What came to pass in runs that kept every promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Runs.
    pub seeds: u64,
    /// Events that were reported durable.
    pub stored: u64,
    /// Events that were read, those that were read again included.
    pub read: u64,
    /// Starts of the spool.
    pub starts: u64,
    /// Power losses.
    pub crashes: u64,
    /// Operations of the disk.
    pub operations: u64,
    /// Errors of the disk.
    pub faults: u64,
    /// Bits that were turned over, and files that were put there.
    pub damages: u64,
    /// Gaps of durable events that were told, all after such damage.
    pub gaps: u64,
    /// Events that agents took before the disk did, so that they were never written.
    pub unstored: u64,
    /// Files that could not be read for a while, or somebody gave other names or took away.
    pub obstacles: u64,
    /// Ranges of events that were left out because they could not be read.
    pub left_out: u64,
}

impl Stats {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.stored += other.stored;
        self.read += other.read;
        self.starts += other.starts;
        self.crashes += other.crashes;
        self.operations += other.operations;
        self.faults += other.faults;
        self.damages += other.damages;
        self.gaps += other.gaps;
        self.unstored += other.unstored;
        self.obstacles += other.obstacles;
        self.left_out += other.left_out;
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            promise,
            details,
        } = self;
        write!(f, "seed {seed} breaks \"{promise}\": {details}")
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} runs kept every promise: {} events stored, {} read",
            self.seeds, self.stored, self.read
        )?;
        writeln!(
            f,
            "{} starts, {} power losses, {} disk operations, {} errors of the disk",
            self.starts, self.crashes, self.operations, self.faults
        )?;
        writeln!(
            f,
            "{} damages to files, {} gaps told after them",
            self.damages, self.gaps
        )?;
        writeln!(
            f,
            "{} obstacles, {} ranges of events left out for them",
            self.obstacles, self.left_out
        )
    }
}
