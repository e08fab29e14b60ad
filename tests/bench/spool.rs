//! Durable writes: the spool's log beside the bare system calls, on the same disk.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flume_client::Event;
use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{
    CURSOR_BYTES, Directory, Level, Log, NetworkFileSystem, Settings, frame_bytes,
};
use flume_tests::median;

const SETTINGS: Settings = Settings {
    segment_bytes: 16 * 1024 * 1024,
    frame_bytes_max: 2 * 1024 * 1024,
    bytes_max: 8 * 16 * 1024 * 1024 + CURSOR_BYTES as u64,
    free_bytes_min: 0,
};
/// Events in a commit.
const COMMITS: [usize; 3] = [1, 32, 1_000];
const BODY_BYTES: usize = 170;

/// Writes that are durable one by one.
trait Job {
    fn commit(&mut self) -> std::io::Result<()>;
}

/// What the disk can do: a `pwrite` and an `fdatasync` in a file that has its blocks.
struct Raw {
    file: File,
    bytes: Vec<u8>,
    offset: u64,
}

/// The same in a file that grows.
struct Growing(Raw);

struct Spool {
    log: Log,
    ends: Vec<u32>,
    datums: Vec<u8>,
    unsaved: u32,
}

impl Job for Raw {
    fn commit(&mut self) -> std::io::Result<()> {
        if self.offset + self.bytes.len() as u64 > SETTINGS.segment_bytes {
            self.offset = 0;
        }
        self.file.write_all_at(&self.bytes, self.offset)?;
        self.offset += self.bytes.len() as u64;
        self.file.sync_data()
    }
}

impl Job for Growing {
    fn commit(&mut self) -> std::io::Result<()> {
        self.0.file.write_all_at(&self.0.bytes, self.0.offset)?;
        self.0.offset += self.0.bytes.len() as u64;
        self.0.file.sync_data()
    }
}

impl Job for Spool {
    fn commit(&mut self) -> std::io::Result<()> {
        let first = self.log.push(&self.ends, &self.datums, Level::EndToEnd);
        self.log.flush(0).map_err(std::io::Error::other)?;
        // Read and acknowledged at once, so that the disk holds a few segments.
        self.log.retire(SeqRange::of(first, self.ends.len() as u64));
        self.unsaved += 1;
        if self.unsaved == 100 {
            self.unsaved = 0;
            let saved = self.log.save().and_then(|()| self.log.reserve());
            saved.map_err(std::io::Error::other)?;
        }
        Ok(())
    }
}

impl Spool {
    fn new(directory: &Path, events: usize) -> Result<Self, Box<dyn std::error::Error>> {
        let directory = Directory::open(&directory.join("spool"), NetworkFileSystem::Refused)?;
        let (mut log, _) = Log::open(Arc::new(directory), SETTINGS, 1)?;
        // What was not saved of the job before.
        log.retire(SeqRange::new(Seq::ZERO, log.readable_upto()));
        let event = Event::new(vec![b'x'; BODY_BYTES])
            .header("host", "web-1")
            .header("level", "INFO");
        let (mut ends, mut datums) = (Vec::new(), Vec::new());
        for _ in 0..events {
            datums.extend_from_slice(event.as_datum());
            ends.push(datums.len() as u32);
        }
        Ok(Self {
            log,
            ends,
            datums,
            unsaved: 0,
        })
    }
}

fn raw(path: &Path, bytes: usize, blocks: bool) -> std::io::Result<Raw> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).open(path)?;
    file.set_len(0)?;
    if blocks {
        file.write_all_at(&vec![0; SETTINGS.segment_bytes as usize], 0)?;
    }
    file.sync_all()?;
    Ok(Raw {
        file,
        bytes: vec![b'x'; bytes],
        offset: 0,
    })
}

/// Microseconds of a commit, in the middle.
fn time(job: &mut dyn Job, commits: u64) -> std::io::Result<f64> {
    let mut figures = Vec::new();
    for _ in 0..commits {
        let begin = Instant::now();
        job.commit()?;
        figures.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut figures))
}

pub(crate) fn run(rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let directory = tempfile::tempdir_in(target)?;
    println!("Durable commits, microseconds in the middle, median of {rounds} rounds");
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>12}",
        "events", "raw", "spool", "growing", "spool / raw"
    );
    for events in COMMITS {
        let mut spool = Spool::new(directory.path(), events)?;
        let bytes = frame_bytes(events, spool.datums.len());
        let mut raw_file = raw(&directory.path().join("raw"), bytes, true)?;
        let mut growing = Growing(raw(&directory.path().join("growing"), bytes, false)?);
        let commits = (20_000 / events as u64).clamp(100, 1_000);
        let mut figures = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let jobs: [&mut dyn Job; 3] = [&mut raw_file, &mut spool, &mut growing];
            for (figures, job) in figures.iter_mut().zip(jobs) {
                figures.push(time(job, commits)?);
            }
        }
        let [raw, ours, growing] = figures.map(|mut figures| median(&mut figures));
        println!(
            "{events:>8} {raw:>10.1} {ours:>10.1} {growing:>10.1} {:>11.2}x",
            ours / raw
        );
    }
    Ok(())
}
