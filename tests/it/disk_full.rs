//! End to end on a small disk that is full.
//!
//! The spool may take more than the disk has, so that the disk ends first. Segments are of 7 MiB:
//! two with events and one in reserve fit, and 3 MiB are left over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flume_client::spool::{Directory, SpoolError, Survey};
use flume_client::{
    AppendError, Client, ClientBuilder, DeliveryError, Event, Stats, StoreError, WindowMode,
};

use crate::support::{
    Agent, Answer, GOOD, PATIENCE, answers, assert_balanced, assert_each_once, client_of, give_up,
    on_small_disk, stuff,
};

const DISK_MIB: u32 = 24;
const SEGMENT_BYTES: u64 = 7 * 1024 * 1024;
/// How long to wait for room until the disk is believed to be full.
const A_WHILE: Duration = Duration::from_millis(200);

fn spooled(agent: &Agent, disk: &Path) -> Client {
    settings(agent, disk).build().unwrap()
}

fn settings(agent: &Agent, disk: &Path) -> ClientBuilder {
    client_of(&[agent])
        .spool(spool(disk))
        .event_bytes(4096)
        .buffer_bytes(1024 * 1024)
        .spool_bytes(4 * SEGMENT_BYTES + 8192)
        .spool_free_bytes(0)
}

fn spool(disk: &Path) -> PathBuf {
    disk.join("spool")
}

fn event(number: u64) -> Event {
    Event::new(format!("event {number} {}", "x".repeat(3000)))
}

/// Appends events with numbers from `first` on until the disk takes no more. Says where the
/// numbers end.
fn fill(client: &Client, first: u64) -> u64 {
    let (mut number, mut refusals) = (first, 0);
    while refusals < 50 {
        match client.append_within(event(number), A_WHILE) {
            Ok(_) => number += 1,
            Err(error) if tells_of_full_disk(&error) => {
                assert!(is_disk_full(&client.stats()));
                return number;
            }
            Err(_) => refusals += 1,
        }
    }
    let stats = client.stats();
    unreachable!("no word of a full disk after {number} events: {stats:?}");
}

fn tells_of_full_disk(error: &AppendError) -> bool {
    let told = error.to_string();
    assert!(error.is_retryable(), "{told}");
    told.contains("spool's disk is full") && told.contains("make room")
}

fn is_disk_full(stats: &Stats) -> bool {
    let trouble = stats.spool.as_ref().unwrap().trouble.as_deref();
    matches!(trouble, Some(SpoolError::DiskFull))
}

/// Takes the events with these numbers, however long that takes, and waits until they are stored.
fn store(client: &Client, numbers: std::ops::Range<u64>) {
    let receipts: Vec<_> = numbers
        .map(|number| client.append_within(event(number), PATIENCE).unwrap())
        .collect();
    for receipt in receipts {
        receipt.wait_stored(PATIENCE).unwrap();
    }
}

fn assert_all_delivered(client: &Client, agent: &Agent, count: u64) {
    let flushed = client.flush(PATIENCE).wait();
    assert!(flushed.is_ok(), "{:?}", client.stats());
    let stats = client.stats();
    assert_balanced(&stats);
    assert_eq!((stats.pending, stats.lost.total()), (0, 0), "{stats:?}");
    // What went from memory, because the disk took long, is no word of it yet.
    let is_over = || client.stats().spool.unwrap().trouble.is_none();
    flume_tests::wait_until("the end of the disk's trouble", PATIENCE, is_over).unwrap();
    assert_each_once(agent.stored(), count);
}

fn left_in(disk: &Path) -> u64 {
    let directory = Directory::look(&spool(disk)).unwrap();
    let survey = Survey::take(&directory, |_| Ok(())).unwrap();
    assert!(survey.is_sound(), "{survey:?}");
    survey.events()
}

fn away() -> Agent {
    let mut agent = Agent::good();
    agent.stop();
    agent
}

#[test]
fn what_a_full_disk_took_and_what_waits_for_it_is_delivered_when_an_agent_comes() {
    let test =
        "disk_full::what_a_full_disk_took_and_what_waits_for_it_is_delivered_when_an_agent_comes";
    on_small_disk(test, DISK_MIB, |disk| {
        let mut agent = away();
        let client = spooled(&agent, disk);
        let count = fill(&client, 0);
        let stats = client.stats();
        assert_balanced(&stats);
        assert_eq!((stats.accepted, stats.pending), (count, count));
        let spool = stats.spool.unwrap();
        assert_eq!(spool.stored + spool.unstored, count, "{spool:?}");
        assert!(spool.stored > 4600, "two segments of events, {spool:?}");
        assert!(spool.unstored > 0, "{spool:?}");
        agent.start_again([GOOD]);
        assert_all_delivered(&client, &agent, count);
        assert!(client.close(PATIENCE).wait().is_complete());
        assert_eq!(left_in(disk), 0);
    });
}

#[test]
fn room_that_others_give_back_is_used_without_an_agent_or_a_restart() {
    let test = "disk_full::room_that_others_give_back_is_used_without_an_agent_or_a_restart";
    on_small_disk(test, DISK_MIB, |disk| {
        let mut agent = away();
        let client = spooled(&agent, disk);
        let stuffing = stuff(disk);
        let first = client.append(event(0)).unwrap();
        let count = fill(&client, 1);
        first.wait_stored(PATIENCE).unwrap();
        let last = client.stats().spool.unwrap();
        assert!(last.stored > 2300 && last.unstored > 0, "{last:?}");
        fs::remove_file(stuffing).unwrap();
        // Everything that waited, and more, goes to the disk.
        store(&client, count..count + 1000);
        assert!(client.stats().spool.unwrap().trouble.is_none());
        agent.start_again([GOOD]);
        assert_all_delivered(&client, &agent, count + 1000);
    });
}

#[test]
fn a_client_that_starts_on_a_full_disk_takes_events_and_delivers_all_there_are() {
    let test =
        "disk_full::a_client_that_starts_on_a_full_disk_takes_events_and_delivers_all_there_are";
    on_small_disk(test, DISK_MIB, |disk| {
        let mut agent = away();
        let client = spooled(&agent, disk);
        fill(&client, 0);
        // The numbers of those that wait in memory are used again below.
        let report = give_up(&client, Duration::ZERO);
        let stats = client.stats();
        assert_balanced(&stats);
        let stored = stats.spool.unwrap().stored;
        assert_eq!((report.on_disk, report.pending), (stored, 0));
        assert_eq!(report.lost.closed, stats.accepted - stored);
        drop(client);
        assert_eq!(left_in(disk), stored);
        stuff(disk);

        let client = spooled(&agent, disk);
        stuff(disk);
        assert_eq!(client.stats().recovered, stored);
        let count = stored + 200;
        store(&client, stored..count);
        assert_eq!(give_up(&client, Duration::ZERO).on_disk, count);
        drop(client);
        stuff(disk);

        // Without any reserve: what is there is delivered, and what comes waits for the room that
        // this makes.
        let client = spooled(&agent, disk);
        assert_eq!(client.stats().recovered, count);
        let waiting = client.append(event(count)).unwrap();
        agent.start_again([GOOD]);
        waiting.wait(PATIENCE).unwrap();
        assert_all_delivered(&client, &agent, count + 1);
    });
}

#[test]
fn a_full_disk_does_not_hold_up_events_that_agents_take() {
    let test = "disk_full::a_full_disk_does_not_hold_up_events_that_agents_take";
    on_small_disk(test, DISK_MIB, |disk| {
        let agent = Agent::good();
        drop(spooled(&agent, disk));
        // One segment is there.
        stuff(disk);
        let client = spooled(&agent, disk);
        // In steps with nothing in between, and none ends where a segment does.
        for step in 0..30 {
            store(&client, step * 700..(step + 1) * 700);
            assert_all_delivered(&client, &agent, (step + 1) * 700);
        }
        assert!(client.close(PATIENCE).wait().is_complete());
    });
}

#[test]
fn a_spool_that_begins_on_a_full_disk_waits_for_room() {
    let test = "disk_full::a_spool_that_begins_on_a_full_disk_waits_for_room";
    on_small_disk(test, DISK_MIB, |disk| {
        let agent = Agent::good();
        let stuffing = stuff(disk);
        let client = spooled(&agent, disk);
        let count = fill(&client, 0);
        assert_eq!(client.stats().spool.unwrap().stored, 0);
        fs::remove_file(stuffing).unwrap();
        assert_all_delivered(&client, &agent, count);
    });
}

#[test]
fn what_a_full_disk_does_not_take_is_delivered_from_memory_at_the_close() {
    let test = "disk_full::what_a_full_disk_does_not_take_is_delivered_from_memory_at_the_close";
    on_small_disk(test, DISK_MIB, |disk| {
        let agent = Agent::good();
        stuff(disk);
        // As many as wait in memory: more than one commit takes, and than one chunk.
        let client = settings(&agent, disk).buffer_bytes(16 * 1024 * 1024);
        let client = client.build().unwrap();
        let numbers = 0..4000;
        let receipts: Vec<_> = numbers
            .map(|number| client.append(event(number)).unwrap())
            .collect();
        let report = client.close(PATIENCE).wait();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((report.delivered, report.delivered_unstored), (4000, 4000));
        for receipt in receipts {
            receipt.wait(Duration::ZERO).unwrap();
            assert_eq!(receipt.wait_stored(Duration::ZERO), Ok(()));
        }
        let stats = client.stats();
        assert_balanced(&stats);
        assert_eq!((stats.pending, stats.pending_bytes), (0, 0));
        assert_each_once(agent.stored(), 4000);
        drop(client);
        assert_eq!(left_in(disk), 0);
    });
}

#[test]
fn what_a_full_disk_does_not_take_in_time_is_delivered_from_memory_and_never_written() {
    let test = "disk_full::what_a_full_disk_does_not_take_in_time_is_delivered_from_memory_and_never_written";
    on_small_disk(test, DISK_MIB, |disk| {
        let mut agent = Agent::good();
        let stuffing = stuff(disk);
        let client = spooled(&agent, disk);
        let unstored = client.append(event(0)).unwrap();
        unstored.wait(PATIENCE).unwrap();
        unstored.wait_stored(PATIENCE).unwrap();
        // From then on events do not wait for the disk, as long as it takes none.
        for number in 1..300 {
            drop(client.append_within(event(number), PATIENCE).unwrap());
        }
        client.flush(PATIENCE).wait().unwrap();
        // The thread with the disk hears of it after the callers.
        let unstored = || client.stats().spool.unwrap().delivered_unstored;
        let are_told = || unstored() == 300;
        flume_tests::wait_until("300 events that were not stored", PATIENCE, are_told).unwrap();
        let spool = client.stats().spool.unwrap();
        assert_eq!((spool.delivered_unstored, spool.unstored), (300, 0));
        assert_eq!(spool.stored, 0);
        let told = client.health().to_string();
        let words = "300 were delivered from memory and never stored";
        assert!(
            told.contains("disk is full") && told.contains(words),
            "{told}"
        );

        // It is over when the disk works again, without any event to try that with.
        agent.stop();
        fs::remove_file(stuffing).unwrap();
        let is_good = || client.health().is_good();
        flume_tests::wait_until("good health", PATIENCE, is_good).unwrap();
        assert_eq!(client.stats().spool.unwrap().delivered_unstored, 300);
        // What comes then is stored, behind numbers that are nowhere.
        store(&client, 300..400);
        let report = give_up(&client, Duration::ZERO);
        assert_eq!((report.on_disk, report.delivered_unstored), (100, 300));
        assert_eq!(report.lost.total(), 0);
        drop(client);
        assert_eq!(left_in(disk), 100);
        agent.start_again([GOOD]);
        let client = spooled(&agent, disk);
        assert_eq!(client.stats().recovered, 100);
        assert_all_delivered(&client, &agent, 400);
        assert_eq!(client.stats().spool.unwrap().delivered_unstored, 0);
    });
}

#[test]
fn what_neither_disk_nor_agent_takes_in_time_is_lost_as_closed_or_unknown() {
    let test = "disk_full::what_neither_disk_nor_agent_takes_in_time_is_lost_as_closed_or_unknown";
    on_small_disk(test, DISK_MIB, |disk| {
        let agent = Agent::scripted([answers(Answer::Unanswered)]);
        stuff(disk);
        let client = settings(&agent, disk).window(WindowMode::Ordered);
        let client = client.batch_events(10).build().unwrap();
        let receipts: Vec<_> = (0..30)
            .map(|number| client.append(event(number)).unwrap())
            .collect();
        agent.wait_for_requests(1);
        let report = give_up(&client, Duration::ZERO);
        assert_eq!((report.lost.unknown, report.lost.closed), (10, 20));
        assert_eq!((report.on_disk, report.pending), (0, 0));
        assert_balanced(&client.stats());
        for (receipt, number) in receipts.iter().zip(0..) {
            let error = receipt.wait(Duration::ZERO).unwrap_err();
            match number {
                0..10 => assert!(matches!(error, DeliveryError::Unknown { .. }), "{error}"),
                _ => assert!(matches!(error, DeliveryError::Closed { .. }), "{error}"),
            }
            let stored = receipt.wait_stored(Duration::ZERO);
            assert_eq!(stored, Err(StoreError::Closed));
        }
    });
}
