//! `flume spool verify`: everything is read, and the exit code tells whether it is sound.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::examined::{Examined, InUse};
use super::finding::Finding;
use super::problem::Problem;
use super::source::Spool;
use crate::exit::Exit;
use crate::output::{self, LostLine, SCHEMA};
use crate::text::{self, bytes, count, plural};
use crate::unread::UnreadableLine;

/// Check a spool: read all of it, and say which events are damaged in which segment.
///
/// Nothing is written. A write that a crash cut short is no damage: nobody was told that its
/// events are stored.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct VerifyArgs {
    /// The spool
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Exits with 0 if the spool is sound, 6 if it is damaged, 1 if it or a part of it cannot be read. A
cursor that is not there is told and is no damage: nothing is lost by it, but events may come again.

`flume spool export` and `flume spool repair` save what can be read of a damaged spool.";

#[derive(Serialize)]
struct Line {
    schema: u32,
    directory: String,
    sound: bool,
    pending: u64,
    pending_bytes: u64,
    lost: LostLine,
    #[serde(flatten)]
    in_use: InUse,
    unreadable: Vec<UnreadableLine>,
    findings: Vec<Finding>,
}

pub(super) fn run(args: &VerifyArgs) -> Result<Exit, Problem> {
    let spool = Spool::look(&args.dir)?;
    spool.note_other_places();
    let examined = Examined::of(&spool, 0)?;
    examined.note_holder(&spool);
    let findings = Finding::all(&examined);
    let exit = examined.exit();
    let written = if args.json {
        output::json(&Line {
            schema: SCHEMA,
            directory: args.dir.display().to_string(),
            sound: exit == Exit::Complete,
            pending: examined.survey.events(),
            pending_bytes: examined.event_bytes(),
            lost: LostLine::corrupt(examined.survey.lost()),
            in_use: examined.in_use(),
            unreadable: examined.unreadable(&args.dir),
            findings,
        })
    } else {
        output::data(text(args, &examined, &findings))
    };
    Ok(exit.unless(!written))
}

fn text(args: &VerifyArgs, examined: &Examined, findings: &[Finding]) -> String {
    let state = match examined.exit() {
        Exit::Complete if examined.is_misnamed() => "sound, but misnamed",
        Exit::Complete => "sound",
        Exit::Damaged => "DAMAGED",
        _ => "not all of it can be read",
    };
    let mut text = format!(
        "{}: {state}; {} pending, {}",
        text::path(&args.dir),
        plural(examined.survey.events(), "event"),
        bytes(examined.event_bytes())
    );
    if examined.survey.lost() > 0 {
        text.push_str(&format!("; {} lost", count(examined.survey.lost())));
    }
    for finding in findings {
        text.push_str(&format!("\n  {}", finding.text));
    }
    text
}
