//! Where the peers' events end: all is made as for a real end, and counted.

use std::any::Any;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use logforth::layout::JsonLayout;
use logforth::{Append, Diagnostic, Layout, record::Record};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, SdkLoggerProvider,
};

use crate::running::{Result, Through};

const BUFFER_BYTES: usize = 64 * 1024;

const WAIT_MAX: Duration = Duration::from_secs(120);

/// Waits for a number of events, and holds what they go through.
pub(crate) struct Count {
    events: Arc<AtomicU64>,
    flush: Box<dyn FnMut()>,
    _alive: Box<dyn Any>,
}

impl Count {
    fn new(events: &Arc<AtomicU64>) -> Self {
        Self {
            events: events.clone(),
            flush: Box::new(|| ()),
            _alive: Box::new(()),
        }
    }

    /// Keeps this until the end.
    pub(crate) fn with(mut self, alive: impl Any) -> Self {
        self._alive = Box::new(alive);
        self
    }
}

impl Through for Count {
    fn wait(&mut self, calls: u64) -> Result<()> {
        (self.flush)();
        let events = || self.events.load(Ordering::Acquire);
        let waited = flume_tests::wait_until("the last event", WAIT_MAX, || events() >= calls);
        match events() {
            arrived if arrived == calls => Ok(waited?),
            arrived => Err(format!("{calls} calls, but {arrived} events").into()),
        }
    }
}

fn null() -> io::Result<File> {
    OpenOptions::new().write(true).open("/dev/null")
}

/// A file that counts the lines written to it.
pub(crate) struct CountedFile {
    file: Box<dyn Write + Send>,
    lines: Arc<AtomicU64>,
    /// A write may have several lines, or a part of one. Counting costs some 10 ns a line.
    has_several: bool,
}

impl CountedFile {
    /// `/dev/null`, for those that write each line, or its end, in a call of its own.
    pub(crate) fn null() -> Result<(Self, Count)> {
        let lines = Arc::new(AtomicU64::new(0));
        let count = Count::new(&lines);
        let it = Self {
            file: Box::new(null()?),
            lines,
            has_several: false,
        };
        Ok((it, count))
    }

    /// The same behind a buffer, for those that write each piece of a line in a call of its own.
    pub(crate) fn buffered_null() -> Result<(Self, Count)> {
        let (mut it, count) = Self::null()?;
        it.file = Box::new(io::BufWriter::with_capacity(BUFFER_BYTES, it.file));
        Ok((it, count))
    }

    /// `/dev/null`, for those that write several at once.
    pub(crate) fn null_of_lines() -> Result<(Self, Count)> {
        let (mut it, count) = Self::null()?;
        it.has_several = true;
        Ok((it, count))
    }
}

impl Write for CountedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        let lines = if self.has_several {
            bytes.iter().filter(|byte| **byte == b'\n').count() as u64
        } else {
            u64::from(bytes.last() == Some(&b'\n'))
        };
        if lines > 0 {
            self.lines.fetch_add(lines, Ordering::Release);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// For OpenTelemetry: counts the records of each batch.
#[derive(Debug)]
pub(crate) struct CountingExporter(Arc<AtomicU64>);

impl CountingExporter {
    pub(crate) fn provider(slots: usize) -> (SdkLoggerProvider, Count) {
        let records = Arc::new(AtomicU64::new(0));
        let config = BatchConfigBuilder::default().with_max_queue_size(slots);
        let processor = BatchLogProcessor::builder(Self(records.clone()))
            .with_batch_config(config.build())
            .build();
        let provider = SdkLoggerProvider::builder()
            .with_log_processor(processor)
            .build();
        let mut count = Count::new(&records);
        let flushed = provider.clone();
        // What it could not flush is missing in the count.
        count.flush = Box::new(move || drop(flushed.force_flush()));
        (provider, count)
    }
}

impl LogExporter for CountingExporter {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records = batch.iter().count() as u64;
        self.0.fetch_add(records, Ordering::Release);
        Ok(())
    }
}

/// For logforth: formats each record and writes it to `/dev/null`.
pub(crate) struct FormattedAway {
    layout: JsonLayout,
    file: File,
    records: Arc<AtomicU64>,
}

impl FormattedAway {
    pub(crate) fn null() -> Result<(Self, Count)> {
        let records = Arc::new(AtomicU64::new(0));
        let count = Count::new(&records);
        let it = Self {
            layout: JsonLayout::default(),
            file: null()?,
            records,
        };
        Ok((it, count))
    }
}

impl fmt::Debug for FormattedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormattedAway").finish_non_exhaustive()
    }
}

impl Append for FormattedAway {
    fn append(
        &self,
        record: &Record<'_>,
        diagnostics: &[Box<dyn Diagnostic>],
    ) -> std::result::Result<(), logforth::Error> {
        let mut line = self.layout.format(record, diagnostics)?;
        line.push(b'\n');
        let written = (&self.file).write_all(&line);
        written.map_err(|error| logforth::Error::new("/dev/null").with_source(error))?;
        self.records.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn flush(&self) -> std::result::Result<(), logforth::Error> {
        Ok(())
    }
}
