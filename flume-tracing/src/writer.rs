//! [`FlumeWriter`]: takes the lines that `tracing_subscriber::fmt` writes.

use std::io;

use flume_appender::capture::{Capture, InlineSite, Key, RECORD_BYTES_MAX};
use flume_appender::{Appender, Level};
use tracing_core::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use crate::layer::level_of;

/// Takes what a formatter writes, for who wants to keep the format of `tracing_subscriber::fmt`: each
/// line is an event, with the level and the target of what it is about. Made by [`writer`].
///
/// What a formatter makes of an event costs several times what [`FlumeLayer`](crate::FlumeLayer)
/// costs.
#[derive(Clone, Debug)]
pub struct FlumeWriter {
    capture: Capture,
}

/// A writer for `tracing_subscriber::fmt`, of an appender that other front ends may use as well. With
/// the layout [`Raw`](flume_appender::Raw) the lines are bodies as they are.
///
/// ```no_run
/// use flume_appender::{Appender, Raw};
///
/// let (appender, guard) = Appender::builder()
///     .agent("avro://collector-1:4141")
///     .layout(Raw::new())
///     .build()?;
/// tracing_subscriber::fmt()
///     .with_ansi(false)
///     .with_writer(flume_tracing::writer(&appender))
///     .init();
/// # Ok::<(), flume_appender::BuildError>(())
/// ```
#[must_use]
pub fn writer(appender: &Appender) -> FlumeWriter {
    FlumeWriter {
        capture: appender.capture(),
    }
}

impl<'a> MakeWriter<'a> for FlumeWriter {
    type Writer = LineWriter<'a>;

    /// For lines that are about nothing in particular: they are of the level `INFO` and have no target.
    fn make_writer(&'a self) -> LineWriter<'a> {
        self.of(Level::Info, InlineSite::default())
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        let site = InlineSite {
            target: metadata.target(),
            module: metadata.module_path(),
            file: metadata.file(),
            line: metadata.line(),
        };
        self.of(level_of(metadata), site)
    }
}

impl FlumeWriter {
    fn of(&self, level: Level, site: InlineSite<'_>) -> LineWriter<'_> {
        LineWriter {
            capture: &self.capture,
            level,
            place: Place {
                target: site.target.into(),
                module: site.module.map(Into::into),
                file: site.file.map(Into::into),
                line: site.line,
            },
            rest: Vec::new(),
        }
    }
}

/// What the lines are about. The metadata do not last as long as their writer.
#[derive(Debug)]
struct Place {
    target: Box<str>,
    module: Option<Box<str>>,
    file: Option<Box<str>>,
    line: Option<u32>,
}

/// Makes an event of each line that is written. What has no end yet is one when this is dropped.
#[derive(Debug)]
pub struct LineWriter<'a> {
    capture: &'a Capture,
    level: Level,
    place: Place,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl io::Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(end) if self.rest.is_empty() => self.put(end),
                Some(end) => {
                    self.keep(end);
                    let line = std::mem::take(&mut self.rest);
                    self.put(&line);
                }
                None => self.keep(part),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LineWriter<'_> {
    /// Keeps the beginning of a line. More than what a record can hold would be cut in any case.
    fn keep(&mut self, part: &[u8]) {
        let room = (RECORD_BYTES_MAX + 1).saturating_sub(self.rest.len());
        self.rest.extend(part.iter().take(room));
    }

    fn put(&self, line: &[u8]) {
        if !self.capture.wants(self.level, &self.place.target) {
            return;
        }
        let Some(mut recorder) = self.capture.begin(self.level) else {
            return;
        };
        recorder.inline_site(&InlineSite {
            target: &self.place.target,
            module: self.place.module.as_deref(),
            file: self.place.file.as_deref(),
            line: self.place.line,
        });
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        recorder.fields().text(Key::Name("message"), &line);
        recorder.finish_inline(None);
    }
}

impl Drop for LineWriter<'_> {
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            let line = std::mem::take(&mut self.rest);
            self.put(&line);
        }
    }
}
