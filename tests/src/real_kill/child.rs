//! [`send`]: the process that sends. It says on standard output what it has achieved:
//!
//! | line | |
//! |---|---|
//! | `opened N` | N events were in the spool |
//! | `stored N` | all its numbers below N are stored |
//! | `done D R C` | everything is acknowledged: events, batches sent again, connections |
//!
//! It ends when its standard input does. If that is before it is done, somebody has waited in vain,
//! so it tells its counters on standard error.

use std::io::{Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, process};

use flume_client::{Backoff, Client, Event, Receipt};

use super::plan::PATIENCE;
use crate::{HarnessError, Result};

/// The first argument of a program that is to be a sender.
pub const SENDER: &str = "sender";
/// What the service would put into it, and what the header adds to it in the agent's file.
const BODY_BYTES: usize = 200;
const EVENT_BYTES_MAX: usize = 4096;
/// An agent that is back is found within a second.
const BACKOFF_CAP: Duration = Duration::from_secs(1);
/// Receipts that wait for their turn.
const RECEIPTS_MAX: usize = 65_536;

/// What a sender is to do.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    /// How many were there before it.
    pub(super) life: usize,
    pub(super) numbers: Range<u64>,
    pub(super) agent: String,
    pub(super) spool: String,
    pub(super) spool_bytes: u64,
}

impl Orders {
    pub(super) fn to_arguments(&self) -> [String; 7] {
        [
            SENDER.to_owned(),
            self.life.to_string(),
            self.numbers.start.to_string(),
            self.numbers.end.to_string(),
            self.agent.clone(),
            self.spool.clone(),
            self.spool_bytes.to_string(),
        ]
    }

    /// Of the arguments, without the first one.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        Some(Self {
            life: arguments.next()?.parse().ok()?,
            numbers: arguments.next()?.parse().ok()?..arguments.next()?.parse().ok()?,
            agent: arguments.next()?,
            spool: arguments.next()?,
            spool_bytes: arguments.next()?.parse().ok()?,
        })
    }
}

/// The body of an event, which names it.
pub(super) fn body(life: usize, number: u64) -> String {
    format!("{life} {number} {:x<BODY_BYTES$}", "")
        .chars()
        .take(BODY_BYTES)
        .collect()
}

/// Is a sender, as [`run`](super::run) starts it, with the arguments behind [`SENDER`].
///
/// # Errors
///
/// When an event cannot be appended, stored or delivered in time.
pub fn send(arguments: impl Iterator<Item = String>) -> Result<()> {
    let orders = Orders::parse(arguments);
    let orders = orders.ok_or_else(|| HarnessError::new("a sender is started by flume-kill"))?;
    let client = Client::builder()
        .agent(orders.agent)
        .spool(orders.spool)
        .spool_bytes(orders.spool_bytes)
        .spool_free_bytes(0)
        .event_bytes(EVENT_BYTES_MAX)
        .backoff(Backoff::default().cap(BACKOFF_CAP))
        .build()
        .map_err(|e| HarnessError::doing("the client", e))?;
    let is_done = Arc::new(AtomicBool::new(false));
    let listener = watch_listener(is_done.clone(), client.clone());
    say(&format!("opened {}", client.stats().recovered))?;
    append_all(&client, orders.life, orders.numbers)?;
    let flushed = client.flush(PATIENCE).wait();
    flushed.map_err(|e| HarnessError::doing("flush", e))?;
    let stats = client.stats();
    if stats.pending + stats.lost.total() > 0 {
        return Err(HarnessError::new(format!("after the flush: {stats:?}")));
    }
    is_done.store(true, Ordering::Release);
    let (delivered, retried) = (stats.delivered, stats.batches_retried);
    say(&format!("done {delivered} {retried} {}", stats.connects))?;
    listener.join().expect("the watch does not panic");
    let report = client.close(PATIENCE).wait();
    if report.is_complete() {
        Ok(())
    } else {
        Err(HarnessError::new(format!("after the close: {report:?}")))
    }
}

/// Appends all numbers and says which are stored.
fn append_all(client: &Client, life: usize, numbers: Range<u64>) -> Result<()> {
    let (sender, receiver) = mpsc::sync_channel(RECEIPTS_MAX);
    thread::scope(|scope| {
        let reporter = scope.spawn(move || report(&receiver));
        let appended = append(client, life, numbers, &sender);
        drop(sender);
        let reported = reporter.join().expect("the reporter does not panic");
        // The reporter's failure is the cause of the appender's, if it has one.
        reported.and(appended).map_err(|error| {
            let stats = client.stats();
            HarnessError::new(format!("{error}\n{stats:?}"))
        })
    })
}

fn append(
    client: &Client,
    life: usize,
    numbers: Range<u64>,
    receipts: &SyncSender<(u64, Receipt)>,
) -> Result<()> {
    for number in numbers {
        let event = Event::new(body(life, number));
        let receipt = client.append_within(event, PATIENCE);
        let receipt = receipt.map_err(|e| HarnessError::doing("append", e))?;
        let sent = receipts.send((number, receipt));
        sent.map_err(|e| HarnessError::doing("the reporter", e))?;
    }
    Ok(())
}

/// Says what is stored whenever it has to wait, so about once for each commit.
fn report(receipts: &Receiver<(u64, Receipt)>) -> Result<()> {
    let mut unsaid = None;
    loop {
        let next = receipts.try_recv().or_else(|_| {
            say_stored(&mut unsaid)?;
            receipts.recv().map_err(|e| HarnessError::doing("end", e))
        });
        let Ok((number, receipt)) = next else {
            return say_stored(&mut unsaid);
        };
        if receipt.wait_stored(Duration::ZERO).is_err() {
            say_stored(&mut unsaid)?;
            let stored = receipt.wait_stored(PATIENCE);
            stored.map_err(|e| HarnessError::doing("storing", e))?;
        }
        unsaid = Some(number + 1);
    }
}

fn say_stored(unsaid: &mut Option<u64>) -> Result<()> {
    match unsaid.take() {
        Some(upto) => say(&format!("stored {upto}")),
        None => Ok(()),
    }
}

fn say(line: &str) -> Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .map_err(|e| HarnessError::doing("standard output", e))
}

/// Ends with standard input, and the process with it if that comes too early.
fn watch_listener(is_done: Arc<AtomicBool>, client: Client) -> JoinHandle<()> {
    thread::spawn(move || {
        drop(io::stdin().read_to_end(&mut Vec::new()));
        if !is_done.load(Ordering::Acquire) {
            let stats = client.stats();
            drop(writeln!(io::stderr(), "the sender, not done: {stats:?}"));
            process::exit(1);
        }
    })
}
