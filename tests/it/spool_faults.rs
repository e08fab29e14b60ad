//! End to end under faults of agents and of what is on the disk, and store on failure where it is
//! promised the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flume_client::spool::{Directory, FileName, Survey};
use flume_client::{Client, ClientBuilder, DeliveryError, Event, Reliability, SyncMode};
use flume_tests::crafted::{Frame, Segment};
use tempfile::TempDir;

use crate::support::{
    ANSWER_WITHIN, Agent, Answer, GOOD, Greeting, PATIENCE, Port, Script, answers, append_all,
    assert_each_at_least_once, assert_each_once, client_at, client_of, first_answers, give_up,
    greets,
};

const EVENTS: u64 = 250;

/// At the level end to end.
fn spooled(builder: ClientBuilder, directory: &Path) -> Client {
    spooled_at(Reliability::EndToEnd, builder, directory)
}

fn spooled_at(level: Reliability, builder: ClientBuilder, directory: &Path) -> Client {
    let builder = builder.spool(directory).event_bytes(4096);
    let builder = builder.reliability(level);
    let builder = builder.spool_bytes(8 * 1024 * 1024).spool_free_bytes(0);
    builder.event_ids(true).build().unwrap()
}

/// Runs a client against an agent that follows these scripts, one connection after the other,
/// until everything is delivered, and says which events the agent stored.
fn stored_under(level: Reliability, scripts: impl Into<Vec<Script>>) -> Vec<u64> {
    let home = TempDir::new().unwrap();
    let agent = Agent::scripted(scripts);
    let builder = client_of(&[&agent]).request_timeout(ANSWER_WITHIN);
    let client = spooled_at(level, builder, home.path());
    let receipts = append_all(&client, 0..EVENTS);
    client.flush(PATIENCE).wait().unwrap();
    for receipt in &receipts {
        receipt.wait(Duration::ZERO).unwrap();
        if level == Reliability::StoreOnFailure {
            assert!(!receipt.is_on_disk(), "it is nowhere but with the agent");
        }
    }
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_eq!(pending_in(home.path()), 0);
    agent.stored()
}

fn pending_in(directory: &Path) -> u64 {
    let directory = Directory::look(directory).unwrap();
    Survey::take(&directory, |_| Ok(())).unwrap().events()
}

#[test]
fn an_event_whose_answer_was_lost_comes_again_and_none_is_lost() {
    check_lost_answer(Reliability::EndToEnd);
}

#[test]
fn an_event_in_memory_whose_answer_was_lost_comes_again_and_none_is_lost() {
    check_lost_answer(Reliability::StoreOnFailure);
}

fn check_lost_answer(level: Reliability) {
    for answer in [Answer::StoredThenClosed, Answer::HalfThenClosed] {
        let stored = stored_under(level, [answers(answer), GOOD]);
        assert!(stored.len() as u64 > EVENTS, "{answer:?} doubles");
        assert_each_at_least_once(stored, EVENTS);
    }
}

#[test]
fn an_agent_that_refuses_gets_the_events_again_until_it_takes_them() {
    check_refusals(Reliability::EndToEnd);
}

#[test]
fn an_agent_that_refuses_gets_the_events_from_memory_until_it_takes_them() {
    check_refusals(Reliability::StoreOnFailure);
}

fn check_refusals(level: Reliability) {
    for answers in [
        &[Answer::Failed, Answer::Failed] as &[Answer],
        &[Answer::Unknown],
        &[Answer::Error("channel full")],
    ] {
        assert_each_once(stored_under(level, [first_answers(answers)]), EVENTS);
    }
}

#[test]
fn an_agent_that_does_not_answer_is_left_and_its_events_are_sent_again() {
    check_silence(Reliability::EndToEnd);
}

#[test]
fn an_agent_that_does_not_answer_is_left_and_its_events_are_sent_from_memory() {
    check_silence(Reliability::StoreOnFailure);
}

fn check_silence(level: Reliability) {
    let scripts = [
        answers(Answer::Unanswered),
        greets(Greeting::ThenDeaf),
        GOOD,
    ];
    assert_each_once(stored_under(level, scripts), EVENTS);
}

#[test]
fn with_one_agent_gone_the_other_gets_everything_once() {
    let home = TempDir::new().unwrap();
    let agent = Agent::good();
    let gone = Port::reserve();
    let client = spooled(client_at([gone.url(), agent.url()]), home.path());
    append_all(&client, 0..EVENTS);
    assert!(client.close(PATIENCE).wait().is_complete());
    assert_each_once(agent.stored(), EVENTS);
    assert_eq!(pending_in(home.path()), 0);
}

#[test]
fn what_no_agent_takes_is_on_the_disk_until_one_is_there() {
    let home = TempDir::new().unwrap();
    let mut agent = Agent::good();
    agent.stop();
    let client = spooled(client_of(&[&agent]), home.path());
    let receipts = append_all(&client, 0..EVENTS);
    receipts.last().unwrap().wait_stored(PATIENCE).unwrap();
    assert_eq!(client.stats().pending, EVENTS);
    agent.start_again([GOOD]);
    client.flush(PATIENCE).wait().unwrap();
    assert_each_once(agent.stored(), EVENTS);
}

#[test]
fn a_stored_event_outlives_its_process_however_its_writes_are_flushed() {
    for sync in [
        SyncMode::Always,
        SyncMode::Interval(Duration::from_millis(1)),
        SyncMode::Os,
    ] {
        let home = TempDir::new().unwrap();
        let client = spooled(client_at([Port::reserve().url()]).sync(sync), home.path());
        let receipts = append_all(&client, 0..EVENTS);
        for receipt in &receipts {
            receipt.wait_stored(PATIENCE).unwrap();
        }
        // Before anything is done to end the client.
        assert_eq!(pending_in(home.path()), EVENTS, "{sync:?}");
        assert_eq!(give_up(&client, Duration::ZERO).on_disk, EVENTS);
        assert_eq!(receipts[7].wait(PATIENCE), Err(DeliveryError::InSpool));
    }
}

/// The segment that a client left.
fn segment_in(directory: &Path) -> PathBuf {
    let names = fs::read_dir(directory).unwrap();
    let mut paths = names.map(|entry| entry.unwrap().path());
    let is_segment = |path: &PathBuf| path.to_str().unwrap().contains("/seg-");
    paths.find(is_segment).unwrap()
}

#[test]
fn a_damaged_frame_costs_its_own_events_which_are_counted_and_set_aside() {
    let home = TempDir::new().unwrap();
    let client = spooled(client_at([Port::reserve().url()]), home.path());
    for number in 0..EVENTS {
        // A frame each.
        let receipt = client.append(Event::new(format!("event {number} ")));
        receipt.unwrap().wait_stored(PATIENCE).unwrap();
    }
    assert_eq!(give_up(&client, Duration::ZERO).on_disk, EVENTS);
    drop(client);
    let path = segment_in(home.path());
    let mut bytes = fs::read(&path).unwrap();
    let needle = b"event 100 ";
    let at = bytes.windows(needle.len()).position(|it| it == needle);
    bytes[at.unwrap()] ^= 1;
    fs::write(&path, bytes).unwrap();

    let agent = Agent::good();
    let client = spooled(client_of(&[&agent]), home.path());
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_eq!((stats.recovered, stats.delivered), (EVENTS, EVENTS - 1));
    assert_eq!((stats.lost.corrupt, stats.pending), (1, 0));
    let report = client.close(PATIENCE).wait();
    assert_eq!((report.lost.corrupt, report.on_disk), (1, 0));
    let expected: Vec<u64> = (0..EVENTS).filter(|number| *number != 100).collect();
    assert_eq!(agent.stored(), expected);
    let names = fs::read_dir(home.path()).unwrap();
    let is_set_aside = |name: &str| name.starts_with("quarantine-");
    let set_aside = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| is_set_aside(name));
    assert_eq!(set_aside.count(), 1);
}

/// Makes a spool of these segments.
fn place(directory: &Path, segments: &[Segment]) {
    for segment in segments {
        let file = FileName::Segment(segment.id).to_string();
        fs::write(directory.join(file), segment.to_bytes()).unwrap();
    }
}

#[test]
fn what_is_no_event_is_counted_and_set_aside_and_holds_up_no_other() {
    check_no_events(Reliability::EndToEnd);
}

#[test]
fn what_is_no_event_is_counted_and_set_aside_with_store_on_failure_too() {
    check_no_events(Reliability::StoreOnFailure);
}

fn check_no_events(level: Reliability) {
    let home = TempDir::new().unwrap();
    let event = |number: u64| Event::new(format!("event {number}")).as_datum().to_vec();
    let nonsense = || vec![0xff; 5];
    let frame = |first, datums| Frame {
        first,
        datums,
        ..Frame::default()
    };
    let segment = Segment {
        frames: vec![
            frame(0, vec![nonsense(), event(0), event(1)]),
            frame(3, vec![event(2), Vec::new(), nonsense(), event(3)]),
            frame(7, vec![nonsense()]),
            frame(8, vec![event(4)]),
        ],
        ..Segment::default()
    };
    place(home.path(), &[segment]);
    let agent = Agent::good();
    let client = spooled_at(level, client_of(&[&agent]), home.path());
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_eq!((stats.recovered, stats.delivered), (9, 5));
    assert_eq!((stats.lost.corrupt, stats.pending), (4, 0));
    append_all(&client, 5..6);
    assert_eq!(client.close(PATIENCE).wait().lost.corrupt, 4);
    assert_eq!(agent.stored(), [0, 1, 2, 3, 4, 5]);
    assert!(home.path().join("quarantine-0000000000000000.flb").exists());
}

#[test]
fn numbers_that_are_far_apart_hold_up_nobody() {
    check_far_numbers(Reliability::EndToEnd);
}

#[test]
fn numbers_that_are_far_apart_hold_up_nobody_with_store_on_failure_either() {
    check_far_numbers(Reliability::StoreOnFailure);
}

fn check_far_numbers(level: Reliability) {
    let home = TempDir::new().unwrap();
    let far = 1 << 62;
    let segment = |id, first, number: u64| {
        let frame = Frame {
            first,
            durable_upto: first,
            datums: vec![Event::new(format!("event {number}")).as_datum().to_vec()],
            ..Frame::default()
        };
        Segment {
            durable_upto: first,
            ..Segment::of(id, first, vec![frame])
        }
    };
    place(home.path(), &[segment(1, 0, 0), segment(2, far, 1)]);
    let agent = Agent::good();
    let client = spooled_at(level, client_of(&[&agent]), home.path());
    append_all(&client, 2..3);
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_eq!((stats.delivered, stats.pending), (3, 0));
    assert_eq!(stats.recovered + 1, 3 + stats.lost.corrupt);
    // Never the distance: two files of 8 KiB, and 4 bytes for an event at least.
    assert!(stats.lost.corrupt <= 4096, "{stats:?}");
    let _ = client.close(PATIENCE).wait();
    assert_eq!(agent.stored(), [0, 1, 2]);
}

#[test]
fn an_event_that_can_never_be_stored_is_handed_back_at_once() {
    check_never_stored(Reliability::EndToEnd);
}

#[test]
fn an_event_that_store_on_failure_can_never_store_is_handed_back_at_once() {
    check_never_stored(Reliability::StoreOnFailure);
}

fn check_never_stored(level: Reliability) {
    let home = TempDir::new().unwrap();
    let client = spooled_at(level, client_at([Port::reserve().url()]), home.path());
    let large = client.append(Event::new([0; 5000])).unwrap_err();
    assert!(!large.is_retryable(), "{large}");
    assert_eq!(large.into_event().body(), [0; 5000]);
    let broken = client.append(Event::new("").header("", "v")).unwrap_err();
    assert!(!broken.is_retryable(), "{broken}");
    assert_eq!(client.stats().accepted, 0);
}
