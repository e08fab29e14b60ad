//! A disk of a few megabytes that this process has for itself.
//!
//! It is a tmpfs in a mount namespace of its own: the test binary once more, under `unshare`.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const INSIDE: &str = "FLUME_TEST_MOUNT_NAMESPACE";

/// Runs `body` with the root of a disk of so many MiB, in a process of its own. `test` is the name
/// of the calling test. A skip is told, and is a failure where it could have run.
pub(crate) fn on_small_disk(test: &str, mebibytes: u32, body: impl FnOnce(&Path)) {
    if env::var_os(INSIDE).is_some() {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"]);
        assert!(mount.arg(directory.path()).status().unwrap().success());
        return body(directory.path());
    }
    if !can_mount() {
        return;
    }
    let mut command = Command::new("unshare");
    command.arg("-rm").arg(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    let output = command.env(INSIDE, "1").output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}

/// Takes all the room that is left, until the file is removed.
pub(crate) fn stuff(disk: &Path) -> PathBuf {
    let path = disk.join("stuffing");
    let options = fs::File::options().append(true).create(true).open(&path);
    let mut file = options.unwrap();
    while file.write(&[0; 4096]).is_ok() {}
    path
}

fn can_mount() -> bool {
    let probe = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let (missing, installed) = match probe {
        Ok(output) if output.status.success() => return true,
        Ok(output) => (String::from_utf8_lossy(&output.stderr).into_owned(), true),
        Err(error) => (error.to_string(), false),
    };
    let message = format!(
        "this test needs `unshare -rm` and a tmpfs: {}",
        missing.trim()
    );
    let in_ci = env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(
        !in_ci || (installed && !may_mount()),
        "{message} (with CI=true, a skip that could have run is a failure)"
    );
    // Not `eprintln!`: the test runner would swallow it, because a skipped test passes.
    writeln!(io::stderr(), "SKIPPED: {message}").expect("stderr takes a line");
    false
}

/// Whether this process has the capability to mount, number 21.
fn may_mount() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let effective = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> 21 & 1 == 1)
}
