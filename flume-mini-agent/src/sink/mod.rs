//! Sinks: what becomes of the events that leave the channel.

pub(crate) mod avro;
pub(crate) mod collect;
pub(crate) mod file_roll;
pub(crate) mod logger;
pub(crate) mod null;
pub(crate) mod worker;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::channel::StoredEvent;

/// What the agent does with the events it has accepted.
#[derive(Default)]
#[non_exhaustive]
pub enum Sink {
    /// Keeps them in memory for [`MiniAgent::received`](crate::MiniAgent::received). The default.
    #[default]
    Collect,
    /// Drops them; they are counted.
    Null,
    /// Writes one line per event: headers and the first 16 bytes of the body, as Flume's logger
    /// sink does. [`Sink::logger`] writes to standard output.
    Logger {
        /// Where the lines go. A write that blocks stops the whole agent until it returns.
        output: Box<dyn Write + Send>,
    },
    /// Writes body and line feed of each event to a file, a new one at every start.
    FileRoll {
        /// An existing directory for the files.
        directory: PathBuf,
    },
}

impl Sink {
    /// A [`Sink::Logger`] to standard output.
    #[must_use]
    pub fn logger() -> Self {
        Self::Logger {
            output: Box::new(io::stdout()),
        }
    }

    /// The sink's type in a Flume configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Null => "null",
            Self::Logger { .. } => "logger",
            Self::FileRoll { .. } => "file_roll",
        }
    }
}

/// Where all logger sinks of an agent write, over its reloads.
#[derive(Clone)]
pub(crate) struct SharedOutput(Arc<Mutex<Box<dyn Write + Send>>>);

impl SharedOutput {
    pub(crate) fn new(output: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(output)))
    }

    fn locked(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedOutput").finish_non_exhaustive()
    }
}

impl Write for SharedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.locked().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.locked().flush()
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sink").field(&self.name()).finish()
    }
}

/// The working part of a sink that writes; [`avro`] has its own. It is made at every start of the
/// agent, and lets go of what it holds when it is dropped.
pub(crate) trait SinkWriter: Send {
    /// Writes the events of one transaction, which is rolled back on an error.
    fn write(&mut self, events: &[StoredEvent]) -> io::Result<()>;
}
