//! Settings that cannot be meant are refused when a client is built, with the way out.

use std::time::Duration;

use flume_client::{
    Backoff, Client, ClientBuilder, Event, Overflow, Reliability, SyncMode, WindowMode,
};
use flume_tests::wait_until;
use tempfile::TempDir;

use crate::support::{PATIENCE, alone, give_up};

const AGENT: &str = "avro://127.0.0.1:4141";

fn one() -> ClientBuilder {
    Client::builder().agent(AGENT)
}

#[track_caller]
fn check_refused(builder: ClientBuilder, words: &[&str]) {
    let error = builder.build().unwrap_err();
    let told = error.to_string();
    assert_eq!(format!("{error:?}"), told, "what `main` and `unwrap` print");
    for word in words {
        assert!(told.contains(word), "{word:?} is not in {told:?}");
    }
}

#[test]
fn an_agent_that_is_given_twice_is_named() {
    for (first, second) in [
        (AGENT, AGENT),
        ("avro://Collector-1:4141", "avro://collector-1:4141"),
        (
            "avro://collector-1.example:4141",
            "avro://collector-1.example.:4141",
        ),
        ("avro://[::1]:4141", "avro://[0:0:0:0:0:0:0:1]:4141/"),
    ] {
        let builder = Client::builder().agent(first).agent(second);
        check_refused(builder, &["given twice", second.trim_end_matches('/')]);
    }
    let ports = ["avro://collector-1:4141", "avro://collector-1:4142"];
    let client = Client::builder().agents(ports).build().unwrap();
    let _ = give_up(&client, Duration::ZERO);
}

#[test]
fn a_number_that_cannot_be_meant_is_named_with_its_range() {
    for (builder, words) in [
        (
            one().window(WindowMode::Adaptive { max: 0 }),
            ["window is 0", "between 1 and"],
        ),
        (
            one().window(WindowMode::Adaptive { max: u32::MAX }),
            ["window is 4294967295", "1024"],
        ),
        (
            one().batch_events(0),
            ["batch_events is 0", "between 1 and"],
        ),
        (
            one().batch_bytes(u32::MAX),
            ["batch_bytes is 4294967295", "between 1 and"],
        ),
        (
            one().event_bytes(usize::MAX),
            ["event_bytes is 18446744073709551615", "between"],
        ),
        (one().buffer_bytes(0), ["buffer_bytes is 0", "between"]),
        (
            one().spool("/x").spool_bytes(u64::MAX),
            ["spool_bytes is 18446744073709551615", "and"],
        ),
        (
            one().spool("/x").spool_bytes(0),
            ["spool_bytes is 0", "between"],
        ),
        (
            one().spool("/x").spool_free_bytes(u64::MAX),
            ["spool_free_bytes", "between"],
        ),
    ] {
        check_refused(builder, &words);
    }
}

#[test]
fn a_time_in_which_nothing_can_succeed_is_named() {
    let nano = Duration::from_nanos(1);
    let floor = Backoff::default().floor(Duration::ZERO);
    for (builder, words) in [
        (
            one().connect_timeout(nano),
            ["connect_timeout is 1ns", "at least a millisecond"],
        ),
        (
            one().request_timeout(Duration::ZERO),
            ["request_timeout is 0ns", "at least"],
        ),
        (
            one().backoff(floor),
            ["the floor of backoff is 0ns", "at least"],
        ),
        (
            one().spool("/x").sync(SyncMode::Interval(nano)),
            ["sync is 1ns", "at least"],
        ),
    ] {
        check_refused(builder, &words);
    }
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let backoff = Backoff::default().cap(Duration::from_millis(5));
    for (builder, words) in [
        (one().backoff(backoff), ["cap of 5ms", "floor of 10ms"]),
        (one().spool(""), ["empty path", "in memory"]),
        (
            one().reliability(Reliability::EndToEnd),
            ["needs a directory", "spool("],
        ),
        (
            one().spool("").reliability(Reliability::EndToEnd),
            ["empty path", "directory"],
        ),
        (
            one().spool("/x").overflow(Overflow::DropOldest),
            ["end-to-end keeps", "DropOldest"],
        ),
        (
            one().spool_bytes(1 << 20),
            ["spool_bytes is set", "there is no spool"],
        ),
        (
            one().spool_free_bytes(0),
            ["spool_free_bytes is set", "there is no spool"],
        ),
        (
            one().sync(SyncMode::Os),
            ["sync is set", "there is no spool"],
        ),
        (
            one().spool_shared(false),
            ["spool_shared is set", "there is no spool"],
        ),
    ] {
        check_refused(builder, &words);
    }
}

#[test]
fn a_relative_spool_stays_where_it_was_when_the_process_changes_its_directory() {
    alone(
        "settings::a_relative_spool_stays_where_it_was_when_the_process_changes_its_directory",
        || {
            let [first, second] = [(); 2].map(|()| TempDir::new().unwrap());
            std::env::set_current_dir(&first).unwrap();
            let client = one().spool("spool").spool_free_bytes(0).build().unwrap();
            std::env::set_current_dir(&second).unwrap();
            let directory = client.stats().spool.unwrap().directory;
            assert_eq!(
                directory,
                first.path().canonicalize().unwrap().join("spool")
            );
            let receipt = client.append(Event::new("an event")).unwrap();
            receipt.wait_stored(PATIENCE).unwrap();
            // The directory is looked at again from time to time, and at the end.
            let is_noted = || {
                client
                    .stats()
                    .spool
                    .is_some_and(|spool| spool.disk_bytes > 0)
            };
            wait_until("its files", PATIENCE, is_noted).unwrap();
            assert_eq!(give_up(&client, Duration::ZERO).on_disk, 1);
            assert_eq!(std::fs::read_dir(&second).unwrap().count(), 0);
        },
    );
}
