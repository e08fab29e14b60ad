//! `flume demo`: the main job in one command, with nothing to install.
//!
//! | file | holds |
//! |---|---|
//! | `play` | what happens |
//! | `story`, `style` | how it is told |
//! | `proof` | whether anything is missing |
//! | `log` | the lines |

mod log;
mod play;
mod proof;
mod story;
mod style;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use self::log::LINES_MAX;
use self::play::{Outcome, Play, Stop};
use self::story::Story;
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::output::{self, SCHEMA};
use crate::text::count;

/// See a failover that loses nothing, in a few seconds and with nothing to install.
///
/// Starts two small agents inside this process, sends a log to the first, stops it in the middle,
/// brings it back, and counts what arrived where.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Send this file instead of the log that comes with the demo; its first 100,000 lines
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Print the result to stdout as one line of JSON, and the story to stderr
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  flume demo
  flume demo --file /var/log/syslog
  flume demo --json 2>/dev/null

Exits with 0 only if every line arrived, 5 if not, 1 if something unexpected kept it from ending,
130 if interrupted.";

pub(crate) fn run(args: &DemoArgs) -> Exit {
    let mut story = Story::new(args.json);
    let outcome = match play(args, &mut story) {
        Ok(outcome) => outcome,
        Err(stop) => {
            output::note(match &stop {
                Stop::Interrupted => "interrupted; the agents and what they held are gone",
                Stop::Failed(problem) => problem,
            });
            return stop.exit();
        }
    };
    let written = !args.json || output::json(&OutcomeLine::new(&outcome));
    let exit = if outcome.proof.holds() {
        Exit::Complete
    } else {
        Exit::Partial
    };
    exit.unless(!written)
}

fn play(args: &DemoArgs, story: &mut Story) -> Result<Outcome, Stop> {
    let interrupts = Interrupts::watch();
    let interrupts = interrupts.map_err(|error| Stop::Failed(format!("cannot start: {error}")))?;
    let log = play::log(args.file.as_deref())?;
    story.begin();
    let play = Play::new(story, &interrupts, &log)?;
    let [first, second] = play.urls();
    let style = story.style;
    let lines = count(log.lines.len() as u64);
    story.line(&style.bold("Two Flume agents, one client, one failure"));
    story.line("");
    story.line(&format!("  agent A  {first}  the client prefers it"));
    story.line(&format!("  agent B  {second}  stands by"));
    story.line("           Both run in this process and answer as Apache Flume does.");
    story.line(&format!("  log      {lines} lines of {}", log.name));
    story.line("           Each line is an event, with its line number as a header.");
    if log.shortened {
        let most = count(LINES_MAX as u64);
        story.line(&format!(
            "           The file is used up to line {most}, without very long lines."
        ));
    }
    story.line("");
    let outcome = play.run()?;
    story.line("");
    let held: Vec<(&str, u64)> = ["agent A", "agent B"]
        .into_iter()
        .zip(outcome.held.iter().map(|(_, held)| *held))
        .collect();
    story.holdings(&held);
    story.line("");
    story.proof(&outcome.proof, outcome.elapsed.as_secs_f64());
    story.line("");
    story.line("To try it by hand, run `flume agent` in one terminal, and in another");
    story.line("`flume send --agent avro://127.0.0.1:4141 FILE`.");
    Ok(outcome)
}

#[derive(Serialize)]
struct OutcomeLine {
    schema: u32,
    sent: u64,
    distinct: u64,
    duplicates: u64,
    missing: u64,
    altered: u64,
    retries: u64,
    seconds: f64,
    held: Vec<HeldLine>,
}

#[derive(Serialize)]
struct HeldLine {
    agent: String,
    events: u64,
}

impl OutcomeLine {
    fn new(outcome: &Outcome) -> Self {
        let proof = outcome.proof;
        let agent = |(agent, held): &(String, u64)| HeldLine {
            agent: agent.clone(),
            events: *held,
        };
        Self {
            schema: SCHEMA,
            sent: proof.sent,
            distinct: proof.distinct,
            duplicates: proof.duplicates,
            missing: proof.missing,
            altered: proof.altered,
            retries: outcome.batches_retried,
            seconds: (outcome.elapsed.as_secs_f64() * 1e3).round() / 1e3,
            held: outcome.held.iter().map(agent).collect(),
        }
    }
}
