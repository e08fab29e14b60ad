//! Disks that this process has for itself, in a mount namespace: the test binary once more, under
//! `unshare`.
//!
//! What is in memory is mounted by whoever runs the tests; loop devices need root.

#![expect(
    clippy::unwrap_used,
    reason = "only tests call this, and fail by a panic"
)]

use std::env;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::alone::run_once_more;

const INSIDE: &str = "FLUME_TEST_MOUNT_NAMESPACE";
/// The socket of a name server that never answers.
static SILENT: OnceLock<io::Result<UdpSocket>> = OnceLock::new();

/// Runs `body` with the root of a disk of so many MiB, in a process of its own. `test` is the name
/// of the calling test. A skip is told, and is a failure where it could have run.
pub fn on_small_disk(test: &str, mebibytes: u32, body: impl FnOnce(&Path)) {
    let size = format!("size={mebibytes}m");
    on_disk(test, &["-t", "tmpfs", "-o", &size, "tmpfs"], body);
}

/// The same with what `mount` makes of these arguments.
pub fn on_disk(test: &str, mount: &[&str], body: impl FnOnce(&Path)) {
    if is_inside() {
        let directory = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(mount).arg(directory.path()));
        return body(directory.path());
    }
    if can_mount() {
        run_inside(test, "-rm");
    }
}

/// The same, where the system's name server never answers and each look-up of a name waits for it
/// for minutes.
pub fn with_silent_name_server(test: &str, mebibytes: u32, body: impl FnOnce(&Path)) {
    let is_inside = is_inside();
    let process = match is_inside {
        true => std::os::unix::process::parent_id(),
        false => std::process::id(),
    };
    // An address of its own for each run of the tests.
    let [_, high, middle, low] = process.to_be_bytes();
    let address = Ipv4Addr::new(127, 64 | high, middle, low);
    // Outside, since the port needs root; one for all tests.
    let bind = || UdpSocket::bind((address, 53));
    if !is_inside && let Err(error) = SILENT.get_or_init(bind) {
        return skip(&format!("this test needs port 53 of {address}: {error}"));
    }
    on_small_disk(test, mebibytes, |disk| {
        let file = disk.join("resolv.conf");
        let text = format!("nameserver {address}\noptions timeout:30 attempts:5\n");
        fs::write(&file, text).unwrap();
        let mut mount = Command::new("mount");
        run(mount.arg("--bind").arg(&file).arg("/etc/resolv.conf"));
        body(disk);
    });
}

/// Runs `body` with a subvolume of a btrfs of 1 GiB that counts what is in it, in a process of its
/// own.
pub fn on_btrfs(test: &str, body: impl FnOnce(&Path)) {
    if is_inside() {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        fs::File::create(&image).unwrap().set_len(1 << 30).unwrap();
        run(Command::new("mkfs.btrfs").arg("-q").arg(&image));
        let disk = directory.path().join("disk");
        fs::create_dir(&disk).unwrap();
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&disk));
        btrfs(&["quota", "enable"], &disk);
        let volume = disk.join("volume");
        btrfs(&["subvolume", "create"], &volume);
        return body(&volume);
    }
    let installed = Command::new("mkfs.btrfs").arg("--version").output().is_ok();
    if installed && may_mount() {
        return run_inside(test, "--mount");
    }
    skip("this test needs root, loop devices and btrfs-progs");
}

/// Calls the command `btrfs`.
pub fn btrfs(arguments: &[&str], path: &Path) {
    let mut command = Command::new("btrfs");
    command.arg("-q").args(arguments).arg(path);
    run(&mut command);
}

/// Takes all the room that is left, until the file is removed.
pub fn stuff(disk: &Path) -> PathBuf {
    let path = disk.join("stuffing");
    let options = fs::File::options().append(true).create(true).open(&path);
    let mut file = options.unwrap();
    while file.write(&[0; 4096]).is_ok() {}
    path
}

fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

fn run_inside(test: &str, namespaces: &str) {
    let mut command = Command::new("unshare");
    command.arg(namespaces).arg(env::current_exe().unwrap());
    run_once_more(test, INSIDE, command);
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {shown}");
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
    skip(&message);
    false
}

fn skip(message: &str) {
    // Not `eprintln!`: the test runner would swallow it, because a skipped test passes.
    writeln!(io::stderr(), "SKIPPED: {message}").expect("stderr takes a line");
}

/// Whether this process has the capability to mount, number 21.
fn may_mount() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let effective = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> 21 & 1 == 1)
}
