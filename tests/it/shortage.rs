//! A process that has no more threads or descriptors for a while, or for ever.
//!
//! The agent is in the test's own process, and the client in another one, which has the lack.

use std::fs;
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use flume_client::{BuildError, Client, ClientBuilder, Event, Reliability};
use rustix::process::{Resource, Rlimit, getrlimit, getuid, setrlimit};
use tempfile::TempDir;

use crate::support::{
    Agent, Answer, GOOD, Other, Port, alone, answers, client_at, event, give_up, tell, threads,
    wait_for_end,
};

/// How long everything may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// The agent by a name, which has to be looked up.
fn by_name(url: &str) -> String {
    let name = url.replace("127.0.0.1", "localhost");
    assert_ne!(name, url);
    name
}

fn spooled(builder: ClientBuilder, directory: &Path) -> Client {
    spooled_at(Reliability::EndToEnd, builder, directory)
}

fn spooled_at(level: Reliability, builder: ClientBuilder, directory: &Path) -> Client {
    let client = builder.spool(directory).spool_free_bytes(0);
    client.reliability(level).build().unwrap()
}

/// Lowers a limit of this process.
fn limit(resource: Resource, to: u64) {
    let maximum = getrlimit(resource).maximum;
    let current = Some(to);
    setrlimit(resource, Rlimit { current, maximum }).unwrap();
}

#[test]
fn all_threads_of_a_client_are_there_when_it_is_built_and_they_are_four_at_the_most() {
    let test = "shortage::all_threads_of_a_client_are_there_when_it_is_built_and_they_are_four_at_the_most";
    alone(test, || {
        let before = threads();
        let named = |count: u64| (0..count).map(|n| format!("avro://host-{n}.invalid:1"));
        let home = TempDir::new().unwrap();
        let in_memory = |urls: Vec<String>| client_at(urls).build().unwrap();
        let clients = [
            (in_memory(vec![Port::reserve().url()]), 1),
            (in_memory(named(2).collect()), 3),
            (in_memory(named(9).collect()), 4),
            (spooled(client_at([Port::reserve().url()]), home.path()), 3),
            (spooled(client_at(named(2)), home.path()), 4),
        ];
        let expected = before + clients.iter().map(|(_, threads)| threads).sum::<usize>();
        assert_eq!(threads(), expected);
        for (client, _) in &clients {
            // Looks up its agents' names, in vain.
            drop(client.append(event(0)).unwrap());
            client.flush(Duration::from_millis(100)).wait().unwrap_err();
        }
        assert_eq!(threads(), expected);
        for (client, _) in &clients {
            let _ = give_up(client, Duration::ZERO);
        }
    });
}

#[test]
fn a_process_that_gets_no_more_threads_delivers_what_it_took_and_has_stored() {
    let test = "shortage::a_process_that_gets_no_more_threads_delivers_what_it_took_and_has_stored";
    check_no_more_threads(test, Reliability::EndToEnd);
}

#[test]
fn a_process_that_gets_no_more_threads_delivers_with_store_on_failure_what_it_took() {
    let test =
        "shortage::a_process_that_gets_no_more_threads_delivers_with_store_on_failure_what_it_took";
    check_no_more_threads(test, Reliability::StoreOnFailure);
}

/// `test` is the name of the calling test.
fn check_no_more_threads(test: &str, level: Reliability) {
    const EVENTS: u64 = 10_000;
    if let Some(url) = Other::role() {
        let home = TempDir::new().unwrap();
        let client = spooled_at(level, client_at([by_name(&url)]), home.path());
        limit(Resource::Nproc, 1);
        if thread::Builder::new().spawn(|| ()).is_ok() {
            return tell(0);
        }
        // The other level with a spool needs a thread of its own.
        let other = match level {
            Reliability::EndToEnd => Reliability::StoreOnFailure,
            _ => Reliability::EndToEnd,
        };
        let error = client.at(other).unwrap_err();
        assert!(matches!(error, BuildError::Thread(_)), "{error}");
        // More than fits into memory, so that it is read from the disk.
        for _ in 0..EVENTS {
            let event = Event::new([b'x'; 3000]);
            drop(client.append_within(event, PATIENCE).unwrap());
        }
        tell(1);
        client.flush(PATIENCE).wait().unwrap();
        assert!(client.health().is_good(), "{}", client.health());
        assert!(client.close(PATIENCE).wait().is_complete());
        tell(2);
        return wait_for_end();
    }
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let mut client = Other::start_as(test, &agent.url(), |command| {
        // The limit does not bind root.
        if getuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
    });
    if client.told() == 0 {
        use std::io::Write;
        let message = "SKIPPED: this test needs a limit of threads that binds";
        writeln!(std::io::stderr(), "{message}").expect("stderr takes a line");
        return;
    }
    agent.release();
    assert_eq!(client.told(), 2);
}

#[test]
fn a_backlog_is_delivered_by_a_process_with_hardly_any_descriptors() {
    let test = "shortage::a_backlog_is_delivered_by_a_process_with_hardly_any_descriptors";
    check_few_descriptors(test, Reliability::EndToEnd);
}

#[test]
fn a_backlog_of_store_on_failure_is_delivered_by_a_process_with_hardly_any_descriptors() {
    let test = "shortage::a_backlog_of_store_on_failure_is_delivered_by_a_process_with_hardly_any_descriptors";
    check_few_descriptors(test, Reliability::StoreOnFailure);
}

/// `test` is the name of the calling test.
fn check_few_descriptors(test: &str, level: Reliability) {
    const EVENTS: u64 = 1000;
    if let Some(role) = Other::role() {
        let (descriptors, url) = role.split_once(' ').unwrap();
        let home = TempDir::new().unwrap();
        let fill = |numbers: Range<u64>| {
            let client = client_at([url.to_owned()]).event_bytes(4096);
            let client = client.spool_bytes(16 * 1024 * 1024);
            let client = spooled_at(level, client, home.path());
            for number in numbers {
                let body = format!("event {number} {}", "x".repeat(3000));
                drop(client.append_within(Event::new(body), PATIENCE).unwrap());
            }
            client
        };
        assert_eq!(give_up(&fill(0..EVENTS), Duration::ZERO).on_disk, EVENTS);
        let begun = fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
        limit(
            Resource::Nofile,
            begun + descriptors.parse::<u64>().unwrap(),
        );
        // Three segments of a backlog, and the agent comes when all of them are written.
        let client = fill(EVENTS..3 * EVENTS);
        let last = client.append_within(event(3 * EVENTS), PATIENCE).unwrap();
        last.wait_stored(PATIENCE).unwrap();
        tell(1);
        client.flush(PATIENCE).wait().unwrap();
        assert!(client.close(PATIENCE).wait().is_complete());
        tell(2);
        return wait_for_end();
    }
    // Beside standard input, output and error.
    for descriptors in 10..14 {
        let mut agent = Agent::good();
        agent.stop();
        let mut client = Other::start(test, &format!("{descriptors} {}", agent.url()));
        assert_eq!(client.told(), 1);
        agent.start_again([GOOD]);
        assert_eq!(client.told(), 2);
        let mut stored = agent.stored();
        stored.sort_unstable();
        stored.dedup();
        assert!(stored.into_iter().eq(0..=3 * EVENTS), "{descriptors}");
    }
}
