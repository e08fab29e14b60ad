//! Spools made as a service makes them, and damaged as disks do it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flume_client::Event;
use flume_client::spool::{
    CURSOR_BYTES, Directory, Level, Log, NetworkFileSystem, SEGMENT_HEADER_BYTES, Settings, Survey,
};
use tempfile::TempDir;

/// When the first events are stored; each further write is a second later.
pub(crate) const TIME_MS: u64 = 1_700_000_000_000;

pub(crate) const SETTINGS: Settings = Settings {
    segment_bytes: 16 * 1024,
    frame_bytes_max: 4 * 1024,
    bytes_max: 64 * 16 * 1024 + CURSOR_BYTES as u64,
    free_bytes_min: 0,
};

static SEEDS: AtomicU64 = AtomicU64::new(1);

/// A directory for a spool, and room beside it.
pub(crate) struct TestSpool {
    home: TempDir,
}

/// The writing side of a spool, which has its lock.
pub(crate) struct Writer {
    pub(crate) log: Log,
    time_ms: u64,
}

impl TestSpool {
    pub(crate) fn new() -> Self {
        let home = TempDir::with_prefix("flume-spool-").unwrap();
        Self { home }
    }

    /// A spool with so many numbered events, in writes of ten, each in its frame.
    pub(crate) fn of(events: u64) -> Self {
        let spool = Self::new();
        spool.log().write_numbered(0..events);
        spool
    }

    /// A spool of which some events are delivered, a frame and a whole segment are damaged, and most
    /// can be read. With the file of the segment.
    pub(crate) fn damaged() -> (Self, String) {
        let spool = Self::new();
        let mut log = spool.log();
        log.write_numbered(0..400);
        log.log.retire((20..30).into());
        log.deliver(0..7);
        drop(log);
        spool.damage_text("<event 157>");
        let gone = spool.damage_text("<event 333>");
        spool.damage(&gone, 0..SEGMENT_HEADER_BYTES);
        (spool, gone)
    }

    /// Where it is: a directory of its own in [`home`](Self::home).
    pub(crate) fn path(&self) -> PathBuf {
        self.beside("orders")
    }

    pub(crate) fn dir(&self) -> String {
        self.path().display().to_string()
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Opens it to write; whoever has this has the lock.
    pub(crate) fn log(&self) -> Writer {
        Writer::open(&self.path(), SETTINGS)
    }

    /// Opens a spool elsewhere to write.
    pub(crate) fn at(path: &Path) -> Writer {
        Writer::open(path, SETTINGS)
    }

    /// All files and what is in them, but for the lock's.
    pub(crate) fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path()).unwrap().map(Result::unwrap);
        entries
            .filter(|entry| entry.file_name() != "LOCK")
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect()
    }

    /// Flips a bit in the first letter of this text, and tells the file's name.
    pub(crate) fn damage_text(&self, text: &str) -> String {
        let place = |bytes: &[u8]| {
            bytes
                .windows(text.len())
                .position(|it| it == text.as_bytes())
        };
        let content = self.content().into_iter();
        let mut found = content.filter_map(|(name, bytes)| place(&bytes).map(|at| (name, at)));
        let (name, at) = found
            .next()
            .unwrap_or_else(|| panic!("{text:?} is nowhere"));
        self.damage(&name, at..at + 1);
        name
    }

    /// Makes a segment one of version 2 of the format, whole as it is.
    pub(crate) fn make_foreign(&self, segment: &Path) {
        let mut content = fs::read(segment).unwrap();
        let half = SEGMENT_HEADER_BYTES / 2;
        for copy in content[..SEGMENT_HEADER_BYTES].chunks_mut(half) {
            copy[8] = 2;
            let sum = crc(&copy[..half - 4]).to_le_bytes();
            copy[half - 4..].copy_from_slice(&sum);
        }
        fs::write(segment, content).unwrap();
    }

    /// Flips a bit in each of these bytes.
    pub(crate) fn damage(&self, file: &str, bytes: std::ops::Range<usize>) {
        let path = self.path().join(file);
        let mut content = fs::read(&path).unwrap();
        content[bytes].iter_mut().for_each(|byte| *byte ^= 1);
        fs::write(path, content).unwrap();
    }
}

impl Writer {
    pub(crate) fn open(path: &Path, settings: Settings) -> Self {
        let directory = Directory::open(path, NetworkFileSystem::Allowed).unwrap();
        // Each spool is of another client.
        let seed = SEEDS.fetch_add(1, Ordering::Relaxed);
        let (log, opened) = Log::open(Arc::new(directory), settings, seed).unwrap();
        assert!(opened.trouble.is_none(), "{opened:?}");
        let time_ms = TIME_MS;
        Self { log, time_ms }
    }

    /// Events of one write.
    pub(crate) fn write(&mut self, events: &[Event]) {
        let datums: Vec<_> = events.iter().map(Event::as_datum).collect();
        self.write_datums(&datums);
    }

    pub(crate) fn write_datums(&mut self, datums: &[&[u8]]) {
        let mut ends = Vec::new();
        let mut bytes = Vec::new();
        for datum in datums {
            bytes.extend_from_slice(datum);
            ends.push(bytes.len() as u32);
        }
        self.log.push(&ends, &bytes, Level::EndToEnd);
        self.log.flush(self.time_ms).unwrap();
        self.time_ms += 1_000;
    }

    pub(crate) fn write_numbered(&mut self, numbers: std::ops::Range<u64>) {
        let numbers: Vec<_> = numbers.collect();
        for ten in numbers.chunks(10) {
            let events: Vec<_> = ten.iter().map(|number| numbered_event(*number)).collect();
            self.write(&events);
        }
    }

    /// These events were delivered.
    pub(crate) fn deliver(&mut self, numbers: std::ops::Range<u64>) {
        self.log.retire(numbers.into());
        self.log.save().unwrap();
    }
}

/// CRC-32, as the format has it.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}

/// An event of about a hundred bytes.
pub(crate) fn numbered_event(number: u64) -> Event {
    let body = format!("<event {number}> {}", "x".repeat(60));
    Event::new(body)
        .header("host", "web-1")
        .header("number", number.to_string())
}

/// The datums that wait in a spool, in order.
pub(crate) fn datums(path: &Path) -> Vec<Vec<u8>> {
    let mut datums = Vec::new();
    Survey::take(&Directory::look(path).unwrap(), |event| {
        datums.push(event.datum.to_vec());
        Ok(())
    })
    .unwrap();
    datums
}

/// Those of numbered events.
pub(crate) fn numbered_datums(numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<u8>> {
    let events = numbers.into_iter().map(numbered_event);
    events.map(|event| event.as_datum().to_vec()).collect()
}
