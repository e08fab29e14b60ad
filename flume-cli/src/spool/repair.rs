//! `flume spool repair`: what can be read of a spool, as a new one that is sound.

use std::fs;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use flume_client::spool::{
    Directory, DirectoryError, Level, Log, SEGMENT_HEADER_BYTES, Settings, StoredEvent, frame_bytes,
};
use flume_client::wire::avro::datum::EventRef;
use serde::Serialize;

use super::ANY;
use super::examined::Examined;
use super::finding::Finding;
use super::new_file::{is_inside, sync_name, unfinished};
use super::problem::Problem;
use super::source::Spool;
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output::{self, LostLine, SCHEMA};
use crate::text::{self, bytes, count, plural};

/// Copy what can be read of a spool into a new, sound one, and report what is lost.
///
/// The spool itself is not changed, apart from the lock that is held meanwhile. The new one is
/// read back, event by event, before it gets its name; then give its directory to the service.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct RepairArgs {
    /// The spool
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// The directory to make
    #[arg(long, short, value_name = "NEWDIR")]
    output: PathBuf,

    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
The new spool has a client id of its own, so that no file of the old one is taken for one of it, and
numbers its events from 0. Order and bytes of the events stay, the header `guid` among them, by
which consumers can tell copies; and roughly the times at which they were stored. Use only one of
the two spools from then on, or the events are sent from both.

Exits with 0 if every pending event is in the new spool, 6 if some are lost by damage, 7 if the
spool is in use, 1 if a part of it cannot be read, or the new one cannot be written.";

/// Bytes of a segment where no file of the spool tells how large they were.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of events that are written and synced together, if no single one is larger.
const FRAME_BYTES: u64 = 256 * 1024;

#[derive(Serialize)]
struct Line {
    schema: u32,
    directory: String,
    output: String,
    events: u64,
    event_bytes: u64,
    lost: LostLine,
    /// What is stored in place of events and is none.
    skipped: u64,
    findings: Vec<Finding>,
}

pub(super) fn run(args: &RepairArgs) -> Result<Exit, Problem> {
    let spool = Spool::look(&args.dir)?;
    spool.note_other_places();
    check_output(args)?;
    let _lock = lock(&args.dir)?;
    let interrupts = Interrupts::watch().map_err(Problem::io("watch signals for", &args.dir))?;
    let examined = Examined::of(&spool, 0)?;
    let findings = Finding::all(&examined);
    let mut written = args.json || output::data(report(args, &examined, &findings));

    let settings = settings(&examined);
    let unfinished = Unfinished::make(&args.output)?;
    let mut copy = Copy::begin(&unfinished.0, &args.output, settings)?;
    spool.read(|event| {
        if interrupts.is_set() {
            return Err(Problem::Interrupted);
        }
        copy.push(&event)
    })?;
    let copied = copy.finish()?;
    read_back(&unfinished.0, &args.output, &copied)?;
    unfinished.finish(&args.output)?;

    let event_bytes = copied.event_bytes;
    let lost = examined.survey.lost();
    let skipped = examined.strange.count;
    written &= match args.json {
        true => output::json(&Line {
            schema: SCHEMA,
            directory: args.dir.display().to_string(),
            output: args.output.display().to_string(),
            events: copied.events,
            event_bytes,
            lost: LostLine::corrupt(lost),
            skipped,
            findings,
        }),
        false => output::data(format_args!(
            "{}: {} copied and read back, {}",
            text::path(&args.output),
            plural(copied.events, "event"),
            bytes(event_bytes)
        )),
    };
    Ok(examined.exit_of_copy().unless(!written))
}

fn check_output(args: &RepairArgs) -> Result<(), Problem> {
    let output = text::path(&args.output);
    if is_inside(&args.output, &args.dir) {
        return Err(Problem::Usage(format!(
            "{output} is in the spool itself; choose a directory elsewhere"
        )));
    }
    match fs::symlink_metadata(&args.output) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Problem::io("look at", &args.output)(error)),
        Ok(_) => Err(Problem::Usage(format!(
            "{output} is there already; choose a name that is not"
        ))),
    }
}

/// Keeps others from changing the spool. `None`: it is where nothing can be changed from here.
fn lock(dir: &Path) -> Result<Option<Directory>, Problem> {
    match Directory::open(dir, ANY) {
        Ok(directory) => Ok(Some(directory)),
        Err(error) if is_refused(&error) => match Directory::holder(dir)? {
            None => Ok(None),
            Some(holder) => Err(Problem::in_use(dir, holder)),
        },
        Err(error) => Err(error.into()),
    }
}

fn is_refused(error: &DirectoryError) -> bool {
    match error {
        DirectoryError::ForeignOwner { .. }
        | DirectoryError::WritableByAll { .. }
        | DirectoryError::Denied { .. } => true,
        DirectoryError::Io { source, .. } => source.kind() == io::ErrorKind::ReadOnlyFilesystem,
        _ => false,
    }
}

fn report(args: &RepairArgs, examined: &Examined, findings: &[Finding]) -> String {
    let skipped = examined.strange.count;
    let mut text = format!(
        "{}: {} can be saved, {} {} lost",
        text::path(&args.dir),
        plural(examined.survey.events() - skipped, "event"),
        count(examined.survey.lost() + skipped),
        if examined.survey.lost() + skipped == 1 {
            "is"
        } else {
            "are"
        },
    );
    for finding in findings {
        text.push_str(&format!("\n  {}", finding.text));
    }
    text
}

/// Trusts the disk only as far as it gives back what it was given.
fn read_back(path: &Path, output: &Path, copied: &Copied) -> Result<(), Problem> {
    let mut found = Copied::default();
    let examined = Examined::while_read(&Spool::look(path)?, |event| {
        found.add(event.datum);
        Ok(())
    })?;
    match examined.exit() == Exit::Complete && found.is_same(copied) {
        true => Ok(()),
        false => Err(Problem::ReadBack(output.to_owned())),
    }
}

/// Segments as large as they were, if the largest event fits.
fn settings(examined: &Examined) -> Settings {
    let block = SEGMENT_HEADER_BYTES as u64;
    let segment_bytes = examined.segment_bytes_max().unwrap_or(SEGMENT_BYTES);
    let half = segment_bytes.saturating_sub(block) / 2;
    let largest = frame_bytes(1, examined.datum_bytes_max.max(1)) as u64;
    let frame_bytes_max = half.min(FRAME_BYTES).max(largest);
    let least = block + 2 * frame_bytes_max.next_multiple_of(block);
    Settings {
        segment_bytes: segment_bytes.max(least),
        frame_bytes_max,
        // The disk is the only limit.
        bytes_max: u64::MAX / 2,
        free_bytes_min: 0,
    }
}

/// A directory under a temporary name, removed unless it is finished.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Unfinished {
    fn make(output: &Path) -> Result<Self, Problem> {
        let path = unfinished(output)?;
        #[cfg(unix)]
        let made =
            std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(&path);
        #[cfg(not(unix))]
        let made = fs::create_dir(&path);
        made.map_err(Problem::io("make the directory", output))?;
        Ok(Self(path))
    }

    fn finish(self, output: &Path) -> Result<(), Problem> {
        fs::rename(&self.0, output).map_err(Problem::io("make the directory", output))?;
        sync_name(output)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is not there if it was finished.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Events on their way into a new spool.
#[derive(Debug)]
struct Copy<'a> {
    /// For errors.
    output: &'a Path,
    log: Log,
    frame_bytes_max: u64,
    ends: Vec<u32>,
    datums: Vec<u8>,
    /// Of the events at hand: when the first was stored, and their promise.
    time_ms: u64,
    level: Level,
    copied: Copied,
}

/// What went into the new spool, or is read there.
#[derive(Clone, Debug, Default)]
struct Copied {
    events: u64,
    event_bytes: u64,
    /// Of all of them in order.
    digest: DefaultHasher,
}

impl Copied {
    fn add(&mut self, datum: &[u8]) {
        self.events += 1;
        self.event_bytes += datum.len() as u64;
        self.digest.write_usize(datum.len());
        self.digest.write(datum);
    }

    fn is_same(&self, other: &Self) -> bool {
        self.events == other.events && self.digest.finish() == other.digest.finish()
    }
}

impl<'a> Copy<'a> {
    fn begin(path: &Path, output: &'a Path, settings: Settings) -> Result<Self, Problem> {
        let directory = Directory::open(path, ANY)?;
        let seed = RandomState::new().hash_one(0_u64);
        let (log, opened) = Log::open(Arc::new(directory), settings, seed)
            .map_err(Problem::io("read the directory", path))?;
        if let Some(trouble) = opened.trouble {
            return Err(Problem::Spool(output.to_owned(), trouble));
        }
        Ok(Self {
            output,
            log,
            frame_bytes_max: settings.frame_bytes_max,
            ends: Vec::new(),
            datums: Vec::new(),
            time_ms: 0,
            level: Level::EndToEnd,
            copied: Copied::default(),
        })
    }

    fn push(&mut self, event: &StoredEvent<'_>) -> Result<(), Problem> {
        if EventRef::parse(event.datum).is_err() {
            return Ok(());
        }
        let bytes = frame_bytes(self.ends.len() + 1, self.datums.len() + event.datum.len());
        if bytes as u64 > self.frame_bytes_max || event.level != self.level {
            self.flush()?;
        }
        if self.ends.is_empty() {
            self.time_ms = event.time_ms;
            self.level = event.level;
        }
        self.datums.extend_from_slice(event.datum);
        self.ends.push(self.datums.len() as u32);
        self.copied.add(event.datum);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Problem> {
        self.log.push(&self.ends, &self.datums, self.level);
        self.ends.clear();
        self.datums.clear();
        let flushed = self.log.flush(self.time_ms);
        flushed.map_err(|trouble| Problem::Spool(self.output.to_owned(), trouble))
    }

    fn finish(mut self) -> Result<Copied, Problem> {
        self.flush()?;
        let saved = self.log.save();
        saved.map_err(|trouble| Problem::Spool(self.output.to_owned(), trouble))?;
        Ok(self.copied)
    }
}
