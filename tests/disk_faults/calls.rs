//! System calls of the service that fail, by `strace -e inject`.
//!
//! An injected failure is not carried out, so what was written stays in the page cache, unlike
//! after a real one. Before the spool is looked at, everything that was written and not synced
//! is overwritten with zeros: nothing that was told may depend on it.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::aftermath;
use crate::service::{Result, Told, listen_to};

/// What is injected, and whether the service can go on in the end. The calls of each thread are
/// counted by themselves: the first ones of the service's own thread open the spool.
const CASES: &[(&str, Ends)] = &[
    ("fdatasync:error=EIO:when=1", Ends::Well),
    ("fdatasync:error=EIO:when=2", Ends::Well),
    ("fdatasync:error=EIO:when=3", Ends::Well),
    ("fdatasync:error=EIO:when=4", Ends::Well),
    ("fdatasync:error=EIO:when=15", Ends::Well),
    ("fdatasync:error=EIO:when=3+5", Ends::Well),
    ("fdatasync:error=EIO:when=2+3", Ends::Well),
    ("fdatasync:error=ENOSPC:when=7+6", Ends::Well),
    (
        "fdatasync:error=EIO:when=12+",
        Ends::InTrouble("the spool's disk failed"),
    ),
    (
        "fdatasync:error=EIO:when=1+",
        Ends::InTrouble("the spool's disk failed"),
    ),
    ("pwrite64:error=EIO:when=1", Ends::Well),
    ("pwrite64:error=EIO:when=2", Ends::Well),
    ("pwrite64:error=EIO:when=3+5", Ends::Well),
    ("pwrite64:error=ENOSPC:when=3+5", Ends::Well),
    ("pwrite64:error=ENOSPC:when=5+3", Ends::Well),
    ("pwrite64:error=EROFS:when=9+7", Ends::Well),
    (
        "pwrite64:error=ENOSPC:when=12+",
        Ends::InTrouble("the spool's disk is full"),
    ),
    (
        "pwrite64:error=EROFS:when=12+",
        Ends::InTrouble("file system is read-only"),
    ),
    ("fsync:error=EIO:when=2+2", Ends::Well),
];

/// Each failure costs a segment of 16 MiB.
const QUOTA: u64 = 2 * 1024 * 1024 * 1024;
const EVENTS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Everything is stored.
    Well,
    /// Not everything is, and the trouble that is told says this.
    InTrouble(&'static str),
}

pub(crate) fn run(part: &str) -> Result<()> {
    let found = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        return Err("there is no strace here: install it".into());
    }
    for (injection, ends) in CASES.iter().filter(|(name, _)| name.contains(part)) {
        let figures = check(injection, *ends).map_err(|error| format!("{injection}: {error}"))?;
        println!("{injection:<34} {figures}");
    }
    Ok(())
}

fn check(injection: &str, ends: Ends) -> Result<String> {
    let home = tempfile::tempdir()?;
    let (spool, log) = (home.path().join("spool"), home.path().join("calls"));
    fs::create_dir(&log)?;
    let mut command = Command::new("strace");
    command.args(["-ff", "-qq", "-y", "-s", "0"]);
    command.args(["-e", "trace=pwrite64,fdatasync,fsync"]);
    command.args(["-e", &format!("inject={injection}"), "-o"]);
    command.arg(log.join("of")).arg(env::current_exe()?);
    let told = listen_to(command, home.path(), &spool, QUOTA, EVENTS)?;
    let calls = Calls::read(&log)?;
    calls.check()?;
    let dropped = calls.drop_unsynced(&spool)?;
    judge(&told, ends)?;
    aftermath::check(&told, &spool, QUOTA)?;
    let (failed, stored, lost) = (calls.injected, told.stored.len(), told.lost);
    Ok(format!(
        "{failed:>3} calls failed, {dropped:>7} bytes dropped, {stored:>4} events stored, {lost:>3} given up"
    ))
}

fn judge(told: &Told, ends: Ends) -> Result<()> {
    match ends {
        Ends::Well if told.lost == 0 => Ok(()),
        Ends::InTrouble(text)
            if told.lost > 0 && told.troubles.iter().any(|it| it.contains(text)) =>
        {
            Ok(())
        }
        _ => Err(format!("{} events lost, told {:?}", told.lost, told.troubles).into()),
    }
}

/// What strace saw, of all threads. Those that write do so one after the other: the service's own
/// at the start, then the client's.
#[derive(Debug, Default)]
struct Calls {
    injected: usize,
    /// Of each file, what was written since its last good sync: places and lengths.
    unsynced: BTreeMap<PathBuf, Vec<(u64, usize)>>,
    /// Files a sync of which failed.
    failed: BTreeSet<PathBuf>,
    /// Files that were used after that.
    misused: BTreeSet<PathBuf>,
}

impl Calls {
    fn read(log: &Path) -> Result<Self> {
        let mut files = fs::read_dir(log)?
            .map(|file| Ok(file?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        // Threads get ascending numbers, of which the last of five digits follows one of four.
        files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        let mut calls = Self::default();
        for file in files {
            for line in fs::read_to_string(file)?.lines() {
                calls.take(line)?;
            }
        }
        Ok(calls)
    }

    /// A line such as `pwrite64(9</spool/cursor>, ""..., 512, 0) = 512`.
    fn take(&mut self, line: &str) -> Result<()> {
        let strange = || format!("what is {line:?}?");
        // Others tell how threads end.
        let Some((name, rest)) = line.split_once('(').filter(|(name, _)| *name != "???") else {
            return Ok(());
        };
        let (call, result) = rest.rsplit_once(" = ").ok_or_else(strange)?;
        let is_injected = result.contains("(INJECTED)");
        self.injected += usize::from(is_injected);
        let (_, path) = call.split_once('<').ok_or_else(strange)?;
        let (path, arguments) = path.split_once('>').ok_or_else(strange)?;
        let path = PathBuf::from(path);
        let fails = result.starts_with('-');
        if self.failed.contains(&path) {
            self.misused.insert(path.clone());
        }
        match name {
            "pwrite64" if !fails => {
                let numbers = arguments.trim_end_matches(')').split(", ");
                let offset = numbers
                    .last()
                    .ok_or_else(strange)?
                    .trim()
                    .trim_end_matches(')');
                let place = (offset.parse()?, result.trim().parse()?);
                self.unsynced.entry(path).or_default().push(place);
            }
            "fdatasync" if fails => {
                let name = path.file_name().unwrap_or_default();
                // The cursor's slots are made to be written again.
                if name.to_string_lossy().starts_with("seg-") {
                    self.failed.insert(path);
                }
            }
            "fdatasync" => {
                self.unsynced.remove(&path);
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.injected == 0 {
            return Err("no call failed: there was nothing to see".into());
        }
        if !self.misused.is_empty() {
            return Err(format!("used after a failed sync: {:?}", self.misused).into());
        }
        Ok(())
    }

    /// Does what a disk does that fails: what was not synced is not there. Says how many bytes.
    fn drop_unsynced(&self, spool: &Path) -> Result<usize> {
        let mut dropped = 0;
        for (path, places) in &self.unsynced {
            // A file that was removed, or renamed since, which follows a sync.
            if !path.starts_with(spool) || !path.exists() {
                continue;
            }
            let mut file = File::options().write(true).open(path)?;
            for (offset, bytes) in places {
                file.seek(SeekFrom::Start(*offset))?;
                file.write_all(&vec![0; *bytes])?;
                dropped += bytes;
            }
        }
        Ok(dropped)
    }
}
