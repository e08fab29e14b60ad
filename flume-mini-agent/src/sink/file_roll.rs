//! The file_roll sink: bodies as lines in a file.
//!
//! A new file is begun at every start of the agent. Not here: rolling by time, which Flume does
//! every 30 s, and a sync to disk, which Flume does not do either.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::SinkWriter;
use crate::channel::StoredEvent;

/// File names tried before giving up; they clash only if two agents share directory and time.
const NAMES_TRIED_MAX: u32 = 1000;

/// Writes to `DIRECTORY/MILLIS-COUNTER`, as Flume's default path manager names files.
pub(super) struct FileRoll {
    directory: PathBuf,
    series_millis: u128,
    counter: u32,
    file: Option<File>,
    lines: Vec<u8>,
}

impl FileRoll {
    pub(super) fn new(directory: PathBuf) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            directory,
            series_millis: since_epoch.unwrap_or_default().as_millis(),
            counter: 0,
            file: None,
            lines: Vec::new(),
        }
    }
}

impl FileRoll {
    fn next_file(&mut self) -> io::Result<File> {
        if !fs::metadata(&self.directory)?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        for _ in 0..NAMES_TRIED_MAX {
            self.counter += 1;
            let name = format!("{}-{}", self.series_millis, self.counter);
            match File::create_new(self.directory.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => return file,
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }
}

impl SinkWriter for FileRoll {
    fn start(&mut self) -> io::Result<()> {
        self.file = None;
        let file = self.next_file().map_err(|error| {
            let directory = self.directory.display();
            io::Error::new(error.kind(), format!("{directory}: {error}"))
        })?;
        self.file = Some(file);
        Ok(())
    }

    fn write(&mut self, events: &[StoredEvent]) -> io::Result<()> {
        self.lines.clear();
        for event in events {
            self.lines.extend_from_slice(event.view().body());
            self.lines.push(b'\n');
        }
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        file.write_all(&self.lines)
    }
}
