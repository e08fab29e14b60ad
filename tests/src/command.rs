//! The command `flume`, built by the cargo that runs the tests.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::{HarnessError, Result};

/// The binary `flume` of this workspace, built on first use, optimised if the caller is.
///
/// # Errors
///
/// When it does not build.
pub fn flume_command() -> Result<Command> {
    static BINARY: OnceLock<Result<PathBuf>> = OnceLock::new();
    BINARY.get_or_init(build).clone().map(Command::new)
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
