//! The file that tells a script that the agent can be reached, and where.

use std::fs::{self, File};
use std::io::{self, Write};
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
        // What another process of this number left, or a link that leads elsewhere: neither is
        // written to.
        remove(&unfinished);
        let written = File::create_new(&unfinished)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&unfinished, &self.path));
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_under_a_name_of_the_ready_file_is_replaced_and_leads_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        fs::write(path("victim"), "somebody's").unwrap();
        let file = ReadyFile::prepare(path("ready")).unwrap();
        let unfinished = format!("ready.{}.tmp", std::process::id());
        for name in ["ready", &unfinished] {
            symlink(path("victim"), path(name)).unwrap();
        }
        file.write(&["avro://127.0.0.1:4141".to_owned()]).unwrap();
        assert_eq!(fs::read_to_string(path("victim")).unwrap(), "somebody's");
        assert!(path("ready").symlink_metadata().unwrap().is_file());
        let lines = fs::read_to_string(path("ready")).unwrap();
        assert_eq!(lines, "avro://127.0.0.1:4141\n");
        drop(file);
        assert_eq!(
            fs::read_dir(home.path()).unwrap().count(),
            1,
            "only the victim"
        );
    }
}
