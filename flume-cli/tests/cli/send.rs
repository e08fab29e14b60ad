//! `flume send` when all goes well, and when a part of the input is bad.

use std::fs;
use std::process::{Command, Stdio};

use flume_mini_agent::MiniAgent;

use crate::support::command::{Running, command, flume, flume_reading};
use crate::support::{PATIENCE, agent, bodies, closed_port, distinct, numbered};

#[track_caller]
fn check_lines(input: &[u8], expected: &[&[u8]]) {
    let agent = agent();
    let run = flume_reading(&["send", "--agent", &agent.url(), "--json"], input);
    run.check(0, &[]);
    let found = bodies(&agent.wait_for(expected.len(), PATIENCE).unwrap());
    assert_eq!(found, expected);
    assert_eq!(run.json()["delivered"], expected.len());
}

#[test]
fn every_line_arrives_byte_for_byte() {
    check_lines(
        b"plain\nwith\ttab\r\n\n\xff\xfe\x00not text\xc3\n  spaces  \nno line feed",
        &[
            b"plain",
            b"with\ttab\r",
            b"",
            b"\xff\xfe\x00not text\xc3",
            b"  spaces  ",
            b"no line feed",
        ],
    );
}

#[test]
fn a_line_feed_alone_is_one_empty_event() {
    check_lines(b"\n", &[b""]);
}

#[test]
fn no_input_at_all_is_nothing_to_send() {
    let agent = agent();
    let run = flume(&["send", "--agent", &agent.url(), "--json"]);
    run.check(0, &["nothing to send"]);
    assert_eq!(run.json()["read"], 0);
    assert_eq!(agent.stats().connections_opened, 0);
}

#[test]
fn a_closed_standard_input_is_an_empty_one() {
    let agent = agent();
    let script = format!(
        "exec '{}' send --agent {} <&-",
        env!("CARGO_BIN_EXE_flume"),
        agent.url()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]);
    Running::start(shell)
        .finish()
        .check(0, &["nothing to send"]);
}

#[test]
fn headers_are_put_on_every_event() {
    let agent = agent();
    let args = [
        "send",
        "--agent",
        &agent.url(),
        "-H",
        "host=web-1",
        "-H",
        "query=a=b",
        "-H",
        "empty=",
    ];
    flume_reading(&args, b"one\ntwo\n").check(0, &[]);
    for event in agent.wait_for(2, PATIENCE).unwrap() {
        let headers: Vec<_> = event.headers().collect();
        assert_eq!(
            headers,
            [("host", "web-1"), ("query", "a=b"), ("empty", "")]
        );
    }
}

#[test]
fn files_and_standard_input_are_read_in_the_order_given() {
    let agent = agent();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    fs::write(&path, b"from the file\nwithout line feed").unwrap();
    let path = path.to_str().unwrap();
    let args = [
        "send",
        "--agent",
        &agent.url(),
        "--ordered",
        path,
        "-",
        path,
    ];
    flume_reading(&args, b"from standard input\n").check(0, &["all 5 events delivered"]);
    let found = bodies(&agent.wait_for(5, PATIENCE).unwrap());
    let file: [&[u8]; 2] = [b"from the file", b"without line feed"];
    assert_eq!(
        found,
        [file[0], file[1], b"from standard input", file[0], file[1]]
    );
}

#[test]
fn the_summary_accounts_for_every_event_in_words_and_in_json() {
    let agent = agent();
    let url = agent.url();
    let run = flume_reading(&["send", "--agent", &url, "--json"], &numbered(2_500));
    run.check(
        0,
        &[
            "all 2,500 events delivered in",
            &format!("{url}: 2,500 delivered"),
        ],
    );
    let json = run.json();
    let peak = json["agents"][0]["window_peak"].as_u64().unwrap();
    assert!(peak >= 1);
    let expected = serde_json::json!({
        "schema": 2, "read": 2500, "refused": 0, "unended": 0, "files_cut": 0,
        "files_unreadable": 0, "accepted": 2500, "recovered": 0, "delivered": 2500, "pending": 0,
        "lost": {
            "total": 0, "unreachable": 0, "rejected": 0, "unknown": 0, "closed": 0, "shed": 0,
            "corrupt": 0,
        },
        "retries": 0,
        "spool": null,
        "agents": [
            {"agent": url, "delivered": 2500, "failures": 0, "window_peak": peak, "last_error": null},
        ],
    });
    assert_eq!(json, expected);
    assert_eq!(distinct(&agent.wait_for(2_500, PATIENCE).unwrap()), 2_500);
}

#[test]
fn batches_have_the_size_asked_for() {
    let agent = MiniAgent::builder()
        .capacity(1_000)
        .transaction_capacity(10)
        .start()
        .unwrap();
    let args = ["send", "--agent", &agent.url(), "--batch", "10"];
    flume_reading(&args, &numbered(100)).check(0, &["all 100 events"]);
    assert_eq!(agent.stats().batches_failed, 0);
}

#[test]
fn the_agents_may_come_from_the_environment() {
    let agent = agent();
    let mut command = command(["send", "--json"]);
    command
        .env("FLUME_AGENT", format!("{},{}", agent.url(), closed_port()))
        .env("FLUME_TIMEOUT", "20s");
    let mut running = Running::start(command);
    running.write(b"one\n");
    running.close_stdin();
    let run = running.finish();
    run.check(0, &[]);
    assert_eq!(run.json()["agents"].as_array().unwrap().len(), 2);
}

#[test]
fn a_missing_file_is_named_and_the_others_are_delivered() {
    let agent = agent();
    let args = [
        "send",
        "--agent",
        &agent.url(),
        "--json",
        "-",
        "/nowhere/app.log",
        "-",
    ];
    let run = flume_reading(&args, b"one\ntwo\n");
    run.check(
        1,
        &[
            "cannot read /nowhere/app.log: no such file or directory",
            "all 2 events",
        ],
    );
    assert_eq!(run.json()["delivered"], 2);
}

#[test]
fn a_missing_file_alone_is_an_error_too() {
    let agent = agent();
    let run = flume(&["send", "--agent", &agent.url(), "/nowhere/app.log"]);
    run.check(1, &["cannot read /nowhere/app.log"]);
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_told_with_the_half_line_and_is_no_success() {
    // More lines than the buffer takes, so that reading stops on the way.
    const LINES: usize = 45;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    let line = [vec![b'x'; 1_000_000], b"\n".to_vec()].concat();
    fs::write(&path, line.repeat(LINES)).unwrap();
    let mut agent = agent();
    agent.stop();
    let path = path.display().to_string();
    let args = ["send", "--agent", &agent.url(), "--json", &path];
    let mut running = Running::start(command(args));
    // Then it has begun to read.
    running.wait_for_stderr("connection refused; retrying");
    // As log rotation by `copytruncate` does.
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    agent.start_again().unwrap();
    let run = running.finish();
    let json = run.json();
    let read = json["read"].as_u64().unwrap();
    assert!(read > 0 && read < LINES as u64, "{json}");
    run.check(
        5,
        &[
            &format!("{path} was cut while it was read, after line {read}: it had 42.9 MiB and"),
            "1 file cut while it was read, see above",
            &format!("all {read} events delivered"),
        ],
    );
    assert_eq!(
        (&json["files_cut"], &json["delivered"]),
        (&1.into(), &read.into())
    );
    let last = agent
        .wait_for(read as usize, PATIENCE)
        .unwrap()
        .pop()
        .unwrap();
    let halves = usize::from(last.body().len() < 1_000_000);
    assert_eq!(json["unended"], halves);
    let half = format!("{path}, line {read}: has no line feed and was sent as it is; only a part");
    assert_eq!(run.stderr.contains(&half), halves == 1, "{run:#?}");
}

#[test]
fn a_last_line_without_line_feed_is_sent_and_told_since_it_may_be_half_of_one() {
    let agent = agent();
    let run = flume_reading(&["send", "--agent", &agent.url(), "--json"], b"whole\nhal");
    let told = "standard input, line 2: has no line feed and was sent as it is; if more of it";
    run.check(0, &[told, "all 2 events delivered"]);
    assert_eq!(run.json()["unended"], 1);
}

#[test]
fn a_directory_is_no_file_to_read() {
    let agent = agent();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let run = flume(&["send", "--agent", &agent.url(), path]);
    run.check(1, &[&format!("cannot read {path}: is a directory")]);
}

#[test]
fn a_line_over_the_limit_is_refused_by_number_and_the_rest_is_delivered() {
    let agent = agent();
    let mut input = b"first\n".to_vec();
    input.extend(vec![b'X'; 3 * 1024 * 1024]);
    input.extend(b"\nthird\n");
    let run = flume_reading(&["send", "--agent", &agent.url(), "--json"], &input);
    run.check(
        5,
        &[
            "standard input, line 2: longer than an event may be",
            "1,048,576",
            "2 of 3 events",
        ],
    );
    assert!(!run.stderr.contains("XX"), "no contents are shown");
    assert_eq!(
        bodies(&agent.wait_for(2, PATIENCE).unwrap()),
        [&b"first"[..], b"third"]
    );
    let json = run.json();
    assert_eq!(
        (&json["read"], &json["delivered"], &json["refused"]),
        (&3.into(), &2.into(), &1.into())
    );
}

#[test]
fn a_line_that_is_too_long_only_with_its_headers_is_refused_as_well() {
    let agent = agent();
    let mut input = vec![b'X'; 1024 * 1024 - 8];
    input.extend(b"\nsecond\n");
    let url = agent.url();
    flume_reading(&["send", "--agent", &url], &input).check(0, &["all 2 events"]);
    let run = flume_reading(&["send", "--agent", &url, "-H", "host=web-1"], &input);
    run.check(
        5,
        &[
            "standard input, line 1: longer than an event may be",
            "1 line refused",
        ],
    );
}

#[test]
fn many_refused_lines_are_counted_and_only_the_first_are_named() {
    let agent = agent();
    let mut input = Vec::new();
    for _ in 0..15 {
        input.extend(vec![b'X'; 1024 * 1024 + 1]);
        input.push(b'\n');
    }
    let run = flume_reading(&["send", "--agent", &agent.url()], &input);
    run.check(
        5,
        &[
            "line 10: longer",
            "further refused lines",
            "15 lines refused",
        ],
    );
    assert!(!run.stderr.contains("line 11: longer"));
}

#[test]
fn closed_output_pipes_do_not_disturb_the_delivery() {
    let agent = agent();
    let mut command = command([
        "send",
        "--agent",
        &agent.url(),
        "--json",
        "/nowhere/app.log",
        "-",
    ]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_summary_that_cannot_be_written_is_an_error() {
    let agent = agent();
    let mut command = command(["send", "--agent", &agent.url(), "--json"]);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = command.stdin(Stdio::null()).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("cannot write to standard output"),
        "{stderr}"
    );
}
