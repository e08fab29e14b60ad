//! The file_roll sink: bodies as lines in a file.
//!
//! A new file is begun at every start of the agent, and with the first event after the roll
//! interval; Flume begins one even without events. Not here: a sync to disk, which Flume does not
//! do either.

use std::fs::{self, File};
use std::io::{self, Write};
use std::time::Instant;

use super::SinkWriter;
use crate::channel::StoredEvent;
use crate::clock::millis_since_1970;
use crate::config::FileRollSinkConfig;

/// File names tried before giving up; they clash only if two agents share directory and time.
const NAMES_TRIED_MAX: u32 = 1000;

/// Writes to `DIRECTORY/PREFIXMILLIS-COUNTER`, as Flume's default path manager names files.
pub(crate) struct FileRoll {
    config: FileRollSinkConfig,
    series_millis: u64,
    counter: u32,
    file: Option<Open>,
    lines: Vec<u8>,
}

struct Open {
    file: File,
    since: Instant,
}

impl FileRoll {
    /// Begins the first file.
    pub(crate) fn open(config: FileRollSinkConfig) -> io::Result<Self> {
        let mut sink = Self {
            config,
            series_millis: millis_since_1970(),
            counter: 0,
            file: None,
            lines: Vec::new(),
        };
        sink.roll()?;
        Ok(sink)
    }

    fn roll(&mut self) -> io::Result<()> {
        self.file = None;
        let file = self.next_file().map_err(|error| {
            // Escaped: a path may have been read with control characters in it.
            let directory = self.config.directory.display().to_string();
            let directory = directory.escape_debug();
            io::Error::new(error.kind(), format!("{directory}: {error}"))
        })?;
        let since = Instant::now();
        self.file = Some(Open { file, since });
        Ok(())
    }

    fn next_file(&mut self) -> io::Result<File> {
        let FileRollSinkConfig {
            directory,
            prefix,
            extension,
            ..
        } = &self.config;
        if !fs::metadata(directory)?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        for _ in 0..NAMES_TRIED_MAX {
            self.counter += 1;
            let dot = if extension.is_empty() { "" } else { "." };
            let name = format!(
                "{prefix}{}-{}{dot}{extension}",
                self.series_millis, self.counter
            );
            match File::create_new(directory.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => return file,
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }
}

impl SinkWriter for FileRoll {
    fn write(&mut self, events: &[StoredEvent]) -> io::Result<()> {
        let interval = self.config.roll_interval;
        let is_fresh =
            |open: &Open| interval.is_none_or(|interval| open.since.elapsed() < interval);
        if !self.file.as_ref().is_some_and(is_fresh) {
            self.roll()?;
        }
        self.lines.clear();
        for event in events {
            self.lines.extend_from_slice(event.view().body());
            if self.config.append_newline {
                self.lines.push(b'\n');
            }
        }
        let open = self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        open.file.write_all(&self.lines)
    }
}
