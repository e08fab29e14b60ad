//! Configurations that cannot start: what is told, and that nothing is left behind.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use flume_mini_agent::config::{
    AgentConfig, AgentConfigBuilder, AvroSourceConfig, FileRollSinkConfig,
};
use flume_mini_agent::{MiniAgent, StartError};

use crate::support::{file, put};

/// A file channel, and a source at this port.
fn config(directory: &Path, port: u16) -> AgentConfigBuilder {
    AgentConfig::builder("a1")
        .channel("c1", file(directory))
        .source("r1", AvroSourceConfig::new("127.0.0.1", port), ["c1"])
}

fn start(config: AgentConfigBuilder) -> Result<MiniAgent, StartError> {
    MiniAgent::configured(config.build().unwrap()).start()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A directory of a file channel with three events in it.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    put(start(config(directory.path(), 0)).unwrap().addr(), 3);
    directory
}

/// The channel can be opened, has its three events, and the port can be had.
#[track_caller]
fn check_nothing_is_held(directory: &Path, port: u16) {
    let agent = start(config(directory, port)).unwrap();
    assert_eq!(agent.channel_size("c1"), Some(3));
}

#[test]
fn a_taken_port_leaves_neither_the_other_port_nor_the_channel_held() {
    let directory = filled();
    let port = free_port();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let second = AvroSourceConfig::new("127.0.0.1", taken.port());
    let error = start(config(directory.path(), port).source("r2", second, ["c1"])).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot listen on {taken}: ")),
        "{text}"
    );
    assert!(text.ends_with("choose a free one or port 0"), "{text}");
    check_nothing_is_held(directory.path(), port);
}

#[test]
fn a_missing_directory_of_a_sink_leaves_nothing_held() {
    let directory = filled();
    let port = free_port();
    let nowhere = directory.path().join("nowhere");
    let sink = FileRollSinkConfig::new(&nowhere);
    let error = start(config(directory.path(), port).sink("k1", sink, "c1")).unwrap_err();
    let expected = format!("sink k1 cannot start: {}: ", nowhere.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(!nowhere.exists());
    check_nothing_is_held(directory.path(), port);
}

#[test]
fn a_locked_channel_is_refused_and_its_holder_goes_on() {
    let directory = filled();
    let port = free_port();
    let holder = start(config(directory.path(), 0)).unwrap();
    let error = start(config(directory.path(), port)).unwrap_err();
    let expected = format!(
        "channel c1 cannot start: the directory {} is in use by process {}",
        directory.path().display(),
        std::process::id()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
    put(holder.addr(), 1);
    assert_eq!(holder.channel_size("c1"), Some(4));
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
}

#[test]
fn a_path_that_is_a_file_is_no_directory_for_a_channel() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "mine").unwrap();
    let error = start(config(&path, 0)).unwrap_err().to_string();
    assert!(
        error.starts_with("channel c1 cannot start: could not "),
        "{error}"
    );
    assert!(error.contains(&path.display().to_string()), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_log_is_told_with_file_and_offset_and_is_not_touched() {
    let directory = filled();
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_segment = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("seg-")
    };
    let log = paths.find(is_segment).unwrap();
    let mut bytes = fs::read(&log).unwrap();
    // In the middle of what three committed events take behind the header of 4096 bytes.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let middle = (4096 + end) / 2;
    bytes[middle] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let error = start(config(directory.path(), 0)).unwrap_err().to_string();
    assert!(error.contains("is damaged at offset"), "{error}");
    assert!(error.ends_with("move it away or restore it"), "{error}");
    assert_eq!(fs::read(&log).unwrap(), bytes);
}
