//! The command `flume`, built by the cargo that runs the tests, and how to end a process.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use crate::{HarnessError, Result, wait_until};

/// A real agent's source with open connections takes a few seconds to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// The binary `flume` of this workspace, built on first use, optimised if the caller is.
///
/// # Errors
///
/// When it does not build.
pub fn flume_command() -> Result<Command> {
    static BINARY: OnceLock<Result<PathBuf>> = OnceLock::new();
    BINARY.get_or_init(build).clone().map(Command::new)
}

/// Asks a process to end, as `kill` does, and waits until it has.
///
/// # Errors
///
/// When it does not end within a minute.
pub fn terminate(process: &mut Child) -> Result<()> {
    let pid = process.id().to_string();
    let asked = Command::new("kill").args(["-TERM", &pid]).status();
    asked.map_err(|e| HarnessError::doing("kill -TERM", e))?;
    wait_until("the end of a stopped process", STOP_TIMEOUT, || {
        process.try_wait().is_ok_and(|ended| ended.is_some())
    })
}

/// Stops a process, as `kill -STOP` does, and waits until none of its threads runs: on a busy machine
/// some go on for a while after the signal.
///
/// # Errors
///
/// When it goes on for a minute.
pub fn freeze(pid: u32) -> Result<()> {
    let asked = Command::new("kill")
        .args(["-STOP", &pid.to_string()])
        .status();
    asked.map_err(|e| HarnessError::doing("kill -STOP", e))?;
    wait_until("the standstill of a process", STOP_TIMEOUT, || {
        is_frozen(pid)
    })
}

fn is_frozen(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    // The state is the first field behind the name, which is in brackets and may have any.
    let stands = |stat: &str| {
        let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
        fields.starts_with(['T', 't'])
    };
    let stats = threads
        .flatten()
        .map(|it| fs::read_to_string(it.path().join("stat")));
    // One that has just ended has none.
    stats.flatten().all(|stat| stands(&stat))
}

fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "-p", "flume-cli", "--message-format", "json"])
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| HarnessError::doing("cargo build -p flume-cli", error))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        return Err(HarnessError::new(format!(
            "flume-cli does not build:\n{log}"
        )));
    }
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let messages = messages.filter_map(|line| serde_json::from_slice(line).ok());
    let mut executables = messages.filter_map(|message: serde_json::Value| {
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    executables
        .next_back()
        .ok_or_else(|| HarnessError::new("cargo named no binary of flume-cli"))
}
