//! `flume agent --config` with what cannot work: what is told, and what is left behind.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::support::command::{Run, Running, command};
use crate::support::configured::PropertyFile;

/// A file channel in this directory, a source at this port, and more.
fn properties(directory: &Path, port: u16, more: &str) -> String {
    let data = directory.display();
    format!(
        "a1.sources = r1
a1.channels = c1
a1.sources.r1.type = avro
a1.sources.r1.bind = 127.0.0.1
a1.sources.r1.port = {port}
a1.sources.r1.channels = c1
a1.channels.c1.type = file
a1.channels.c1.dataDirs = {data}
a1.channels.c1.checkpointDir = {data}
a1.channels.c1.minimumRequiredSpace = 1048576
{more}"
    )
}

fn file_roll(directory: &str) -> String {
    format!(
        "a1.sinks = k1
a1.sinks.k1.type = file_roll
a1.sinks.k1.sink.directory = {directory}
a1.sinks.k1.channel = c1
"
    )
}

/// A directory of a file channel that holds three events.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let agent = PropertyFile::new(&properties(directory.path(), 0, "")).start(&[]);
    agent.send("r1", "1\n2\n3\n");
    agent
        .stop()
        .check(0, &["3 events pending in file channel c1"]);
    directory
}

/// The agent has not run, and left neither a ready file nor a lock nor a loss.
#[track_caller]
fn check_nothing_was_started(run: &Run, file: &PropertyFile, directory: &Path) {
    assert_eq!(run.stdout, "");
    let left: Vec<_> = fs::read_dir(file.path().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["flume.properties"]);
    let agent = PropertyFile::new(&properties(directory, 0, "")).start(&[]);
    agent
        .stop()
        .check(0, &["3 events pending in file channel c1"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let directory = filled();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let file = PropertyFile::new(&properties(directory.path(), taken.port(), ""));
    let run = file.run(&[]);
    run.check(
        1,
        &[
            &format!("flume: cannot listen on {taken}: "),
            "choose a free one",
        ],
    );
    check_nothing_was_started(&run, &file, directory.path());
}

#[test]
fn a_channel_that_another_process_has_is_refused_with_its_number() {
    let directory = filled();
    let holder = PropertyFile::new(&properties(directory.path(), 0, "")).start(&[]);
    let file = PropertyFile::new(&properties(directory.path(), 0, ""));
    let run = file.run(&[]);
    let path = directory.path().display();
    let expected = format!(
        "channel c1 cannot start: the directory {path} is in use by process {}",
        holder.running.id()
    );
    run.check(1, &[&expected]);
    holder.send("r1", "the holder goes on\n");
    holder
        .stop()
        .check(0, &["4 events pending in file channel c1"]);
}

#[test]
fn a_missing_directory_of_a_sink_is_named() {
    let directory = filled();
    let sink = file_roll("/nowhere/events");
    let file = PropertyFile::new(&properties(directory.path(), 0, &sink));
    let run = file.run(&[]);
    run.check(
        1,
        &["sink k1 cannot start: /nowhere/events: No such file or directory"],
    );
    check_nothing_was_started(&run, &file, directory.path());
}

#[test]
fn a_missing_directory_of_the_ready_file_ends_the_agent_that_was_started() {
    let directory = filled();
    let file = PropertyFile::new(&properties(directory.path(), 0, ""));
    let path = file.path().display().to_string();
    let args = [
        "agent",
        "-n",
        "a1",
        "-f",
        &path,
        "--ready-file",
        "/nowhere/ready",
    ];
    let run = Running::start(command(args)).finish();
    run.check(
        1,
        &["cannot write /nowhere/ready: no such file or directory"],
    );
    check_nothing_was_started(&run, &file, directory.path());
}

#[cfg(target_os = "linux")]
#[test]
fn directories_that_are_not_writable_are_named() {
    let locked = tempfile::tempdir().unwrap();
    let path = locked.path().display().to_string();
    let unwritable = fs::Permissions::from_mode(0o555);
    fs::set_permissions(locked.path(), unwritable).unwrap();
    let channel = PropertyFile::new(&properties(&locked.path().join("data"), 0, ""));
    let memory = "a1.channels = c1\na1.channels.c1.type = memory\n";
    let sink = PropertyFile::new(&(memory.to_owned() + &file_roll(&path)));
    for (file, told) in [
        (
            channel,
            "channel c1 cannot start: could not make the directory",
        ),
        (sink, "sink k1 cannot start"),
    ] {
        let run = as_nobody(&file).finish();
        run.check(1, &[told, &path, "Permission denied"]);
        assert_eq!(fs::read_dir(locked.path()).unwrap().count(), 0);
    }
}

/// The agent of this file, run by a user who is not root.
#[cfg(target_os = "linux")]
fn as_nobody(file: &PropertyFile) -> Running {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    let directory = file.path().parent().unwrap().to_owned();
    let program = directory.join("flume");
    // A process of its own: a child of another test, begun while this one writes, would hold the
    // file open and keep it from being run.
    let mut copy = std::process::Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_flume")).arg(&program);
    assert!(copy.status().unwrap().success());
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new(program);
    let path = file.path();
    command.args(["agent", "-n", "a1", "-f"]).arg(path);
    if fs::metadata(&directory).unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    Running::start(command)
}

#[cfg(target_os = "linux")]
use std::os::unix::fs::PermissionsExt;
