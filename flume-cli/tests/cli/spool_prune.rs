//! `flume spool prune`: what goes, and above all what stays.

use std::fs;

use serde_json::json;

use crate::support::command::{Run, flume};
use crate::support::spool::{TestSpool, datums, numbered_datums};

const ASIDE: &str = "quarantine-0000000000000050.flb";

fn prune(spool: &TestSpool, args: &[&str]) -> Run {
    flume(&[&["spool", "prune", &spool.dir()], args].concat())
}

fn names(spool: &TestSpool) -> Vec<String> {
    spool.content().into_keys().collect()
}

#[test]
fn nothing_is_deleted_before_it_is_told_to_be() {
    let spool = TestSpool::of(100);
    fs::write(spool.path().join(ASIDE), vec![1; 10_000]).unwrap();
    fs::write(spool.path().join("notes.txt"), "mine").unwrap();
    let before = names(&spool);
    let run = prune(&spool, &[]);
    run.check(0, &[]);
    assert!(run.stdout.contains(ASIDE), "{run:#?}");
    assert!(
        run.stdout
            .contains("1 file can be deleted, 9.8 KiB; say --yes"),
        "{run:#?}"
    );
    assert!(!run.stdout.contains("notes.txt"), "{run:#?}");
    assert_eq!(names(&spool), before);

    let run = prune(&spool, &["--yes"]);
    run.check(0, &[]);
    assert!(
        run.stdout.contains("1 file deleted, 9.8 KiB freed"),
        "{run:#?}"
    );
    let left: Vec<_> = before.into_iter().filter(|name| name != ASIDE).collect();
    assert_eq!(names(&spool), left);
    assert_eq!(datums(&spool.path()), numbered_datums(0..100));
    let run = prune(&spool, &["--yes"]);
    assert!(run.stdout.contains("nothing to delete"), "{run:#?}");
}

#[test]
fn foreign_files_go_only_if_they_are_asked_for_and_directories_never() {
    let spool = TestSpool::of(10);
    fs::write(spool.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(spool.path().join("folder")).unwrap();
    prune(&spool, &["--yes"]).check(0, &[]);
    assert!(spool.path().join("notes.txt").exists());
    let told = prune(&spool, &["--yes", "--foreign", "--json"]).json();
    assert_eq!(told["bytes_freed"], 4);
    assert_eq!(told["leftovers"].as_array().unwrap().len(), 1, "{told}");
    assert!(!spool.path().join("notes.txt").exists());
    for stays in ["folder", "LOCK", "cursor"] {
        assert!(spool.path().join(stays).exists(), "{stays}");
    }
    assert_eq!(datums(&spool.path()), numbered_datums(0..10));
}

#[test]
fn a_copy_of_a_segment_under_any_name_stays() {
    let spool = TestSpool::of(10);
    let content = spool.content();
    let segments = content.iter().filter(|(name, _)| name.starts_with("seg"));
    let mut copies = Vec::new();
    for (name, bytes) in segments {
        let mut damaged = bytes.clone();
        damaged[..8].fill(0);
        for (ending, bytes) in [("bak", bytes), ("old", &damaged)] {
            let copy = spool.path().join(format!("{name}.{ending}"));
            fs::write(&copy, bytes).unwrap();
            copies.push(copy);
        }
    }
    let run = prune(&spool, &["--yes", "--foreign"]);
    run.check(0, &[]);
    assert!(run.stdout.contains("copy of a segment; STAYS"), "{run:#?}");
    assert!(
        run.stdout.contains("0 files deleted, 0 B freed"),
        "{run:#?}"
    );
    assert!(copies.len() >= 2 && copies.iter().all(|copy| copy.exists()));
}

#[test]
fn a_segment_set_aside_stays_while_it_may_hold_events_that_were_never_sent() {
    let other = TestSpool::of(20);
    let content = other.content();
    let (segment, bytes) = content
        .iter()
        .find(|(name, _)| name.starts_with("seg"))
        .unwrap();
    let aside = segment.replace("seg-", "quarantine-");

    // Another client's.
    let spool = TestSpool::new();
    let mut log = spool.log();
    log.write_numbered(0..1_000);
    log.deliver(0..900);
    drop(log);
    let mut stranger = other.log();
    stranger.write_numbered(0..5);
    drop(stranger);
    fs::write(spool.path().join(&aside), bytes).unwrap();
    let run = prune(&spool, &["--yes"]);
    run.check(0, &[]);
    assert!(run.stdout.contains("0 files deleted"), "{run:#?}");
    assert!(run.stdout.contains("named seg- in place of"), "{run:#?}");
    assert!(spool.path().join(&aside).exists());

    // Its own, and not delivered; then delivered.
    let mut own = other.log();
    let told = prune(&other, &["--json"]).json();
    assert_eq!(told["leftovers"], json!([]));
    own.deliver(0..3);
    fs::copy(other.path().join(segment), other.path().join(&aside)).unwrap();
    let told = prune(&other, &["--json"]).json();
    assert_eq!(told["leftovers"][0]["stays"], true, "{told}");
    let what = told["leftovers"][0]["what"].to_string();
    assert!(
        what.contains("17 events in it may not have been sent"),
        "{what}"
    );
    own.deliver(0..20);
    let told = prune(&other, &["--json"]).json();
    assert_eq!(told["leftovers"][0]["stays"], false, "{told}");
}

#[test]
fn a_spool_in_use_is_listed_and_not_pruned() {
    let spool = TestSpool::of(10);
    fs::write(spool.path().join(ASIDE), vec![1; 10_000]).unwrap();
    let held = spool.log();
    let holder = format!("is in use by process {}: stop it", std::process::id());
    prune(&spool, &[]).check(0, &[&holder]);
    prune(&spool, &["--yes"]).check(7, &[&holder]);
    assert!(spool.path().join(ASIDE).exists());
    drop(held);
    prune(&spool, &["--yes"]).check(0, &[]);
    assert!(!spool.path().join(ASIDE).exists());
}

#[test]
fn a_directory_that_is_no_spool_is_not_pruned() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("notes.txt"), "mine").unwrap();
    let dir = home.path().display().to_string();
    let run = flume(&["spool", "prune", &dir, "--yes", "--foreign"]);
    run.check(1, &["there is no spool in"]);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}
