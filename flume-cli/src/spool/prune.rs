//! `flume spool prune`: files that are only in the way.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use flume_client::spool::{
    Directory, FileName, SEGMENT_HEADER_BYTES, SegmentTrouble, Storage, Survey, SurveyedSegment,
};
use serde::Serialize;

use super::examined::{Examined, client_text};
use super::problem::Problem;
use super::source::{ANY, Spool};
use super::table::Table;
use crate::exit::Exit;
use crate::output::{self, SCHEMA};
use crate::text::{self, bytes, plain, plural, reason};

/// List the segments that a spool has set aside, and delete them if told to.
///
/// What may hold events that were never sent is not deleted: segments, the cursor, and files set
/// aside in which such events can be read. Spare files stay too, for a spool needs one to start on
/// a full disk.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct PruneArgs {
    /// The spool
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Delete what is listed. The spool must not be in use
    #[arg(long)]
    yes: bool,

    /// List files too that no spool makes
    #[arg(long)]
    foreign: bool,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
A damaged segment is set aside when what could be read of it is delivered, or when its header
cannot be read. Nothing reads it any more; it is there for whoever wants to look into it.

Exits with 0 if everything listed is deleted, or without --yes; 1 if something could not be
deleted; 7 with --yes if the spool is in use.";

const ADVICE: &str = "\
To have the events of a file that stays, copy it to a directory of its own, named seg- in place of
quarantine-, and export or drain that.";

/// The lock's file, which every spool has.
const LOCK: &str = "LOCK";

/// A file that can go.
#[derive(Debug, Serialize)]
struct Leftover {
    file: String,
    bytes: u64,
    what: String,
    /// It may hold events that were never sent.
    stays: bool,
    deleted: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    directory: String,
    leftovers: &'a [Leftover],
    bytes_freed: u64,
}

pub(super) fn run(args: &PruneArgs) -> Result<Exit, Problem> {
    // Before the lock, which would be made in any directory.
    let spool = Spool::look(&args.dir)?;
    let directory = match args.yes {
        true => Directory::open(&args.dir, ANY)?,
        false => Directory::look(&args.dir)?,
    };
    if !args.yes
        && let Some(holder) = spool.holder()?
    {
        output::note(format_args!(
            "{} is in use by {holder}: stop it before you say --yes",
            text::path(&args.dir)
        ));
    }
    let mut leftovers = quarantined(&spool)?;
    if args.foreign {
        leftovers.extend(foreign(&args.dir)?);
    }
    let mut failed = false;
    if args.yes {
        for leftover in leftovers.iter_mut().filter(|it| !it.stays) {
            let path = args.dir.join(&leftover.file);
            match fs::remove_file(&path) {
                Ok(()) => leftover.deleted = true,
                Err(error) => {
                    failed = true;
                    let path = text::path(&path);
                    output::note(format_args!("cannot delete {path}: {}", reason(&error)));
                }
            }
        }
        let synced = directory.sync_directory();
        synced.map_err(Problem::io("sync", &args.dir))?;
    }
    let written = match args.json {
        true => output::json(&Line {
            schema: SCHEMA,
            directory: args.dir.display().to_string(),
            leftovers: &leftovers,
            bytes_freed: sum(&leftovers, true).1,
        }),
        false => output::data(text(args, &leftovers)),
    };
    let exit = if failed {
        Exit::Unexpected
    } else {
        Exit::Complete
    };
    Ok(exit.unless(!written))
}

/// How many of the files are deleted or, if none is, can be, and their bytes.
fn sum(leftovers: &[Leftover], deleted: bool) -> (String, u64) {
    let leftovers = leftovers
        .iter()
        .filter(|it| !it.stays && it.deleted == deleted);
    let files = plural(leftovers.clone().count() as u64, "file");
    (files, leftovers.map(|it| it.bytes).sum())
}

fn text(args: &PruneArgs, leftovers: &[Leftover]) -> String {
    if leftovers.is_empty() {
        return format!("{}: nothing to delete", text::path(&args.dir));
    }
    let mut table = Table::new(&["FILE", ">SIZE", "WHAT IT IS"]);
    for it in leftovers {
        table.push(vec![
            it.file.escape_debug().to_string(),
            bytes(it.bytes),
            it.what.clone(),
        ]);
    }
    let (files, freed) = sum(leftovers, args.yes);
    let outcome = match args.yes {
        true => format!("{files} deleted, {} freed", bytes(freed)),
        false => format!(
            "{files} can be deleted, {}; say --yes to delete",
            bytes(freed)
        ),
    };
    let advice = match leftovers.iter().any(|it| it.stays) {
        true => format!("\n{ADVICE}"),
        false => String::new(),
    };
    format!("{}\n{outcome}{advice}", table.text())
}

fn quarantined(spool: &Spool) -> Result<Vec<Leftover>, Problem> {
    let mut leftovers = Vec::new();
    for (file, bytes) in spool.files()? {
        let FileName::Quarantine(id) = file else {
            continue;
        };
        let (what, stays) = judge(spool, id)?;
        leftovers.push(Leftover {
            file: file.to_string(),
            bytes,
            what,
            stays,
            deleted: false,
        });
    }
    Ok(leftovers)
}

/// What a segment is that was set aside, and whether it may hold events that somebody wants.
fn judge(spool: &Spool, id: u64) -> Result<(String, bool), Problem> {
    let mut found = Examined::of(&spool.aside(id, true)?, 0)?.survey;
    let trouble = |survey: &Survey| survey.segments.first().and_then(|it| it.trouble.clone());
    let mut whose = "segment".to_owned();
    if trouble(&found) == Some(SegmentTrouble::OtherClient) {
        found = Examined::of(&spool.aside(id, false)?, 0)?.survey;
        let client = found.client.map(client_text).unwrap_or_default();
        whose = format!("segment of client {client}");
    }
    let is_misnamed = found
        .segments
        .first()
        .is_some_and(SurveyedSegment::is_misnamed);
    Ok(match trouble(&found) {
        _ if is_misnamed => (format!("{whose} under another one's name; STAYS"), true),
        Some(SegmentTrouble::Damaged) => {
            let what = "segment whose header is damaged; nothing in it can be read";
            (what.to_owned(), false)
        }
        None | Some(SegmentTrouble::OneCopyDamaged) => match found.events() {
            0 => (
                format!("{whose}; all that can be read in it was sent"),
                false,
            ),
            events => {
                let events = plural(events, "event");
                (
                    format!("{whose}; STAYS: {events} in it may not have been sent"),
                    true,
                )
            }
        },
        Some(SegmentTrouble::OtherVersion(version)) => {
            (format!("segment of format version {version}; STAYS"), true)
        }
        Some(SegmentTrouble::Unreadable(why)) => (
            format!("segment that cannot be read; STAYS: {}", plain(&why)),
            true,
        ),
        Some(_) => (format!("{whose} under another one's name; STAYS"), true),
    })
}

/// Ordinary files of names that a spool does not use.
fn foreign(dir: &Path) -> Result<Vec<Leftover>, Problem> {
    let failed = || Problem::io("read the directory", dir);
    let mut leftovers = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        // A name that is no text is none of ours, and cannot be shown to be confirmed.
        let Ok(file) = entry.file_name().into_string() else {
            continue;
        };
        // Not that of what a link leads to.
        let found = entry.metadata().map_err(failed())?;
        if file != LOCK && FileName::parse(&file).is_none() && found.is_file() {
            let path = entry.path();
            let stays = is_segment(&path).map_err(Problem::io("read", &path))?;
            let what = match stays {
                true => "copy of a segment; STAYS: its events may not have been sent",
                false => "foreign: no spool makes it",
            };
            leftovers.push(Leftover {
                file,
                bytes: found.len(),
                what: what.to_owned(),
                stays,
                deleted: false,
            });
        }
    }
    leftovers.sort_unstable_by(|one, other| one.file.cmp(&other.file));
    Ok(leftovers)
}

/// Whether a file has the header of a segment, whole or not.
fn is_segment(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    let head_bytes = SEGMENT_HEADER_BYTES as u64;
    File::open(path)?.take(head_bytes).read_to_end(&mut head)?;
    let copies = [head.get(..), head.get(SEGMENT_HEADER_BYTES / 2..)];
    let is_copy = |copy: &[u8]| copy.starts_with(b"FLSPOOL\n");
    Ok(copies.into_iter().flatten().any(is_copy))
}
