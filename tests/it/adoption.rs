//! What processes left behind that are gone, adopted by a client that shares their directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flume_client::error::Refusal;
use flume_client::spool::{Directory, Survey};
use flume_client::{Client, ClientBuilder, Event, SyncMode, WindowMode};
use flume_tests::spool_sim::of_another_version;
use flume_tests::wait_until;
use tempfile::TempDir;

use crate::support::{
    Agent, Answer, GOOD, PATIENCE, Port, Script, alone, answers, append_all, assert_balanced,
    assert_each_once, client_at, client_of, effort, event, give_up,
};

/// A client of little segments. What it stored survives its process, which is all that is asked.
fn spooled(builder: ClientBuilder, directory: &Path) -> Client {
    let client = builder.spool(directory).sync(SyncMode::Os);
    let client = client.event_bytes(4096).spool_bytes(8 * 1024 * 1024);
    client.spool_free_bytes(0).build().unwrap()
}

fn nowhere() -> ClientBuilder {
    client_at([Port::reserve().url()])
}

/// A directory where a process that is gone left something in the second place, and nobody
/// anything in the first.
fn left_by(fills: impl FnOnce(&Client)) -> TempDir {
    let home = TempDir::new().unwrap();
    // It does not look what others left, and holds no place that another is about to take.
    let first = spooled(nowhere().spool_shared(false), home.path());
    let second = spooled(nowhere(), home.path());
    fills(&second);
    for client in [first, second] {
        assert_eq!(give_up(&client, Duration::ZERO).lost.total(), 0);
    }
    home
}

/// The same with these numbers of events.
fn left(count: u64) -> TempDir {
    left_by(|client| drop(append_all(client, 0..count)))
}

/// Events that are not done with in a place, as its files say; another one may be changing them.
fn waiting_in(home: &Path, place: &str) -> u64 {
    let directory = Directory::look(&home.join(place)).unwrap();
    Survey::take(&directory, |_| Ok(())).unwrap().events()
}

#[track_caller]
fn wait_for_recovered(client: &Client, count: u64) {
    let recovered = || client.stats().recovered == count;
    wait_until("what was left", PATIENCE, recovered).unwrap();
}

#[test]
fn small_commits_of_a_dead_process_travel_in_full_batches() {
    let home = left_by(|client| {
        for receipt in (0..500).flat_map(|number| append_all(client, [number])) {
            receipt.wait_stored(PATIENCE).unwrap();
        }
    });
    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    agent.wait_for("all events", |agent| {
        (agent.stored().len() >= 500).then_some(())
    });
    assert_each_once(agent.stored(), 500);
    let requests = agent.requests().len();
    assert!(requests <= 10, "{requests} requests for 500 events");
    assert_balanced(&client.stats());
}

#[test]
#[cfg(target_os = "linux")]
fn while_no_agent_takes_what_was_adopted_no_thread_polls() {
    let test = "adoption::while_no_agent_takes_what_was_adopted_no_thread_polls";
    alone(test, || {
        let home = left(2_000);
        let agent = Agent::scripted([answers(Answer::Unanswered)]);
        let client = spooled(client_of(&[&agent]), home.path());
        agent.wait_for_requests(1);
        let receipt = client.append(event(2_000)).unwrap();
        receipt.wait_stored(PATIENCE).unwrap();
        let before = effort();
        // Nobody takes it, so this lasts as long as it may.
        client.flush(Duration::from_secs(2)).wait().unwrap_err();
        let after = effort();
        let (woken, ticks) = (after.0 - before.0, after.1 - before.1);
        assert!(
            woken < 200 && ticks < 50,
            "{woken} wake-ups and {ticks} ticks of 10 ms while there was nothing to do"
        );
    });
}

#[test]
fn what_is_acknowledged_is_noted_in_the_adopted_place_while_the_rest_waits() {
    const SCRIPT: Script = Script {
        first: &[Answer::Ok; 3],
        ..answers(Answer::Unanswered)
    };
    let home = left(1_000);
    let agent = Agent::scripted([SCRIPT]);
    let client = spooled(client_of(&[&agent]), home.path());
    agent.wait_for_requests(4);
    let noted = || waiting_in(home.path(), "process-2") == 700;
    wait_until("the cursor of the place", PATIENCE, noted).unwrap();
    assert_balanced(&client.stats());
    assert_eq!(client.stats().delivered, 300);
}

#[test]
fn what_is_adopted_takes_no_room_of_live_events() {
    let fill = |client: &Client| {
        let mut count = 0;
        loop {
            match client.append(Event::new([b'x'; 3000])) {
                Ok(receipt) => receipt.wait_stored(PATIENCE).unwrap(),
                Err(error) => {
                    let is_full = matches!(error.refusal(), Refusal::SpoolFull { .. });
                    assert!(is_full, "{error}");
                    return count;
                }
            }
            count += 1;
        }
    };
    let mut count = 0;
    let home = left_by(|client| count = fill(client));
    assert!(count > 1_000, "{count}");
    let client = spooled(nowhere(), home.path());
    wait_for_recovered(&client, count);
    assert_eq!(fill(&client), count, "live events beside adopted ones");
    assert_balanced(&client.stats());
    assert_eq!(waiting_in(home.path(), "process-2"), count);
}

#[test]
fn live_events_and_their_flush_do_not_wait_for_adopted_ones() {
    let home = left(1_000);
    let agent = Agent::scripted([answers(Answer::Unanswered), GOOD]);
    let client = spooled(client_of(&[&agent]), home.path());
    // The first connection is that of the adopted events.
    agent.wait_for_requests(1);
    let receipts = append_all(&client, 1_000..1_010);
    client.flush(PATIENCE).wait().unwrap();
    for receipt in receipts {
        receipt.wait(Duration::ZERO).unwrap();
    }
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.pending), (10, 1_000));
}

#[test]
fn a_close_leaves_adopted_events_where_they_are_for_the_next_client() {
    let home = left(1_000);
    let agent = Agent::scripted([answers(Answer::Unanswered)]);
    let client = spooled(client_of(&[&agent]), home.path());
    agent.wait_for_requests(1);
    let report = client.close(PATIENCE).wait();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.delivered, client.stats().recovered), (0, 0));
    assert_balanced(&client.stats());
    assert_eq!(waiting_in(home.path(), "process-2"), 1_000);

    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    agent.wait_for("all events", |agent| {
        (agent.stored().len() >= 1_000).then_some(())
    });
    let done = || client.stats().pending == 0;
    wait_until("the last acknowledgement", PATIENCE, done).unwrap();
    assert_each_once(agent.stored(), 1_000);
    assert_eq!(client.close(PATIENCE).wait().delivered, 1_000);
    assert_eq!(waiting_in(home.path(), "process-2"), 0);
}

#[test]
fn what_is_under_way_at_a_close_is_not_sent_again() {
    let home = left(2_000);
    let agent = Agent::scripted([answers(Answer::OkWhenReleased)]);
    let client = spooled(client_of(&[&agent]), home.path());
    agent.wait_for_requests(1);
    let closing = client.close(PATIENCE);
    agent.release();
    let report = closing.wait();
    let delivered = agent.stored().len() as u64;
    assert_eq!(
        (report.delivered, client.stats().recovered),
        (delivered, delivered)
    );
    assert_eq!(waiting_in(home.path(), "process-2"), 2_000 - delivered);

    let client = spooled(client_of(&[&agent]), home.path());
    agent.wait_for("all events", |agent| {
        (agent.stored().len() >= 2_000).then_some(())
    });
    let done = || client.stats().pending == 0;
    wait_until("the last acknowledgement", PATIENCE, done).unwrap();
    assert_each_once(agent.stored(), 2_000);
}

/// The only segment of the second place.
fn segment_left(home: &Path) -> PathBuf {
    let files = std::fs::read_dir(home.join("process-2")).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let segment = files.find(|path| path.to_str().unwrap().contains("seg-"));
    segment.unwrap()
}

/// What cannot be read in an adopted place arrives when it can be, without another start.
fn check_read_again(set_mode: impl FnOnce(ClientBuilder) -> ClientBuilder) {
    let home = left(100);
    let segment = segment_left(home.path());
    let events = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, of_another_version(&events).unwrap()).unwrap();
    let agent = Agent::good();
    let client = spooled(set_mode(client_of(&[&agent])), home.path());
    let is_told = || {
        let spool = client.stats().spool.unwrap();
        spool.adopted > 0 && spool.passed_events() + spool.unreadable_events() > 0
    };
    wait_until("the segment to be told", PATIENCE, is_told).unwrap();
    std::fs::write(&segment, events).unwrap();
    agent.wait_for("all events", |agent| {
        (agent.stored().len() >= 100).then_some(())
    });
    let done = || client.stats().recovered == 100 && client.stats().pending == 0;
    wait_until("the last acknowledgement", PATIENCE, done).unwrap();
    assert_each_once(agent.stored(), 100);
    assert_balanced(&client.stats());
}

#[test]
fn what_can_be_read_again_in_an_adopted_place_arrives_without_another_start() {
    check_read_again(|client| client);
}

#[test]
fn what_can_be_read_again_in_an_adopted_place_arrives_in_order_too() {
    check_read_again(|client| client.window(WindowMode::Ordered));
}

#[test]
fn damage_in_an_adopted_place_is_counted_and_the_rest_delivered() {
    let home = left_by(|client| {
        for number in 0..100 {
            let receipts = append_all(client, [number]);
            receipts[0].wait_stored(PATIENCE).unwrap();
        }
    });
    let place = home.path().join("process-2");
    let files = std::fs::read_dir(&place)
        .unwrap()
        .map(|file| file.unwrap().path());
    let segment = files
        .filter(|path| path.to_str().unwrap().contains("seg-"))
        .min();
    let segment = segment.unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let body = bytes.windows(7).position(|seven| seven == b"event 0");
    bytes[body.unwrap()] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    let done = || client.stats().recovered == 100 && client.stats().pending == 0;
    wait_until("all that can be read", PATIENCE, done).unwrap();
    assert_balanced(&client.stats());
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.lost.corrupt), (99, 1));
    assert_eq!(agent.stored(), (1..100).collect::<Vec<_>>());
}
