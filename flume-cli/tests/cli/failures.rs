//! `flume send` to agents that are not there, are something else, or misbehave.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::bad_server::{
    HTTP, HUGE_REPLY, OF_ANOTHER_PROTOCOL, SILENT, SILENT_AFTER_HANDSHAKE, WRONG_SERIAL,
    answers_one_call, bad_server,
};
use crate::support::command::{Run, Running, command, flume_reading};
use crate::support::{NO_HOST, PATIENCE, agent, closed_port, distinct, numbered};

/// Sends to nobody but this agent, which does not take all of it within a second.
#[track_caller]
fn send_alone(url: &str) -> Run {
    let args = ["send", "--agent", url, "--timeout", "1s", "--json"];
    let run = flume_reading(&args, &numbered(250));
    assert!(run.stderr.contains("gave up after 1 s"), "{}", run.stderr);
    run
}

#[track_caller]
fn check_nothing_delivered(run: &Run, code: i32, words: &[&str]) {
    run.check(code, &["0 of 250 events delivered"]);
    run.check(code, words);
    let json = run.json();
    assert_eq!(
        (&json["delivered"], &json["lost"]["total"]),
        (&0.into(), &250.into())
    );
    assert_eq!(json["read"], 250);
}

/// Sends to this agent first, with one that works behind it: nothing may be lost.
#[track_caller]
fn check_fails_over(url: &str, error: &str) {
    let (run, json) = check_passed_over(url);
    run.check(0, &[error]);
    let found = json["agents"][0]["last_error"].as_str().unwrap();
    assert!(found.contains(error), "{found}");
}

/// The next agent gets everything, whatever is known of the first by then.
#[track_caller]
fn check_passed_over(url: &str) -> (Run, Value) {
    let good = agent();
    let args = [
        "send",
        "--agent",
        url,
        "--agent",
        &good.url(),
        "--timeout",
        "4s",
        "--json",
    ];
    let run = flume_reading(&args, &numbered(250));
    run.check(0, &["all 250 events delivered"]);
    assert_eq!(distinct(&good.wait_for(250, PATIENCE).unwrap()), 250);
    let json = run.json();
    assert_eq!(json["delivered"], 250);
    assert_eq!(json["agents"][1]["delivered"], 250);
    (run, json)
}

#[test]
fn an_unknown_host_is_named() {
    let run = send_alone(&format!("avro://{NO_HOST}:4141"));
    let unknown = format!("the host \"{NO_HOST}\" cannot be resolved");
    let words = [unknown.as_str(), "check the host name"];
    check_nothing_delivered(&run, 4, &words);
}

#[test]
fn a_closed_port_is_told_at_once_and_again_at_the_end() {
    let url = closed_port();
    let run = send_alone(&url);
    let early = format!("{url}: no connection: connection refused; retrying");
    check_nothing_delivered(&run, 4, &[&early, "check host and port", "never sent"]);
    assert_eq!(
        run.stderr.matches("retrying").count(),
        1,
        "told once: {}",
        run.stderr
    );
    check_fails_over(&url, "connection refused");
}

#[test]
fn a_web_server_is_recognised() {
    let server = bad_server(HTTP);
    check_nothing_delivered(&send_alone(&server.url()), 4, &["the peer speaks HTTP"]);
    check_fails_over(&server.url(), "the peer speaks HTTP");
}

#[test]
fn an_agent_of_another_protocol_is_recognised() {
    let server = bad_server(OF_ANOTHER_PROTOCOL);
    let words = [
        "does not speak Flume's Avro protocol",
        "check that the port belongs",
    ];
    check_nothing_delivered(&send_alone(&server.url()), 4, &words);
    check_fails_over(&server.url(), "does not speak Flume's Avro protocol");
}

#[test]
fn a_reply_to_a_call_nobody_made_loses_nothing() {
    let server = bad_server(WRONG_SERIAL);
    let words = ["which is not under way", "may have arrived"];
    check_nothing_delivered(&send_alone(&server.url()), 4, &words);
    check_fails_over(&server.url(), "which is not under way");
}

#[test]
fn a_reply_of_two_gibibytes_is_refused_and_loses_nothing() {
    let server = bad_server(HUGE_REPLY);
    let words = ["announced a frame of 2147483647 bytes"];
    check_nothing_delivered(&send_alone(&server.url()), 4, &words);
    check_fails_over(&server.url(), "announced a frame of 2147483647 bytes");
}

#[test]
fn an_agent_that_accepts_and_never_answers_is_a_time_out() {
    let server = bad_server(SILENT);
    let words = ["the agent accepted the connection and did not answer the handshake within"];
    check_nothing_delivered(&send_alone(&server.url()), 124, &words);
    // Not waited for: the next one is tried after a second.
    check_passed_over(&server.url());
}

#[test]
fn an_agent_that_answers_the_handshake_alone_is_a_time_out() {
    let server = bad_server(SILENT_AFTER_HANDSHAKE);
    let words = ["did not answer a batch within", "may have arrived"];
    check_nothing_delivered(&send_alone(&server.url()), 124, &words);
    check_fails_over(&server.url(), "did not answer a batch within");
}

#[test]
fn an_agent_that_falls_silent_leaves_a_part_delivered() {
    let server = answers_one_call();
    let run = send_alone(&server.url());
    run.check(
        5,
        &[
            "of 250 events delivered",
            "may have arrived",
            "gave up after 1 s",
        ],
    );
    let json = run.json();
    let delivered = json["delivered"].as_u64().unwrap();
    let lost = json["lost"]["total"].as_u64().unwrap();
    assert!(
        delivered > 0 && lost > 0 && delivered + lost == 250,
        "{json}"
    );
}

#[test]
fn an_agent_that_comes_back_gets_everything() {
    let mut agent = agent();
    let url = agent.url();
    agent.stop();
    let mut running = Running::start(command(["send", "--agent", &url, "--json"]));
    running.write(&numbered(1_000));
    running.wait_for_stderr("connection refused; retrying");
    agent.start_again().unwrap();
    running.wait_for_stderr("works again");
    running.close_stdin();
    let run = running.finish();
    run.check(0, &["all 1,000 events delivered"]);
    assert_eq!(distinct(&agent.wait_for(1_000, PATIENCE).unwrap()), 1_000);
}

#[test]
fn an_input_that_goes_on_is_not_given_up_while_there_is_room_for_it() {
    let url = closed_port();
    let started = Instant::now();
    let mut running = Running::start(command(["send", "--agent", &url, "--timeout", "300ms"]));
    running.write(&numbered(10));
    running.wait_for_stderr("connection refused; retrying\n");
    running.close_stdin();
    let run = running.finish();
    run.check(4, &["10 lost: never sent; gave up after 300 ms"]);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_full_buffer_is_given_up_when_nothing_is_acknowledged() {
    let url = closed_port();
    let line = [vec![b'X'; 1_000_000], b"\n".to_vec()].concat();
    let run = flume_reading(
        &["send", "--agent", &url, "--timeout", "500ms", "--json"],
        &line.repeat(35),
    );
    run.check(4, &["lost: never sent; gave up after 500 ms"]);
    run.check(4, &["reading stopped after line 33 of standard input"]);
    assert_eq!(
        run.json()["lost"]["closed"],
        33,
        "what fits into the buffer"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_lack_of_descriptors_at_the_start_is_told_and_is_no_wrong_usage() {
    // The command may end before it reads what would be written to it.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.log");
    std::fs::write(&path, "a\n").unwrap();
    let path = path.display();
    for descriptors in 4..=8 {
        let program = env!("CARGO_BIN_EXE_flume");
        let url = closed_port();
        let script = format!(
            "ulimit -n {descriptors}; exec '{program}' send --agent {url} --timeout 300ms {path}"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env_remove("FLUME_AGENT");
        let mut running = Running::start(shell);
        running.close_stdin();
        let run = running.finish();
        assert!(matches!(run.code, Some(1 | 4)), "{descriptors}: {run:#?}");
        let told = run.stderr.to_lowercase();
        assert!(
            run.code == Some(4) || told.contains("too many open files"),
            "{run:#?}"
        );
    }
}
