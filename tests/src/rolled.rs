//! The files of a file_roll sink, Flume's or ours.

use std::path::Path;
use std::{fs, io};

use crate::{HarnessError, Result};

/// Every line in the files of the file_roll sink that writes to `dir`, oldest file first, bytes
/// untouched.
///
/// The sink ends each body with `\n`, so a body that contains one shows up as several lines.
///
/// # Errors
///
/// When the files cannot be read.
pub fn rolled_lines(dir: &Path) -> Result<Vec<Vec<u8>>> {
    let doing = |e: io::Error| HarnessError::doing(format!("reading {}", dir.display()), e);
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(doing)? {
        let entry = entry.map_err(doing)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // "1700000000000-12": start of the sink in milliseconds, number of the file.
        let age: Vec<u64> = name
            .split('-')
            .filter_map(|part| part.parse().ok())
            .collect();
        files.push((age, entry.path()));
    }
    files.sort();
    let mut bytes = Vec::new();
    for (_, file) in files {
        bytes.extend(fs::read(file).map_err(doing)?);
    }
    let mut lines: Vec<_> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    // What follows the last line end is nothing, or a line the sink has not finished.
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    Ok(lines)
}
