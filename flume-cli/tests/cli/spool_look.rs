//! `flume spool ls` and `show`: what is told, and that nothing is written.

use std::fs;
use std::fs::OpenOptions;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flume_client::Event;
use serde_json::{Value, json};

use crate::support::agent;
use crate::support::command::{Run, flume};
use crate::support::spool::{TIME_MS, TestSpool, crc};

fn spool(command: &str, dir: &str, args: &[&str]) -> Run {
    flume(&[&["spool", command, dir], args].concat())
}

/// Checks what `show` finds: the exit code, the events lost, and words in the findings.
#[track_caller]
fn check_show(of: &TestSpool, code: i32, lost: u64, words: &[&str]) {
    let run = spool("show", &of.dir(), &["--json"]);
    run.check(code, &[]);
    let told = run.json();
    assert_eq!(told["lost"]["total"], lost, "{told}");
    assert_eq!(told["sound"], code == 0, "{told}");
    let text = spool("show", &of.dir(), &[]);
    text.check(code, &[]);
    for word in words {
        assert!(text.stdout.contains(word), "{word:?} is missing: {text:#?}");
        assert!(told["findings"].to_string().contains(word), "{told}");
    }
}

#[test]
fn ls_tells_of_each_spool_in_a_directory_what_waits_there() {
    let one = TestSpool::new();
    let mut log = one.log();
    log.write_numbered(0..30);
    log.deliver(0..12);
    drop(log);
    fs::create_dir(one.beside("no spool")).unwrap();
    fs::write(one.beside("a file"), "").unwrap();
    let other = TestSpool::of(1_234);
    fs::rename(other.path(), one.beside("clicks")).unwrap();

    let home = one.home().display().to_string();
    let run = spool("ls", &home, &[]);
    run.check(0, &[]);
    let rows: Vec<Vec<&str>> = run
        .stdout
        .lines()
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 3, "{}", run.stdout);
    assert_eq!(rows[1][..2], [&format!("{home}/clicks"), "1,234"]);
    assert_eq!(rows[2][..2], [&format!("{home}/orders"), "18"]);
    assert!(rows[1..].iter().all(|row| row.last() == Some(&"sound")));

    let told = spool("ls", &home, &["--json"]).json();
    let orders = &told["spools"][1];
    assert_eq!(orders["directory"], format!("{home}/orders"));
    assert_eq!(orders["pending"], 18);
    // The events 10 and 11, which are done with, are in the second write, as is the oldest.
    assert_eq!(orders["oldest_ms"], TIME_MS + 1_000);
    assert_eq!(orders["sound"], true);
    let bytes: u64 = one.content().values().map(|file| file.len() as u64).sum();
    assert_eq!(orders["disk_bytes"], bytes);
}

#[test]
fn the_spools_of_further_processes_are_listed_and_not_forgotten() {
    let one = TestSpool::of(3);
    let second = one.path().join("process-2");
    fs::rename(TestSpool::of(40).path(), &second).unwrap();
    fs::create_dir(one.path().join("process-3")).unwrap();
    for dir in [one.dir(), one.home().display().to_string()] {
        let told = spool("ls", &dir, &["--json"]).json();
        let spools = told["spools"].as_array().unwrap().iter();
        let events: Vec<_> = spools
            .map(|it| (&it["directory"], &it["pending"]))
            .collect();
        let second = json!(second.display().to_string());
        assert_eq!(
            events,
            [(&json!(one.dir()), &json!(3)), (&second, &json!(40))]
        );
    }
    let words = format!("not looked at here: {}\n", second.display());
    spool("show", &one.dir(), &[]).check(0, &["further processes", &words]);
    spool("show", &second.display().to_string(), &[]).check(0, &[]);
}

#[test]
fn ls_of_one_spool_is_one_row_and_of_none_is_no_row() {
    let one = TestSpool::of(3);
    let told = spool("ls", &one.dir(), &["--json"]).json();
    assert_eq!(told["spools"].as_array().unwrap().len(), 1);
    assert_eq!(told["spools"][0]["pending"], 3);
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().display().to_string();
    let run = spool("ls", &empty, &[]);
    run.check(0, &["there is no spool in"]);
    assert_eq!(run.stdout, "");
    let told = spool("ls", &empty, &["--json"]).json();
    assert_eq!(told, json!({"schema": 2, "spools": []}));
}

#[test]
fn ls_tells_damage_and_show_is_what_fails_by_it() {
    let one = TestSpool::of(30);
    one.damage_text("<event 15>");
    let run = spool("ls", &one.dir(), &[]);
    run.check(0, &[]);
    assert!(run.stdout.contains("damaged, 10 events lost"), "{run:#?}");
}

#[test]
fn a_lock_that_is_held_is_named_and_reading_goes_on() {
    let one = TestSpool::of(30);
    let held = one.log();
    let holder = format!("in use by process {}", process::id());
    let row = spool("ls", &one.dir(), &[]).stdout;
    assert!(row.contains(&format!("sound, {holder}")), "{row}");
    for (command, args) in [
        ("show", &[][..]),
        ("export", &["--format", "jsonl", "--output", "-"]),
    ] {
        let run = spool(command, &one.dir(), args);
        run.check(0, &[&holder, "may be in the middle of a change"]);
        assert!(run.stdout.contains("30") || command == "export", "{run:#?}");
    }
    let told = spool("show", &one.dir(), &["--json"]).json();
    assert_eq!(
        (&told["in_use"], &told["process"]),
        (&json!(true), &json!(process::id()))
    );
    drop(held);
    let told = spool("show", &one.dir(), &["--json"]).json();
    assert_eq!(
        (&told["in_use"], &told["process"]),
        (&json!(false), &Value::Null)
    );
}

#[test]
fn a_spool_is_sound_while_a_service_writes_it_and_delivers_from_it() {
    let one = TestSpool::of(500);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = one.log();
            let mut delivered = 0;
            while !ended.load(Ordering::Relaxed) {
                let first = log.log.next().number();
                log.write_numbered(first..first + 100);
                delivered = delivered.max((first + 100).saturating_sub(500));
                log.deliver(0..delivered);
            }
        });
        // When this fails, the other one ends too.
        let _ends = EndsWith(&ended);
        for _ in 0..30 {
            spool("show", &one.dir(), &[]).check(0, &[]);
        }
    });
}

/// Ends the other thread when it goes out of scope.
struct EndsWith<'a>(&'a AtomicBool);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn show_tells_what_is_done_with_and_what_waits_in_which_segment() {
    let one = TestSpool::new();
    let mut log = one.log();
    log.write_numbered(0..200);
    log.log.retire((20..21).into());
    log.log.retire((30..40).into());
    log.deliver(0..7);
    let run = format!("{:016x}", log.log.run_id());
    drop(log);
    let told = spool("show", &one.dir(), &["--json"]).json();
    assert_eq!(told["watermark"], 7);
    let ahead = json!([{"first": 20, "last": 20}, {"first": 30, "last": 39}]);
    assert_eq!(told["retired"], ahead);
    assert_eq!(told["pending"], 200 - 7 - 1 - 10);
    let segments = told["segments"].as_array().unwrap();
    assert!(segments.len() > 1, "{told}");
    let waiting = segments.iter().map(|it| it["pending"].as_u64().unwrap());
    assert_eq!(waiting.sum::<u64>(), 182);
    for segment in segments {
        let file = segment["file"].as_str().unwrap();
        assert_eq!(segment["bytes"], one.content()[file].len());
        assert_eq!(segment["run"], run);
    }
    assert_eq!(told["events"], json!([]));
    let text = spool("show", &one.dir(), &[]).stdout;
    for words in [
        "all events below 7; 20 to 20; 30 to 39",
        "182 events",
        "cursor   whole",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn first_events_and_their_bodies_are_shown_only_if_asked() {
    let one = TestSpool::new();
    let mut log = one.log();
    let event = |body: &[u8]| Event::new(body).header("k", "v\u{1b}[2J");
    log.write(&[
        event(b"first"),
        event(b"\xff\x00\xfe"),
        event(b"\x1b[2Jthird"),
    ]);
    log.deliver(0..1);
    drop(log);
    let dir = one.dir();
    let told = spool("show", &dir, &["--events", "1", "--json"]).json();
    let hidden = json!({
        "number": 1, "stored_ms": TIME_MS, "headers": {"k": "v\u{1b}[2J"}, "body_bytes": 3
    });
    assert_eq!(told["events"], json!([hidden]));
    let told = spool("show", &dir, &["--events", "9", "--bodies", "--json"]).json();
    assert_eq!(told["events"][0]["body_base64"], "/wD+");
    assert_eq!(told["events"][1]["body"], "\u{1b}[2Jthird");
    let text = spool("show", &dir, &["--events", "9"]).stdout;
    assert!(
        text.contains("event 2, ") && !text.contains("third"),
        "{text}"
    );
    let text = spool("show", &dir, &["--events", "9", "--bodies"]).stdout;
    assert!(
        text.contains("third") && !text.contains('\u{1b}'),
        "{text:?}"
    );
    spool("show", &dir, &["--bodies"]).check(2, &["--events <N>"]);
}

#[test]
fn show_tells_which_events_are_lost_in_which_segment() {
    let one = TestSpool::of(300);
    check_show(&one, 0, 0, &[]);
    let file = one.damage_text("<event 157>");
    check_show(
        &one,
        6,
        10,
        &[&format!("{file}: events 150 to 159 (10 events) are lost")],
    );
}

#[test]
fn show_tells_every_gap_however_many_there_are() {
    let one = TestSpool::of(600);
    let damaged = (0..600).step_by(20);
    let files: Vec<_> = damaged
        .clone()
        .map(|first| one.damage_text(&format!("<event {first}>")))
        .collect();
    let told = damaged
        .zip(files)
        .map(|(first, file)| format!("{file}: events {first} to {} (10 events)", first + 9));
    let told: Vec<_> = told.collect();
    let words: Vec<_> = told.iter().map(String::as_str).collect();
    check_show(&one, 6, 300, &words);
}

#[test]
fn verify_is_another_name_of_show_with_the_same_exit_codes() {
    let [sound, damaged, unread] = [0; 3].map(|_| TestSpool::of(30));
    damaged.damage_text("<event 15>");
    fs::create_dir(unread.path().join("seg-00000000000000ff.flb")).unwrap();
    for (one, code) in [(sound, 0), (damaged, 6), (unread, 1)] {
        let [show, verify] =
            ["show", "verify"].map(|command| spool(command, &one.dir(), &["--json"]));
        verify.check(code, &[]);
        show.check(code, &[]);
        assert_eq!(verify.stdout, show.stdout);
    }
}

#[test]
fn show_tells_a_segment_that_is_gone() {
    let one = TestSpool::of(300);
    let segments: Vec<_> = one
        .content()
        .into_keys()
        .filter(|it| it.starts_with("seg"))
        .collect();
    assert!(segments.len() > 2, "{segments:?}");
    let told = spool("show", &one.dir(), &["--json"]).json();
    let held = told["segments"][1]["pending"].as_u64().unwrap();
    fs::remove_file(one.path().join(&segments[1])).unwrap();
    check_show(&one, 6, held, &["are lost: damaged, or not there any more"]);
}

#[test]
fn show_tells_damage_to_headers_and_cursor() {
    let header = TestSpool::of(10);
    let segment = header
        .content()
        .into_keys()
        .find(|name| name.starts_with("seg"));
    let segment = segment.unwrap();
    header.damage(&segment, 100..101);
    let words = "one of the two copies of its header is damaged";
    check_show(&header, 6, 0, &[words]);
    header.damage(&segment, 3_000..3_001);
    let words = format!("{segment}: both copies of its header are damaged");
    check_show(&header, 6, 0, &[&words]);

    let cursor = TestSpool::of(10);
    cursor.damage("cursor", 0..8_192);
    check_show(&cursor, 6, 0, &["cursor: neither of its slots can be read"]);
}

#[test]
fn a_cursor_of_another_version_is_named_and_left_as_it_is() {
    let one = TestSpool::of(10);
    let path = one.path().join("cursor");
    let mut cursor = fs::read(&path).unwrap();
    for slot in cursor.chunks_mut(4_096) {
        slot[8] = 2;
        let sum = crc(&slot[..4_092]).to_le_bytes();
        slot[4_092..].copy_from_slice(&sum);
    }
    fs::write(&path, &cursor).unwrap();
    let named = format!("{}: it is of format version 2", path.display());
    let words = [&*named, "read it with the release that wrote it"];
    for command in ["ls", "show"] {
        spool(command, &one.dir(), &[]).check(1, &words);
    }
    let other = agent();
    let run = spool("drain", &one.dir(), &["--agent", &other.url()]);
    run.check(1, &words);
    assert_eq!(other.received_count(), 0);
    assert!(fs::read(&path).unwrap() == cursor, "it was changed");
}

#[test]
fn a_segment_that_was_renamed_and_has_a_damaged_header_is_told_to_be_both() {
    let one = TestSpool::of(10);
    let is_segment = |name: &String| name.starts_with("seg");
    let segment = one.content().into_keys().find(is_segment).unwrap();
    one.damage(&segment, 100..101);
    let other = "seg-00000000000000ff.flb";
    fs::rename(one.path().join(&segment), one.path().join(other)).unwrap();
    let run = spool("show", &one.dir(), &[]);
    run.check(6, &[]);
    let damage = format!("{other}: one of the two copies of its header is damaged");
    let name = format!("{other}: it holds {segment}, and is read as that");
    let [damage, name] = [damage, name].map(|words| run.stdout.find(&words));
    assert!(damage.is_some() && damage < name, "{run:#?}");
    let told = spool("show", &one.dir(), &["--json"]).json();
    assert_eq!(told["pending"], 10);
}

#[test]
fn show_and_drain_tell_that_without_a_cursor_events_may_come_again() {
    let other = agent();
    let url = other.url();
    let spools = [("missing", 0), ("damaged", 6)].map(|(word, code)| {
        let one = TestSpool::of(10);
        let mut log = one.log();
        log.deliver(0..4);
        drop(log);
        match word {
            "missing" => fs::remove_file(one.path().join("cursor")).unwrap(),
            _ => one.damage("cursor", 0..8_192),
        }
        (one, word, code)
    });
    for (one, word, code) in &spools {
        let run = spool("show", &one.dir(), &["--json"]);
        run.check(*code, &[]);
        let told = run.json();
        assert_eq!(told["findings"].as_array().unwrap().len(), 1, "{told}");
        assert_eq!(told["findings"][0]["damage"], *code == 6);
        assert_eq!(told["findings"][0]["file"], "cursor");
        if *word == "missing" {
            check_show(one, 0, 0, &["cursor: it is not there", "10 events"]);
            assert_eq!(told["findings"][0]["kind"], "no-cursor");
        }
        let agent = agent();
        let run = spool("drain", &one.dir(), &["--agent", &agent.url(), "--json"]);
        let words = format!("the file `cursor`, which tells what was delivered before, is {word}");
        run.check(0, &[&words, "are sent again"]);
        assert_eq!(run.json()["spools"][0]["cursor"], *word);
        assert_eq!(agent.received_count(), 10);
    }
    // With one that is whole, or where nothing waits, there is nothing to tell.
    let sound = TestSpool::of(10);
    let args = ["--agent", &url];
    let run = spool("drain", &sound.dir(), &args);
    assert!(!run.stderr.contains("cursor"), "{run:#?}");
}

#[test]
fn show_tells_what_was_stored_and_is_no_event() {
    let one = TestSpool::of(10);
    one.log().write_datums(&[b"no event at all"]);
    let number: u64 = 1 << 32;
    check_show(
        &one,
        6,
        0,
        &[&format!(
            "event {number} is stored as it was written, but is no"
        )],
    );
}

#[test]
fn a_write_that_a_crash_cut_short_is_no_damage() {
    let one = TestSpool::of(30);
    let content = one.content();
    let (segment, bytes) = content
        .iter()
        .find(|(name, _)| name.starts_with("seg"))
        .unwrap();
    let last = bytes
        .windows(10)
        .position(|it| it == b"<event 25>")
        .unwrap();
    let file = OpenOptions::new()
        .write(true)
        .open(one.path().join(segment))
        .unwrap();
    file.set_len(last as u64).unwrap();
    check_show(&one, 0, 0, &[]);
    let told = spool("show", &one.dir(), &["--json"]).json();
    assert_eq!(told["pending"], 20);
}

#[test]
fn show_has_another_exit_code_for_what_cannot_be_read() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().display().to_string();
    spool("show", &dir, &[]).check(1, &["there is no spool in", "flume spool ls"]);
    let missing = format!("{dir}/missing");
    let words = format!("cannot read the directory {missing}: no such file");
    spool("show", &missing, &[]).check(1, &[&words]);
    // A directory in the place of a file cannot be read, by no user.
    let one = TestSpool::of(10);
    let segment = format!("seg-{:016x}.flb", 0xff);
    fs::create_dir(one.path().join(&segment)).unwrap();
    let run = spool("show", &one.dir(), &[]);
    run.check(1, &[]);
    assert!(
        run.stdout
            .contains(&format!("{segment}: it cannot be read")),
        "{run:#?}"
    );
}

#[test]
fn a_spool_that_cannot_be_read_does_not_keep_ls_from_the_others() {
    let one = TestSpool::of(10);
    let bad = one.beside("bad");
    fs::create_dir_all(bad.join("cursor")).unwrap();
    fs::write(bad.join("spare-0000000000000001.flb"), "").unwrap();
    let home = one.home().display().to_string();
    let reason = format!(
        "cannot read {}/cursor: it is a directory, not a regular file, and is not used: move it away",
        bad.display()
    );
    let run = spool("ls", &home, &[]);
    run.check(1, &[&reason]);
    assert!(run.stdout.contains(&one.dir()), "{run:#?}");
    let told = spool("ls", &home, &["--json"]).json();
    assert_eq!(told["spools"][0]["error"], reason);
    assert_eq!(told["spools"][1]["pending"], 10);
}

#[test]
fn nothing_is_written_by_those_who_only_look() {
    let one = TestSpool::of(100);
    one.damage_text("<event 55>");
    fs::remove_file(one.path().join("LOCK")).unwrap();
    let before = (
        one.content(),
        fs::metadata(one.path()).unwrap().modified().unwrap(),
    );
    let file = one.beside("events.jsonl").display().to_string();
    spool("ls", &one.dir(), &[]).check(0, &[]);
    spool("show", &one.dir(), &["--events", "3"]).check(6, &[]);
    spool("prune", &one.dir(), &[]).check(0, &[]);
    spool(
        "export",
        &one.dir(),
        &["--format", "jsonl", "--output", &file],
    )
    .check(6, &[]);
    let after = (
        one.content(),
        fs::metadata(one.path()).unwrap().modified().unwrap(),
    );
    assert!(before == after);
    assert!(!one.path().join("LOCK").exists());
}
