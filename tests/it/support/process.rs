//! What a whole process uses, measured in a process of its own.

use std::fs;
use std::process::Command;

/// Runs `body` in a process where no other test runs. `test` is the name of the calling test.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    alone_as(test, |_| (), body);
}

/// The same as somebody who is not root, for whom permissions count.
#[cfg(unix)]
pub(crate) fn alone_as_nobody(test: &str, body: impl FnOnce()) {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    let how = |command: &mut Command| {
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
    };
    alone_as(test, how, body);
}

/// The same, started as `how` says.
fn alone_as(test: &str, how: impl FnOnce(&mut Command), body: impl FnOnce()) {
    const ALONE: &str = "FLUME_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    how(&mut command);
    let output = command.env(ALONE, "1").output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}

/// Threads of this process.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Open files and sockets of this process.
pub(crate) fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Resident memory of this process.
pub(crate) fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<usize>().unwrap() * 1024
}

/// The same under limits that a shell sets first, such as `ulimit -f 1024`.
pub(crate) fn alone_under(limits: &str, test: &str, body: impl FnOnce()) {
    const UNDER: &str = "FLUME_TEST_UNDER_LIMITS";
    if std::env::var_os(UNDER).is_some() {
        return body();
    }
    let mut command = Command::new("bash");
    command
        .arg("-c")
        .arg(format!("{limits}; exec \"$0\" \"$@\""));
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    let output = command.env(UNDER, "1").output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{}: {shown}",
        output.status
    );
}
