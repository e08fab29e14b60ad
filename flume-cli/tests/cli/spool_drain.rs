//! `flume spool drain`: what is delivered, and above all what stays.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::bad_server::{HTTP, SILENT, answers_one_call, bad_server, wait_for_connection};
use crate::support::command::{Run, Running, command, flume};
use crate::support::spool::{TestSpool, datums, numbered_datums};
use crate::support::{agent, bodies, closed_port};

/// Drains and gives up after a second.
fn drain(dir: &str, url: &str, args: &[&str]) -> Run {
    let drain = ["spool", "drain", dir, "--agent", url, "--timeout", "1s"];
    flume(&[&drain, args].concat())
}

/// The datums an agent got, in the order of their numbers.
fn received(agent: &flume_mini_agent::MiniAgent) -> Vec<Vec<u8>> {
    let mut events = agent.received();
    events.sort_by_key(|event| {
        let number = event.headers().find(|(key, _)| *key == "number");
        number.unwrap().1.parse::<u64>().unwrap()
    });
    let datums = events.iter().map(|event| event.as_datum().to_vec());
    datums.collect()
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn all_that_waits_is_delivered_as_it_was_stored_and_nothing_is_left() {
    let spool = TestSpool::new();
    let mut log = spool.log();
    log.write_numbered(0..2_500);
    log.deliver(0..100);
    drop(log);
    let agent = agent();
    let url = agent.url();
    let run = drain(&spool.dir(), &url, &[]);
    run.check(0, &[]);
    let all = format!("{}: all 2,400 events delivered in", spool.dir());
    assert!(run.stdout.starts_with(&all), "{run:#?}");
    let by = format!("\n  {url}: 2,400 delivered\n");
    assert!(run.stdout.ends_with(&by), "{run:#?}");
    assert_eq!(received(&agent), numbered_datums(100..2_500));
    assert!(datums(&spool.path()).is_empty());

    let run = drain(&spool.dir(), &url, &[]);
    run.check(0, &[]);
    let nothing = format!("{}: nothing to deliver\n", spool.dir());
    assert_eq!(run.stdout, nothing);
}

#[cfg(unix)]
#[test]
fn what_is_noted_of_a_spool_is_printed_once() {
    use std::os::unix::fs::PermissionsExt;

    let spool = TestSpool::of(10);
    fs::set_permissions(spool.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let agent = agent();
    let run = drain(&spool.dir(), &agent.url(), &[]);
    run.check(0, &["(mode 0770)", "chmod g-w"]);
    assert_eq!(run.stderr.matches("chmod g-w").count(), 1, "{run:#?}");
}

#[test]
fn what_further_processes_left_is_delivered_from_where_it_lies() {
    let spool = TestSpool::of(300);
    let second = spool.path().join("process-2");
    TestSpool::at(&second).write_numbered(300..500);
    let agent = agent();
    let url = agent.url();
    let run = drain(&spool.dir(), &url, &["--json"]);
    run.check(0, &[]);
    let told = run.json();
    let second_dir = second.display().to_string();
    let none = &told["lost"];
    assert_eq!(none["total"], 0);
    assert_eq!(
        told["spools"],
        json!([
            {"directory": spool.dir(), "recovered": 300, "delivered": 300, "pending": 0, "lost": none,
             "cursor": "whole"},
            {"directory": second_dir, "recovered": 200, "delivered": 200, "pending": 0, "lost": none,
             "cursor": "whole"},
        ])
    );
    assert_eq!(
        (
            &told["delivered"],
            &told["pending"],
            &told["agents"][0]["delivered"]
        ),
        (&json!(500), &json!(0), &json!(500))
    );
    assert_eq!(received(&agent), numbered_datums(0..500));
    assert!(datums(&spool.path()).is_empty() && datums(&second).is_empty());
    let ls = flume(&["spool", "ls", &spool.dir(), "--json"]).json();
    let left = ls["spools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["pending"]);
    assert!(left.eq([&json!(0), &json!(0)]), "{ls}");
}

#[test]
fn at_the_time_out_the_rest_stays_and_the_exit_code_tells_why() {
    let check = |url: &str, code: i32, delivered: u64| {
        let spool = TestSpool::of(250);
        let run = drain(&spool.dir(), url, &["--json"]);
        run.check(code, &[]);
        let told = run.json();
        assert_eq!(
            (&told["delivered"], &told["pending"]),
            (&json!(delivered), &json!(250 - delivered))
        );
        assert_eq!(datums(&spool.path()), numbered_datums(delivered..250));
        run
    };
    check(&closed_port(), 4, 0).check(4, &["connection refused; retrying for up to 1 s"]);
    check(&bad_server(SILENT).url(), 124, 0);
    check(&bad_server(HTTP).url(), 4, 0);

    let server = answers_one_call();
    let spool = TestSpool::of(250);
    let run = drain(&spool.dir(), &server.url(), &[]);
    run.check(5, &[]);
    let told = "150 pending on the disk; gave up after 1 s without an acknowledgement (--timeout)";
    assert!(
        run.stdout.contains("100 of 250 events delivered"),
        "{run:#?}"
    );
    assert!(run.stdout.contains(told), "{run:#?}");
    let agent = agent();
    drain(&spool.dir(), &agent.url(), &[]).check(0, &[]);
    assert_eq!(received(&agent), numbered_datums(100..250));
}

#[test]
fn a_spool_in_use_or_with_one_in_use_in_it_is_refused_and_nothing_is_sent() {
    let agent = agent();
    let spool = TestSpool::new();
    let mut held = spool.log();
    held.write_numbered(0..100);
    let holder = format!("is in use by process {}: stop it first", std::process::id());
    drain(&spool.dir(), &agent.url(), &[]).check(7, &[&spool.dir(), &holder]);
    assert!(!spool.path().join("process-2").exists(), "no place is made");
    drop(held);

    let second = spool.path().join("process-2");
    let held = TestSpool::at(&second);
    let place = format!("{} {holder}", second.display());
    drain(&spool.dir(), &agent.url(), &[]).check(7, &[&place]);
    assert_eq!(agent.stats().connections_opened, 0);
    assert_eq!(datums(&spool.path()), numbered_datums(0..100));
    drop(held);
    drain(&spool.dir(), &agent.url(), &[]).check(0, &[]);
}

#[cfg(unix)]
#[test]
fn a_spool_that_is_taken_while_drain_begins_stops_it_and_what_was_sent_is_told() {
    let spool = TestSpool::of(100);
    let second = spool.path().join("process-2");
    TestSpool::at(&second).write_numbered(100..200);
    // Whoever only looks is not kept out by this, whoever takes it is: as by a service that starts
    // in between.
    let lock = fs::File::open(second.join("LOCK")).unwrap();
    lock.lock_shared().unwrap();
    let agent = agent();
    let run = drain(&spool.dir(), &agent.url(), &["--json"]);
    run.check(7, &[&format!("{} is in use by ", second.display())]);
    let told = run.json();
    let sent = told["delivered"].as_u64().unwrap();
    assert_eq!(told["pending"].as_u64().unwrap(), 100 - sent);
    assert_eq!(told["spools"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(datums(&second), numbered_datums(100..200));
    let run = drain(&spool.dir(), &agent.url(), &[]);
    run.check(7, &[]);
    let words = "then it stopped, as one of the spools could not be taken";
    assert!(run.stdout.contains(words), "{run:#?}");
    drop(lock);
    drain(&spool.dir(), &agent.url(), &[]).check(0, &[]);
}

#[test]
fn where_there_is_no_spool_none_is_made() {
    let home = tempfile::tempdir().unwrap();
    let missing = home.path().join("missing");
    let url = closed_port();
    let run = drain(&missing.display().to_string(), &url, &[]);
    run.check(1, &["cannot read the directory", "no such file"]);
    assert!(!missing.exists());

    fs::write(home.path().join("notes.txt"), "mine").unwrap();
    let run = drain(&home.path().display().to_string(), &url, &[]);
    run.check(1, &["there is no spool in"]);
    assert_eq!(files(home.path()), 1);
}

#[test]
fn an_interrupt_stops_it_and_the_rest_stays() {
    let spool = TestSpool::of(250);
    let server = bad_server(SILENT);
    let dir = spool.dir();
    let args = [
        "spool",
        "drain",
        &dir,
        "--agent",
        &server.url(),
        "--timeout",
        "1h",
    ];
    let running = Running::start(command(args));
    wait_for_connection(&server);
    running.signal("INT");
    let run = running.finish();
    run.check(130, &[]);
    assert!(run.stdout.contains("0 of 250 events delivered"), "{run:#?}");
    assert!(
        run.stdout.contains("250 pending on the disk; interrupted"),
        "{run:#?}"
    );
    assert_eq!(datums(&spool.path()), numbered_datums(0..250));
}

#[test]
fn damaged_events_are_counted_and_the_others_delivered() {
    let spool = TestSpool::of(100);
    spool.damage_text("<event 42>");
    let agent = agent();
    let run = drain(&spool.dir(), &agent.url(), &[]);
    run.check(6, &[]);
    assert!(
        run.stdout.contains("90 of 100 events delivered"),
        "{run:#?}"
    );
    assert!(
        run.stdout.contains("10 lost: damaged on the disk"),
        "{run:#?}"
    );
    assert_eq!(received(&agent), numbered_datums((0..40).chain(50..100)));
    assert_eq!(bodies(&agent.received()).len(), 90, "each once");
}

#[test]
fn a_damaged_spool_needs_no_repair() {
    let (spool, gone) = TestSpool::damaged();
    let readable = datums(&spool.path());
    assert!(readable.len() > 150, "{}", readable.len());
    let agent = agent();
    drain(&spool.dir(), &agent.url(), &[]).check(6, &[]);
    assert!(received(&agent) == readable, "each once, and no other");
    let aside = spool.path().join(gone.replace("seg-", "quarantine-"));
    assert!(aside.exists(), "for whoever wants to look into it");
    // It is sound again, and takes new events.
    flume(&["spool", "show", &spool.dir()]).check(0, &[]);
    spool.log().write_numbered(400..450);
    drain(&spool.dir(), &agent.url(), &[]).check(0, &[]);
    assert_eq!(agent.received_count(), readable.len() as u64 + 50);
}
