//! [`Holder`]: who has a spool's directory, as far as the system tells.
#![expect(
    clippy::disallowed_types,
    reason = "the lock is a file, and so is the word of who has it"
)]

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Who has a directory.
///
/// The process that took the lock writes its id into it. A process that was forked from it, or got
/// the lock's descriptor in another way, can hold the lock after that one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The process that holds the lock, if it is known.
    pub process: Option<u32>,
    /// The process that took the lock, if it is not that one which holds it.
    pub forked_from: Option<u32>,
}

impl Holder {
    /// Somebody.
    pub(super) const UNKNOWN: Self = Self {
        process: None,
        forked_from: None,
    };

    /// Who holds the lock that `file` is, which somebody does.
    pub(super) fn of(file: &mut File, path: &Path) -> Self {
        let mut text = String::new();
        // An empty or strange one says nothing.
        let _ = file.take(64).read_to_string(&mut text);
        let taker = text.lines().next().and_then(|line| line.parse().ok());
        match taker.map(|taker| system::whether_locks(taker, path)) {
            None => Self {
                process: system::who_locks(path),
                forked_from: None,
            },
            Some(Holds::Yes | Holds::Unknown) => Self {
                process: taker,
                forked_from: None,
            },
            Some(Holds::No) => Self {
                process: system::who_locks(path),
                forked_from: taker,
            },
        }
    }
}

impl Holder {
    /// Who has locked a directory without the file that names its holder.
    pub(super) fn of_directory(path: &Path) -> Self {
        Self {
            process: system::who_locks(path),
            forked_from: None,
        }
    }
}

/// Whether a process holds a lock.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "other systems do not tell")
)]
enum Holds {
    Yes,
    No,
    /// The system does not tell us.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.process, self.forked_from) {
            (Some(process), None) => write!(f, "process {process}"),
            (Some(process), Some(taker)) => write!(
                f,
                "process {process}, which has the lock from process {taker}, as forked processes do"
            ),
            (None, Some(taker)) => write!(
                f,
                "a process that has the lock from process {taker}, as forked processes do"
            ),
            (None, None) => f.write_str("another process"),
        }
    }
}

/// What Linux tells in `/proc`: the files that a process has open, and what it locks by each.
#[cfg(target_os = "linux")]
mod system {
    use std::fs;
    use std::io;
    use std::path::Path;

    use super::Holds;

    /// Whether a process has the lock that is the file of this path.
    pub(super) fn whether_locks(process: u32, path: &Path) -> Holds {
        match locks(process, path) {
            Ok(true) => Holds::Yes,
            Ok(false) => Holds::No,
            // Of a process that has ended, unless `/proc` is not what it is as a rule.
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_proc_there() => Holds::No,
            Err(_) => Holds::Unknown,
        }
    }

    /// The process that has the lock, if we may see its files. This looks at every process.
    pub(super) fn who_locks(path: &Path) -> Option<u32> {
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.find(|process| locks(*process, path).unwrap_or(false))
    }

    /// Another process may see the file under another path, and is not found then.
    fn locks(process: u32, path: &Path) -> io::Result<bool> {
        let path = path.canonicalize()?;
        for entry in fs::read_dir(format!("/proc/{process}/fd"))?.flatten() {
            // The link alone: to look at what it leads to could wait for a file system's server.
            if !fs::read_link(entry.path()).is_ok_and(|open| open == path) {
                continue;
            }
            let descriptor = entry.file_name();
            let descriptor = descriptor.to_string_lossy();
            let told = fs::read_to_string(format!("/proc/{process}/fdinfo/{descriptor}"));
            // One that only looks has it open without a lock.
            let mut lines = told.as_deref().unwrap_or_default().lines();
            if lines.any(|line| line.starts_with("lock:") && line.contains("FLOCK")) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_proc_there() -> bool {
        Path::new("/proc/self/fd").is_dir()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::path::Path;

    use super::Holds;

    pub(super) fn whether_locks(_: u32, _: &Path) -> Holds {
        Holds::Unknown
    }

    pub(super) fn who_locks(_: &Path) -> Option<u32> {
        None
    }
}
