//! `flume agent`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::agent;
#[cfg(target_os = "linux")]
use crate::support::command::ignores_hang_ups;
use crate::support::command::{Run, Running, command, flume, flume_reading};
use crate::support::web::ask;

/// An agent on a free port and its address.
fn start(args: &[&str]) -> (Running, String) {
    let mut running = Running::start(command(
        [&["agent", "--bind", "127.0.0.1:0"], args].concat(),
    ));
    let line = running.wait_for_stdout("listening on ");
    let url = line
        .trim_end()
        .strip_prefix("listening on ")
        .unwrap()
        .to_owned();
    (running, url)
}

fn send(url: &str, lines: &[u8]) {
    flume_reading(&["send", "--agent", url], lines).check(0, &[]);
}

fn stop(running: Running, signal: &str) -> Run {
    running.signal(signal);
    running.finish()
}

#[test]
fn the_logger_prints_each_event_and_the_end_is_summed_up() {
    let (mut running, url) = start(&[]);
    send(&url, b"hello\nworld\n");
    running.wait_for_stdout("Event: { headers:{} body: 77 6F 72 6C 64 world }");
    let run = stop(running, "INT");
    run.check(0, &["stopped: 2 events accepted, over 1 connection"]);
    assert!(run.stdout.contains("hello"), "{run:?}");
}

#[test]
fn a_termination_stops_it_in_good_order() {
    let (running, url) = start(&["--sink", "null"]);
    send(&url, b"1\n2\n3\n");
    stop(running, "TERM").check(0, &["stopped: 3 events accepted"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_hang_up_stops_it_in_good_order_too() {
    if ignores_hang_ups() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ready");
    let (running, url) = start(&["--sink", "null", "--ready-file", path.to_str().unwrap()]);
    send(&url, b"1\n2\n3\n");
    stop(running, "HUP").check(0, &["stopped: 3 events accepted"]);
    assert!(!path.exists());
}

#[test]
fn the_control_interface_is_told_and_a_reload_of_no_document_is_a_restart() {
    let (mut running, url) = start(&["--control", "127.0.0.1:0"]);
    let line = running.wait_for_stdout("(control)");
    let control = line.strip_prefix("listening on ").unwrap();
    let control = control.trim_end().strip_suffix(" (control)").unwrap();
    send(&url, b"before\n");
    assert_eq!(ask(control, "POST /reload").0, 204);
    send(&url, b"after\n");
    assert!(ask(control, "GET /metrics").1.contains("CHANNEL.c1"));
    stop(running, "TERM").check(0, &["stopped: 2 events accepted"]);
}

#[test]
fn what_the_collect_sink_has_is_shown_by_the_control_interface() {
    let (mut running, url) = start(&["--sink", "collect", "--control", "127.0.0.1:0"]);
    let line = running.wait_for_stdout("(control)");
    let control = line.strip_prefix("listening on ").unwrap();
    let control = control.trim_end().strip_suffix(" (control)").unwrap();
    send(&url, b"text\n\xff\n");
    assert_eq!(ask(control, "GET /api/v1/wait?n=2&timeout=30").0, 200);
    let (status, text) = ask(control, "GET /events");
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &told["total"]), (200, &2.into()));
    assert_eq!(told["events"][0]["body"], "text");
    assert_eq!(told["events"][1]["body_base64"], "/w==");
    stop(running, "TERM").check(0, &["stopped: 2 events accepted"]);
}

#[test]
fn file_roll_writes_the_bodies() {
    let directory = tempfile::tempdir().unwrap();
    let sink = format!("file_roll:{}", directory.path().display());
    let (running, url) = start(&["--sink", &sink]);
    send(&url, b"one\ntw\xffo\n");
    stop(running, "INT").check(0, &[]);
    let files: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(files.len(), 1);
    assert_eq!(
        fs::read(files[0].as_ref().unwrap().path()).unwrap(),
        b"one\ntw\xffo\n"
    );
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let run = flume(&[
        "agent",
        "--bind",
        "127.0.0.1:0",
        "--sink",
        "file_roll:/nowhere/events",
    ]);
    run.check(1, &["the file_roll sink cannot start", "/nowhere/events"]);
}

#[test]
fn the_ready_file_has_the_address_while_the_agent_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ready");
    fs::write(&path, "from an earlier run").unwrap();
    let (mut running, url) = start(&["--ready-file", path.to_str().unwrap()]);
    send(&url, b"the file is there before this can arrive\n");
    running.wait_for_stdout("Event: ");
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{url}\n"));
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        1,
        "nothing else is left there"
    );
    stop(running, "INT").check(0, &[]);
    assert!(!path.exists());
}

#[test]
fn a_ready_file_that_cannot_be_written_is_named() {
    let run = flume(&[
        "agent",
        "--bind",
        "127.0.0.1:0",
        "--ready-file",
        "/nowhere/ready",
    ]);
    run.check(
        1,
        &["cannot write /nowhere/ready: no such file or directory"],
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let other = agent();
    let address = other.addr().to_string();
    let run = flume(&["agent", "--bind", &address]);
    run.check(
        1,
        &[
            &format!("cannot listen on {address}"),
            "choose a free one or port 0",
        ],
    );
}

#[test]
fn batches_over_the_transaction_capacity_are_refused_and_counted() {
    let (running, url) = start(&["--sink", "null", "--transaction-capacity", "10"]);
    let run = flume_reading(
        &["send", "--agent", &url, "--timeout", "300ms"],
        &b"x\n".repeat(50),
    );
    run.check(
        4,
        &[
            "refused a batch with FAILED",
            "send smaller batches with --batch",
        ],
    );
    stop(running, "INT").check(0, &["0 events accepted", "batches refused: "]);
}

#[test]
fn it_ends_when_nobody_reads_what_it_prints() {
    let mut command = command(["agent", "--bind", "127.0.0.1:0"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    send(
        line.trim_end().strip_prefix("listening on ").unwrap(),
        b"nobody sees this\n",
    );
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    assert!(
        stderr.contains("nobody reads standard output any more"),
        "{stderr}"
    );
    assert!(stderr.contains("1 event lost"), "{stderr}");
}
