//! Segments of a spool that cannot be read or are of another version: they are named, and stay.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::command::flume;
use crate::support::nobody::{NOBODY, as_nobody, deny, deny_nothing, is_root};
use crate::support::spool::{TestSpool, numbered_datums};
use crate::support::{agent, bodies, closed_port, send};

/// Runs of the service, each with a segment.
const RUNS: u64 = 5;
const EVENTS: u64 = 60;
/// Which run's segment it is about.
const THIRD: usize = 2;
/// Numbers of a run.
const RUN: u64 = 1 << 32;

/// An event takes at least its end and two counts, and a segment a header.
fn can_hold(bytes: u64) -> u64 {
    (bytes - 4096) / 6
}

/// A spool with a segment for each run, and the files of those.
fn spool() -> (TestSpool, Vec<PathBuf>) {
    let spool = TestSpool::new();
    for run in 0..RUNS {
        spool.log().write_numbered(run * EVENTS..(run + 1) * EVENTS);
    }
    // Another start cuts the last one.
    drop(spool.log());
    let names = spool.content().into_keys();
    let segments = names.filter(|name| name.starts_with("seg-"));
    let files: Vec<_> = segments.map(|name| spool.path().join(name)).collect();
    assert_eq!(files.len() as u64, RUNS);
    (spool, files)
}

/// A spool whose third segment cannot be read, and one whose third is of another version: with that
/// file, and words that tell the reason.
fn unread() -> [(TestSpool, PathBuf, &'static str); 2] {
    let (denied, files) = spool();
    deny(&denied, &files[THIRD]);
    let (foreign, others) = spool();
    foreign.make_foreign(&others[THIRD]);
    deny_nothing(&foreign);
    [
        (denied, files[THIRD].clone(), "permission denied"),
        (foreign, others[THIRD].clone(), "format version 2"),
    ]
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

#[test]
fn show_and_ls_name_the_file_with_the_reason_and_no_more_events_than_it_can_hold() {
    for (spool, file, why) in unread() {
        let most = can_hold(fs::metadata(&file).unwrap().len());
        let dir = spool.dir();
        let run = as_nobody(&["spool", "show", &dir]);
        run.check(1, &[]);
        for words in [name(&file), why, "not all of it can be read"] {
            assert!(run.stdout.contains(words), "{words}: {run:#?}");
        }
        let told = as_nobody(&["spool", "show", &dir, "--json"]).json();
        assert_eq!(
            (&told["sound"], &told["lost"]["total"]),
            (&false.into(), &0.into())
        );
        assert_eq!(told["pending"], (RUNS - 1) * EVENTS);
        let findings = told["findings"].as_array().unwrap();
        let unread = findings.iter().filter(|it| it["kind"] == "unreadable");
        let events: u64 = unread.filter_map(|it| it["events"].as_u64()).sum();
        assert!((EVENTS..=most).contains(&events), "{told}");

        let run = as_nobody(&["spool", "ls", &dir]);
        run.check(1, &[]);
        assert!(
            run.stdout.contains("not all of it can be read, up to"),
            "{run:#?}"
        );
        assert!(!run.stdout.contains("damaged"), "{run:#?}");
        let damage = findings.iter().filter(|it| it["damage"] == true);
        assert_eq!(damage.count(), 0, "{told}");
        let all = as_nobody(&["spool", "ls", &dir, "--json"]).json();
        for told in [&told, &all["spools"][0]] {
            let unreadable = told["unreadable"].as_array().unwrap();
            assert_eq!(unreadable.len(), 1, "{told}");
            assert_eq!(unreadable[0]["file"], file.display().to_string());
            assert_eq!(unreadable[0]["events_max"], events);
            assert!(unreadable[0]["why"].as_str().unwrap().contains(why));
        }
    }
}

#[test]
fn prune_does_not_offer_it_and_deletes_nothing_of_it() {
    for (spool, file, _) in unread() {
        let before = fs::metadata(&file).unwrap().len();
        let run = as_nobody(&["spool", "prune", &spool.dir(), "--yes"]);
        run.check(0, &[]);
        assert!(run.stdout.contains("nothing to delete"), "{run:#?}");
        let run = as_nobody(&["spool", "prune", &spool.dir(), "--foreign", "--yes"]);
        run.check(0, &[]);
        assert!(!run.stdout.contains("seg-"), "{run:#?}");
        assert_eq!(fs::metadata(&file).unwrap().len(), before);
    }
}

/// The ranges that `show` tells as done with.
fn done(spool: &TestSpool) -> (String, Value) {
    let text = as_nobody(&["spool", "show", &spool.dir()]).stdout;
    let line = text.lines().find_map(|line| line.strip_prefix("done     "));
    let told = as_nobody(&["spool", "show", &spool.dir(), "--json"]).json();
    (line.unwrap().to_owned(), told["retired"].clone())
}

#[test]
fn no_number_is_shown_as_done_with_that_was_never_given() {
    let (missing, files) = spool();
    fs::remove_file(&files[THIRD]).unwrap();
    deny_nothing(&missing);
    let [(denied, ..), (foreign, ..)] = unread();
    for spool in [&missing, &denied, &foreign] {
        assert_eq!(
            done(spool),
            ("no events yet".to_owned(), Value::Array(vec![]))
        );
    }
    // The numbers of the run before end in the middle of a range that is done with.
    let (delivered, files) = spool();
    let mut log = delivered.log();
    log.deliver(RUN + 50..RUN + EVENTS);
    log.deliver(2 * RUN..2 * RUN + 10);
    drop(log);
    delivered.make_foreign(&files[THIRD]);
    deny_nothing(&delivered);
    let (text, _) = done(&delivered);
    let expected = format!(
        "{} to {}; {} to {}",
        RUN + 50,
        RUN + EVENTS - 1,
        2 * RUN,
        2 * RUN + 9
    );
    assert_eq!(text, expected);
}

#[test]
fn segments_under_each_others_names_are_called_misnamed_and_not_damaged() {
    let (spool, files) = spool();
    let aside = spool.beside("aside");
    fs::rename(&files[1], &aside).unwrap();
    fs::rename(&files[3], &files[1]).unwrap();
    fs::rename(&aside, &files[3]).unwrap();
    let dir = spool.dir();
    let run = flume(&["spool", "show", &dir]);
    run.check(0, &[]);
    let words = format!("it holds {}, and is read as that", name(&files[3]));
    for words in ["sound, but misnamed", &words, "nothing is lost by it"] {
        assert!(run.stdout.contains(words), "{words}: {run:#?}");
    }
    for command in ["ls", "show"] {
        let run = flume(&["spool", command, &dir]);
        run.check(0, &[]);
        assert!(run.stdout.contains("misnamed"), "{run:#?}");
        assert!(!run.stdout.contains("damaged"), "{run:#?}");
    }
    let told = flume(&["spool", "show", &dir, "--json"]).json();
    assert_eq!(
        (&told["sound"], &told["pending"]),
        (&true.into(), &(RUNS * EVENTS).into())
    );
}

/// Checks that the others were delivered at once, and that the file is named.
#[track_caller]
fn check_told(text: &str, file: &Path, why: &str) {
    let most = can_hold(fs::metadata(file).unwrap().len());
    for words in [
        "240 events delivered in",
        "all that can be read",
        &format!("wait in {}, which cannot be read: ", file.display()),
        why,
        "nothing in it is lost while the file is there",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("acknowledgement"), "{text}");
    let told = text
        .split("\n  up to ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let told: u64 = told.replace(',', "").parse().unwrap();
    assert!((EVENTS..=most).contains(&told), "{text}");
}

#[test]
fn drain_delivers_all_others_and_names_the_file_at_once() {
    for (spool, file, why) in unread() {
        let (agent, before) = (agent(), fs::metadata(&file).unwrap().len());
        let url = agent.url();
        let dir = spool.dir();
        // The test would hang if it waited for the file.
        let drain = ["spool", "drain", &dir, "--agent", &url, "--timeout", "10m"];
        let run = as_nobody(&drain);
        run.check(1, &[]);
        check_told(&run.stdout, &file, why);
        assert_eq!(agent.received().len() as u64, (RUNS - 1) * EVENTS);
        assert_eq!(fs::metadata(&file).unwrap().len(), before);

        // Nothing but it is left.
        let run = as_nobody(&drain);
        run.check(1, &[]);
        let words = "nothing that can be read is left to deliver";
        assert!(run.stdout.contains(words), "{run:#?}");
        assert!(run.stdout.contains(why), "{run:#?}");
        let told = as_nobody(&[&drain[..], &["--json"]].concat()).json();
        assert_eq!(told["unreadable"][0]["file"], file.display().to_string());
        assert_eq!(told["unreadable"][0]["events_max"], told["pending"]);
        assert_eq!(agent.received().len() as u64, (RUNS - 1) * EVENTS);
    }
}

#[test]
fn what_drain_could_not_read_it_delivers_when_it_can_be_read() {
    let (spool, files) = spool();
    let file = &files[THIRD];
    deny(&spool, file);
    let agent = agent();
    let url = agent.url();
    let drain = ["spool", "drain", &spool.dir(), "--agent", &url];
    as_nobody(&drain).check(1, &[]);
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    as_nobody(&drain).check(0, &[]);
    let mut received: Vec<_> = agent
        .received()
        .iter()
        .map(|it| it.as_datum().to_vec())
        .collect();
    received.sort_unstable();
    let mut expected = numbered_datums(0..RUNS * EVENTS);
    expected.sort_unstable();
    assert!(received == expected, "each event once");
    as_nobody(&drain).check(0, &[]);
}

#[test]
fn drain_without_an_agent_still_names_the_missing_agent_and_the_file() {
    let [(spool, file, why), _] = unread();
    let url = closed_port();
    let dir = spool.dir();
    let drain = ["spool", "drain", &dir, "--agent", &url, "--timeout", "1s"];
    let run = as_nobody(&drain);
    run.check(4, &["connection refused"]);
    for words in [
        "gave up after 1 s without an acknowledgement",
        name(&file),
        why,
    ] {
        assert!(run.stdout.contains(words), "{words}: {run:#?}");
    }
}

#[test]
fn send_delivers_its_own_and_all_others_and_names_the_file_at_once() {
    for (spool, file, why) in unread() {
        let (agent, input) = (agent(), spool.beside("input"));
        fs::write(&input, "").unwrap();
        let (url, dir) = (agent.url(), spool.dir());
        let input = input.display().to_string();
        let send = [&send(&url, &dir, "10m")[..], &[&input]].concat();
        let run = as_nobody(&send);
        run.check(1, &[]);
        check_told(&run.stderr, &file, why);
        fs::write(&input, "one\ntwo\n").unwrap();
        let run = as_nobody(&[&send[..], &["--json"]].concat());
        run.check(1, &["2 events delivered in", why]);
        let told = run.json();
        let unreadable = &told["spool"]["unreadable"][0];
        assert_eq!(unreadable["events_max"], told["pending"]);
        let sum = |of: [&str; 2]| of.map(|it| told[it].as_u64().unwrap()).iter().sum::<u64>();
        assert_eq!(
            sum(["accepted", "recovered"]),
            sum(["delivered", "pending"])
        );
        assert_eq!(agent.received().len() as u64, (RUNS - 1) * EVENTS + 2);
    }
}

#[test]
fn an_agent_that_nothing_could_be_sent_to_is_not_said_to_owe_an_answer() {
    let agent = agent();
    let url = agent.url();
    for (spool, ..) in unread() {
        let dir = spool.dir();
        as_nobody(&["spool", "drain", &dir, "--agent", &url]).check(1, &[]);
        let missing = spool.beside("missing.log").display().to_string();
        let run = as_nobody(&[&send(&url, &dir, "10m")[..], &[&missing]].concat());
        run.check(1, &["missing.log", "cannot be read"]);
    }
    // What is stored in one segment is no event, and the other one cannot be read.
    for command in ["send", "drain"] {
        let spool = TestSpool::new();
        spool.log().write_datums(&[b"no event at all"]);
        spool.log().write_numbered(0..10);
        drop(spool.log());
        let names = spool.content().into_keys();
        let segment = names.filter(|name| name.starts_with("seg-")).max();
        spool.make_foreign(&spool.path().join(segment.unwrap()));
        let dir = spool.dir();
        let run = match command {
            "send" => flume(&send(&url, &dir, "10m")),
            _ => flume(&["spool", "drain", &dir, "--agent", &url, "--timeout", "10m"]),
        };
        run.check(1, &[]);
        let text = [run.stdout.as_str(), &run.stderr].concat();
        for words in ["1 lost: damaged", "format version 2"] {
            assert!(text.contains(words), "{words}: {run:#?}");
        }
    }
    assert_eq!(agent.received_count(), 2 * (RUNS - 1) * EVENTS);
}

/// Checks that all before the file was delivered at once, and that it is named with those behind.
#[track_caller]
fn check_waits(text: &str, delivered: u64, file: &Path, why: &str) {
    for words in [
        &format!("{delivered} events delivered in"),
        "those behind a file that cannot be read wait for it",
        &format!(
            "wait in {} and behind it, which cannot be read: ",
            file.display()
        ),
        why,
        "nothing in it is lost while the file is there",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for words in ["acknowledgement", "all that can be read"] {
        assert!(!text.contains(words), "{words}: {text}");
    }
}

#[test]
fn send_in_order_ends_at_once_at_a_file_that_cannot_be_read() {
    for (spool, file, why) in unread() {
        let (agent, input) = (agent(), spool.beside("input"));
        fs::write(&input, "one\ntwo\n").unwrap();
        let (url, dir) = (agent.url(), spool.dir());
        let input = input.display().to_string();
        // The test would hang if it waited for the file.
        let args = [
            &send(&url, &dir, "10m")[..],
            &["--ordered", "--json", &input],
        ]
        .concat();
        let run = as_nobody(&args);
        let earlier = THIRD as u64 * EVENTS;
        run.check(1, &["2 pending in ", "120 of them left by earlier runs"]);
        check_waits(&run.stderr, earlier, &file, why);
        let told = run.json();
        assert_eq!(
            (&told["delivered"], &told["accepted"]),
            (&earlier.into(), &2.into())
        );
        let behind = &told["spool"]["unreadable"][0]["events_max"];
        assert_eq!(told["pending"], behind.as_u64().unwrap() + 2);
        assert_eq!(bodies(&agent.received()).len() as u64, earlier);

        // Nothing is left before it.
        fs::write(&input, "").unwrap();
        let run = as_nobody(&args);
        run.check(1, &["nothing that can be read in order is left to deliver"]);
        assert_eq!(agent.received_count(), earlier);
    }
}

#[test]
fn drain_ends_at_once_where_it_can_pass_over_no_more_files() {
    /// Ranges that a client leaves out.
    const LEFT_OUT_MAX: u64 = 48;
    let spool = TestSpool::new();
    for run in 0..2 * LEFT_OUT_MAX + 4 {
        spool.log().write_numbered(10 * run..10 * (run + 1));
    }
    drop(spool.log());
    let names = spool.content().into_keys();
    let segments: Vec<_> = names.filter(|name| name.starts_with("seg-")).collect();
    for name in segments.iter().skip(1).step_by(2) {
        spool.make_foreign(&spool.path().join(name));
    }
    let agent = agent();
    let run = flume(&[
        "spool",
        "drain",
        &spool.dir(),
        "--agent",
        &agent.url(),
        "--timeout",
        "10m",
    ]);
    run.check(1, &[]);
    let file = spool.path().join(&segments[2 * LEFT_OUT_MAX as usize + 1]);
    check_waits(
        &run.stdout,
        10 * (LEFT_OUT_MAX + 1),
        &file,
        "format version 2",
    );
}

#[test]
fn what_cannot_be_read_is_not_said_to_be_sent_or_delivered() {
    for (spool, ..) in unread() {
        let agent = agent();
        let (url, dir) = (agent.url(), spool.dir());
        let run = as_nobody(&send(&url, &dir, "30s"));
        let first = format!("in {dir}, and those that can be read are sent first");
        let words = ["earlier runs left up to ", &first];
        run.check(
            1,
            &[&words[..], &["240 of them left by earlier runs"]].concat(),
        );
        let run = as_nobody(&send(&url, &dir, "30s"));
        run.check(1, &words);
        assert!(!run.stderr.contains("of them"), "{run:#?}");
        let url = closed_port();
        let run = as_nobody(&send(&url, &dir, "500ms"));
        run.check(1, &[]);
        assert!(!run.stderr.contains("of them"), "{run:#?}");
    }
}

#[test]
fn drain_says_that_events_come_again_only_if_what_is_delivered_could_not_be_saved() {
    // Nothing can be made or removed in the directory, but the cursor can be written.
    let spool = TestSpool::of(20);
    spool.log().deliver(0..1);
    deny_nothing(&spool);
    fs::set_permissions(spool.path(), Permissions::from_mode(0o500)).unwrap();
    let (agent, dir) = (agent(), spool.dir());
    let url = agent.url();
    let drain = ["spool", "drain", &dir, "--agent", &url];
    let run = as_nobody(&drain);
    run.check(0, &[]);
    assert!(!run.stdout.contains("could not be saved"), "{run:#?}");
    let told = as_nobody(&[&drain[..], &["--json"]].concat()).json();
    assert_eq!(told["recovered"], 0);
    assert_eq!(
        (&told["unsaved"], &told["unsaved_why"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(agent.received_count(), 19);

    // Nor can the cursor be written: what is delivered is delivered again.
    let spool = TestSpool::of(20);
    deny_nothing(&spool);
    let cursor = spool.path().join("cursor");
    fs::set_permissions(cursor, Permissions::from_mode(0o400)).unwrap();
    let dir = spool.dir();
    for _ in 0..2 {
        let told = as_nobody(&["spool", "drain", &dir, "--agent", &url, "--json"]);
        told.check(0, &[]);
        let told = told.json();
        assert_eq!(
            (&told["delivered"], &told["unsaved"]),
            (&20.into(), &20.into())
        );
        let why = told["unsaved_why"].as_str().unwrap();
        assert!(why.contains("Permission denied"), "{told}");
    }
}
