//! `flume spool repair`: a sound spool out of a damaged one.

use std::fs;
use std::sync::Arc;

use flume_client::Event;
use flume_client::spool::{
    CURSOR_BYTES, Directory, Log, NetworkFileSystem, Reader, Settings, Step,
};
use serde_json::json;

use crate::support::command::{Run, flume};
use crate::support::spool::{TIME_MS, TestSpool, datums, numbered_datums};

fn repair(spool: &TestSpool, args: &[&str]) -> Run {
    let output = spool.beside("new").display().to_string();
    flume(
        &[
            &["spool", "repair", &spool.dir(), "--output", &output],
            args,
        ]
        .concat(),
    )
}

#[track_caller]
fn check_sound(spool: &TestSpool) {
    let new = spool.beside("new").display().to_string();
    flume(&["spool", "verify", &new]).check(0, &[]);
}

#[test]
fn all_that_can_be_read_is_in_the_new_spool_and_the_old_one_is_as_it_was() {
    let spool = TestSpool::new();
    let mut log = spool.log();
    log.write_numbered(0..400);
    log.log.retire(20, 30);
    log.deliver(0, 7);
    drop(log);
    spool.damage_text("<event 157>");
    let gone = spool.damage_text("<event 333>");
    spool.damage(&gone, 0..4_096);
    let before = spool.content();
    let saved = datums(&spool.path());
    assert!(saved.len() > 150, "{}", saved.len());

    let run = repair(&spool, &[]);
    run.check(6, &[]);
    let words = format!("{} events can be saved, ", saved.len());
    assert!(run.stdout.contains(&words), "{run:#?}");
    assert!(
        run.stdout
            .contains("events 150 to 159 (10 events) are lost"),
        "{run:#?}"
    );
    assert!(
        run.stdout.contains("both copies of its header are damaged"),
        "{run:#?}"
    );
    check_sound(&spool);
    assert!(datums(&spool.beside("new")) == saved);
    assert!(spool.content() == before);
    assert_eq!(
        fs::read_dir(spool.home()).unwrap().count(),
        2,
        "nothing else is left"
    );
}

#[test]
fn a_sound_spool_is_copied_whole_with_its_order_and_age() {
    let spool = TestSpool::of(123);
    let run = repair(&spool, &["--json"]);
    run.check(0, &[]);
    let told = run.json();
    assert_eq!(
        (&told["events"], &told["lost"]["total"]),
        (&json!(123), &json!(0))
    );
    assert_eq!(datums(&spool.beside("new")), numbered_datums(0..123));
    let new = spool.beside("new").display().to_string();
    let listed = flume(&["spool", "ls", &new, "--json"]).json();
    assert_eq!(listed["spools"][0]["oldest_ms"], TIME_MS);
}

#[test]
fn a_service_goes_on_with_the_new_spool_under_another_client_id() {
    let spool = TestSpool::of(40);
    let old = spool.log().log.client();
    repair(&spool, &[]).check(0, &[]);
    let settings = Settings {
        segment_bytes: 64 * 1024,
        frame_bytes_max: 16 * 1024,
        bytes_max: 4 * 64 * 1024 + CURSOR_BYTES as u64,
        free_bytes_min: 0,
    };
    let path = spool.beside("new");
    let directory = Arc::new(Directory::open(&path, NetworkFileSystem::Allowed).unwrap());
    let (log, opened) = Log::open(Arc::clone(&directory) as _, settings, 1).unwrap();
    assert!(
        opened.trouble.is_none() && opened.quarantined.is_empty(),
        "{opened:?}"
    );
    assert_ne!(log.client(), old);
    let mut reader = Reader::new(log.retired().watermark(), opened.witnessed);
    let (segments, upto) = (log.segments(), log.readable_upto());
    let mut events = 0;
    while let Step::Frame = reader
        .advance(directory.as_ref(), &segments, log.retired(), upto)
        .unwrap()
    {
        events += reader.frame().unwrap().take;
    }
    assert_eq!(events, 40);
}

#[test]
fn an_event_larger_than_the_segments_of_others_is_copied() {
    let spool = TestSpool::new();
    let settings = Settings {
        segment_bytes: 8 << 20,
        frame_bytes_max: 2 << 20,
        bytes_max: 64 << 20,
        free_bytes_min: 0,
    };
    let mut log = crate::support::spool::Writer::open(&spool.path(), settings);
    let large = Event::new(vec![b'x'; 1 << 20]);
    log.write(std::slice::from_ref(&large));
    log.write_numbered(1..11);
    log.write(std::slice::from_ref(&large));
    drop(log);
    repair(&spool, &[]).check(0, &[]);
    check_sound(&spool);
    assert!(datums(&spool.beside("new")) == datums(&spool.path()));
    assert_eq!(datums(&spool.path()).len(), 12);
}

#[test]
fn what_is_no_event_is_left_out_and_told() {
    let spool = TestSpool::of(10);
    spool.log().write_datums(&[b"no event"]);
    let run = repair(&spool, &["--json"]);
    run.check(6, &[]);
    assert_eq!(run.json()["skipped"], 1);
    check_sound(&spool);
    assert_eq!(datums(&spool.beside("new")), numbered_datums(0..10));
}

#[test]
fn a_spool_in_use_is_not_repaired() {
    let spool = TestSpool::of(10);
    let held = spool.log();
    let holder = format!("is in use by process {}: stop it first", std::process::id());
    repair(&spool, &[]).check(7, &[&holder]);
    assert!(!spool.beside("new").exists());
    drop(held);
    repair(&spool, &[]).check(0, &[]);
}

#[test]
fn nothing_that_is_there_is_written_to() {
    let spool = TestSpool::of(10);
    fs::create_dir(spool.beside("new")).unwrap();
    repair(&spool, &[]).check(2, &["new is there already"]);
    let inside = spool.path().join("new").display().to_string();
    let run = flume(&["spool", "repair", &spool.dir(), "--output", &inside]);
    run.check(2, &["is in the spool itself"]);
    let nowhere = spool.beside("missing/new").display().to_string();
    let run = flume(&["spool", "repair", &spool.dir(), "--output", &nowhere]);
    run.check(
        1,
        &[&format!("cannot make the directory {nowhere}: no such")],
    );
    let home = spool.home().display().to_string();
    let run = flume(&["spool", "repair", &home, "--output", &nowhere]);
    run.check(1, &["there is no spool in"]);
    assert!(
        !spool.beside("LOCK").exists(),
        "no lock is made where there is no spool"
    );
}
