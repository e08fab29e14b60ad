//! A test once more, in a process of its own: where what the whole process uses can be measured,
//! and which can be another user's, under limits, or in a namespace.

#![expect(
    clippy::unwrap_used,
    reason = "only tests call this, and fail by a panic"
)]

use std::env;
use std::process::Command;

const ALONE: &str = "FLUME_TEST_ALONE";

/// Runs `body` in a process where no other test runs. `test` is the name of the calling test.
pub fn alone(test: &str, body: impl FnOnce()) {
    alone_as(test, |_| (), body);
}

/// The same as somebody who is not root, for whom permissions count.
#[cfg(unix)]
pub fn alone_as_nobody(test: &str, body: impl FnOnce()) {
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
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let mut command = Command::new(env::current_exe().unwrap());
    how(&mut command);
    run_once_more(test, ALONE, command);
}

/// The same under limits that a shell sets first, such as `ulimit -f 1024`.
pub fn alone_under(limits: &str, test: &str, body: impl FnOnce()) {
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let mut command = Command::new("bash");
    let script = format!("{limits}; exec \"$0\" \"$@\"");
    command.arg("-c").arg(script);
    command.arg(env::current_exe().unwrap());
    run_once_more(test, ALONE, command);
}

/// Runs this test only, by a command that runs this program, and checks that it passes. It finds
/// `mark` in its environment.
pub(crate) fn run_once_more(test: &str, mark: &str, mut command: Command) {
    command.args(["--exact", test, "--nocapture"]);
    let output = command.env(mark, "1").output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{}: {shown}",
        output.status
    );
}
