//! `flume send` with a spool, and the other levels of reliability.

use std::collections::BTreeSet;
use std::fs;

use flume_client::event_id::EVENT_ID_HEADER;
use flume_mini_agent::Received;
use flume_tests::scripted::Agent;
use serde_json::json;

use crate::support::bad_server::{SILENT, bad_server, wait_for_connection};
use crate::support::command::{Run, Running, command, flume, flume_reading};
use crate::support::spool::datums;
use crate::support::{self, PATIENCE, agent, bodies, closed_port, numbered};

fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| line.trim_ascii_end().to_vec()).collect()
}

/// The names that the events have, each once.
fn names(events: &[Received]) -> BTreeSet<String> {
    let headers = events.iter().flat_map(|event| event.headers());
    let names = headers.filter(|(key, _)| *key == EVENT_ID_HEADER);
    names.map(|(_, name)| name.to_owned()).collect()
}

/// Sends in order and gives up after a second.
fn send(dir: &str, url: &str, input: &[u8]) -> Run {
    let args = support::send(url, dir, "1s");
    flume_reading(&[&args[..], &["--ordered", "--json"]].concat(), input)
}

#[test]
fn what_no_agent_takes_is_stored_and_the_next_run_delivers_it_first() {
    let home = tempfile::tempdir().unwrap();
    let spool = home.path().join("app");
    let dir = spool.display().to_string();
    let url = closed_port();
    let first = numbered(250);
    let run = send(&dir, &url, &first);
    let next = "sent by the next run or `flume spool drain`";
    let left =
        format!("250 pending in {dir}, {next}; gave up after 1 s without an acknowledgement");
    let words = ["connection refused; retrying", "0 of 250 events", &left];
    run.check(3, &words);
    let told = run.json();
    let expected = json!({
        "directory": dir, "pending_elsewhere": 0, "delivered_unstored": 0, "unreadable": []
    });
    assert_eq!(told["spool"], expected);
    let counts = ["recovered", "accepted", "delivered", "pending"].map(|key| &told[key]);
    assert_eq!(counts, [0, 250, 0, 250]);
    assert_eq!(told["lost"]["total"], 0);

    let second = b"a\nb\nc\n";
    let run = send(&dir, &url, second);
    let earlier = format!("250 events in {dir} from an earlier run, sent first");
    run.check(3, &[&earlier, "0 of 253 events delivered"]);
    assert_eq!(run.json()["pending"], 253);

    let agent = agent();
    let third = b"d\n";
    let run = send(&dir, &agent.url(), third);
    run.check(
        0,
        &[
            "all 254 events delivered",
            "253 of them left by earlier runs",
        ],
    );
    let told = run.json();
    let counts = ["recovered", "accepted", "delivered", "pending"].map(|key| &told[key]);
    assert_eq!(counts, [253, 1, 254, 0]);
    let events = agent.received();
    let sent = [&first[..], second, third].concat();
    assert_eq!(bodies(&events), lines(&sent), "in order");
    assert_eq!(names(&events).len(), 254, "each has a name of its own");
    assert!(datums(&spool).is_empty());
}

#[test]
fn an_empty_input_sends_what_an_earlier_run_left() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().display().to_string();
    let nowhere = closed_port();
    let args = support::send(&nowhere, &dir, "500ms");
    flume_reading(&args, &numbered(10)).check(3, &["10 pending in "]);
    let agent = agent();
    let args = ["send", "--agent", &agent.url(), "--spool", &dir];
    flume(&args).check(
        0,
        &["all 10 events delivered", "10 of them left by earlier runs"],
    );
    flume(&args).check(0, &["nothing to send"]);
}

/// A run that has stored some of these lines, and an agent that never answers it.
fn storing(dir: &str, lines: &[u8]) -> (Agent, Running) {
    let server = bad_server(SILENT);
    let agent = ["send", "--agent", &server.url()];
    let args = [&agent[..], &["--spool", dir, "--timeout", "1h"]].concat();
    let mut running = Running::start(command(args));
    running.write(lines);
    // It is stored before it is sent.
    wait_for_connection(&server);
    (server, running)
}

#[test]
fn what_a_killed_run_stored_is_drained() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().display().to_string();
    let (server, running) = storing(&dir, &numbered(1_000));
    flume(&["spool", "drain", &dir, "--agent", &server.url()])
        .check(7, &[&format!("is in use by process {}", running.id())]);
    running.signal("KILL");
    assert_eq!(running.finish().code, None);

    let stored = datums(home.path());
    assert!(!stored.is_empty());
    let agent = agent();
    flume(&["spool", "drain", &dir, "--agent", &agent.url()]).check(0, &[]);
    let events = agent.wait_for(stored.len(), PATIENCE).unwrap();
    let mut arrived: Vec<_> = events.iter().map(|it| it.as_datum().to_vec()).collect();
    arrived.sort();
    let mut expected = stored;
    expected.sort();
    assert_eq!(arrived, expected);
}

#[test]
fn a_spool_that_cannot_be_made_is_told_and_nothing_is_sent() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "mine").unwrap();
    let agent = agent();
    let dir = file.display().to_string();
    let run = flume_reading(&["send", "--agent", &agent.url(), "--spool", &dir], b"a\n");
    run.check(1, &["cannot make the directory", &dir]);
    assert_eq!(agent.stats().connections_opened, 0);
}

#[test]
fn best_effort_drops_what_no_agent_takes_and_says_so() {
    let send = |url: &str| {
        let args = [
            "send",
            "--agent",
            url,
            "--reliability",
            "best-effort",
            "--json",
        ];
        flume_reading(&args, &numbered(250))
    };
    let run = send(&closed_port());
    let words = [
        "connection refused; what no agent takes is dropped",
        "0 of 250 events delivered",
        "250 lost: never sent\n",
    ];
    run.check(4, &words);
    let told = run.json();
    assert_eq!(
        (&told["pending"], &told["lost"]["unreachable"]),
        (&json!(0), &json!(250))
    );
    assert_eq!(told["lost"]["total"], 250);

    let agent = agent();
    send(&agent.url()).check(0, &["all 250 events delivered"]);
    for event in agent.received() {
        assert_eq!(
            event.headers().count(),
            0,
            "what is sent is what was written"
        );
    }
}

#[test]
fn what_runs_at_the_same_time_left_is_delivered_by_the_next_one_or_told() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().display().to_string();
    let (_server, first) = storing(&dir, b"line 0\n");
    let nowhere = closed_port();
    let args = support::send(&nowhere, &dir, "1s");
    let second = home.path().join("process-2");
    let place = format!("5000 pending in {}, sent by", second.display()).replace("5000", "5,000");
    flume_reading(&args, &numbered(5_000)).check(3, &[&place]);
    first.signal("KILL");
    assert_eq!(first.finish().code, None);

    // However far the copying has come.
    let agent = agent();
    let args = ["send", "--agent", &agent.url(), "--spool", &dir, "--json"];
    let run = flume_reading(&args, &numbered(10));
    let told = run.json();
    let left = told["spool"]["pending_elsewhere"].as_u64().unwrap();
    assert_eq!(left, datums(&second).len() as u64, "{run:#?}");
    assert_eq!(told["delivered"].as_u64().unwrap() + left, 1 + 5_000 + 10);
    run.check(if left == 0 { 0 } else { 3 }, &[]);
}

#[test]
fn a_spool_that_is_named_from_where_the_command_runs_is_told_once_and_ends_in_time() {
    let home = tempfile::tempdir().unwrap();
    let run = |agent: &str, dir: &str, timeout: &str, input: &[u8]| {
        let args = ["send", "--agent", agent, "--spool", dir, "--json"];
        let mut command = command([&args[..], &["--timeout", timeout]].concat());
        command.current_dir(home.path());
        let mut running = Running::start(command);
        running.write(input);
        running.close_stdin();
        running.finish()
    };
    for dir in ["app", "./app", "app/../app/"] {
        let run = run(&closed_port(), dir, "500ms", &numbered(5));
        run.check(3, &[" pending in ", ", sent by the next run"]);
        assert!(!run.stderr.contains("left by another run"), "{run:#?}");
        assert_eq!(run.json()["spool"]["pending_elsewhere"], 0);
    }
    // The test would hang if it waited for itself.
    let agent = agent();
    run(&agent.url(), "app", "1h", b"last\n").check(0, &["all 16 events delivered"]);
}
