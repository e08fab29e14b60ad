//! A spool where the system limits what a process may do: sizes of files, descriptors, quotas,
//! inodes; and on file systems that have no size.

use std::fs;
use std::path::Path;
use std::time::Duration;

use flume_client::spool::{DirectoryError, SpoolError};
use flume_client::{BuildError, Client, ClientBuilder, Event, Receipt, Reliability, Stats};
use flume_tests::wait_until;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{
    Agent, GOOD, PATIENCE, Port, alone, alone_under, assert_each_at_least_once, assert_each_once,
    btrfs, client_at, client_of, give_up, on_btrfs, on_disk, on_small_disk,
};

fn of_defaults(agent: &Agent, path: &Path) -> ClientBuilder {
    client_of(&[agent]).spool(path)
}

fn event(number: u64) -> Event {
    Event::new(format!("event {number} {}", "x".repeat(3000)))
}

/// Appends events and waits until they are stored.
fn store(client: &Client, numbers: std::ops::Range<u64>) {
    let receipts: Vec<_> = numbers
        .map(|number| client.append_within(event(number), PATIENCE).unwrap())
        .collect();
    for receipt in receipts {
        receipt.wait_stored(PATIENCE).unwrap();
    }
}

fn assert_delivered(client: &Client, agent: &Agent, count: u64) {
    client.flush(PATIENCE).wait().unwrap();
    let stats = client.stats();
    assert_eq!((stats.pending, stats.lost.total()), (0, 0), "{stats:?}");
    assert_each_once(agent.stored(), count);
}

fn trouble(stats: &Stats) -> Option<&SpoolError> {
    stats.spool.as_ref().unwrap().trouble.as_deref()
}

fn wait_for_trouble(client: &Client, is_it: impl Fn(&SpoolError) -> bool) -> String {
    let mut told = String::new();
    let has_come = || {
        let stats = client.stats();
        let trouble = trouble(&stats);
        told = trouble.map_or_else(String::new, ToString::to_string);
        trouble.is_some_and(&is_it)
    };
    wait_until("the trouble to be told", PATIENCE, has_come).unwrap();
    told
}

fn wait_for_no_trouble(client: &Client) {
    let is_over = || trouble(&client.stats()).is_none();
    wait_until("the end of the trouble", PATIENCE, is_over).unwrap();
}

fn largest_file(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap();
    let sizes = entries.map(|entry| entry.unwrap().metadata().unwrap().len());
    sizes.max().unwrap()
}

#[test]
fn a_limit_for_the_size_of_files_makes_smaller_segments() {
    let test = "spool_limits::a_limit_for_the_size_of_files_makes_smaller_segments";
    // The unit is 1 KiB.
    alone_under("ulimit -f 4000", test, || {
        let home = tempfile::tempdir().unwrap();
        let agent = Agent::good();
        let client = of_defaults(&agent, home.path()).build().unwrap();
        // More than two segments of them.
        store(&client, 0..3000);
        let largest = largest_file(home.path());
        assert!(largest > 3 << 20 && largest <= 4_096_000, "{largest}");
        assert_delivered(&client, &agent, 3000);
    });
}

#[test]
fn a_limit_that_leaves_no_room_for_a_segment_is_told_and_the_process_lives() {
    let test =
        "spool_limits::a_limit_that_leaves_no_room_for_a_segment_is_told_and_the_process_lives";
    for limits in [
        "ulimit -f 1024",
        "ulimit -f 0",
        "trap '' XFSZ; ulimit -f 1024",
    ] {
        alone_under(limits, test, || {
            let home = tempfile::tempdir().unwrap();
            let agent = Agent::good();
            let error = of_defaults(&agent, home.path()).build().unwrap_err();
            let told = error.to_string();
            for part in ["RLIMIT_FSIZE", "ulimit -f", "LimitFSIZE=", "event_bytes"] {
                assert!(told.contains(part), "{told}");
            }
            let BuildError::Spool(DirectoryError::FileSizeLimit { limit, .. }) = error else {
                unreachable!("{told}");
            };
            assert!(
                limit.limit <= 1 << 20 && limit.needed > 2 << 20,
                "{limit:?}"
            );
            // What the message says helps. Not where nothing at all may be written.
            if limit.limit > 0 {
                let client = of_defaults(&agent, home.path()).event_bytes(100_000);
                let client = client.build().unwrap();
                store(&client, 0..10);
                assert_delivered(&client, &agent, 10);
            }
        });
    }
}

#[test]
fn a_limit_that_is_lowered_later_is_trouble_until_it_is_raised_and_costs_nothing() {
    let test = "spool_limits::a_limit_that_is_lowered_later_is_trouble_until_it_is_raised_and_costs_nothing";
    // The hard limit stays.
    alone(test, || {
        let home = tempfile::tempdir().unwrap();
        let agent = Agent::good();
        let client = of_defaults(&agent, home.path()).build().unwrap();
        store(&client, 0..10);
        let before = getrlimit(Resource::Fsize);
        let lowered = Rlimit {
            current: Some(4096),
            ..before
        };
        setrlimit(Resource::Fsize, lowered).unwrap();
        let waiting = client.append(event(10)).unwrap();
        let told = wait_for_trouble(&client, |it| matches!(it, SpoolError::FileSizeLimit));
        assert!(told.contains("RLIMIT_FSIZE"), "{told}");
        setrlimit(Resource::Fsize, before).unwrap();
        waiting.wait_stored(PATIENCE).unwrap();
        wait_for_no_trouble(&client);
        assert_delivered(&client, &agent, 11);
    });
}

/// A client whose events are on the disk, since its agent is away, and whose disk takes no more: one
/// event waits in memory. Also the limit that was there before.
fn stored_on_failure(home: &Path) -> (Agent, Client, Receipt, Rlimit) {
    let mut agent = Agent::good();
    agent.stop();
    let builder = of_defaults(&agent, home).reliability(Reliability::StoreOnFailure);
    let client = builder.build().unwrap();
    store(&client, 0..10);
    let before = getrlimit(Resource::Fsize);
    let lowered = Rlimit {
        current: Some(4096),
        ..before
    };
    setrlimit(Resource::Fsize, lowered).unwrap();
    let waiting = client.append(event(10)).unwrap();
    let told = wait_for_trouble(&client, |it| matches!(it, SpoolError::FileSizeLimit));
    assert!(told.contains("RLIMIT_FSIZE"), "{told}");
    assert!(!waiting.is_on_disk());
    (agent, client, waiting, before)
}

#[test]
fn a_limit_that_is_lowered_later_leaves_in_memory_what_store_on_failure_would_store() {
    let test = "spool_limits::a_limit_that_is_lowered_later_leaves_in_memory_what_store_on_failure_would_store";
    alone(test, || {
        let home = tempfile::tempdir().unwrap();
        let (mut agent, client, waiting, before) = stored_on_failure(home.path());
        setrlimit(Resource::Fsize, before).unwrap();
        waiting.wait_stored(PATIENCE).unwrap();
        assert!(waiting.is_on_disk());
        wait_for_no_trouble(&client);
        agent.start_again([GOOD]);
        assert_delivered(&client, &agent, 11);
    });
}

#[test]
fn what_no_write_stores_on_failure_goes_from_memory_to_the_next_agent_that_takes_it() {
    let test = "spool_limits::what_no_write_stores_on_failure_goes_from_memory_to_the_next_agent_that_takes_it";
    alone(test, || {
        let home = tempfile::tempdir().unwrap();
        let (mut agent, client, waiting, _) = stored_on_failure(home.path());
        agent.start_again([GOOD]);
        waiting.wait(PATIENCE).unwrap();
        assert!(!waiting.is_on_disk());
        assert_delivered(&client, &agent, 11);
    });
}

#[test]
fn no_descriptors_are_told_as_such_and_waited_out() {
    let test = "spool_limits::no_descriptors_are_told_as_such_and_waited_out";
    alone(test, || {
        let home = tempfile::tempdir().unwrap();
        let client = client_at([Port::reserve().url()]).spool(home.path());
        let client = client
            .event_bytes(4096)
            .spool_bytes(8 << 20)
            .build()
            .unwrap();
        store(&client, 0..10);
        let before = getrlimit(Resource::Nofile);
        let lowered = Rlimit {
            current: Some(0),
            ..before
        };
        setrlimit(Resource::Nofile, lowered).unwrap();
        // Until the segment at hand is full.
        let mut number = 10;
        while trouble(&client.stats()).is_none() {
            number += u64::from(client.append(event(number)).is_ok());
        }
        let told = wait_for_trouble(&client, |it| matches!(it, SpoolError::NoDescriptors(_)));
        setrlimit(Resource::Nofile, before).unwrap();
        assert!(
            told.contains("file descriptors") && told.contains("LimitNOFILE="),
            "{told}"
        );
        assert!(!told.contains("disk failed"), "{told}");
        wait_for_no_trouble(&client);
        let stored = give_up(&client, Duration::ZERO);
        assert_eq!(stored.lost.total(), 0, "{stored:?}");
    });
}

#[test]
fn the_defaults_fit_a_disk_of_64_mib() {
    on_small_disk(
        "spool_limits::the_defaults_fit_a_disk_of_64_mib",
        64,
        |disk| {
            let agent = Agent::good();
            let client = of_defaults(&agent, &disk.join("spool")).build().unwrap();
            store(&client, 0..5000);
            assert_delivered(&client, &agent, 5000);
            assert!(client.close(PATIENCE).wait().is_complete());
        },
    );
}

#[test]
fn what_is_to_stay_free_is_told_with_the_numbers() {
    on_small_disk(
        "spool_limits::what_is_to_stay_free_is_told_with_the_numbers",
        64,
        |disk| {
            let agent = Agent::good();
            let client = of_defaults(&agent, &disk.join("spool")).spool_free_bytes(60 << 20);
            let client = client.build().unwrap();
            let _waits = client.append(event(0)).unwrap();
            let told = wait_for_trouble(&client, |it| matches!(it, SpoolError::FreeBytes { .. }));
            assert!(
                told.contains("of which 62914560 are to stay free"),
                "{told}"
            );
            assert!(told.contains("lower spool_free_bytes"), "{told}");
        },
    );
}

#[test]
fn a_file_system_without_a_size_is_not_full() {
    let test = "spool_limits::a_file_system_without_a_size_is_not_full";
    on_disk(test, &["-t", "ramfs", "ramfs"], |disk| {
        let agent = Agent::good();
        let client = of_defaults(&agent, &disk.join("spool")).build().unwrap();
        store(&client, 0..100);
        assert_delivered(&client, &agent, 100);
    });
}

#[test]
fn a_disk_without_inodes_is_told_as_such_and_used_when_there_are_some() {
    let test = "spool_limits::a_disk_without_inodes_is_told_as_such_and_used_when_there_are_some";
    on_disk(
        test,
        &["-t", "tmpfs", "-o", "size=64m,nr_inodes=8", "tmpfs"],
        |disk| {
            let agent = Agent::good();
            let spool = disk.join("spool");
            fs::create_dir(&spool).unwrap();
            let files: Vec<_> = (0..8)
                .map(|number| disk.join(format!("file-{number}")))
                .collect();
            let made = files
                .iter()
                .filter(|file| fs::write(file, "").is_ok())
                .count();
            assert!((3..8).contains(&made), "{made}");
            let client = of_defaults(&agent, &spool).build().unwrap();
            let waiting = client.append(event(0)).unwrap();
            let told = wait_for_trouble(&client, |it| matches!(it, SpoolError::NoMoreFiles));
            assert!(told.contains("inodes"), "{told}");
            for file in files.iter().take(made) {
                fs::remove_file(file).unwrap();
            }
            waiting.wait_stored(PATIENCE).unwrap();
            wait_for_no_trouble(&client);
            assert_delivered(&client, &agent, 1);
            // The lock is of the directory alone, as there was no file for it.
            assert!(
                of_defaults(&agent, &spool)
                    .spool_shared(false)
                    .build()
                    .is_err()
            );
        },
    );
}

/// A spool with events in it whose disk takes nothing more.
fn assert_delivers_from_a_disk_that_takes_nothing(disk: &Path, fill: impl Fn(&Path)) {
    let spool = disk.join("spool");
    let client = client_at([Port::reserve().url()]).spool(&spool);
    let client = client
        .event_bytes(4096)
        .spool_bytes(8 << 20)
        .spool_free_bytes(0);
    let client = client.build().unwrap();
    store(&client, 0..200);
    assert_eq!(give_up(&client, Duration::ZERO).on_disk, 200);
    drop(client);
    fill(disk);
    let agent = Agent::good();
    for _ in 0..2 {
        let client = of_defaults(&agent, &spool)
            .event_bytes(4096)
            .spool_bytes(8 << 20);
        let client = client.build().unwrap();
        client.flush(PATIENCE).wait().unwrap();
        assert_eq!(client.stats().pending, 0);
        drop(client);
        // Once more, and without the file that tells who has it.
        let _ = fs::remove_file(spool.join("LOCK"));
    }
    // What the cursor could not note comes twice.
    assert_each_at_least_once(agent.stored(), 200);
}

#[test]
fn what_was_stored_is_delivered_from_a_disk_whose_quota_others_used_up() {
    let test = "spool_limits::what_was_stored_is_delivered_from_a_disk_whose_quota_others_used_up";
    on_btrfs(test, |disk| {
        assert_delivers_from_a_disk_that_takes_nothing(disk, |disk| {
            let quota = ["qgroup", "limit", "16M"];
            btrfs(&quota, disk);
            let mut number = 0;
            // Small ones lie in the metadata, which the quota counts as well.
            while fs::write(disk.join(format!("other-{number}")), [7; 3000]).is_ok() {
                number += 1;
            }
            let refused = fs::write(disk.join("one-more"), [7; 3000]).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::QuotaExceeded);
        });
    });
}

#[test]
fn what_was_stored_is_delivered_from_a_disk_that_is_read_only() {
    let test = "spool_limits::what_was_stored_is_delivered_from_a_disk_that_is_read_only";
    on_small_disk(test, 64, |disk| {
        assert_delivers_from_a_disk_that_takes_nothing(disk, |disk| {
            let mut mount = std::process::Command::new("mount");
            let mount = mount.args(["-o", "remount,ro"]).arg(disk);
            assert!(mount.status().unwrap().success());
        });
    });
}
