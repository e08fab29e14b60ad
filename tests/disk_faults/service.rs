//! The service: appends events in groups, and tells which are stored and what the trouble is.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flume_client::{Client, Event, Receipt};
use flume_tests::wait_until;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Events that are appended before they are waited for.
const GROUP: u64 = 50;
/// Groups in a row that are not stored in time until it gives up.
const LATE_MAX: u32 = 3;
/// How long to wait for a group: longer than a client rests before it tries again.
const WAIT: Duration = Duration::from_secs(3);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const BODY_BYTES: usize = 3000;
/// Longer than the slowest run: two minutes, of which half a second is work.
const PATIENCE: Duration = Duration::from_secs(120);
/// Nobody listens there.
const NOWHERE: &str = "avro://127.0.0.1:1";

/// What a service told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) stored: BTreeSet<u64>,
    /// Each trouble once, in the words of the client.
    pub(crate) troubles: Vec<String>,
    pub(crate) accepted: u64,
    pub(crate) on_disk: u64,
    pub(crate) lost: u64,
}

/// The event with this number.
fn event(number: u64) -> Event {
    Event::new(format!("event {number} {}", "x".repeat(BODY_BYTES)))
}

/// The number of an event that was made here.
pub(crate) fn number_of(event: &Event) -> Result<u64> {
    let text = std::str::from_utf8(event.body())?;
    let number = text.split(' ').nth(1).ok_or("a body without a number")?;
    Ok(number.parse()?)
}

/// The settings of whoever uses the spool.
pub(crate) fn client(agent: &str, spool: &Path, quota: u64) -> Result<Client> {
    let client = Client::builder()
        .agent(agent)
        .spool(spool)
        .spool_bytes(quota)
        .spool_free_bytes(0)
        .event_bytes(4096)
        .build()?;
    Ok(client)
}

/// The service itself.
pub(crate) fn run(spool: &Path, quota: &str, events: &str) -> Result<()> {
    let client = client(NOWHERE, spool, quota.parse()?)?;
    let events = events.parse()?;
    let (mut waiting, mut late, mut troubles) = (Vec::new(), 0, BTreeSet::new());
    let mut number = 0;
    while number < events && late < LATE_MAX {
        let end = number + GROUP;
        while number < end {
            match client.append(event(number)) {
                Ok(receipt) => waiting.push((number, receipt)),
                Err(error) => {
                    println!("trouble {error}");
                    late = LATE_MAX;
                    break;
                }
            }
            number += 1;
        }
        let last = waiting.last().map(|(_, receipt)| receipt.wait_stored(WAIT));
        late = if last == Some(Ok(())) { 0 } else { late + 1 };
        tell_stored(&mut waiting);
        let trouble = client.stats().spool.and_then(|spool| spool.trouble);
        if let Some(trouble) = trouble.map(|trouble| trouble.to_string())
            && troubles.insert(trouble.clone())
        {
            println!("trouble {trouble}");
        }
    }
    let report = client.close(CLOSE_TIMEOUT).wait();
    tell_stored(&mut waiting);
    let accepted = client.stats().accepted;
    let (on_disk, lost) = (report.on_disk, report.lost.total());
    println!("closed {accepted} {on_disk} {lost}");
    Ok(())
}

/// Tells of those that wait which are stored.
fn tell_stored(waiting: &mut Vec<(u64, Receipt)>) {
    waiting.retain(|(number, receipt)| {
        let is_stored = receipt.wait_stored(Duration::ZERO).is_ok();
        if is_stored {
            println!("stored {number}");
        }
        !is_stored
    });
}

/// Runs a service as an argument of `command`, and says what it told. What it prints goes to files
/// in `home`.
pub(crate) fn listen_to(
    mut command: Command,
    home: &Path,
    spool: &Path,
    quota: u64,
    events: u64,
) -> Result<Told> {
    command.arg("service").arg(spool);
    command.args([quota.to_string(), events.to_string()]);
    let (out, err) = (home.join("stdout"), home.join("stderr"));
    command.stdout(File::create(&out)?);
    command.stderr(File::create(&err)?);
    let mut process = command.spawn()?;
    let mut status = None;
    let ended = wait_until("the end of the service", PATIENCE, || {
        status = process.try_wait().ok().flatten();
        status.is_some()
    });
    if ended.is_err() {
        process.kill()?;
        process.wait()?;
    }
    let (out, err) = (fs::read_to_string(out)?, fs::read_to_string(err)?);
    ended.map_err(|error| format!("{error}; it told {out} {err}"))?;
    if !status.is_some_and(|status| status.success()) || err.contains("panicked") {
        return Err(format!("the service ended with {status:?}: {out} {err}").into());
    }
    told(&out)
}

fn told(out: &str) -> Result<Told> {
    let mut told = Told::default();
    let mut closed = false;
    for line in out.lines() {
        let (word, rest) = line.split_once(' ').ok_or("a line of one word")?;
        if word == "trouble" {
            told.troubles.push(rest.to_owned());
            continue;
        }
        let numbers = rest
            .split(' ')
            .map(str::parse)
            .collect::<std::result::Result<Vec<u64>, _>>()?;
        match (word, numbers.as_slice()) {
            ("stored", [number]) => drop(told.stored.insert(*number)),
            ("closed", [accepted, on_disk, lost]) => {
                (told.accepted, told.on_disk, told.lost) = (*accepted, *on_disk, *lost);
                closed = true;
            }
            _ => return Err(format!("what is {line:?}?").into()),
        }
    }
    if closed {
        Ok(told)
    } else {
        Err(format!("the service did not come to its end: {out}").into())
    }
}
