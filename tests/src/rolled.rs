//! The files of a file_roll sink, Flume's or ours.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::{HarnessError, Result};

/// The files of the file_roll sink that writes to `dir`, oldest first.
///
/// # Errors
///
/// When the directory cannot be read.
pub fn rolled_files(dir: &Path) -> Result<Vec<PathBuf>> {
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
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// Every line in those files, bytes untouched.
///
/// The sink ends each body with `\n`, so a body that contains one shows up as several lines. What
/// follows the last line end of a file is a line too: one that the sink has not finished, or never
/// will because it was killed.
///
/// # Errors
///
/// When the files cannot be read.
pub fn rolled_lines(dir: &Path) -> Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    for file in rolled_files(dir)? {
        let bytes = fs::read(&file);
        let bytes = bytes.map_err(|e| HarnessError::doing(file.display(), e))?;
        let ended = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if !bytes.is_empty() {
            lines.extend(ended.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
        }
    }
    Ok(lines)
}
