//! Real log files, kept beside the project and not in it.

use std::fs;
use std::path::PathBuf;

/// The path and the lines of a log file of real lines, or `None`, said loudly, if it is not there.
#[must_use]
pub fn sample_log(name: &str) -> Option<(PathBuf, Vec<Vec<u8>>)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    match fs::read(&path) {
        Ok(text) => {
            let text = text.strip_suffix(b"\n").unwrap_or(&text);
            Some((
                path,
                text.split(|byte| *byte == b'\n')
                    .map(<[u8]>::to_vec)
                    .collect(),
            ))
        }
        Err(error) => {
            eprintln!("SKIPPED: no sample log {}: {error}", path.display());
            None
        }
    }
}
