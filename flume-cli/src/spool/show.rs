//! `flume spool show`: all there is to know about a spool, and an exit code that tells whether it is
//! sound.

use std::path::PathBuf;

use clap::Args;
use flume_client::seq::{Seq, SeqRange};
use flume_client::spool::{FileName, Gap, Missing, SegmentTrouble, Survey, SurveyedSegment};
use serde::Serialize;

use super::event::{Bodies, EventLine};
use super::examined::{Examined, InUse, age, client_text, run_text};
use super::finding::Finding;
use super::problem::Problem;
use super::source::{Spool, cursor_word};
use super::table::Table;
use crate::exit::Exit;
use crate::output::{self, LostLine, SCHEMA};
use crate::text::{self, bytes, count, plural};
use crate::unread::UnreadableLine;

/// Show what is in a spool, and check it: what waits, and what is damaged in which segment.
///
/// All of it is read, and nothing is written. A write that a crash cut short is no damage: nobody
/// was told that its events are stored.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ShowArgs {
    /// The spool
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Show the first N pending events with their headers; for all, see `flume spool export`
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u16).range(..=1_000))]
    events: u16,

    /// Show the events' bodies too, which may be private
    #[arg(long, requires = "events")]
    bodies: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Exits with 0 if the spool is sound, 6 if it is damaged, 1 if it or a part of it cannot be read. A
cursor that is not there is told and is no damage: nothing is lost by it, but events may come again.

Of a damaged spool everything that can be read is delivered, by its service or by `flume spool
drain`; of the damaged files the first four are set aside. `flume spool export` saves what can be
read to a file.";

/// Ranges that are done with, as they are shown to people; scripts get all.
const RANGES_SHOWN_MAX: usize = 20;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    directory: String,
    client: Option<String>,
    sound: bool,
    #[serde(flatten)]
    in_use: InUse,
    cursor: &'static str,
    /// All events below are done with.
    watermark: u64,
    /// Events above it that are done with.
    retired: Vec<Range>,
    pending: u64,
    pending_bytes: u64,
    oldest_ms: Option<u64>,
    lost: LostLine,
    gaps: Vec<GapLine>,
    segments: Vec<SegmentLine>,
    files: Vec<FileLine>,
    unreadable: Vec<UnreadableLine>,
    findings: Vec<Finding>,
    events: Vec<EventLine<'a>>,
}

/// Event numbers, the last one among them.
#[derive(Debug, Serialize)]
struct Range {
    first: u64,
    last: u64,
}

#[derive(Serialize)]
struct GapLine {
    #[serde(flatten)]
    range: Range,
    durable: bool,
    events_max: u64,
    missing: &'static str,
    segment: Option<String>,
}

#[derive(Serialize)]
struct SegmentLine {
    file: String,
    bytes: u64,
    first_event: Option<u64>,
    /// What its events are named by, unless they were moved here; null for segments of before.
    run: Option<String>,
    begun_ms: Option<u64>,
    frames: u64,
    pending: u64,
    pending_bytes: u64,
    oldest_ms: Option<u64>,
    newest_ms: Option<u64>,
    header: &'static str,
}

#[derive(Serialize)]
struct FileLine {
    file: String,
    bytes: u64,
    kind: &'static str,
}

pub(super) fn run(args: &ShowArgs) -> Result<Exit, Problem> {
    let spool = Spool::look(&args.dir)?;
    spool.note_other_places();
    let examined = Examined::of(&spool, usize::from(args.events))?;
    examined.note_holder(&spool);
    let bodies = match args.bodies {
        true => Bodies::Shown,
        false => Bodies::Hidden,
    };
    let events = examined.first_events.iter();
    let events = events.filter_map(|event| event.line(bodies));
    let written = if args.json {
        output::json(&document(args, &examined, events.collect()))
    } else {
        let mut text = text(args, &examined);
        for event in events {
            text.push_str(&format!("\n\n{}", event.text(&age(event.stored_ms))));
        }
        output::data(text)
    };
    Ok(examined.exit().unless(!written))
}

fn document<'a>(args: &ShowArgs, examined: &Examined, events: Vec<EventLine<'a>>) -> Document<'a> {
    let survey = &examined.survey;
    Document {
        schema: SCHEMA,
        directory: args.dir.display().to_string(),
        client: survey.client.map(client_text),
        sound: examined.exit() == Exit::Complete,
        in_use: examined.in_use(),
        cursor: cursor_word(survey.cursor),
        watermark: survey.retired.watermark().number(),
        retired: retired(survey).into_iter().map(Range::of).collect(),
        pending: survey.events(),
        pending_bytes: examined.event_bytes(),
        oldest_ms: examined.oldest_ms(),
        lost: LostLine::corrupt(survey.lost()),
        gaps: survey.gaps.iter().map(GapLine::new).collect(),
        segments: survey.segments.iter().map(SegmentLine::new).collect(),
        files: survey.files.iter().map(FileLine::new).collect(),
        unreadable: examined.unreadable(&args.dir),
        findings: Finding::all(examined),
        events,
    }
}

fn text(args: &ShowArgs, examined: &Examined) -> String {
    let survey = &examined.survey;
    let mut lines = vec![
        format!("spool    {}", text::path(&args.dir)),
        format!("state    {}", examined.state()),
        format!("pending  {}", pending(examined)),
        format!("done     {}", done(survey)),
        format!(
            "client   {}",
            survey.client.map_or("not known".to_owned(), client_text)
        ),
        format!("cursor   {}", cursor_word(survey.cursor)),
        format!("on disk  {}", files(examined)),
    ];
    let files = survey.files.iter();
    for (file, size) in files.filter(|(file, _)| file.kind() == "quarantine") {
        lines.push(format!(
            "aside    {file}, {}: see `flume spool prune`",
            bytes(*size)
        ));
    }
    for Finding { damage, text, .. } in Finding::all(examined) {
        let label = if damage { "damage" } else { "note" };
        lines.push(format!("{label:<8} {text}"));
    }
    let mut table = Table::new(&[
        "SEGMENT",
        ">SIZE",
        ">FIRST EVENT",
        ">PENDING",
        ">BYTES",
        ">OLDEST",
        ">NEWEST",
        "HEADER",
    ]);
    for segment in &survey.segments {
        table.push(SegmentLine::new(segment).row());
    }
    if !table.is_empty() {
        lines.push(format!("\n{}", table.text()));
    }
    lines.join("\n")
}

fn pending(examined: &Examined) -> String {
    let events = plural(examined.survey.events(), "event");
    let oldest = examined.oldest_ms().map(age);
    let oldest = oldest.map_or_else(String::new, |age| format!(", the oldest stored {age} ago"));
    format!("{events}, {}{oldest}", bytes(examined.event_bytes()))
}

fn done(survey: &Survey) -> String {
    let done = &survey.retired;
    let ranges = retired(survey);
    let shown = ranges.iter().take(RANGES_SHOWN_MAX);
    let mut parts: Vec<_> = shown
        .map(|range| {
            let Range { first, last } = Range::of(*range);
            match begins_run(range.end) {
                true if range.end > range.first.later_run(1) => {
                    format!("{first} and further ones of runs up to {last}")
                }
                true => format!("{first} and further ones of its run"),
                false => format!("{first} to {last}"),
            }
        })
        .collect();
    if done.watermark() > Seq::ZERO {
        parts.insert(0, format!("all events below {}", done.watermark()));
    }
    if ranges.len() > RANGES_SHOWN_MAX {
        let more = ranges.len() - RANGES_SHOWN_MAX;
        parts.push(format!("and {more} more ranges"));
    }
    match parts.is_empty() {
        true => "no events yet".to_owned(),
        false => parts.join("; "),
    }
}

fn files(examined: &Examined) -> String {
    let count_of = |kind: &str| {
        let files = examined.survey.files.iter();
        files.filter(|(file, _)| file.kind() == kind).count() as u64
    };
    let kinds = ["segment", "spare", "quarantine"].map(|kind| (kind, count_of(kind)));
    let parts = kinds.iter().filter(|(_, files)| *files > 0);
    let parts = parts.map(|(kind, files)| match *kind {
        "quarantine" => format!("{} set aside", count(*files)),
        kind => plural(*files, kind),
    });
    let parts: Vec<_> = parts.collect();
    format!("{}: {}", bytes(examined.disk_bytes()), parts.join(", "))
}

/// Events above the watermark that are done with. Numbers that were never given to an event were not
/// done either: of the end of a run that nothing tells of any more, only those of a whole run are
/// shown.
fn retired(survey: &Survey) -> Vec<SeqRange> {
    let mut ranges = Vec::new();
    let mut at = survey.retired.watermark();
    while at < Seq::MAX {
        let (is_done, end) = survey.retired.run(at);
        while is_done && at < end {
            let (is_given, upto) = given(survey, at);
            let upto = upto.min(end);
            let whole = upto.run_first();
            // Whole runs are one range: a cursor can tell of more than fit into memory.
            let upto = match begins_run(at) && whole > at {
                true => whole,
                false => upto.min(at.later_run(1)),
            };
            if is_given && (!begins_run(upto) || begins_run(at)) {
                ranges.push(SeqRange::new(at, upto));
            }
            at = upto;
        }
        at = end;
    }
    ranges
}

/// Whether a number can have been given to an event, and up to where that holds.
fn given(survey: &Survey, number: Seq) -> (bool, Seq) {
    let mut unused = survey.unused.iter();
    if let Some(range) = unused.find(|range| range.contains(number)) {
        return (false, range.end);
    }
    let later = survey.unused.iter().map(|range| range.first);
    let next = later.filter(|first| *first > number).min();
    (true, next.unwrap_or(Seq::MAX))
}

fn begins_run(number: Seq) -> bool {
    number == number.run_first()
}

impl Range {
    /// Of one number at least.
    fn of(range: SeqRange) -> Self {
        Self {
            first: range.first.number(),
            last: range.end.number() - 1,
        }
    }
}

impl GapLine {
    fn new(gap: &Gap) -> Self {
        Self {
            range: Range::of(gap.range),
            durable: gap.missing == Missing::Lost,
            events_max: gap.events_max,
            missing: match gap.missing {
                Missing::Lost => "lost",
                Missing::Unfinished => "unfinished",
                Missing::Unreadable => "unreadable",
            },
            segment: gap.segment.map(|id| FileName::Segment(id).to_string()),
        }
    }
}

impl FileLine {
    fn new(&(file, bytes): &(FileName, u64)) -> Self {
        Self {
            file: file.to_string(),
            bytes,
            kind: file.kind(),
        }
    }
}

impl SegmentLine {
    fn new(segment: &SurveyedSegment) -> Self {
        Self {
            file: FileName::Segment(segment.id).to_string(),
            bytes: segment.bytes,
            first_event: segment.header.map(|header| header.first.number()),
            run: segment.header.and_then(|header| run_text(header.run_id)),
            begun_ms: segment.header.map(|header| header.time_ms),
            frames: segment.frames,
            pending: segment.events,
            pending_bytes: segment.event_bytes,
            oldest_ms: segment.times_ms.map(|(first, _)| first),
            newest_ms: segment.times_ms.map(|(_, last)| last),
            header: match segment.trouble {
                None => "whole",
                Some(SegmentTrouble::OneCopyDamaged) => "one copy damaged",
                Some(SegmentTrouble::Damaged) => "damaged",
                Some(SegmentTrouble::OtherClient) => "another client's",
                Some(SegmentTrouble::OtherName) => "not begun",
                Some(SegmentTrouble::Misnamed) => "misnamed",
                Some(SegmentTrouble::OtherVersion(_)) => "another version's",
                Some(_) => "unreadable",
            },
        }
    }

    fn row(&self) -> Vec<String> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            self.file.clone(),
            bytes(self.bytes),
            or_none(self.first_event.map(|first| first.to_string())),
            count(self.pending),
            bytes(self.pending_bytes),
            or_none(self.oldest_ms.map(age)),
            or_none(self.newest_ms.map(age)),
            self.header.to_owned(),
        ]
    }
}
