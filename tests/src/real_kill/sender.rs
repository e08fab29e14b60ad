//! The sender's lives: processes that go on, each where the last one's reports ended.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::child::Orders;
use super::plan::PATIENCE;
use crate::{Child, HarnessError, Heard, Line, Result};

/// How often to look whether the agent's side failed.
const LOOK: Duration = Duration::from_millis(20);

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

struct Sender {
    /// It ends when its input does.
    child: Child,
    life: SenderLife,
}

impl Sender {
    fn start(program: &Path, orders: &Orders) -> Result<Self> {
        let first = orders.numbers.start;
        Ok(Self {
            child: Child::start(Command::new(program).args(orders.to_arguments()))?,
            life: SenderLife {
                first,
                stored_upto: first,
                ..SenderLife::default()
            },
        })
    }

    /// Waits for something that the sender says.
    fn wait_until(
        &mut self,
        what: &str,
        stop: &AtomicBool,
        reached: impl Fn(&SenderLife) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !reached(&self.life) {
            if stop.load(Ordering::Relaxed) {
                return Err(self.error("the agent's side failed"));
            }
            let now = Instant::now();
            match self.child.hear(deadline.min(now + LOOK)) {
                Heard::Line(line) => self.life.note(&line)?,
                Heard::End => return Err(self.error("it ended, see standard error")),
                Heard::Nothing if now >= deadline => {
                    return Err(self.error(&format!("waited {PATIENCE:?} in vain for {what}")));
                }
                Heard::Nothing => {}
            }
        }
        Ok(())
    }

    /// `kill -9`, and what it had said until then.
    fn kill(mut self) -> Result<SenderLife> {
        for line in self.child.kill()? {
            self.life.note(&line)?;
        }
        Ok(self.life)
    }

    /// Lets it end.
    fn finish(mut self) -> Result<SenderLife> {
        self.child.close_input();
        for line in self.child.rest()? {
            self.life.note(&line)?;
        }
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(self.life),
            false => Err(self.error(&format!("it ended with {status}"))),
        }
    }

    /// Lets the process end, so that it tells its counters.
    fn error(&mut self, failure: &str) -> HarnessError {
        self.child.close_input();
        drop(self.child.rest());
        HarnessError::doing(format!("the sender, {:?}", self.life), failure)
    }
}

impl SenderLife {
    fn note(&mut self, line: &Line) -> Result<()> {
        let said = self.note_words(&line.text);
        said.ok_or_else(|| HarnessError::new(format!("the sender said {:?}", line.text)))
    }

    fn note_words(&mut self, text: &str) -> Option<()> {
        let mut words = text.split_whitespace();
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
