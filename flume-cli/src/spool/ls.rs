//! `flume spool ls`: a line for each spool.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use flume_client::spool::places;
use serde::Serialize;

use super::examined::{Examined, InUse, age};
use super::problem::Problem;
use super::source::Spool;
use super::table::Table;
use crate::exit::Exit;
use crate::output::{self, LostLine, SCHEMA};
use crate::text::{self, bytes, count};
use crate::unread::UnreadableLine;

/// List spools: how much waits in each, for how long, and whether they are sound.
///
/// A service that runs several times keeps a spool for each process: the directory it was given,
/// and `process-2` and so on in it. Every spool is read to its end. Nothing is written.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct LsArgs {
    /// A spool, or a directory with several spools in it
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  flume spool ls /var/spool/flume

Exits with 0 whatever is found, 1 if something cannot be read; `flume spool show` tells damage by its
exit code.";

#[derive(Serialize)]
struct Document {
    schema: u32,
    spools: Vec<SpoolLine>,
}

#[derive(Serialize)]
struct SpoolLine {
    directory: String,
    /// Why it cannot be read; then nothing else is known.
    error: Option<String>,
    #[serde(flatten)]
    found: Option<Found>,
}

#[derive(Serialize)]
struct Found {
    pending: u64,
    pending_bytes: u64,
    oldest_ms: Option<u64>,
    lost: LostLine,
    disk_bytes: u64,
    sound: bool,
    #[serde(flatten)]
    in_use: InUse,
    unreadable: Vec<UnreadableLine>,
}

pub(super) fn run(args: &LsArgs) -> Result<Exit, Problem> {
    let mut table = Table::new(&[
        "SPOOL", ">PENDING", ">BYTES", ">ON DISK", ">OLDEST", "STATE",
    ]);
    let mut lines = Vec::new();
    let mut failed = false;
    for directory in directories(&args.dir)? {
        match examine(&directory) {
            Ok(None) => {}
            Ok(Some(examined)) => {
                failed |= examined.exit() == Exit::Unexpected;
                table.push(row(&directory, &examined));
                lines.push(SpoolLine {
                    directory: directory.display().to_string(),
                    error: None,
                    found: Some(Found::new(&directory, &examined)),
                });
            }
            Err(problem) => {
                failed = true;
                output::note(&problem);
                lines.push(SpoolLine {
                    directory: directory.display().to_string(),
                    error: Some(problem.to_string()),
                    found: None,
                });
            }
        }
    }
    let written = if args.json {
        let schema = SCHEMA;
        output::json(&Document {
            schema,
            spools: lines,
        })
    } else if table.is_empty() {
        if !failed {
            output::note(format_args!(
                "there is no spool in {} or the directories in it",
                text::path(&args.dir)
            ));
        }
        true
    } else {
        output::data(table.text())
    };
    let exit = if failed {
        Exit::Unexpected
    } else {
        Exit::Complete
    };
    Ok(exit.unless(!written))
}

fn examine(directory: &Path) -> Result<Option<Examined>, Problem> {
    let spool = Spool::find(directory)?;
    spool.map(|spool| Examined::of(&spool, 0)).transpose()
}

/// Where spools can be: the directory itself, the directories in it, and in each of them the places
/// of further processes. By name.
fn directories(parent: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut directories = vec![parent.to_owned()];
    for entry in fs::read_dir(parent).map_err(Problem::io("read the directory", parent))? {
        let entry = entry.map_err(Problem::io("read the directory", parent))?;
        if entry.path().is_dir() {
            directories.extend(places(&entry.path()).filter(|place| place.is_dir()));
        }
    }
    directories.sort_unstable();
    Ok(directories)
}

fn row(directory: &Path, examined: &Examined) -> Vec<String> {
    vec![
        text::path(directory),
        count(examined.survey.events()),
        bytes(examined.event_bytes()),
        bytes(examined.disk_bytes()),
        examined.oldest_ms().map_or_else(|| "-".to_owned(), age),
        examined.state(),
    ]
}

impl Found {
    fn new(directory: &Path, examined: &Examined) -> Self {
        Self {
            pending: examined.survey.events(),
            pending_bytes: examined.event_bytes(),
            oldest_ms: examined.oldest_ms(),
            lost: LostLine::corrupt(examined.survey.lost()),
            disk_bytes: examined.disk_bytes(),
            sound: examined.exit() == Exit::Complete,
            in_use: examined.in_use(),
            unreadable: examined.unreadable(directory),
        }
    }
}
