//! A file channel on a disk of a few megabytes, which is full.
//!
//! The disk is a tmpfs in a mount namespace of its own: this test binary again, under `unshare`.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flume_client::Event;
use flume_mini_agent::config::{
    AgentConfig, AgentConfigBuilder, AvroSourceConfig, CollectSinkConfig, FileChannelConfig,
};
use flume_mini_agent::{MiniAgent, Told};

use crate::support::{Client, LIMIT, status};

const INSIDE: &str = "FLUME_TEST_MOUNT_NAMESPACE";
const BODY_BYTES: usize = 100_000;

/// Whether a mount is possible here. A skip is told, and a failure where it should be.
fn can_mount() -> bool {
    let probe = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let missing = match probe {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("this test needs `unshare -rm` and a tmpfs: {missing}");
    let in_ci = env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!in_ci, "{message} (with CI=true, a skip is a failure)");
    // Not `eprintln!`: the test runner would swallow it, because a skipped test passes.
    writeln!(io::stderr(), "SKIPPED: {message}").expect("stderr takes a line");
    false
}

/// Runs the rest of the test of this name where a disk of its own can be mounted. `true`: it is
/// there, and the rest is to be run.
fn inside(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    if can_mount() {
        let mut command = Command::new("unshare");
        command.arg("-rm").arg(env::current_exe().unwrap());
        command.args([&format!("disk_full::{test}"), "--exact", "--nocapture"]);
        let output = command.env(INSIDE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{errors}");
        assert!(text.contains("1 passed"), "{text}");
    }
    false
}

/// A disk of 6 MiB, seen by this process only.
fn small_disk() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]);
    assert!(mount.arg(directory.path()).status().unwrap().success());
    directory
}

fn config(disk: &Path) -> AgentConfigBuilder {
    let data = disk.join("channel");
    let mut channel = FileChannelConfig::new(&data, &data);
    channel.minimum_required_space = 1 << 20;
    AgentConfig::builder("a1").channel("c1", channel).source(
        "r1",
        AvroSourceConfig::new("127.0.0.1", 0),
        ["c1"],
    )
}

fn start(config: AgentConfigBuilder) -> MiniAgent {
    MiniAgent::configured(config.build().unwrap())
        .start()
        .unwrap()
}

fn size(agent: &MiniAgent) -> usize {
    agent.channel_size("c1").unwrap()
}

/// `append`, no handshake: no headers, and a body of [`BODY_BYTES`].
fn append() -> Vec<u8> {
    // As Avro writes the length: zigzag, then seven bits a byte.
    let mut length = BODY_BYTES << 1;
    let mut payload = b"\x00\x0cappend\x00".to_vec();
    while length > 0x7f {
        payload.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    payload.push(length as u8);
    payload.extend(std::iter::repeat_n(b'x', BODY_BYTES));
    let mut frame = b"\x00\x00\x00\x01\x00\x00\x00\x01".to_vec();
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends events until one is answered FAILED; how many were answered OK.
fn fill(agent: &MiniAgent) -> usize {
    let mut client = Client::greeted(agent);
    for count in 0..100 {
        client.send_bytes(&append());
        let answered = agent
            .wait_until(LIMIT, |stats| {
                stats.batches_ok + stats.batches_failed == count + 1
            })
            .unwrap();
        if answered.batches_failed == 1 {
            return answered.batches_ok as usize;
        }
    }
    panic!("the disk is not full yet");
}

/// Takes all the room that is left.
fn stuff(disk: &Path) -> PathBuf {
    let path = disk.join("stuffing");
    let mut file = fs::File::create(&path).unwrap();
    while file.write(&[0; 4096]).is_ok() {}
    path
}

fn put_ok(agent: &MiniAgent) {
    let mut client = Client::greeted(agent);
    client.send_bytes(&append());
    client.expect(&status(1, "00"));
}

#[test]
fn puts_are_answered_failed_and_all_that_was_committed_stays() {
    if !inside("puts_are_answered_failed_and_all_that_was_committed_stays") {
        return;
    }
    let disk = small_disk();
    let agent = start(config(disk.path()));
    let stored = fill(&agent);
    assert!((20..60).contains(&stored), "{stored}");
    let error = agent.channel_error().unwrap();
    assert!(
        error.starts_with("channel c1 did not take the batch: only "),
        "{error}"
    );
    assert!(
        error.contains("make room there, or lower minimumRequiredSpace"),
        "{error}"
    );
    // What was told is written down after it is counted, and before anything else is answered.
    drop(Client::greeted(&agent));
    assert_eq!(agent.batches().last().unwrap().told, Told::Failed);
    assert_eq!(size(&agent), stored);
    drop(agent);
    let again = start(config(disk.path()));
    assert_eq!(size(&again), stored);
    let mut collect = CollectSinkConfig::default();
    collect.batch_size = 1;
    let draining = config(disk.path()).sink("k1", collect, "c1");
    again.reconfigure(draining.build().unwrap()).unwrap();
    again
        .wait_until(LIMIT, |stats| stats.events_drained == stored as u64)
        .unwrap();
    assert!(
        again
            .received()
            .iter()
            .all(|event| event.body() == [b'x'; BODY_BYTES])
    );
    // The segments of the log go with their events, soon after, and puts are taken again.
    let client = again.client().build().unwrap();
    let large = Event::new([b'x'; BODY_BYTES]);
    client.append(large).unwrap().wait(LIMIT).unwrap();
}

#[test]
fn on_a_disk_that_others_filled_nothing_is_lost_and_all_goes_on_when_there_is_room() {
    if !inside("on_a_disk_that_others_filled_nothing_is_lost_and_all_goes_on_when_there_is_room") {
        return;
    }
    let disk = small_disk();
    let collect = CollectSinkConfig::default();
    let config = || config(disk.path()).sink("k1", collect.clone(), "c1");
    let builder = MiniAgent::configured(config().build().unwrap());
    let agent = builder
        .sinks_paused(true)
        .sink_backoff(std::time::Duration::from_millis(10))
        .start()
        .unwrap();
    for _ in 0..10 {
        put_ok(&agent);
    }
    let stuffing = stuff(disk.path());
    let mut client = Client::greeted(&agent);
    client.send_bytes(&append());
    client.expect(&status(1, "02"));
    assert_eq!(size(&agent), 10);
    fs::remove_file(&stuffing).unwrap();
    put_ok(&agent);
    let stuffing = stuff(disk.path());
    drop(agent);
    // What is there can be opened without any room; a new channel cannot be made.
    let builder = MiniAgent::configured(config().build().unwrap()).sinks_paused(true);
    let on_full_disk = builder.start().unwrap();
    assert_eq!(size(&on_full_disk), 11);
    drop(on_full_disk);
    let data = disk.path().join("another");
    let another = AgentConfig::builder("a1")
        .channel("c1", FileChannelConfig::new(&data, &data))
        .sink("k1", collect.clone(), "c1");
    let error = MiniAgent::configured(another.build().unwrap()).start();
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("channel c1 cannot start: could not "),
        "{error}"
    );
    assert!(error.contains("No space left on device"), "{error}");
    fs::remove_file(&stuffing).unwrap();
    let agent = start(config());
    agent
        .wait_until(LIMIT, |stats| stats.events_drained == 11)
        .unwrap();
    put_ok(&agent);
    let client = agent.client().build().unwrap();
    client
        .append(Event::new("small"))
        .unwrap()
        .wait(LIMIT)
        .unwrap();
    drop(TcpStream::connect(agent.addr()).unwrap());
}
