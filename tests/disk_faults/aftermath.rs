//! What is there afterwards, against what was told.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use flume_client::Event;
use flume_client::spool::{Directory, Survey};
use flume_mini_agent::MiniAgent;

use crate::service::{Result, Told, client, number_of};

const PATIENCE: Duration = Duration::from_secs(30);

/// Checks that the counters tell of every event once, that what was told is in the spool, and that
/// the next client delivers it.
pub(crate) fn check(told: &Told, spool: &Path, quota: u64) -> Result<()> {
    let stored = told.stored.len() as u64;
    if told.on_disk != stored || told.accepted != told.on_disk + told.lost {
        return Err(format!(
            "{} taken, {stored} told to be stored, {} reported on the disk and {} lost",
            told.accepted, told.on_disk, told.lost
        )
        .into());
    }
    let mut found = Vec::new();
    let directory = Directory::look(spool)?;
    let survey = Survey::take(&directory, |stored| {
        let event = Event::from_datum(stored.datum.to_vec()).map_err(io::Error::other)?;
        found.push(number_of(&event).map_err(|error| io::Error::other(error.to_string()))?);
        Ok(())
    })?;
    if survey.lost() > 0 {
        return Err(format!("the spool misses {} events: {survey:?}", survey.lost()).into());
    }
    let events = found.len() as u64;
    compare("in the spool", found, told)?;

    let agent = MiniAgent::builder().capacity(100_000).start()?;
    let next = client(&agent.url(), spool, quota)?;
    next.flush(PATIENCE).wait()?;
    let report = next.close(PATIENCE).wait();
    if !report.is_complete() {
        return Err(format!("the next client did not deliver all: {report:?}").into());
    }
    // What it has answered for is on its way through its channel.
    agent.wait_until(PATIENCE, |stats| stats.events_drained >= events)?;
    let received = agent.received();
    let delivered = received
        .iter()
        .map(|event| number_of(event))
        .collect::<Result<Vec<_>>>()?;
    compare("delivered", delivered, told)
}

/// What was told is there once. Events of which nothing was told may be there, once as well.
fn compare(place: &str, numbers: Vec<u64>, told: &Told) -> Result<()> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for number in numbers {
        *counts.entry(number).or_default() += 1;
    }
    let missing = told.stored.iter().filter(|it| !counts.contains_key(it));
    let missing: Vec<_> = missing.collect();
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    if missing.is_empty() && doubled.is_empty() {
        return Ok(());
    }
    Err(format!("{place}: missing {missing:?}, more than once {doubled:?}").into())
}
