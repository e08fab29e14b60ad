//! The file that tells a script that the agent can be reached, and where.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file that is there, whole, while the agent can be reached.
#[derive(Debug)]
pub(super) struct ReadyFile {
    path: PathBuf,
}

/// It cannot be written, or what an earlier run left cannot be removed.
#[derive(Debug)]
pub(super) struct ReadyFileError {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl ReadyFile {
    /// Removes what an earlier run left.
    pub(super) fn prepare(path: PathBuf) -> Result<Self, ReadyFileError> {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ReadyFileError { path, source })
            }
            _ => Ok(Self { path }),
        }
    }

    /// Writes the lines, all at once for whoever looks.
    pub(super) fn write(&self, lines: &[String]) -> Result<(), ReadyFileError> {
        let failed = |source| ReadyFileError {
            path: self.path.clone(),
            source,
        };
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let unfinished = self.path.with_file_name(name);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let written = fs::write(&unfinished, text);
        let written = written.and_then(|()| fs::rename(&unfinished, &self.path));
        written.map_err(|error| {
            remove(&unfinished);
            failed(error)
        })
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Someone else may have removed it before.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}
