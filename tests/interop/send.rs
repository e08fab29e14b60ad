//! `flume send` into real agents.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use flume_tests::{
    Channel, RealFlume, Sink, Version, flume_command, freeze, require_java, sample_log, wait_until,
};
use serde_json::Value;

use crate::for_both_versions;

const TIMEOUT: Duration = Duration::from_secs(60);
const LINES: usize = 10_000;

#[test]
fn a_log_of_ten_thousand_lines_arrives_whole_and_unchanged() {
    for_both_versions(|version| {
        let Some((path, lines)) = sample_log("apache_access.log") else {
            return;
        };
        assert_eq!(lines.len(), LINES);
        let agent = rolling(version);
        let mut send = flume_command().unwrap();
        let output = send
            .args(["send", "--json", "--agent", &agent.url()])
            .arg(path)
            .output();
        let summary = summary(&output.unwrap(), 0);
        assert_eq!(
            (&summary["read"], &summary["delivered"]),
            (&LINES.into(), &LINES.into())
        );
        assert_eq!(
            (&summary["lost"]["total"], &summary["refused"]),
            (&0.into(), &0.into())
        );

        let accepted = agent
            .metrics()
            .unwrap()
            .counter("SOURCE.r1", "EventAcceptedCount");
        assert_eq!(accepted, Some(LINES as u64));
        let mut rolled = rolled_lines(&agent, LINES);
        let mut lines = lines;
        rolled.sort();
        lines.sort();
        assert!(
            rolled == lines,
            "the agent's files hold other lines than were sent"
        );
    });
}

#[test]
fn every_line_arrives_when_the_preferred_agent_is_killed_in_mid_stream_and_started_again() {
    if !require_java() {
        return;
    }
    let Some((_, lines)) = sample_log("apache_access.log") else {
        return;
    };
    // What the killed agent acknowledged is only safe in a channel that survives a kill.
    let settings = RealFlume::builder(Version::V1_11)
        .channel(Channel::File)
        .sink(Sink::FileRoll);
    let mut killed = settings.start().unwrap();
    let steady = rolling(Version::V1_11);
    let mut send = flume_command().unwrap();
    let mut send = send
        .args([
            "send",
            "--json",
            "--agent",
            &killed.url(),
            "--agent",
            &steady.url(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    write(&mut send, &lines[..3_000]);
    wait_until("the first agent's first events", TIMEOUT, || {
        accepted(&killed) >= 1_000
    })
    .unwrap();
    // A stopped process answers nothing: what is sent now is in flight when the kill comes.
    freeze(killed.pid()).unwrap();
    write(&mut send, &lines[3_000..8_000]);
    killed.kill();
    wait_until("the second agent's first events", TIMEOUT, || {
        accepted(&steady) > 0
    })
    .unwrap();
    killed.restart().unwrap();
    write(&mut send, &lines[8_000..]);
    drop(send.stdin.take());

    let summary = summary(&send.wait_with_output().unwrap(), 0);
    assert_eq!(summary["delivered"], LINES);
    assert!(summary["retries"].as_u64().unwrap() > 0, "{summary}");
    let window = summary["agents"][0]["window_peak"].as_u64().unwrap() as usize;

    let mut arrived = rolled_lines(&killed, accepted(&killed) as usize);
    arrived.extend(rolled_lines(&steady, accepted(&steady) as usize));
    let duplicates = duplicates(&lines, &arrived);
    // Doubled is at most what was in flight when the kill came, and what the killed agent's own
    // sink had written and not yet taken from its channel (100 events).
    println!("{duplicates} of {LINES} lines arrived twice; the window was {window} batches of 100");
    assert!(duplicates <= window * 100 + 100, "{duplicates} duplicates");
}

/// How many lines more arrived than were sent, none of which may be missing.
fn duplicates(sent: &[Vec<u8>], arrived: &[Vec<u8>]) -> usize {
    let mut missing: HashMap<&[u8], i64> = HashMap::new();
    sent.iter()
        .for_each(|line| *missing.entry(line).or_default() += 1);
    arrived
        .iter()
        .for_each(|line| *missing.entry(line).or_default() -= 1);
    assert!(
        missing.values().all(|missing| *missing <= 0),
        "lines are missing"
    );
    arrived.len() - sent.len()
}

fn rolling(version: Version) -> RealFlume {
    RealFlume::builder(version)
        .sink(Sink::FileRoll)
        .start()
        .unwrap()
}

fn accepted(agent: &RealFlume) -> u64 {
    agent
        .metrics()
        .unwrap()
        .counter("SOURCE.r1", "EventAcceptedCount")
        .unwrap()
}

/// The lines in the agent's files, when there are at least `least` of them and its channel is empty.
fn rolled_lines(agent: &RealFlume, least: usize) -> Vec<Vec<u8>> {
    wait_until("the lines in the agent's files", TIMEOUT, || {
        let size = agent
            .metrics()
            .unwrap()
            .counter("CHANNEL.c1", "ChannelSize");
        size == Some(0) && agent.rolled_lines().unwrap().len() >= least
    })
    .unwrap();
    agent.rolled_lines().unwrap()
}

fn write(send: &mut Child, lines: &[Vec<u8>]) {
    let stdin = send.stdin.as_mut().unwrap();
    lines
        .iter()
        .for_each(|line| stdin.write_all(&[line, &b"\n"[..]].concat()).unwrap());
    stdin.flush().unwrap();
}

fn summary(output: &Output, exit_code: i32) -> Value {
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "{log}");
    serde_json::from_slice(&output.stdout).unwrap()
}
