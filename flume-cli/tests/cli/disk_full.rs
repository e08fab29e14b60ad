//! `flume agent` with a file channel, and `flume send` with a spool, on a small disk that is full.

use std::fs;
use std::path::Path;
use std::process::Command;

use flume_tests::small_disk::on_small_disk;

use crate::support::command::{flume, flume_reading};
use crate::support::configured::{Agent, PropertyFile};
use crate::support::spool::TestSpool;
use crate::support::{agent, closed_port, send};

#[test]
fn a_spool_on_a_read_only_disk_is_delivered_and_that_it_cannot_be_noted_is_told() {
    let test =
        "disk_full::a_spool_on_a_read_only_disk_is_delivered_and_that_it_cannot_be_noted_is_told";
    on_small_disk(test, 6, |disk| {
        TestSpool::at(&disk.join("spool")).write_numbered(0..50);
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,ro"]).arg(disk);
        assert!(mount.status().unwrap().success());
        let agent = agent();
        let (url, dir) = (agent.url(), disk.join("spool").display().to_string());
        // Nothing is noted, so each time all of them are delivered.
        for round in 1..3 {
            let run = flume(&["spool", "drain", &dir, "--agent", &url]);
            run.check(0, &[]);
            for words in [
                "all 50 events delivered in",
                "could not be saved in the spool",
                "read-only",
            ] {
                assert!(run.stdout.contains(words), "{words}: {run:#?}");
            }
            assert_eq!(agent.received().len(), round * 50);
        }
        let told = flume(&["spool", "drain", &dir, "--agent", &url, "--json"]).json();
        assert_eq!(told["unsaved"], 50);
        let why = told["unsaved_why"].as_str().unwrap();
        assert!(why.contains("read-only"), "{told}");
    });
}

/// A line of 100 KB that begins with its number.
fn line(number: usize) -> String {
    format!("{number} {}\n", "x".repeat(100_000))
}

/// Sends lines until one is refused; how many were stored.
fn fill(agent: &Agent) -> usize {
    for number in 0..100 {
        let url = agent.url("r1");
        let args = ["send", "--agent", url, "--timeout", "500ms"];
        let run = flume_reading(&args, line(number).as_bytes());
        if run.code != Some(0) {
            run.check(4, &["refused a batch with FAILED"]);
            return number;
        }
    }
    panic!("the disk is not full yet");
}

fn properties(disk: &Path) -> String {
    let data = disk.join("channel").display().to_string();
    format!(
        "a1.sources = r1
a1.channels = c1
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = 0
a1.sources.r1.channels = c1
a1.channels.c1.type = file
a1.channels.c1.dataDirs = {data}
a1.channels.c1.checkpointDir = {data}
a1.channels.c1.minimumRequiredSpace = 1048576
"
    )
}

#[test]
fn clients_are_refused_the_reason_is_told_and_room_helps_without_a_restart() {
    let test = "disk_full::clients_are_refused_the_reason_is_told_and_room_helps_without_a_restart";
    on_small_disk(test, 6, |disk| {
        let stuffing = disk.join("stuffing");
        fs::write(&stuffing, vec![0; 2 << 20]).unwrap();
        let file = PropertyFile::new(&properties(disk));
        let mut agent = file.start(&[]);
        let stored = fill(&agent);
        assert!((10..40).contains(&stored), "{stored}");
        let told = agent
            .running
            .wait_for_stderr("channel c1 did not take the batch");
        assert!(told.contains("bytes are free on the disk"), "{told}");
        assert!(
            told.contains("make room there, or lower minimumRequiredSpace"),
            "{told}"
        );
        fs::remove_file(&stuffing).unwrap();
        let more = fill(&agent);
        assert!(more > 10, "{more}");
        agent.running.signal("KILL");
        let run = agent.running.finish();
        assert_eq!(run.code, None, "{run:?}");
        let kept = format!("{} events pending in file channel c1", stored + more);
        file.start(&[]).stop().check(0, &[&kept]);
    });
}

#[test]
fn a_spool_without_room_is_told_and_so_is_every_event_that_is_lost_by_it() {
    let test = "disk_full::a_spool_without_room_is_told_and_so_is_every_event_that_is_lost_by_it";
    on_small_disk(test, 6, |disk| {
        let dir = disk.join("app").display().to_string();
        let agent = agent();
        let url = agent.url();
        let args = send(&url, &dir, "500ms");
        fs::write(disk.join("stuffing"), vec![0; 5 << 20]).unwrap();
        let full = "its disk is full: make room there";
        let run = flume_reading(&args, b"a\nb\n");
        run.check(1, &[&format!("{dir}: {full}"), "0 of 2 events delivered"]);
        run.check(1, &[&format!("2 lost: could not be stored: {full}")]);
        assert_eq!(agent.received_count(), 0);
    });
}

#[test]
fn what_is_delivered_from_memory_for_want_of_room_is_told_as_such() {
    let test = "disk_full::what_is_delivered_from_memory_for_want_of_room_is_told_as_such";
    on_small_disk(test, 6, |disk| {
        let dir = disk.join("app").display().to_string();
        fs::write(disk.join("stuffing"), vec![0; 5 << 20]).unwrap();
        let agent = agent();
        let url = agent.url();
        let args = ["send", "--agent", &url, "--spool", &dir, "--json"];
        let run = flume_reading(&args, b"a\nb\n");
        run.check(0, &["2 of them from memory: the disk did not take them"]);
        let told = run.json();
        assert_eq!(
            (&told["delivered"], &told["pending"]),
            (&2.into(), &0.into())
        );
        assert_eq!(told["spool"]["delivered_unstored"], 2);
        assert_eq!(agent.received_count(), 2);
    });
}

#[test]
fn a_spool_can_be_made_to_fit_a_small_disk_and_keeps_what_is_to_stay_free() {
    let test = "disk_full::a_spool_can_be_made_to_fit_a_small_disk_and_keeps_what_is_to_stay_free";
    on_small_disk(test, 64, |disk| {
        let dir = disk.join("app").display().to_string();
        let send = |url: &str, sizes: &[&str], input: &[u8]| {
            flume_reading(&[&send(url, &dir, "500ms"), sizes].concat(), input)
        };
        // The disk has not so much.
        let run = send(&closed_port(), &["--spool-free", "100MiB"], b"a\n");
        run.check(
            1,
            &["and 100 MiB are to stay free: make room there, or lower --spool-free"],
        );
        let run = send(
            &closed_port(),
            &["--spool-bytes", "16MiB", "--spool-free", "1MiB"],
            b"a\nb\n",
        );
        run.check(3, &["2 pending in "]);
        // A quota that is smaller than what is to be stored holds.
        let large = [vec![b'x'; 1_000_000], b"\n".to_vec()].concat().repeat(30);
        let sizes = ["--spool-bytes", "16MiB", "--spool-free", "0B"];
        let run = send(&closed_port(), &sizes, &large);
        run.check(4, &["pending in ", "reading stopped after line"]);
        let files = fs::read_dir(disk.join("app")).unwrap();
        // The lock has the process's number in it, and is none of the quota.
        let files = files
            .map(Result::unwrap)
            .filter(|it| it.file_name() != "LOCK");
        let bytes: u64 = files.map(|it| it.metadata().unwrap().len()).sum();
        assert!(bytes <= 16 << 20, "{bytes}");
        let agent = agent();
        let run = flume_reading(&["spool", "drain", &dir, "--agent", &agent.url()], b"");
        run.check(0, &[]);
        assert!(agent.received_count() > 2);
    });
}
