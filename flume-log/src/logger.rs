//! [`Logger`]: turns records of the crate `log` into ours, and nothing else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flume_appender::capture::{Capture, InlineSite, LogPath, note_log_path};
use flume_appender::{Appender, BuildError, Builder, FrontEnd, Guard};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

use crate::levels::{finest, finest_of, level_of};
use crate::pairs;
use crate::shapes::Cursor;

/// The longest that [`log::Log::flush`] waits, which has no time of its own.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// A logger that delivers to Flume. Set one up with [`logger`](crate::logger). Cheap to clone.
#[derive(Clone)]
pub struct Logger {
    appender: Appender,
    capture: Capture,
    also: Arc<[Also]>,
}

/// The logger's own settings. [`LoggerBuilder`] sets them, or who makes a logger
/// [by hand](Logger::with_options).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LoggerOptions {
    also: Vec<Also>,
}

/// A logger beside ours.
struct Also {
    logger: Box<dyn Log>,
    finest: LevelFilter,
}

/// What a [`Builder`] of a [`Logger`] can do besides.
///
/// ```no_run
/// use flume_log::LoggerBuilder;
/// # fn example(env_logger: impl log::Log + 'static) -> Result<(), flume_log::InstallError> {
/// let guard = flume_log::logger()
///     .agent("avro://collector-1:4141")
///     .filter("info,hyper=warn")
///     .also_up_to(log::LevelFilter::Debug, env_logger)
///     .install()?;
/// # Ok(()) }
/// ```
pub trait LoggerBuilder: Sized {
    /// Hands every record to another logger as well, whatever our own filter is, also those that the
    /// client logs about its delivery. A program has one logger of the crate `log`, so this is the
    /// place for a second one. All levels are switched on for it.
    #[must_use]
    fn also(self, logger: impl Log + 'static) -> Self {
        self.also_up_to(LevelFilter::Trace, logger)
    }

    /// The same for records of this level and of greater ones. Calls that nobody wants cost least if
    /// this is no finer than what that logger writes.
    #[must_use]
    fn also_up_to(self, finest: LevelFilter, logger: impl Log + 'static) -> Self;

    /// Builds the logger and makes it the one of the crate `log`.
    ///
    /// # Errors
    ///
    /// If it cannot be built, or if there is another logger.
    fn install(self) -> Result<Guard, InstallError>;
}

/// A logger could not be installed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// It could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The crate `log` has one already.
    #[error("another logger of the crate `log` is installed; give it to `also` instead")]
    Taken(#[source] SetLoggerError),
}

impl fmt::Debug for InstallError {
    /// The message: it is what a `main` that returns the error prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl LoggerBuilder for Builder<Logger> {
    fn also_up_to(self, finest: LevelFilter, logger: impl Log + 'static) -> Self {
        let logger = Box::new(logger);
        self.options(|options| options.also.push(Also { logger, finest }))
    }

    fn install(self) -> Result<Guard, InstallError> {
        let (logger, guard) = self.build()?;
        logger.install().map_err(InstallError::Taken)?;
        Ok(guard)
    }
}

impl FrontEnd for Logger {
    type Options = LoggerOptions;

    fn new(appender: &Appender, options: LoggerOptions) -> Self {
        Self::with_options(appender, options)
    }
}

impl LoggerOptions {
    /// As [`LoggerBuilder::also_up_to`].
    #[must_use]
    pub fn also_up_to(mut self, finest: LevelFilter, logger: impl Log + 'static) -> Self {
        let logger = Box::new(logger);
        self.also.push(Also { logger, finest });
        self
    }
}

impl Logger {
    /// A logger of an appender that other front ends may use as well.
    #[must_use]
    pub fn new(appender: &Appender) -> Self {
        Self::with_options(appender, LoggerOptions::default())
    }

    /// The same, with settings of its own.
    #[must_use]
    pub fn with_options(appender: &Appender, options: LoggerOptions) -> Self {
        Self {
            appender: appender.clone(),
            capture: appender.capture(),
            also: options.also.into(),
        }
    }

    /// Makes it the logger of the crate `log`. That crate's greatest level follows the filter from
    /// now on, also when the [`Guard`] changes it.
    ///
    /// # Errors
    ///
    /// If there is another logger.
    pub fn install(self) -> Result<(), SetLoggerError> {
        log::set_boxed_logger(Box::new(self.clone()))?;
        let also = self.finest_also();
        log::set_max_level(also.max(finest_of(self.capture.least())));
        self.appender
            .on_filter(move |filter| log::set_max_level(also.max(finest(filter))));
        Ok(())
    }

    fn finest_also(&self) -> LevelFilter {
        let finest = self.also.iter().map(|also| also.finest);
        finest.max().unwrap_or(LevelFilter::Off)
    }

    fn capture(&self, record: &Record<'_>) {
        let level = level_of(record.level());
        if !self.capture.wants(level, record.target()) {
            return;
        }
        let Some(mut recorder) = self.capture.begin(level) else {
            return;
        };
        note_log_path(LogPath::Logger);
        let site = InlineSite {
            target: record.target(),
            module: record.module_path(),
            file: record.file(),
            line: record.line(),
        };
        let mut cursor = Cursor::begin(&mut recorder, level, &site);
        let message = cursor.message();
        let mut fields = recorder.fields();
        match record.args().as_str() {
            Some(text) => fields.text(message, text),
            None => fields.display(message, record.args()),
        }
        pairs::write(record.key_values(), &mut cursor, &mut fields);
        cursor.finish(recorder);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wants = self
            .capture
            .wants(level_of(metadata.level()), metadata.target());
        let takes = wants && self.capture.takes();
        takes || self.also.iter().any(|also| also.wants(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        self.capture(record);
        for also in self.also.iter() {
            if also.wants(record.metadata()) {
                also.logger.log(record);
            }
        }
    }

    /// Waits until everything logged so far is stored, for 2 s at the most.
    fn flush(&self) {
        self.capture.flush_stored(FLUSH_MAX);
        self.also.iter().for_each(|also| also.logger.flush());
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger")
            .field("also", &self.also)
            .finish_non_exhaustive()
    }
}

impl Also {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.finest && self.logger.enabled(metadata)
    }
}

impl fmt::Debug for Also {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Also")
            .field("finest", &self.finest)
            .finish_non_exhaustive()
    }
}
