//! `flume agent --config`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::PATIENCE;
use crate::support::command::flume_reading;
use crate::support::configured::PropertyFile;

/// An avro and a netcat source, one channel, a logger.
const TWO_SOURCES: &str = "\
a1.sources = r1 r2
a1.channels = c1
a1.sinks = k1
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = 0
a1.sources.r1.channels = c1
a1.sources.r2.type = netcat
a1.sources.r2.bind = 127.0.0.1
a1.sources.r2.port = 0
a1.sources.r2.channels = c1
a1.channels.c1.type = memory
a1.sinks.k1.type = logger
a1.sinks.k1.channel = c1
";

fn netcat(url: &str, line: &str) -> String {
    let mut socket = TcpStream::connect(url.strip_prefix("netcat://").unwrap()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(line.as_bytes()).unwrap();
    let mut answer = [0; 3];
    socket.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn every_source_of_a_property_file_is_told_and_can_be_reached() {
    let file = PropertyFile::new(TWO_SOURCES);
    let mut agent = file.start(&[]);
    flume_reading(&["send", "--agent", agent.url("r1")], b"by avro\n").check(0, &[]);
    agent.running.wait_for_stdout("by avro");
    assert_eq!(netcat(agent.url("r2"), "by netcat\n"), "OK\n");
    agent.running.wait_for_stdout("by netcat");
    agent.running.signal("TERM");
    let run = agent.running.finish();
    run.check(0, &["stopped: 2 events accepted"]);
    assert!(!file.dir("ready").exists());
}

#[test]
fn the_ready_file_has_each_source_and_the_control_interface() {
    let file = PropertyFile::new(TWO_SOURCES);
    let agent = file.start(&["--control", "127.0.0.1:0"]);
    let expected = format!(
        "{} source r1\n{} source r2\n{} control\n",
        agent.url("r1"),
        agent.url("r2"),
        agent.url("control")
    );
    assert_eq!(fs::read_to_string(file.dir("ready")).unwrap(), expected);
    let control = agent.url("control").strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(control).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"CHANNEL.c1\""), "{answer}");
}

#[test]
fn all_mistakes_are_told_at_once_with_line_key_and_what_was_meant() {
    let text = TWO_SOURCES
        .replace("r1.port", "r1.prot")
        .replace("netcat", "netcot");
    let file = PropertyFile::new(&text);
    let path = file.path().display().to_string();
    let run = file.run(&[]);
    run.check(
        2,
        &[
            "flume: the configuration has 3 problems:",
            &format!("{path}:4: a1.sources.r1.port: is not set, and must be"),
            &format!("{path}:6: a1.sources.r1.prot: is unknown for avro sources"),
            "did you mean \"port\"?",
            &format!("{path}:8: a1.sources.r2.type: there is no source type \"netcot\""),
        ],
    );
    assert_eq!(run.stdout, "");
    assert!(!file.dir("ready").exists());
}

#[test]
fn lenient_leaves_out_what_cannot_run_and_says_why() {
    let file = PropertyFile::new(&TWO_SOURCES.replace("netcat", "netcot"));
    let mut agent = file.start(&["--lenient"]);
    let line = agent.running.wait_for_stderr("is dropped");
    assert!(line.contains("source \"r2\" is dropped"), "{line}");
    assert!(
        line.contains("there is no source type \"netcot\""),
        "{line}"
    );
    flume_reading(&["send", "--agent", agent.url("r1")], b"x\n").check(0, &[]);
    agent.running.signal("INT");
    agent.running.finish().check(0, &["1 event accepted"]);
}

#[test]
fn an_agent_that_is_not_in_the_file_is_told_with_those_that_are() {
    let file = PropertyFile::new(&TWO_SOURCES.replace("a1.", "web."));
    file.run(&[])
        .check(2, &["there is no agent \"a1\"", "\"web\""]);
}

#[test]
fn a_file_that_is_missing_is_named() {
    let file = PropertyFile::new(TWO_SOURCES);
    fs::remove_file(file.path()).unwrap();
    let expected = format!("cannot read {}: no such file", file.path().display());
    file.run(&[]).check(1, &[&expected]);
}

#[test]
fn a_control_interface_for_everyone_must_be_asked_for() {
    let file = PropertyFile::new(TWO_SOURCES);
    let run = file.run(&["--control", "0.0.0.0:0"]);
    run.check(
        2,
        &["could be reached from elsewhere", "--control-from-anywhere"],
    );
    drop(file.start(&["--control", "0.0.0.0:0", "--control-from-anywhere"]));
}
