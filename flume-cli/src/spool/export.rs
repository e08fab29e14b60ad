//! `flume spool export`: the pending events as a file.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use flume_client::spool::StoredEvent;
use flume_client::wire::avro::datum::EventRef;
use serde::Serialize;

use super::avro_file::AvroFile;
use super::event::{Bodies, EventLine};
use super::examined::{Examined, InUse};
use super::finding::Finding;
use super::new_file::{NewFile, is_inside};
use super::problem::Problem;
use super::source::Spool;
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output::{self, LostLine, SCHEMA};
use crate::text::{self, bytes, count, plural};

/// Write a spool's pending events to a file, and leave them in the spool.
///
/// The file is made under another name and gets its own when all of it is on the disk. Only its
/// owner can read it, as with the spool's files.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ExportArgs {
    /// The spool
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// What to write
    #[arg(long, value_name = "FORMAT")]
    format: Format,

    /// The file to make; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Replace the file if it is there
    #[arg(long)]
    force: bool,

    /// Print the summary to stdout as one line of JSON as well
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// An Avro object container file of AvroFlumeEvent records, uncompressed
    Avro,
    /// A JSON object a line: number, stored_ms, headers, body_bytes, and body if it is UTF-8,
    /// else body_base64
    Jsonl,
}

const HELP: &str = "\
Examples:
  flume spool export /var/spool/orders --format avro --output orders.avro
  flume spool export /var/spool/orders --format jsonl --output - | jq .headers

Exits with 0 if every pending event was written, 6 if some are lost by damage, 1 if the spool or a
part of it cannot be read.";

#[derive(Serialize)]
struct Line {
    schema: u32,
    directory: String,
    output: String,
    format: Format,
    events: u64,
    event_bytes: u64,
    /// Events that are not in the file because of damage.
    lost: LostLine,
    /// What is stored in place of events and is none.
    skipped: u64,
    #[serde(flatten)]
    in_use: InUse,
    findings: Vec<Finding>,
}

pub(super) fn run(args: &ExportArgs) -> Result<Exit, Problem> {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && args.json {
        return Err(Problem::Usage(
            "--json prints to standard output, where the events go; give --output a file".into(),
        ));
    }
    if to_stdout && args.format == Format::Avro && io::stdout().is_terminal() {
        return Err(Problem::Usage(
            "an Avro file is not for terminals; give --output a file".into(),
        ));
    }
    let spool = Spool::look(&args.dir)?;
    spool.note_other_places();
    if to_stdout {
        let out = BufWriter::new(io::stdout());
        let path = Path::new("standard output");
        let (_, exported) = match write(args, &spool, out, path) {
            // Whoever reads has what they wanted, as with `head`.
            Err(Problem::Io(_, _, error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Complete);
            }
            written => written?,
        };
        return Ok(exported.tell(args, &spool));
    }
    if is_inside(&args.output, &args.dir) {
        return Err(Problem::Usage(format!(
            "{} is in the spool itself; choose a file elsewhere",
            text::path(&args.output)
        )));
    }
    let file = BufWriter::new(NewFile::create(&args.output, args.force)?);
    let (file, exported) = write(args, &spool, file, &args.output)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error);
    file.map_err(Problem::io("write", &args.output))?.finish()?;
    Ok(exported.tell(args, &spool))
}

fn write<W: Write>(
    args: &ExportArgs,
    spool: &Spool,
    out: W,
    path: &Path,
) -> Result<(W, Exported), Problem> {
    let interrupts = Interrupts::watch().map_err(Problem::io("watch signals for", path))?;
    let failed = |error| Problem::io("write", path)(error);
    let mut writer = Writer::new(args.format, out).map_err(failed)?;
    let mut tally = Tally::default();
    let examined = Examined::while_read(spool, |event| {
        if interrupts.is_set() {
            return Err(Problem::Interrupted);
        }
        if writer.push(&event).map_err(failed)? {
            tally.events += 1;
            tally.event_bytes += event.datum.len() as u64;
        }
        Ok(())
    })?;
    let out = writer.finish().map_err(failed)?;
    Ok((out, Exported { tally, examined }))
}

enum Writer<W> {
    Avro(AvroFile<W>),
    Jsonl(W),
}

impl<W: Write> Writer<W> {
    fn new(format: Format, out: W) -> io::Result<Self> {
        Ok(match format {
            Format::Avro => Self::Avro(AvroFile::new(out)?),
            Format::Jsonl => Self::Jsonl(out),
        })
    }

    /// `false`: it is no Flume event.
    fn push(&mut self, event: &StoredEvent<'_>) -> io::Result<bool> {
        match self {
            Self::Avro(file) => {
                if EventRef::parse(event.datum).is_err() {
                    return Ok(false);
                }
                file.push(event.datum)?;
            }
            Self::Jsonl(out) => {
                let line = EventLine::new(event.number, event.time_ms, event.datum, Bodies::Shown);
                let Ok(line) = line else {
                    return Ok(false);
                };
                output::write_json(&mut *out, &line)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(true)
    }

    fn finish(self) -> io::Result<W> {
        let mut out = match self {
            Self::Avro(file) => file.finish()?,
            Self::Jsonl(out) => out,
        };
        out.flush()?;
        Ok(out)
    }
}

#[derive(Debug, Default)]
struct Tally {
    events: u64,
    event_bytes: u64,
}

struct Exported {
    tally: Tally,
    examined: Examined,
}

impl Exported {
    fn tell(&self, args: &ExportArgs, spool: &Spool) -> Exit {
        self.examined.note_holder(spool);
        let lost = self.examined.survey.lost();
        let skipped = self.examined.strange.count;
        output::note(format_args!(
            "{} written to {}, {}",
            plural(self.tally.events, "event"),
            match args.output == Path::new("-") {
                true => "standard output".to_owned(),
                false => text::path(&args.output),
            },
            bytes(self.tally.event_bytes)
        ));
        if lost + skipped > 0 {
            output::detail(format!("{} lost by damage", count(lost + skipped)));
        }
        let findings = Finding::all(&self.examined);
        findings
            .iter()
            .for_each(|finding| output::detail(&finding.text));
        let written = !args.json
            || output::json(&Line {
                schema: SCHEMA,
                directory: args.dir.display().to_string(),
                output: args.output.display().to_string(),
                format: args.format,
                events: self.tally.events,
                event_bytes: self.tally.event_bytes,
                lost: LostLine::corrupt(lost),
                skipped,
                in_use: self.examined.in_use(),
                findings,
            });
        self.examined.exit_of_export().unless(!written)
    }
}
