//! The end of an appender where all that it may wait for hangs.

use std::io::Write;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flume_appender::Level;
use flume_tests::{Child, Heard};
use tempfile::TempDir;

use super::{at, log};
use crate::support::{Agent, Greeting, current_thread, greets, run_in};

const AGENT: &str = "FLUME_TEST_STUCK_AGENT";
const DISK: &str = "FLUME_TEST_STUCK_DISK";
const LINES: u64 = 1000;
/// Far longer than a close of a second takes on any machine.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_close_of_1_s_on_a_current_thread_runtime_ends_though_the_agent_hangs_and_stderr_is_a_full_pipe()
 {
    let test = "appender::stuck::a_close_of_1_s_on_a_current_thread_runtime_ends_though_the_agent_hangs_and_stderr_is_a_full_pipe";
    if let Ok(agent) = std::env::var(AGENT) {
        return close_stuck(&agent, None);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    check(&mut command);
}

#[test]
fn a_close_of_1_s_on_a_current_thread_runtime_ends_though_agent_disk_and_stderr_hang() {
    let test = "appender::stuck::a_close_of_1_s_on_a_current_thread_runtime_ends_though_agent_disk_and_stderr_hang";
    if let (Ok(agent), Ok(disk)) = (std::env::var(AGENT), std::env::var(DISK)) {
        return close_stuck(&agent, Some(Path::new(&disk)));
    }
    let home = TempDir::new().unwrap();
    let (image, disk) = (home.path().join("image"), home.path().join("disk"));
    std::fs::create_dir(&disk).unwrap();
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(128 << 20).unwrap();
    let mount = "mkfs.ext4 -q \"$0\" && mount -o loop \"$0\" \"$1\" && shift";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    let mut can = Command::new("unshare");
    can.args(["--mount", "sh", "-c", mount])
        .args([&image, &disk]);
    let can = can.output();
    if !can.as_ref().is_ok_and(|output| output.status.success()) {
        let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!in_ci, "no disk could be mounted: {can:?}");
        println!("!!! NOT CHECKED: a disk that hangs: {can:?}");
        return;
    }
    command.arg(format!("{mount} && exec \"$@\""));
    command.args([&image, &disk]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    check(command.env(DISK, &disk));
}

/// Starts the process that is to end, with a pipe as stderr that nobody reads.
fn check(command: &mut Command) {
    let agent = Agent::scripted([greets(Greeting::Unanswered)]);
    command.env(AGENT, agent.url()).stderr(Stdio::piped());
    let child = Child::start(command).unwrap();
    let deadline = Instant::now() + LIMIT;
    let mut told = Vec::new();
    let has_ended = loop {
        match child.hear(deadline) {
            Heard::Line(line) => told.push(line.text),
            Heard::End => break true,
            Heard::Nothing => break false,
        }
    };
    assert!(has_ended, "it hangs, after {told:?}");
    let all = format!("closed, {LINES} lost or pending");
    assert!(told.contains(&all), "{told:?}");
    assert!(told.iter().any(|line| line == "dropped"), "{told:?}");
}

/// Logs, and closes one appender and drops the guard of another.
fn close_stuck(agent: &str, disk: Option<&Path>) {
    let builders = [at(agent.to_owned()), at(agent.to_owned())];
    let mut number = 0;
    let [closed, dropped] = builders.map(|builder| {
        number += 1;
        let builder = builder.shutdown_timeout(Duration::from_secs(1));
        let builder = match disk {
            Some(disk) => builder
                .spool(disk.join(format!("spool-{number}")))
                .client(|client| client.spool_free_bytes(0)),
            None => builder,
        };
        builder.build().unwrap()
    });
    let frozen = disk.map(freeze);
    fill_stderr();
    log(&closed.0, Level::Info, 0..LINES);
    log(&dropped.0, Level::Info, 0..LINES);
    let report = run_in(&current_thread(), closed.1.close(Duration::from_secs(1)));
    let (records, events) = (report.records.total(), &report.events);
    let left = records.lost() + records.captured + events.lost.total() + events.pending;
    println!("\nclosed, {left} lost or pending");
    run_in(&current_thread(), async move { drop(dropped.1) });
    println!("dropped");
    if let Some(mut frozen) = frozen {
        drop(frozen.stdin.take());
        assert!(frozen.wait().unwrap().success(), "fsfreeze -u");
    }
    // Nothing that hangs is waited for.
    process::exit(0);
}

/// From now on nothing can be written to the disk, until the input of this process ends: half a minute
/// at the most, since a process that waits for such a disk cannot even be killed.
fn freeze(disk: &Path) -> process::Child {
    let status = Command::new("fsfreeze").arg("-f").arg(disk).status();
    assert!(status.unwrap().success(), "fsfreeze -f");
    let mut thaw = Command::new("bash");
    thaw.args(["-c", "read -t 30; fsfreeze -u \"$0\""])
        .arg(disk);
    let quiet = thaw.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.stdin(Stdio::piped()).spawn().unwrap()
}

/// Writes until the pipe is full, and keeps the lock of stderr for ever after.
fn fill_stderr() {
    const PIPE_BYTES: usize = 1 << 16;
    static WRITTEN: AtomicUsize = AtomicUsize::new(0);
    thread::spawn(|| {
        let mut stderr = std::io::stderr().lock();
        while let Ok(bytes) = stderr.write(&[b'.'; 4096]) {
            WRITTEN.fetch_add(bytes, Ordering::SeqCst);
        }
    });
    while WRITTEN.load(Ordering::SeqCst) < PIPE_BYTES {
        thread::yield_now();
    }
}
