//! [`NewFile`]: a file that is there whole, or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::problem::Problem;
use crate::text;

/// A file under a temporary name until it is finished. Only its owner can read it: events are
/// nobody else's business.
#[derive(Debug)]
pub(super) struct NewFile {
    file: File,
    unfinished: PathBuf,
    path: PathBuf,
    overwrite: bool,
}

impl NewFile {
    /// Fails if there is a file of the name already, unless it may be overwritten.
    pub(super) fn create(path: &Path, overwrite: bool) -> Result<Self, Problem> {
        check_free(path, overwrite)?;
        let unfinished = unfinished(path)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&unfinished);
        Ok(Self {
            file: file.map_err(Problem::io("make", path))?,
            unfinished,
            path: path.to_owned(),
            overwrite,
        })
    }

    /// Makes it durable and gives it its name.
    pub(super) fn finish(self) -> Result<(), Problem> {
        self.file
            .sync_all()
            .map_err(Problem::io("write", &self.path))?;
        check_free(&self.path, self.overwrite)?;
        let renamed = fs::rename(&self.unfinished, &self.path);
        renamed.map_err(Problem::io("make", &self.path))?;
        sync_name(&self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // It is not there if it was finished.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// A name beside `path` that says what it is and whose.
fn unfinished(path: &Path) -> Result<PathBuf, Problem> {
    let Some(name) = path.file_name() else {
        return Err(Problem::Usage(format!(
            "{} is no name for a new file",
            text::path(path)
        )));
    };
    let mut unfinished = OsString::from(name);
    unfinished.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(unfinished))
}

/// Makes a name durable.
fn sync_name(path: &Path) -> Result<(), Problem> {
    if cfg!(unix) {
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let synced = File::open(parent).and_then(|directory| directory.sync_all());
        synced.map_err(Problem::io("sync", parent))?;
    }
    Ok(())
}

/// Whether a path is in a directory, or would be.
pub(super) fn is_inside(path: &Path, directory: &Path) -> bool {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = path.ancestors().find_map(|it| it.canonicalize().ok());
    let directory = directory.canonicalize();
    existing.is_some_and(|path| directory.is_ok_and(|directory| path.starts_with(directory)))
}

fn check_free(path: &Path, overwrite: bool) -> Result<(), Problem> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(Problem::io("look at", path))?,
    };
    let path = text::path(path);
    if !found.is_file() {
        Err(Problem::Usage(format!(
            "{path} is there and is no ordinary file; choose another name"
        )))
    } else if overwrite {
        Ok(())
    } else {
        Err(Problem::Usage(format!(
            "{path} is there already; say --force to replace it"
        )))
    }
}
