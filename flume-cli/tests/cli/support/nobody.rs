//! A user who is not root, for whom permissions count.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::command::{Run, Running, command};
use super::spool::TestSpool;

pub(crate) const NOBODY: u32 = 65_534;

/// Runs the command as somebody who is not root, for whom permissions count.
pub(crate) fn as_nobody(args: &[&str]) -> Run {
    finish(command_as_nobody(args))
}

pub(crate) fn command_as_nobody(args: &[&str]) -> Command {
    let mut command = command(args);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

pub(crate) fn finish(command: Command) -> Run {
    let mut running = Running::start(command);
    running.close_stdin();
    running.finish()
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

/// Gives all of a spool to that user, but for one file.
pub(crate) fn deny(spool: &TestSpool, denied: &PathBuf) {
    if is_root() {
        let entries = fs::read_dir(spool.path()).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        for path in files.chain([spool.path(), spool.home().to_owned()]) {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        chown(denied, Some(0), Some(0)).unwrap();
    }
    fs::set_permissions(denied, Permissions::from_mode(0o000)).unwrap();
}

/// The same, and nothing is denied.
pub(crate) fn deny_nothing(spool: &TestSpool) {
    let file = spool.beside("a file");
    fs::write(&file, "").unwrap();
    deny(spool, &file);
}
