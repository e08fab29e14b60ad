//! The process that is killed: appends numbered events as fast as it can, and tells on standard
//! output which ones are stored. What it has told is in the pipe when it dies.
//!
//! | line | says |
//! |---|---|
//! | `opening` | the spool is being opened, and what is in it sent at once |
//! | `opened P N` | place P of the spool is open, with so many events of earlier processes |
//! | `adopts N` | of a place that a killed process had, N events are to be sent |
//! | `stored T N A` | of thread T the events below number N are stored, those below A appended |

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use flume_client::{Client, ClientBuilder, Event, Receipt, StoreError, WindowMode};

use super::plan::{BATCH_EVENTS, BATCHES_IN_FLIGHT};
use crate::{HarnessError, Result};

/// Receipts that a thread holds.
const WINDOW: usize = 512;
/// Events that a thread appends between two looks at what is stored.
const REPORT_AFTER: u64 = 16;
/// How long to wait for room, or for the disk, before looking again.
const WAIT: Duration = Duration::from_millis(20);
/// Whom nobody kills ends by itself.
const LIFE_MAX: Duration = Duration::from_secs(60);
/// Little enough that a few rounds without an agent fill a segment, and more than client and
/// worker keep in memory.
const SPOOL_BYTES: u64 = 48 * 1024 * 1024;
const EVENT_BYTES_MAX: usize = 64 * 1024;
/// How often a process looks whether it adopts what another one left.
const LOOK: Duration = Duration::from_millis(5);
/// Threads of the first process of a round have numbers below this, those of the second from it on.
const THREADS_MAX: u32 = 16;

/// What a process is to do.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) spool: PathBuf,
    pub(super) agent: String,
    pub(super) round: u32,
    /// Which process of the round it is, from 0.
    pub(super) process: u32,
    pub(super) threads: u32,
    pub(super) padding: usize,
    pub(super) ordered: bool,
}

/// A line of what it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Opening,
    Opened {
        place: u32,
        recovered: u64,
    },
    Adopts {
        left: u64,
    },
    Stored {
        thread: u32,
        stored: u64,
        appended: u64,
    },
}

/// An event's number, unique over all rounds: the start of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    pub(super) round: u32,
    pub(super) thread: u32,
    pub(super) count: u64,
}

/// A client of the spool under test.
pub(super) fn client_of(spool: &Path, agent: &str, ordered: bool) -> ClientBuilder {
    let window = if ordered {
        WindowMode::Ordered
    } else {
        WindowMode::Adaptive {
            max: BATCHES_IN_FLIGHT,
        }
    };
    Client::builder()
        .agent(agent)
        .spool(spool)
        .spool_bytes(SPOOL_BYTES)
        .spool_free_bytes(0)
        .event_bytes(EVENT_BYTES_MAX)
        .batch_events(BATCH_EVENTS)
        .linger(Duration::from_millis(1))
        .window(window)
}

/// The process that [`run`](super::run) starts and kills; `args` are those it gives.
///
/// # Errors
///
/// When the client does not take or store events, and when nobody kills the process.
pub fn write(args: impl Iterator<Item = String>) -> Result<()> {
    let job = Job::parse(args)?;
    Word::Opening.tell()?;
    let client = client_of(&job.spool, &job.agent, job.ordered).build();
    let client = client.map_err(|e| HarnessError::doing("opening the spool", e))?;
    Word::opened(&client).tell()?;
    let (sender, ended) = mpsc::channel();
    for thread in 0..job.threads {
        let thread = job.process * THREADS_MAX + thread;
        let mut lane = Lane::new(client.clone(), &job, thread);
        let sender = sender.clone();
        // Nobody listens to the second one that ends.
        thread::spawn(move || drop(sender.send(lane.run())));
    }
    drop(sender);
    let mut told = 0;
    loop {
        match ended.recv_timeout(LOOK) {
            Ok(ended) => return ended,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(HarnessError::new("a thread panicked"));
            }
            Err(RecvTimeoutError::Timeout) => {
                let spool = client.stats().spool;
                let left = spool.map_or(0, |spool| spool.adopted);
                if (left > 0) != (told > 0) {
                    Word::Adopts { left }.tell()?;
                    told = left;
                }
            }
        }
    }
}

/// A thread's events.
struct Lane {
    client: Client,
    next: Number,
    padding: String,
    stored: u64,
    receipts: VecDeque<Receipt>,
}

impl Lane {
    fn new(client: Client, job: &Job, thread: u32) -> Self {
        Self {
            client,
            next: Number {
                round: job.round,
                thread,
                count: 0,
            },
            padding: "x".repeat(job.padding),
            stored: 0,
            receipts: VecDeque::new(),
        }
    }

    fn run(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < LIFE_MAX {
            if self.receipts.len() < WINDOW {
                self.append()?;
            }
            let is_full = self.receipts.len() >= WINDOW;
            if is_full && let Some(oldest) = self.receipts.front() {
                is_stored(oldest, WAIT)?;
            }
            if is_full || self.next.count.is_multiple_of(REPORT_AFTER) {
                self.report()?;
            }
        }
        Err(HarnessError::new(format!("not killed in {LIFE_MAX:?}")))
    }

    fn append(&mut self) -> Result<()> {
        let event = Event::new(format!("{} {}", self.next, self.padding));
        match self.client.append_within(event, WAIT) {
            Ok(receipt) => {
                self.receipts.push_back(receipt);
                self.next.count += 1;
                Ok(())
            }
            // It gets the same number when it is made again.
            Err(error) if error.is_retryable() => self.report(),
            Err(error) => Err(HarnessError::doing("append", error)),
        }
    }

    fn report(&mut self) -> Result<()> {
        let before = self.stored;
        while let Some(oldest) = self.receipts.front()
            && is_stored(oldest, Duration::ZERO)?
        {
            self.receipts.pop_front();
            self.stored += 1;
        }
        if self.stored == before {
            return Ok(());
        }
        let word = Word::Stored {
            thread: self.next.thread,
            stored: self.stored,
            appended: self.next.count,
        };
        word.tell()
    }
}

fn is_stored(receipt: &Receipt, timeout: Duration) -> Result<bool> {
    match receipt.wait_stored(timeout) {
        Ok(()) => Ok(true),
        Err(StoreError::Pending { .. }) => Ok(false),
        Err(error) => Err(HarnessError::doing("waiting for the disk", error)),
    }
}

impl Job {
    pub(super) fn args(&self) -> [String; 7] {
        [
            self.spool.display().to_string(),
            self.agent.clone(),
            self.round.to_string(),
            self.process.to_string(),
            self.threads.to_string(),
            self.padding.to_string(),
            self.ordered.to_string(),
        ]
    }

    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut next = || args.next().unwrap_or_default();
        Ok(Self {
            spool: next().into(),
            agent: next(),
            round: parse(&next())?,
            process: parse(&next())?,
            threads: parse(&next())?,
            padding: parse(&next())?,
            ordered: parse(&next())?,
        })
    }
}

impl Word {
    /// What a client found. The places of a directory are numbered as their names are, from 1.
    pub(super) fn opened(client: &Client) -> Self {
        let stats = client.stats();
        let place = stats.spool.as_ref().and_then(|spool| {
            let name = spool.directory.file_name()?.to_str()?;
            name.strip_prefix("process-")?.parse().ok()
        });
        Self::Opened {
            place: place.unwrap_or(1),
            recovered: stats.recovered,
        }
    }

    /// One system call, of less than a pipe takes at once: it is told as a whole or not at all.
    fn tell(self) -> Result<()> {
        let line = format!("{self}\n");
        let told = std::io::stdout().write_all(line.as_bytes());
        told.map_err(|e| HarnessError::doing("telling what is stored", e))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => f.write_str("opening"),
            Self::Opened { place, recovered } => write!(f, "opened {place} {recovered}"),
            Self::Adopts { left } => write!(f, "adopts {left}"),
            Self::Stored {
                thread,
                stored,
                appended,
            } => write!(f, "stored {thread} {stored} {appended}"),
        }
    }
}

impl FromStr for Word {
    type Err = HarnessError;

    fn from_str(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["opening"] => Ok(Self::Opening),
            ["opened", place, recovered] => Ok(Self::Opened {
                place: parse(place)?,
                recovered: parse(recovered)?,
            }),
            ["adopts", left] => Ok(Self::Adopts { left: parse(left)? }),
            ["stored", thread, stored, appended] => Ok(Self::Stored {
                thread: parse(thread)?,
                stored: parse(stored)?,
                appended: parse(appended)?,
            }),
            _ => Err(HarnessError::new(format!("the process said {line:?}"))),
        }
    }
}

impl Number {
    /// Which process of its round appended it.
    pub(super) fn process(self) -> u32 {
        self.thread / THREADS_MAX
    }

    /// The number of the event with this body.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let mut parts = body.split(|byte| *byte == b' ');
        let mut next = || std::str::from_utf8(parts.next()?).ok();
        Some(Self {
            round: next()?.parse().ok()?,
            thread: next()?.parse().ok()?,
            count: next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.round, self.thread, self.count)
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T> {
    let parsed = text.parse();
    parsed.map_err(|_| HarnessError::new(format!("{text:?} is not what was expected")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_read_as_they_were_told() {
        let stored = Word::Stored {
            thread: 3,
            stored: 1 << 40,
            appended: u64::MAX,
        };
        let opened = Word::Opened {
            place: 2,
            recovered: 7,
        };
        for word in [Word::Opening, opened, Word::Adopts { left: 9 }, stored] {
            assert_eq!(word.to_string().parse::<Word>().unwrap(), word);
        }
        assert!("stored 1 2".parse::<Word>().is_err());
        let number = Number {
            round: 200,
            thread: 1,
            count: 12_345,
        };
        assert_eq!(Number::of(format!("{number} xxx").as_bytes()), Some(number));
        assert_eq!(Number::of(b"200 1 "), None);
    }
}
