//! The sender's lives: processes that go on, each where the last one's reports ended.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::PATIENCE;
use super::child::Orders;
use crate::{HarnessError, Result, wait_until};

/// What the service would put into it, and what the header adds to it in the agent's file.
const BODY_BYTES: usize = 200;
/// How long a sender that failed may take to tell why.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Reports are short lines.
const LINE_BYTES_MAX: u64 = 256;

/// What is known of one process of the sender.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SenderLife {
    /// Its first number.
    pub first: u64,
    /// All its numbers below this were reported as stored.
    pub stored_upto: u64,
    /// Events that it found in the spool.
    pub recovered: u64,
    /// What it said when everything was acknowledged.
    pub end: Option<SenderEnd>,
}

/// The counters of a sender that came to its end.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SenderEnd {
    /// Events that were acknowledged to it.
    pub delivered: u64,
    /// Batches that it sent again.
    pub retried: u64,
    /// Connections that it attempted.
    pub connects: u64,
}

/// The body of an event, which names it.
pub(super) fn body(life: usize, number: u64) -> String {
    format!("{life} {number} {:x<BODY_BYTES$}", "")
        .chars()
        .take(BODY_BYTES)
        .collect()
}

/// Starts a sender for all numbers, kills it when it has stored so many, and so on; the last one
/// is let live until everything is acknowledged.
pub(super) fn live(
    program: &Path,
    orders: Orders,
    lengths: &[u64],
    stop: &AtomicBool,
) -> Result<Vec<SenderLife>> {
    let mut orders = orders;
    let mut lives = Vec::new();
    for length in lengths {
        let mut sender = Sender::start(program, &orders)?;
        let enough = orders.numbers.start + length;
        sender.wait_until(&format!("{enough} events stored"), stop, |life| {
            life.stored_upto >= enough
        })?;
        let life = sender.kill()?;
        orders.life += 1;
        orders.numbers.start = life.stored_upto;
        lives.push(life);
    }
    let mut sender = Sender::start(program, &orders)?;
    sender.wait_until("an answer to every event", stop, |life| life.end.is_some())?;
    lives.push(sender.finish()?);
    Ok(lives)
}

/// A process that is killed when dropped.
struct Sender {
    process: Child,
    /// Closed, it ends.
    stdin: Option<ChildStdin>,
    reader: Option<JoinHandle<Result<()>>>,
    life: Arc<Mutex<SenderLife>>,
}

impl Sender {
    fn start(program: &Path, orders: &Orders) -> Result<Self> {
        let doing = |e: std::io::Error| HarnessError::doing("starting the sender", e);
        let mut process = Command::new(program)
            .args(orders.to_arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(doing)?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().expect("it is piped");
        let first = orders.numbers.start;
        let life = Arc::new(Mutex::new(SenderLife {
            first,
            stored_upto: first,
            ..SenderLife::default()
        }));
        let shared = life.clone();
        let reader = thread::spawn(move || listen(stdout, &shared));
        Ok(Self {
            process,
            stdin,
            reader: Some(reader),
            life,
        })
    }

    /// Waits for something that the sender says.
    fn wait_until(
        &mut self,
        what: &str,
        stop: &AtomicBool,
        mut condition: impl FnMut(&SenderLife) -> bool,
    ) -> Result<()> {
        let mut ended = None;
        let waited = wait_until(what, PATIENCE, || {
            ended = self.process.try_wait().ok().flatten();
            ended.is_some() || stop.load(Ordering::Relaxed) || condition(&lock(&self.life))
        });
        let failure = match ended {
            _ if stop.load(Ordering::Relaxed) => "the agent's side failed".to_owned(),
            Some(status) => format!("it ended with {status}, see standard error"),
            None => return waited.map_err(|e| self.error(&e)),
        };
        Err(self.error(&failure))
    }

    /// `kill -9`, and what it had said until then.
    fn kill(&mut self) -> Result<SenderLife> {
        let doing = |e: std::io::Error| HarnessError::doing("killing the sender", e);
        self.process.kill().map_err(doing)?;
        self.process.wait().map_err(doing)?;
        self.read_to_end()
    }

    fn finish(&mut self) -> Result<SenderLife> {
        drop(self.stdin.take());
        let mut ended = None;
        wait_until("the end of the sender", PATIENCE, || {
            ended = self.process.try_wait().ok().flatten();
            ended.is_some()
        })?;
        match ended {
            Some(status) if status.success() => self.read_to_end(),
            status => Err(self.error(&format!("it ended with {status:?}"))),
        }
    }

    fn read_to_end(&mut self) -> Result<SenderLife> {
        let reader = self.reader.take().expect("a process has one end");
        reader.join().expect("a reader does not panic")?;
        Ok(lock(&self.life).clone())
    }

    /// Lets the process end, so that it tells its counters.
    fn error(&mut self, failure: &dyn std::fmt::Display) -> HarnessError {
        drop(self.stdin.take());
        let ended = || self.process.try_wait().is_ok_and(|ended| ended.is_some());
        drop(wait_until("its last words", LAST_WORDS, ended));
        HarnessError::doing(format!("the sender, {:?}", lock(&self.life)), failure)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Notes what the sender says, to the end of it.
fn listen(stdout: impl Read, life: &Mutex<SenderLife>) -> Result<()> {
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    loop {
        line.clear();
        let read = stdout.by_ref().take(LINE_BYTES_MAX).read_line(&mut line);
        let read = read.map_err(|e| HarnessError::doing("listening to the sender", e))?;
        // A kill may cut off the last line.
        if read == 0 || !line.ends_with('\n') {
            return Ok(());
        }
        let said = lock(life).note(&line);
        said.ok_or_else(|| HarnessError::new(format!("the sender said {line:?}")))?;
    }
}

impl SenderLife {
    fn note(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_whitespace();
        let what = words.next()?;
        let mut number = || words.next()?.parse().ok();
        match what {
            "opened" => self.recovered = number()?,
            "stored" => self.stored_upto = number()?,
            "done" => {
                self.end = Some(SenderEnd {
                    delivered: number()?,
                    retried: number()?,
                    connects: number()?,
                });
            }
            _ => return None,
        }
        Some(())
    }
}

fn lock(life: &Mutex<SenderLife>) -> MutexGuard<'_, SenderLife> {
    life.lock().unwrap_or_else(PoisonError::into_inner)
}
