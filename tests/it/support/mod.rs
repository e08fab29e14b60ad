//! What the scenarios share.

mod block_on;
#[cfg(target_os = "linux")]
mod fork;
mod process;

use std::time::Duration;

use flume_client::{Backoff, Client, ClientBuilder, Event, Receipt, Report, Stats};

pub(crate) use flume_tests::scripted::{
    Agent, Answer, GOOD, Greeting, Request, Script, answers, first_answers, greets, number_of,
};
#[cfg(target_os = "linux")]
pub(crate) use flume_tests::small_disk::{
    btrfs, on_btrfs, on_disk, on_small_disk, stuff, with_silent_name_server,
};
pub(crate) use flume_tests::wire::Received;
pub(crate) use flume_tests::{NO_HOST, Port, alone, alone_as_nobody, alone_under};

pub(crate) use block_on::{block_on, current_thread, one_worker, run_in};
#[cfg(target_os = "linux")]
pub(crate) use fork::{Other, in_child, tell, wait_for_end};
pub(crate) use process::{anonymous_bytes, effort, open_files, resident_bytes, threads};

/// How long to wait for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client waits for an answer where some agent gives none: enough for one that gives it
/// on a busy machine.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Longer than any test.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Every event is somewhere.
#[track_caller]
pub(crate) fn assert_balanced(stats: &Stats) {
    assert_eq!(
        stats.accepted + stats.recovered,
        stats.delivered + stats.pending + stats.lost.total(),
        "{stats:?}"
    );
}

/// A client that does not rest for long, at these addresses. What its events are named is left to those who ask for it.
pub(crate) fn client_at(urls: impl IntoIterator<Item = String>) -> ClientBuilder {
    let backoff = Backoff::default()
        .base(Duration::from_millis(5))
        .cap(Duration::from_millis(20));
    Client::builder()
        .agents(urls)
        .event_ids(false)
        .linger(Duration::from_millis(1))
        .backoff(backoff)
}

/// A client of these agents, see [`client_at`].
pub(crate) fn client_of(agents: &[&Agent]) -> ClientBuilder {
    let urls = agents.iter().map(|agent| agent.url());
    client_at(urls.collect::<Vec<_>>())
}

/// The event with this number, as [`number_of`] reads it.
pub(crate) fn event(number: u64) -> Event {
    Event::new(format!("event {number}"))
}

/// Appends events with these numbers.
pub(crate) fn append_all(client: &Client, numbers: impl IntoIterator<Item = u64>) -> Vec<Receipt> {
    let numbers = numbers.into_iter();
    numbers
        .map(|number| client.append(event(number)).unwrap())
        .collect()
}

/// Closes the client with this deadline and returns the report, also when its thread comes late.
pub(crate) fn give_up(client: &Client, deadline: Duration) -> Report {
    drop(client.close(deadline));
    // The shorter deadline holds.
    client.close(PATIENCE).wait()
}

/// Checks that every number below `count` is there, and nothing twice.
#[track_caller]
pub(crate) fn assert_each_once(mut numbers: Vec<u64>, count: u64) {
    numbers.sort_unstable();
    assert_eq!(numbers.len() as u64, count, "events");
    assert!(numbers.into_iter().eq(0..count), "some twice, some never");
}

/// Checks that every number below `count` is there, once or more often.
#[track_caller]
pub(crate) fn assert_each_at_least_once(mut numbers: Vec<u64>, count: u64) {
    numbers.sort_unstable();
    numbers.dedup();
    assert_each_once(numbers, count);
}
