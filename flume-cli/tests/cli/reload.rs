//! `flume agent --config` when the file changes.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::configured::{Agent, PropertyFile};

const CONTROL: [&str; 3] = ["--control", "127.0.0.1:0", "--no-reload-conf"];
const POLLING: [&str; 4] = ["--control", "127.0.0.1:0", "--poll-interval", "1"];

/// A source `r1` at a free port and the channel `c1`, which nothing empties.
const STUCK: &str = "\
a1.sources = r1
a1.channels = c1
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = 0
a1.sources.r1.channels = c1
a1.channels.c1.type = memory
";
const LOGGER: &str = "\
a1.sinks = k1
a1.sinks.k1.type = logger
a1.sinks.k1.channel = c1
";

fn second_source(port: u16) -> String {
    let keys = [
        "type = netcat".to_owned(),
        "bind = 127.0.0.1".to_owned(),
        format!("port = {port}"),
        "channels = c1".to_owned(),
    ];
    let lines = keys.map(|key| format!("a1.sources.r2.{key}\n"));
    STUCK.replace("sources = r1", "sources = r1 r2") + &lines.concat()
}

/// A connection to a source, to see whether it is closed.
fn connect(agent: &Agent, source: &str) -> TcpStream {
    let address = agent.url(source).strip_prefix("avro://").unwrap();
    TcpStream::connect(address).unwrap()
}

#[track_caller]
fn check_closed(mut socket: TcpStream) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    match socket.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_open(mut socket: &TcpStream) {
    socket.set_nonblocking(true).unwrap();
    let error = socket.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_changed_file_is_followed_and_the_memory_channel_keeps_its_events() {
    let file = PropertyFile::new(STUCK);
    let mut agent = file.start(&POLLING);
    agent.send("r1", "before\n");
    let url = agent.url("r1").to_owned();
    let open = connect(&agent, "r1");
    file.write(&(second_source(0) + LOGGER));
    agent.running.wait_for_stderr(": reloaded");
    check_closed(open);
    agent.wait_for_addresses();
    assert_eq!(agent.url("r1"), url);
    assert!(agent.url("r2").starts_with("netcat://"));
    agent.send("r1", "after\n");
    let run = agent.stop();
    run.check(0, &["stopped: 2 events accepted"]);
    for body in ["before", "after"] {
        assert!(run.stdout.contains(body), "{run:?}");
    }
}

#[test]
fn post_reload_answers_with_what_was_done() {
    let file = PropertyFile::new(STUCK);
    let agent = file.start(&CONTROL);
    let path = file.path().display().to_string();
    let open = connect(&agent, "r1");
    let unchanged = format!("{path}: unchanged, nothing was stopped\n");
    assert_eq!(agent.reload(), (200, unchanged));
    file.write(&format!("# only a remark\n{STUCK}"));
    assert_eq!(agent.reload().0, 200);
    check_open(&open);
    file.write(&format!("{STUCK}{LOGGER}"));
    assert_eq!(agent.reload(), (200, format!("{path}: reloaded\n")));
    check_closed(open);
    agent.stop().check(0, &[]);
}

#[test]
fn a_bad_document_is_told_once_and_the_old_set_goes_on_until_there_is_a_good_one() {
    let file = PropertyFile::new(STUCK);
    let mut agent = file.start(&POLLING);
    let open = connect(&agent, "r1");
    file.write(&STUCK.replace("memory", "memroy"));
    let error = agent.running.wait_for_stderr("memroy");
    let place = format!("{}:7: a1.channels.c1.type", file.path().display());
    assert!(error.contains(&place), "{error}");
    let kept = agent.running.wait_for_stderr("the agent goes on");
    assert!(kept.contains("with the configuration it had"), "{kept}");
    let (status, answer) = agent.reload();
    assert_eq!(status, 500);
    assert!(answer.contains("did you mean \"memory\"?"), "{answer}");
    assert!(answer.contains("the agent goes on"), "{answer}");
    check_open(&open);
    agent.send("r1", "still here\n");
    file.write(&format!("{STUCK}{LOGGER}"));
    agent.running.wait_for_stdout("still here");
    let run = agent.stop();
    run.check(0, &[]);
    // By the poll and by the request, but not by every poll.
    assert_eq!(run.stderr.matches("memroy").count(), 2, "{run:?}");
}

#[test]
fn a_lenient_agent_follows_a_document_without_its_bad_parts() {
    let file = PropertyFile::new(STUCK);
    let mut args = vec!["--lenient"];
    args.extend(CONTROL);
    let mut agent = file.start(&args);
    file.write(&second_source(0).replace("netcat", "netcot"));
    let (status, answer) = agent.reload();
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.ends_with("unchanged, nothing was stopped\n"),
        "{answer}"
    );
    agent.running.wait_for_stderr("source \"r2\" is dropped");
    file.write(&(second_source(0).replace("netcat", "netcot") + LOGGER));
    assert!(agent.reload().1.ends_with("reloaded\n"));
    agent.send("r1", "by the rest\n");
    agent.running.wait_for_stdout("by the rest");
    agent.stop().check(0, &[]);
}

#[test]
fn a_port_that_is_taken_is_told_and_nothing_was_stopped() {
    let file = PropertyFile::new(STUCK);
    let agent = file.start(&CONTROL);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let open = connect(&agent, "r1");
    file.write(&second_source(taken.port()));
    let (status, answer) = agent.reload();
    assert_eq!(status, 500);
    let expected = format!("cannot listen on {taken}");
    assert!(answer.starts_with(&expected), "{answer}");
    assert!(answer.contains("the agent goes on"), "{answer}");
    check_open(&open);
    drop(other);
    assert_eq!(agent.reload().0, 200);
    agent.stop().check(0, &[&expected, "reloaded"]);
}

#[test]
fn a_sink_that_cannot_start_brings_the_old_set_back_with_its_events() {
    let file = PropertyFile::new(STUCK);
    let agent = file.start(&CONTROL);
    agent.send("r1", "1\n2\n3\n");
    let roll = "a1.sinks = k1\na1.sinks.k1.type = file_roll\na1.sinks.k1.channel = c1\n\
                a1.sinks.k1.sink.directory = /nowhere/events\n";
    file.write(&format!("{STUCK}{roll}"));
    let (status, answer) = agent.reload();
    assert_eq!(status, 500);
    assert!(
        answer.contains("sink k1 cannot start: /nowhere/events"),
        "{answer}"
    );
    assert_eq!(agent.channel_size("c1"), Some(3));
    agent.send("r1", "4\n");
    agent
        .stop()
        .check(5, &["4 events lost with memory channel c1"]);
}

#[test]
fn events_of_a_memory_channel_that_is_gone_are_lost_and_counted() {
    let file = PropertyFile::new(STUCK);
    let agent = file.start(&CONTROL);
    agent.send("r1", "1\n2\n");
    file.write(&STUCK.replace("c1", "c2"));
    let (_, answer) = agent.reload();
    let expected = "reloaded; 2 events lost with memory channel c1, which is gone\n";
    assert!(answer.ends_with(expected), "{answer}");
    file.write(STUCK);
    agent.reload();
    assert_eq!(agent.channel_size("c1"), Some(0));
    agent
        .stop()
        .check(5, &["2 events lost with memory channel c1"]);
}

#[test]
fn a_file_that_is_gone_is_told_and_the_agent_goes_on() {
    let file = PropertyFile::new(STUCK);
    let mut agent = file.start(&POLLING);
    std::fs::remove_file(file.path()).unwrap();
    agent.running.wait_for_stderr("cannot read");
    assert_eq!(agent.reload().0, 500);
    file.write(&format!("{STUCK}{LOGGER}"));
    agent.running.wait_for_stderr("reloaded");
    agent.send("r1", "x\n");
    agent.stop().check(0, &[]);
}

#[test]
fn a_request_for_a_reload_does_not_keep_the_agent_from_its_end() {
    let file = PropertyFile::new(STUCK);
    let agent = file.start(&["--control", "127.0.0.1:0", "--drain-timeout", "1h"]);
    agent.send("r1", "x\n");
    let start = std::time::Instant::now();
    // No sink takes from the channel, so there is nothing to wait for.
    agent.stop().check(5, &[]);
    assert!(start.elapsed() < Duration::from_secs(20));
}
