//! The memory of a process, as Linux tells it.

use std::fs;

use crate::{HarnessError, Result};

/// Bytes that it has resident.
///
/// # Errors
///
/// When the process is dead or the system has no `/proc`.
pub fn resident_bytes(process: u32) -> Result<u64> {
    status(process, "VmRSS:")
}

/// Its resident memory that is no part of a file: without the program's own code, of which more or less is
/// read in as it runs.
///
/// # Errors
///
/// When the process is dead or the system has no `/proc`.
pub fn anonymous_bytes(process: u32) -> Result<u64> {
    status(process, "RssAnon:")
}

/// The most bytes that it ever had resident.
///
/// # Errors
///
/// When the process is dead or the system has no `/proc`.
pub fn resident_bytes_max(process: u32) -> Result<u64> {
    status(process, "VmHWM:")
}

fn status(process: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).map_err(|e| HarnessError::doing(&path, e))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.and_then(|number| number.parse::<u64>().ok());
    let bytes = kilobytes.map(|kilobytes| kilobytes * 1024);
    bytes.ok_or_else(|| HarnessError::doing(path, format!("no {name}")))
}
